package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/litecatalog"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

const scripts = "testdata/script"

// The secrets of every script: none may be found in any output.
const (
	scriptToken   = "cf-token-Zk4vQ9sT2wXe7RbN"
	scriptAccount = "0123456789abcdef0123456789abcdef"
)

// leaks are what no output may hold: the secrets that scripts use, and what
// makes a signed URL worth stealing.
func leaks() []string {
	return []string{scriptToken, "X-Amz-Signature", "hunter2-", "s3-secret-"}
}

func TestMain(m *testing.M) {
	if os.Getenv(processVariable) != "" {
		scriptedPatina()
		return
	}
	testscript.Main(m, map[string]func(){"patina": scriptedPatina})
}

// scriptedPatina is the program with a clock and ids that scripts can set. What
// it prints is also kept for the search for secrets.
func scriptedPatina() {
	h := process()
	if text := os.Getenv("PATINA_TEST_NOW"); text != "" {
		begin, err := time.Parse(time.RFC3339, text)
		if err != nil {
			panic(err)
		}
		started := time.Now()
		h.now = func() time.Time { return begin.Add(time.Since(started)) }
	}
	if id := os.Getenv("PATINA_TEST_RUN"); id != "" {
		h.newRunID = func() backup.RunID { return backup.RunID(id) }
	}
	if os.Getenv("PATINA_TEST_TERMINAL") != "" {
		h.inTerminal, h.outTerminal, h.errTerminal = true, true, true
	}
	if name := os.Getenv(hostVariable); name != "" {
		h.name = name
	}
	trap, err := setTrap()
	if err != nil {
		panic(err)
	}
	h.wrapStore = trap.wrap
	record, err := os.CreateTemp(os.Getenv("PATINA_TEST_OUTPUT"), "patina-*")
	if err != nil {
		panic(err)
	}
	h.out, h.err = io.MultiWriter(h.out, record), io.MultiWriter(h.err, record)
	if limits := os.Getenv(limitsVariable); limits != "" {
		// What a process runs out of does not come back while it waits.
		h.pause = func(int) time.Duration { return time.Millisecond }
		if err := setLimits(limits); err != nil {
			panic(err)
		}
	}
	mainWith(h)
}

func TestScripts(t *testing.T) {
	t.Parallel()
	outputs := t.TempDir()
	files, err := filepath.Glob(filepath.Join(scripts, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Files:               fewer(files, 3),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(env *testscript.Env) error { return setUp(env, outputs) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit":    cmdExit,
			"sandbox": cmdSandbox,
			"config":  cmdConfig,
			"subst":   cmdSubst,
			"damage":  cmdDamage,
			"hold":    cmdHold,
			"keygen":  cmdKeygen,
		},
		Condition: func(string) (bool, error) { return false, errors.New("scripts have no conditions") },
	})
	t.Cleanup(func() { searchLeaks(t, outputs) })
}

// fewer are one in so many of the cases, where the race detector watches: what they
// run in processes of their own it sees in few as well, and it takes long.
func fewer[T any](cases []T, in int) []T {
	if !raceDetector {
		return cases
	}
	var some []T
	for i := 0; i < len(cases); i += in {
		some = append(some, cases[i])
	}
	return some
}

type (
	sandboxKey struct{}
	// clockKey is the key of the sandbox's clock.
	clockKey struct{}
	// idsKey is the key of the databases' ids by name.
	idsKey struct{}
)

// setUp gives a script a sandbox of its own with two small databases.
func setUp(env *testscript.Env, outputs string) error {
	ctx, cancel := context.WithCancel(context.Background())
	clock := &sandboxClock{}
	env.Values[clockKey{}] = clock
	server, err := sandbox.New(sandbox.Options{
		Dir: filepath.Join(env.WorkDir, ".d1"), AccountID: scriptAccount, Token: scriptToken, Now: clock.now,
	})
	if err != nil {
		cancel()
		return err
	}
	listening, err := server.Listen(ctx, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		cancel()
		return err
	}
	env.Defer(func() {
		cancel()
		_ = listening.Close()
		_ = server.Close()
	})
	env.Values[sandboxKey{}] = server
	for key, value := range map[string]string{
		"CLOUDFLARE_API_BASE_URL": listening.BaseURL,
		"CLOUDFLARE_ACCOUNT_ID":   scriptAccount,
		"CLOUDFLARE_API_TOKEN":    scriptToken,
		"HOME":                    filepath.Join(env.WorkDir, "home"),
		"PATINA_TEST_OUTPUT":      outputs,
		"NO_COLOR":                "1",
		"GORACE":                  os.Getenv("GORACE"),
	} {
		env.Setenv(key, value)
	}
	ids := map[string]string{}
	env.Values[idsKey{}] = ids
	for _, name := range []string{"alpha", "beta"} {
		id, err := server.Seed(ctx, name,
			"CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT)",
			"INSERT INTO users VALUES(1,'Ada'),(2,'Grace')",
			"CREATE INDEX users_name ON users(name)")
		if err != nil {
			return err
		}
		ids[name] = id
	}
	return nil
}

// sandboxClock is the sandbox's clock, which a script may set.
type sandboxClock struct{ ahead atomic.Int64 }

func (c *sandboxClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func sandboxOf(ts *testscript.TestScript) *sandbox.Server {
	return ts.Value(sandboxKey{}).(*sandbox.Server)
}

// cmdExit runs a program and wants an exact status: exit 3 patina backup.
func cmdExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit STATUS PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// cmdSandbox changes the script's D1:
//
//	sandbox seed NAME STATEMENT...
//	sandbox dump NAME FILE
//	sandbox exports N          exactly N exports were started so far
//	sandbox clock TIME         what its clock says from now on, going on
//	sandbox fault CALL KIND [DB] [TIMES]
func cmdSandbox(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sandbox seed|dump|drop|exports|clock|fault ...")
	}
	server, ctx := sandboxOf(ts), context.Background()
	switch args[0] {
	case "seed":
		_, err := server.Seed(ctx, args[1], args[2:]...)
		ts.Check(err)
	case "dump":
		var b bytes.Buffer
		ts.Check(server.Dump(ctx, args[1], &b))
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), b.Bytes(), 0o600))
	case "drop":
		ts.Check(server.Drop(args[1]))
	case "exports":
		if got := fmt.Sprint(countExports(server)); got != args[1] {
			ts.Fatalf("%s exports were started, want %s", got, args[1])
		}
	case "clock":
		at, err := time.Parse(time.RFC3339, args[1])
		ts.Check(err)
		ts.Value(clockKey{}).(*sandboxClock).ahead.Store(int64(time.Until(at)))
	case "fault":
		addFault(ts, server, args[1:])
	default:
		ts.Fatalf("unknown: sandbox %s", args[0])
	}
}

// cmdConfig writes patina.yaml: a folder as the store, SQLite as the
// catalogue, the databases named.
func cmdConfig(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: config DATABASE...")
	}
	var b strings.Builder
	b.WriteString("databases:\n")
	for _, name := range args {
		fmt.Fprintf(&b, "  - name: %q\n", name)
	}
	fmt.Fprintf(&b, "store:\n  url: file://%s\ncatalog:\n  url: sqlite://%s\n", ts.MkAbs("bucket"), ts.MkAbs("catalog.db"))
	ts.Check(os.WriteFile(ts.MkAbs(".patina.yaml"), []byte(b.String()), 0o600))
}

// cmdHold takes a database's lease for a run that is not there: hold NAME.
func cmdHold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hold DATABASE")
	}
	ctx := context.Background()
	held, err := litecatalog.Open(ctx, litecatalog.Options{Path: ts.MkAbs("catalog.db"), Now: time.Now})
	ts.Check(err)
	id := ts.Value(idsKey{}).(map[string]string)[args[0]]
	_, err = held.Acquire(ctx, []string{catalog.DatabaseLease(id)},
		catalog.Owner{JobID: "manual-20241208T090000Z-beef", RunID: "beef", Host: "elsewhere", Process: 42}, time.Hour)
	ts.Check(err)
	ts.Check(held.Close())
}

// cmdSubst replaces $NAME in a file by the script's variables.
func cmdSubst(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: subst FILE")
	}
	path := ts.MkAbs(args[0])
	text, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, []byte(os.Expand(string(text), ts.Getenv)), 0o600))
}

// cmdDamage flips one bit in the middle of a file.
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage FILE")
	}
	path := ts.MkAbs(args[0])
	content, err := os.ReadFile(path)
	ts.Check(err)
	content[len(content)/2] ^= 1
	ts.Check(os.WriteFile(path, content, 0o600))
}

func searchLeaks(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		read += len(content)
		for _, leak := range leaks() {
			if i := bytes.Index(content, []byte(leak)); i >= 0 {
				t.Errorf("output holds %q: ...%s", leak, content[max(0, i-80):min(len(content), i+80)])
			}
		}
	}
	if read == 0 {
		t.Error("no output was kept, so none was searched")
	}
}

func TestEveryVerbAndStatusHasAScript(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(scripts, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	var all strings.Builder
	var verbs []string
	for _, f := range files {
		verb, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(f), ".txtar"), "_")
		verbs = append(verbs, verb)
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, cmd := range newRootCmd(&app{host: process()}).Commands() {
		if !slices.Contains(verbs, cmd.Name()) {
			t.Errorf("no script begins with the verb %q", cmd.Name())
		}
	}
	// Signals end a program that a script waits for; see signal_test.go.
	bySignal := []int{130, 143}
	for _, row := range exitTable() {
		used := regexp.MustCompile(fmt.Sprintf(`(?m)^exit %d `, row.status)).MatchString(all.String())
		if !used && !slices.Contains(bySignal, row.status) {
			t.Errorf("no script ends with status %d (%s)", row.status, row.means)
		}
	}
}
