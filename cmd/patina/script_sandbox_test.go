package main

import (
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// countExports counts the exports that were made: each is downloaded once,
// where no fault has it downloaded again.
func countExports(server *sandbox.Server) int {
	n := 0
	for _, call := range server.Journal() {
		if call.Name == "download" {
			n++
		}
	}
	return n
}

// addFault orders a fault: CALL KIND [KEY=VALUE...] with the keys db, times,
// after, status, code and bytes.
func addFault(ts *testscript.TestScript, server *sandbox.Server, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: sandbox fault CALL KIND [KEY=VALUE...]")
	}
	f := sandbox.Fault{Call: args[0], Kind: sandbox.FaultKind(args[1]), Message: "ordered by the test"}
	for _, arg := range args[2:] {
		key, value, _ := strings.Cut(arg, "=")
		if key == "db" {
			f.Database = value
			continue
		}
		n, err := strconv.Atoi(value)
		ts.Check(err)
		switch key {
		case "times":
			f.Times = n
		case "after":
			f.After = n
		case "status":
			f.Status = n
		case "code":
			f.Code = n
		case "bytes":
			f.Bytes = int64(n)
		default:
			ts.Fatalf("unknown key %q", key)
		}
	}
	server.AddFault(f)
}
