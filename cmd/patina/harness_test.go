package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// installation is one configured Patina that a test runs commands of, in this
// process, on a clock that the test sets.
type installation struct {
	t      *testing.T
	dir    string
	config string
	env    map[string]string
	at     time.Time
	begun  time.Time
	runs   atomic.Int32
	// terminal makes the streams look like a person's.
	terminal bool
	// state is the folder of a sandboxed installation's bucket and catalogue.
	state string
	// network carries HTTP requests; nil means the real one.
	network http.RoundTripper
	// alive says whether a process of the program still runs; nil takes all for
	// running.
	alive func(pid int) bool
	// wrapStore puts something between the program and its store.
	wrapStore func(store.Store) store.Store
}

// outcome is what a command left behind.
type outcome struct {
	status int
	stdout string
	stderr string
}

// install writes a configuration and returns the installation.
func install(t *testing.T, config string) *installation {
	t.Helper()
	dir := t.TempDir()
	i := &installation{t: t, dir: dir, config: filepath.Join(dir, "patina.yaml"), env: map[string]string{}}
	i.setClock("2024-12-08T03:00:00Z")
	if err := os.WriteFile(i.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

// setClock sets the clock, which goes on from there.
func (i *installation) setClock(text string) {
	i.t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		i.t.Fatal(err)
	}
	i.at, i.begun = at, time.Now()
}

func (i *installation) host(out, errs io.Writer) host {
	at, begun := i.at, i.begun
	return host{
		in: strings.NewReader(""), out: out, err: errs,
		inTerminal: i.terminal, outTerminal: i.terminal, errTerminal: i.terminal,
		lookupEnv: func(name string) (string, bool) { v, ok := i.env[name]; return v, ok },
		environ:   func() []string { return nil },
		home:      i.dir, name: "test-host", pid: os.Getpid(), network: i.network, wrapStore: i.wrapStore, alive: i.alive,
		now: func() time.Time { return at.Add(time.Since(begun)) },
		newRunID: func() backup.RunID {
			return backup.RunID(fmt.Sprintf("%04x", 0xa000+i.runs.Add(1)))
		},
	}
}

// patina runs a command to its end, and fails the test for any status but the
// one wanted.
func (i *installation) patina(want int, args ...string) outcome {
	i.t.Helper()
	return i.patinaContext(i.t.Context(), want, args...)
}

func (i *installation) patinaContext(ctx context.Context, want int, args ...string) outcome {
	i.t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(ctx, append([]string{"--config", i.config}, args...), i.host(&stdout, &stderr))
	got := outcome{status, stdout.String(), stderr.String()}
	if status != want {
		i.t.Fatalf("patina %s ended with status %d, want %d\nstdout:\n%s\nstderr:\n%s",
			strings.Join(args, " "), status, want, got.stdout, got.stderr)
	}
	for _, leak := range leaks() {
		if strings.Contains(got.stdout+got.stderr, leak) {
			i.t.Errorf("patina %s printed the secret %q", strings.Join(args, " "), leak)
		}
	}
	return got
}
