package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// restoreVictim is a restore that is killed at a request to D1, or to where D1
// keeps its files.
type restoreVictim struct {
	*installation
	d1 *sandbox.Server
	// at is the number of the request at which the process dies, after that it was
	// carried out if so wanted, and kill ends the process; 0 lets all be.
	at       atomic.Int64
	after    atomic.Bool
	requests atomic.Int64
	kill     atomic.Pointer[func()]
	backup   string
}

func newRestoreVictim(t *testing.T) *restoreVictim {
	t.Helper()
	server, err := sandbox.New(sandbox.Options{
		Dir: t.TempDir(), AccountID: scriptAccount, Token: scriptToken, Now: time.Now, PollTimeout: time.Second, RateLimit: -1, ImportPolls: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	v := &restoreVictim{d1: server}
	files, api := httptest.NewServer(v.watch(server.Files())), httptest.NewServer(v.watch(server.API()))
	t.Cleanup(files.Close)
	t.Cleanup(api.Close)
	server.SetFilesURL(files.URL)
	dir := t.TempDir()
	v.installation = install(t, "store: {url: 'file://"+dir+"/bucket'}\ncatalog: {url: 'sqlite://"+dir+"/catalog.db'}\ndatabases: [alpha]\n")
	v.state = dir
	v.setClock(time.Now().UTC().Format(time.RFC3339))
	for name, value := range map[string]string{
		"CLOUDFLARE_API_BASE_URL": api.URL + "/client/v4", "CLOUDFLARE_ACCOUNT_ID": scriptAccount, "CLOUDFLARE_API_TOKEN": scriptToken,
	} {
		v.env[name] = value
	}
	v.seed("alpha", "CREATE TABLE t(v)", "INSERT INTO t VALUES('backup'),('of alpha')", "CREATE INDEX i ON t(v)")
	v.patina(0, "backup")
	v.backup = v.content("alpha")
	return v
}

func (v *restoreVictim) seed(name string, statements ...string) {
	v.t.Helper()
	if _, err := v.d1.Seed(v.t.Context(), name, statements...); err != nil {
		v.t.Fatal(err)
	}
}

// watch counts the requests, and kills the process at one of them.
func (v *restoreVictim) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v.requests.Add(1) != v.at.Load() {
			next.ServeHTTP(w, r)
			return
		}
		if v.after.Load() {
			next.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
		}
		(*v.kill.Load())()
	})
}

// content is a database as its sorted dump, without the table by which a restore
// is followed.
func (v *restoreVictim) content(name string) string {
	v.t.Helper()
	var text strings.Builder
	if err := v.d1.Dump(v.t.Context(), name, &text); err != nil {
		return ""
	}
	lines := slices.DeleteFunc(strings.Split(text.String(), "\n"), func(line string) bool {
		return line == "" || strings.HasPrefix(line, "PRAGMA") || strings.Contains(line, "_patina_restore")
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// dies runs a restore that is killed at the n-th request, and says whether it came
// that far.
func (v *restoreVictim) dies(n int64, after bool, args ...string) bool {
	v.t.Helper()
	v.requests.Store(0)
	v.after.Store(after)
	ready := make(chan *program, 1)
	kill := func() {
		p := <-ready
		_ = p.Process.Kill()
	}
	v.kill.Store(&kill)
	v.at.Store(n)
	p := v.start(processOptions{}, args...)
	ready <- p
	status := p.wait().status
	v.at.Store(0)
	if status != killed && status != 0 {
		v.t.Fatalf("request %d: status %d", n, status)
	}
	// What nobody polls any more is given up by D1.
	for _, name := range []string{"alpha", "new", "old"} {
		_, _ = v.d1.Abandon(name) // there may be none of that name
	}
	return status == killed
}

// stride is from request to request: the race detector, which runs the short
// tests, gets by with some.
func stride() int64 {
	if testing.Short() {
		return 3
	}
	return 1
}

// A restore into a new database that is killed at any request leaves it as it
// was, or restored, or the next one brings it about.
func TestARestoreMayDieAtAnyRequest(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprint("after ", after), func(t *testing.T) {
			t.Parallel()
			v := newRestoreVictim(t)
			deaths := 0
			for n := int64(1); v.dies(n, after, "restore", "latest", "alpha", "--to", "d1:new"); n += stride() {
				deaths++
				if got := v.content("new"); got != "" && got != v.backup {
					t.Errorf("request %d: it holds a part:\n%s", n, got)
				}
				next := v.start(processOptions{}, "restore", "latest", "alpha", "--to", "d1:new").wait()
				switch {
				case next.status == 0:
				case next.status == 6 && strings.Contains(next.stderr, "which would be lost"):
				default:
					t.Errorf("request %d: the next restore ended with %d:\n%s", n, next.status, next.stderr)
				}
				if got := v.content("new"); got != v.backup {
					t.Errorf("request %d: the next restore leaves\n%s", n, got)
				}
				if err := v.d1.Drop("new"); err != nil {
					t.Fatal(err)
				}
			}
			if deaths < 8/int(stride()) {
				t.Errorf("it died at %d requests only", deaths)
			}
		})
	}
}

// A restore that replaces a database and is killed at any request leaves it as it
// was, or restored; or the next one does its work, or says what to undo.
func TestAReplacementMayDieAtAnyRequest(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprint("after ", after), func(t *testing.T) {
			t.Parallel()
			v := newRestoreVictim(t)
			v.seed("old", "CREATE TABLE other(x)", "INSERT INTO other VALUES('what was there')")
			old := v.content("old")
			replace := []string{"restore", "latest", "alpha", "--to", "d1:old", "--replace", "--yes"}
			deaths, undone := 0, 0
			for n := int64(1); v.dies(n, after, replace...); n += stride() {
				deaths++
				if got := v.content("old"); got != old && got != v.backup {
					t.Errorf("request %d: it holds a part:\n%s", n, got)
				}
				next := v.start(processOptions{}, replace...).wait()
				if _, job, found := strings.Cut(next.stderr, "hint: patina undo "); next.status == 6 && found {
					undone++
					v.patina(0, "undo", strings.TrimSpace(job), "--yes")
					if got := v.content("old"); got != old {
						t.Errorf("request %d: the undo leaves\n%s", n, got)
					}
				} else if next.status != 0 || v.content("old") != v.backup {
					t.Errorf("request %d: the next restore ended with %d and leaves\n%s\n%s", n, next.status, v.content("old"), next.stderr)
				}
				if err := v.d1.Drop("old"); err != nil {
					t.Fatal(err)
				}
				v.seed("old", "CREATE TABLE other(x)", "INSERT INTO other VALUES('what was there')")
			}
			if deaths < 12/int(stride()) || undone == 0 && stride() == 1 {
				t.Errorf("it died at %d requests, %d of them to be undone", deaths, undone)
			}
		})
	}
}

// A restore may also die around each record that it writes.
func TestARestoreMayDieAroundItsRecords(t *testing.T) {
	t.Parallel()
	v := newRestoreVictim(t)
	v.seed("old", "CREATE TABLE other(x)")
	old := v.content("old")
	for _, at := range []string{
		"before put jobs/*/restore-*.begin.json", "amid put jobs/*/restore-*.begin.json 1", "after put jobs/*/restore-*.begin.json",
		"before put jobs/*/restore-*.end.json", "after put jobs/*/restore-*.end.json",
	} {
		v.process(killed, processOptions{at: at, signal: syscall.SIGKILL}, "restore", "latest", "alpha", "--to", "d1:old", "--replace", "--yes")
		want := old
		if strings.Contains(at, "end.json") {
			want = v.backup
		}
		if got := v.content("old"); got != want {
			t.Errorf("%s: it holds\n%s", at, got)
		}
		next := v.start(processOptions{}, "restore", "latest", "alpha", "--to", "d1:old", "--replace", "--yes").wait()
		if next.status != 0 || v.content("old") != v.backup {
			t.Errorf("%s: the next restore ended with %d: %s", at, next.status, next.stderr)
		}
		if err := v.d1.Drop("old"); err != nil {
			t.Fatal(err)
		}
		v.seed("old", "CREATE TABLE other(x)")
	}
}
