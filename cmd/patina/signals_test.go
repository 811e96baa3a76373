package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// TestASignalAtEveryStep interrupts a backup at each of its dealings with the
// store, with Ctrl-C and with SIGTERM by turns.
func TestASignalAtEveryStep(t *testing.T) {
	t.Parallel()
	i, _ := sandboxed(t, "alpha", "beta")
	record := filepath.Join(t.TempDir(), "steps")
	i.process(0, processOptions{env: map[string]string{stepsVariable: record}}, "backup", "--trigger", "schedule")
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	steps := bytes.Count(text, []byte("\n"))
	if steps < 40 {
		t.Fatalf("a backup has %d steps:\n%s", steps, text)
	}
	var cut, all atomic.Int32
	t.Cleanup(func() {
		if cut.Load() < all.Load()/4 { // later ones find everything published
			t.Errorf("only %d of %d runs were interrupted", cut.Load(), all.Load())
		}
	})
	for step := 1; step <= steps; step++ {
		if !sampled(step) {
			continue
		}
		all.Add(1)
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			t.Parallel()
			i, server := sandboxed(t, "alpha", "beta")
			signal := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}[step%2]
			got := i.start(processOptions{at: fmt.Sprintf("step %d", step), signal: signal}, "backup", "--trigger", "schedule").wait()
			if i.wantInterrupted(server, signal, got) {
				cut.Add(1)
			}
		})
	}
}

// TestASignalAtEveryCallOfD1 interrupts a backup when D1 gets each request, and
// when it has carried it out.
func TestASignalAtEveryCallOfD1(t *testing.T) {
	t.Parallel()
	const enough = 14
	cut, all := 0, 0
	for n := 1; n <= enough; n++ {
		if !sampled(n) {
			continue
		}
		all++
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			i, server := sandboxed(t, "alpha", "beta")
			front := &signalling{next: server.API(), at: int64(n), signal: signal, started: make(chan struct{}), after: signal == syscall.SIGTERM}
			listening := httptest.NewServer(front)
			t.Cleanup(listening.Close)
			i.env["CLOUDFLARE_API_BASE_URL"] = listening.URL + "/client/v4"
			p := i.start(processOptions{}, "backup", "--trigger", "schedule")
			front.process = p.Process
			close(front.started)
			got := p.wait()
			if i.wantInterrupted(server, signal, got) {
				cut++
			}
		}
	}
	if cut < all {
		t.Errorf("only %d of %d runs were interrupted", cut, 2*all)
	}
}

// TestASignalAtAnyTime interrupts backups at times that nobody chose.
func TestASignalAtAnyTime(t *testing.T) {
	t.Parallel()
	for n := range 12 {
		if !sampled(n) {
			continue
		}
		i, server := sandboxed(t, "alpha", "beta")
		signal := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}[n%2]
		p := i.start(processOptions{}, "backup", "--trigger", "schedule")
		// Until the program listens to signals, they kill it, as any program.
		for len(server.Journal()) == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(n*n) * time.Millisecond)
		_ = p.Process.Signal(signal) // it may have ended
		i.wantInterrupted(server, signal, p.wait())
	}
}

// TestASecondSignalEndsAtOnce has the store hang when the first signal comes, so
// that the clean-up does not end.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		i, server := sandboxed(t, "alpha", "beta")
		steps := filepath.Join(t.TempDir(), "steps")
		p := i.start(processOptions{
			at: "before put daily/*/alpha.sql", signal: signal,
			env: map[string]string{hangVariable: "1", stepsVariable: steps},
		}, "backup", "--trigger", "schedule")
		for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			text, err := os.ReadFile(steps)
			if err == nil && bytes.Contains(text, []byte("before put daily/2024-12-08/alpha.sql")) {
				break
			}
			if time.Since(begun) > time.Minute {
				t.Fatalf("%s: the point was not reached: %q, %v", signal, text, err)
			}
		}
		ended := make(chan struct{})
		go func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(50 * time.Millisecond):
					_ = p.Process.Signal(signal) // until it is the second that counts
				}
			}
		}()
		got := p.wait()
		close(ended)
		if status := p.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != signal {
			t.Errorf("%s: it ended with %d and\n%s", signal, got.status, got.stderr)
		}
		for _, b := range i.wantEqualBackupsOf(server).Backups {
			if b.Database == "alpha" {
				t.Errorf("%s: alpha has a backup", signal)
			}
		}
		i.process(0, processOptions{}, "backup", "--trigger", "schedule")
		i.wantClean(server, "alpha", "beta")
	}
}

// TestASignalAtEveryRequest interrupts a backup into R2, with a dump of two
// parts, when it sends each of its requests, or has their answers.
func TestASignalAtEveryRequest(t *testing.T) {
	t.Parallel()
	var all int64
	t.Run("undisturbed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, true)
			w.patina(0, "backup", "--trigger", "schedule")
			all = w.requests.Load()
		})
	})
	if all < 30 {
		t.Fatalf("a backup makes %d requests", all)
	}
	for n := int64(1); n <= all; n++ {
		if !sampled(int(n)) {
			continue
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { interruptRequest(t, n) })
		})
	}
}

func interruptRequest(t *testing.T, n int64) {
	w := newWorld(t, true)
	signal := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}[n%2]
	ctx, cancel := context.WithCancelCause(t.Context())
	w.at, w.late, w.do = n, n%3 == 0, func() { cancel(&signalError{signal}) }
	var stdout, stderr bytes.Buffer
	begun := time.Now()
	status := run(ctx, []string{"--config", w.config, "backup", "--trigger", "schedule"}, w.host(&stdout, &stderr))
	w.at = 0
	got := outcome{status, stdout.String(), stderr.String()}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %s to end", took)
	}
	listed := w.wantEqualBackupsOf(w.d1)
	if len(listed.Unfinished) != 0 {
		t.Errorf("unfinished: %+v", listed.Unfinished)
	}
	if n := w.r2.OpenUploads(); n != 0 {
		t.Errorf("%d uploads are left open", n)
	}
	switch status {
	case 0:
		w.wantBackups("alpha", "beta")
	case 128 + int(signal):
		wantTold(t, got, "interrupted")
	default:
		t.Errorf("%s: it ended with %d and\n%s", signal, status, got.stderr)
	}
	w.patina(0, "backup", "--trigger", "schedule")
	w.wantBackups("alpha", "beta")
}

// signalling sends a signal to a process at one of the requests that it makes.
type signalling struct {
	next    http.Handler
	at      int64
	after   bool
	signal  syscall.Signal
	process *os.Process
	started chan struct{}
	seen    atomic.Int64
}

// ServeHTTP passes the request on.
func (s *signalling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	<-s.started
	mine := s.seen.Add(1) == s.at
	if mine && !s.after {
		_ = s.process.Signal(s.signal)
	}
	s.next.ServeHTTP(w, r)
	if mine && s.after {
		_ = s.process.Signal(s.signal)
	}
}

// wantInterrupted wants a run that got a signal to have ended cleanly, whether
// it was done by then or not, and says whether it was interrupted. The next run
// completes the night.
func (i *installation) wantInterrupted(server *sandbox.Server, signal syscall.Signal, got outcome) bool {
	i.t.Helper()
	interrupted := got.status != 0
	if interrupted && got.status != 128+int(signal) {
		i.t.Errorf("%s: it ended with %d and\n%s", signal, got.status, got.stderr)
	}
	if interrupted {
		wantTold(i.t, got, "interrupted")
	} else {
		i.wantEqualBackups(server, "alpha", "beta")
	}
	listed := i.wantEqualBackupsOf(server)
	for _, stray := range listed.Unfinished {
		i.t.Errorf("%s: unfinished: %+v", signal, stray)
	}
	i.wantRecorded(interrupted)
	i.process(0, processOptions{}, "backup", "--trigger", "schedule")
	i.wantClean(server, "alpha", "beta")
	return interrupted
}

// wantRecorded wants each run that announced itself to have told its end, and
// the catalogue to know how it ended.
func (i *installation) wantRecorded(interrupted bool) {
	i.t.Helper()
	begins, err := filepath.Glob(filepath.Join(i.bucket(), "jobs", "*", "*.begin.json"))
	if err != nil {
		i.t.Fatal(err)
	}
	for _, begin := range begins {
		if _, err := os.Stat(strings.TrimSuffix(begin, "begin.json") + "end.json"); err != nil {
			i.t.Errorf("there is no end record: %v", err)
		}
	}
	status := decode[statusJSON](i.t, i.patina(0, "status", "-o", "json").stdout)
	want := []string{"succeeded", "completed"}
	if interrupted {
		want = []string{"interrupted"}
	}
	if len(begins) > 0 && !slices.Contains(want, status.CurrentStatus) {
		i.t.Errorf("status is %q, want %q", status.CurrentStatus, want)
	}
}
