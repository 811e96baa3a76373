// Command patina backs up Cloudflare D1 databases, keeps the backups that
// matter, and brings them back.
//
// This package is the command line: one file per verb with its flags, the
// wiring of implementations in app.go, everything that prints, and the exit
// statuses. What the verbs do is pkg/engine's.
//
// Its rules: data goes to stdout and everything else to stderr; a successful
// run without a terminal prints nothing but what was asked for; only main
// exits, reads the process's environment, or touches its streams.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

func main() {
	boundGarbage()
	mainWith(process())
}

// gcPercent has the collector begin when there is half as much garbage as there
// is in use. What is in use are the buffers of a few parts, which take no time to
// look through; with the runtime's 100 a dump of 4 GiB took a fifth more memory
// than one of 1 GiB (docs/performance.md).
const gcPercent = 50

// boundGarbage sets the collector, unless the operator did.
func boundGarbage() {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
}

// mainWith runs the program on a host, and ends the process.
func mainWith(h host) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		got := <-signals
		// The first signal ends the work cleanly; from here on the next one
		// kills, as if Patina had never asked for signals.
		signal.Stop(signals)
		cancel(&signalError{got})
	}()
	os.Exit(run(ctx, os.Args[1:], h))
}

// process is the host that the real program runs on.
func process() host {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	home, _ := os.UserHomeDir() // empty where there is none: see config
	return host{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		inTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		outTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		errTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		lookupEnv:   os.LookupEnv,
		environ:     os.Environ,
		home:        home,
		name:        name,
		pid:         os.Getpid(),
		alive:       alive,
		now:         time.Now,
		newRunID:    newRunID,
	}
}

// alive says whether a process runs. Only what the system says is gone is gone:
// one that may not be signalled, or a system that knows no such signal, is no
// reason to take another run's work.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	return !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// newRunID draws eight hexadecimal digits. The second stands beside them in every
// name, but scripts begin several runs a second, on many hosts: with four digits two
// of them were once the same, and the second run was refused.
func newRunID() backup.RunID {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return backup.RunID(hex.EncodeToString(b[:]))
}
