package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// The variables by which a test tells a process of this test binary that it is
// the program, on which host, and which signals it sends to itself at which
// points of its work.
const (
	processVariable = "PATINA_TEST_PROCESS"
	hostVariable    = "PATINA_TEST_HOST"
	pointVariable   = "PATINA_TEST_POINT"
	signalVariable  = "PATINA_TEST_SIGNAL"
	// stepsVariable names a file that gets a line for each step of the store.
	stepsVariable = "PATINA_TEST_STEPS"
	// hangVariable, if not empty, has the call at the point never end.
	hangVariable = "PATINA_TEST_HANG"
)

// A point is a moment in the program's dealings with its store: "before CALL
// PATTERN", "after CALL PATTERN", "amid put PATTERN BYTES" (when that many
// bytes of a body were handed on) or "step N" (the N-th of all those moments).
// CALL is put, get, stat, list or delete; PATTERN is matched with path.Match.
type point struct {
	when, call, pattern string
	number              int64
}

func parsePoint(text string) (point, error) {
	fields := strings.Fields(text)
	switch {
	case len(fields) == 2 && fields[0] == "step":
		n, err := strconv.ParseInt(fields[1], 10, 64)
		return point{when: "step", number: n}, err
	case len(fields) == 3 && (fields[0] == "before" || fields[0] == "after"):
		return point{when: fields[0], call: fields[1], pattern: fields[2]}, nil
	case len(fields) == 4 && fields[0] == "amid" && fields[1] == "put":
		n, err := strconv.ParseInt(fields[3], 10, 64)
		return point{when: "amid", call: "put", pattern: fields[2], number: n}, err
	}
	return point{}, fmt.Errorf("%q is no point", text)
}

// trap does something at points of the program's work, once at each.
type trap struct {
	springs []*spring
	steps   atomic.Int64
	record  io.Writer
}

// spring is what a trap does at one point.
type spring struct {
	at   point
	do   func()
	once sync.Once
}

// setTrap is what the environment asks for; it may ask for nothing.
func setTrap() (*trap, error) {
	t := &trap{record: io.Discard}
	if name := os.Getenv(stepsVariable); name != "" {
		file, err := os.Create(name)
		if err != nil {
			return nil, err
		}
		t.record = file
	}
	if os.Getenv(pointVariable) == "" {
		return t, nil
	}
	signals := strings.Split(os.Getenv(signalVariable), ";")
	for i, text := range strings.Split(os.Getenv(pointVariable), ";") {
		at, err := parsePoint(text)
		if err != nil {
			return nil, err
		}
		number, err := strconv.Atoi(signals[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", signalVariable, err)
		}
		t.springs = append(t.springs, &spring{at: at, do: func() { sendSelf(syscall.Signal(number)) }})
	}
	return t, nil
}

// reached tells the trap of a moment.
func (t *trap) reached(when, call, key string, handed int64) {
	step := t.steps.Add(1)
	_, _ = fmt.Fprintf(t.record, "%d %s %s %s\n", step, when, call, key)
	for _, s := range t.springs {
		if s.at.is(step, when, call, key, handed) {
			s.once.Do(s.do)
		}
	}
}

// is says whether a moment is the point.
func (p point) is(step int64, when, call, key string, handed int64) bool {
	if p.when == "step" {
		return step == p.number
	}
	ok, _ := path.Match(p.pattern, key)
	return ok && p.when == when && p.call == call && handed >= p.number
}

// sendSelf sends this process a signal, and goes on when it may.
func sendSelf(number syscall.Signal) {
	// A process goes on for a while after it was told to stop: until the
	// system has its first thread see the signal. This goroutine must not.
	resumed := make(chan os.Signal, 1)
	if number == syscall.SIGSTOP {
		signal.Notify(resumed, syscall.SIGCONT)
	}
	_ = syscall.Kill(os.Getpid(), number)
	if os.Getenv(hangVariable) != "" {
		time.Sleep(time.Hour) // until another signal ends it
	}
	switch number {
	case syscall.SIGKILL:
		time.Sleep(time.Hour) // dead before it ends
	case syscall.SIGSTOP:
		<-resumed
		signal.Stop(resumed)
	}
}

// wrap puts the trap between the engine and a store, and keeps what the store
// can do beyond the contract.
func (t *trap) wrap(s store.Store) store.Store {
	trapped := &trappedStore{s, t}
	clock, hasClock := s.(store.Clock)
	prober, hasProber := s.(store.Prober)
	sweeper, hasSweeper := s.(store.Sweeper)
	switch {
	case hasClock && hasProber && hasSweeper:
		return struct {
			*trappedStore
			store.Clock
			store.Prober
			store.Sweeper
		}{trapped, clock, prober, sweeper}
	case hasClock || hasProber || hasSweeper:
		panic("a store with some of the optional interfaces")
	}
	return trapped
}

type trappedStore struct {
	store.Store
	trap *trap
}

func (s *trappedStore) Put(ctx context.Context, key string, body io.Reader, opts store.PutOptions) (store.Receipt, error) {
	s.trap.reached("before", "put", key, 0)
	receipt, err := s.Store.Put(ctx, key, &trappedBody{body, s.trap, key, 0}, opts)
	s.trap.reached("after", "put", key, 0)
	return receipt, err
}

func (s *trappedStore) Get(ctx context.Context, key string, opts store.GetOptions) (io.ReadCloser, store.Info, error) {
	s.trap.reached("before", "get", key, 0)
	defer s.trap.reached("after", "get", key, 0)
	return s.Store.Get(ctx, key, opts)
}

func (s *trappedStore) Stat(ctx context.Context, key string) (store.Info, error) {
	s.trap.reached("before", "stat", key, 0)
	defer s.trap.reached("after", "stat", key, 0)
	return s.Store.Stat(ctx, key)
}

func (s *trappedStore) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		s.trap.reached("before", "list", prefix, 0)
		defer s.trap.reached("after", "list", prefix, 0)
		s.Store.List(ctx, prefix)(yield)
	}
}

func (s *trappedStore) Delete(ctx context.Context, key string) error {
	s.trap.reached("before", "delete", key, 0)
	defer s.trap.reached("after", "delete", key, 0)
	return s.Store.Delete(ctx, key)
}

type trappedBody struct {
	io.Reader
	trap   *trap
	key    string
	handed int64
}

func (b *trappedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.handed += int64(n)
	b.trap.reached("amid", "put", b.key, b.handed)
	return n, err
}

// program is one process of the program that a test started.
type program struct {
	*exec.Cmd
	t              *testing.T
	stdout, stderr bytes.Buffer
}

// options of a program's process.
type processOptions struct {
	// host is the name of the machine; empty is that of the others.
	host string
	// at is the point (see point) at which it gets the signal.
	at     string
	signal syscall.Signal
	// killedAt is a further point, at which it gets SIGKILL.
	killedAt string
	// now is the clock it begins with, RFC 3339; empty is the installation's.
	now string
	// env is added to the installation's.
	env map[string]string
}

// start starts a command as a process of its own: one that may be killed. It is
// killed at the latest when the test ends.
func (i *installation) start(o processOptions, args ...string) *program {
	i.t.Helper()
	p := &program{t: i.t, Cmd: exec.CommandContext(i.t.Context(), os.Args[0], append([]string{"--config", i.config}, args...)...)}
	if o.host == "" {
		o.host = "test-host"
	}
	if o.now == "" {
		o.now = i.at.Add(time.Since(i.begun)).Format(time.RFC3339)
	}
	p.Env = []string{
		processVariable + "=1", hostVariable + "=" + o.host, "PATINA_TEST_NOW=" + o.now,
		"PATINA_TEST_OUTPUT=" + i.t.TempDir(), "HOME=" + i.dir, "PATH=" + os.Getenv("PATH"), "GORACE=" + os.Getenv("GORACE"), "NO_COLOR=1",
	}
	if o.at != "" {
		points, signals := o.at, strconv.Itoa(int(o.signal))
		if o.killedAt != "" {
			points, signals = points+";"+o.killedAt, signals+";"+strconv.Itoa(int(syscall.SIGKILL))
		}
		p.Env = append(p.Env, pointVariable+"="+points, signalVariable+"="+signals)
	}
	for _, env := range []map[string]string{i.env, o.env} {
		for name, value := range env {
			p.Env = append(p.Env, name+"="+value)
		}
	}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	if err := p.Start(); err != nil {
		i.t.Fatal(err)
	}
	return p
}

// wait waits for the process to end. Its status is the exit status, or 128 and
// the signal that killed it.
func (p *program) wait() outcome {
	p.t.Helper()
	err := p.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	got := outcome{p.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}
	if status, ok := p.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		got.status = 128 + int(status.Signal())
	}
	for _, leak := range leaks() {
		if strings.Contains(got.stdout+got.stderr, leak) {
			p.t.Errorf("%v printed the secret %q", p.Args[1:], leak)
		}
	}
	return got
}

// process runs a command as a process of its own to its end, and fails the test
// for any status but the one wanted.
func (i *installation) process(want int, o processOptions, args ...string) outcome {
	i.t.Helper()
	got := i.start(o, args...).wait()
	if got.status != want {
		i.t.Fatalf("patina %s (%+v) ended with status %d, want %d\nstdout:\n%s\nstderr:\n%s",
			strings.Join(args, " "), o, got.status, want, got.stdout, got.stderr)
	}
	return got
}

// killed is the status of a process that SIGKILL ended.
const killed = 128 + int(syscall.SIGKILL)

// TestAProcessDiesWhereItIsToldTo holds the harness itself: a process dies at
// its point and not before or after it.
func TestAProcessDiesWhereItIsToldTo(t *testing.T) {
	t.Parallel()
	i, _ := sandboxed(t, "alpha")
	i.process(killed, processOptions{at: "before put daily/*/alpha.*.json", signal: syscall.SIGKILL}, "backup")
	if got := decode[listJSON](t, i.patina(0, "list", "-o", "json").stdout); len(got.Backups) != 0 {
		t.Errorf("killed before the manifest: %d backups, want none", len(got.Backups))
	}
	i.process(killed, processOptions{at: "after put daily/*/alpha.*.json", signal: syscall.SIGKILL}, "backup")
	if got := decode[listJSON](t, i.patina(0, "list", "-o", "json").stdout); len(got.Backups) != 1 {
		t.Errorf("killed after the manifest: %d backups, want 1", len(got.Backups))
	}
	steps := filepath.Join(t.TempDir(), "steps")
	i.process(0, processOptions{env: map[string]string{stepsVariable: steps}}, "backup")
	recorded, err := os.ReadFile(steps)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(recorded, []byte("\n")); n < 10 {
		t.Errorf("a backup has %d steps:\n%s", n, recorded)
	}
	i.process(killed, processOptions{at: "step 5", signal: syscall.SIGKILL}, "backup")
}
