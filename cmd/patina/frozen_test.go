package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// cluster is a Postgres of the test's own, all processes of which it may stop.
type cluster struct {
	t   *testing.T
	dir string
	url string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("Postgres is not run in short mode")
	}
	script, err := filepath.Abs("../../.ci/postgres")
	if err != nil {
		t.Fatal(err)
	}
	parent, err := exec.CommandContext(t.Context(), script, "parent").Output()
	if err != nil {
		t.Fatal(err)
	}
	// Not the test's own folder: user postgres cannot pass through that.
	outer, err := os.MkdirTemp(strings.TrimSpace(string(parent)), "patina-frozen-*") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(outer, 0o711); err != nil { // user postgres passes through
		t.Fatal(err)
	}
	c := &cluster{t: t, dir: filepath.Join(outer, "postgres")}
	t.Cleanup(func() {
		c.signal(syscall.SIGCONT)
		if out, err := exec.Command(script, "stop", c.dir).CombinedOutput(); err != nil {
			t.Errorf("stop Postgres: %v: %s", err, out)
		}
		_ = os.RemoveAll(outer)
	})
	url, err := exec.CommandContext(t.Context(), script, "start", c.dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	c.url = strings.TrimSpace(string(url))
	return c
}

// signal sends a signal to the server and to all of its children.
func (c *cluster) signal(s syscall.Signal) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "data", "postmaster.pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := syscall.Kill(pid, s); err != nil {
		c.t.Fatal(err)
	}
	out, _ := exec.Command("ps", "-o", "pid=", "--ppid", first).Output()
	for _, child := range bytes.Fields(out) {
		if pid, err := strconv.Atoi(string(child)); err == nil {
			_ = syscall.Kill(pid, s) // it may have ended meanwhile
		}
	}
}

// freezing stops the catalogue's server when a dump is about to be written.
type freezing struct {
	store.Store
	cluster *cluster
}

// Put writes into the store.
func (f freezing) Put(ctx context.Context, key string, body io.Reader, opts store.PutOptions) (store.Receipt, error) {
	if strings.HasSuffix(key, ".sql") {
		f.cluster.signal(syscall.SIGSTOP)
	}
	return f.Store.Put(ctx, key, body, opts)
}

// TestAFrozenPostgresCostsNoBackup stops a Postgres with SIGSTOP, before a run
// and in the middle of one. Backups are published, the bucket answers, and the
// rows come in when it goes on.
func TestAFrozenPostgresCostsNoBackup(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	i, _ := sandboxed(t, "alpha", "beta", "gamma")
	i.env["PATINA_CATALOG_URL"] = c.url
	i.setClock(time.Now().UTC().Format(time.RFC3339)) // Postgres has the real one
	i.patina(0, "backup")

	c.signal(syscall.SIGSTOP)
	begun := time.Now()
	got := i.patina(7, "backup")
	t.Logf("frozen before it, a backup takes %s", time.Since(begun)) // told, not wanted: machines differ
	if !strings.Contains(got.stderr, "every backup is safe in the bucket, but the catalogue was not written") {
		t.Errorf("it says\n%s", got.stderr)
	}
	if listed := decode[listJSON](t, i.patina(0, "list", "-o", "json").stdout); len(listed.Backups) != 6 {
		t.Errorf("%d backups are listed, want 6", len(listed.Backups))
	}
	if dump := i.patina(0, "download", "latest", "alpha"); !strings.Contains(dump.stdout, "INSERT INTO") {
		t.Errorf("download gives\n%s", dump.stdout)
	}
	if status := decode[statusJSON](t, i.patina(0, "status", "-o", "json").stdout); status.Storage.DailyBackups != 6 || status.CatalogError == "" {
		t.Errorf("status is %+v", status)
	}

	c.signal(syscall.SIGCONT)
	i.wrapStore = func(s store.Store) store.Store { return freezing{s, c} }
	begun = time.Now()
	i.patina(7, "backup")
	t.Logf("frozen amid it, a backup takes %s", time.Since(begun))
	i.wrapStore = nil
	i.alive = func(int) bool { return false } // that run, whose leases are left, has ended
	c.signal(syscall.SIGCONT)
	i.patina(0, "backup")
	status := decode[statusJSON](t, i.patina(0, "status", "-o", "json").stdout)
	if len(status.Jobs) != 4 || status.Storage.DailyBackups != 12 || status.CatalogError != "" {
		t.Errorf("%d jobs are known, %d backups, catalogue: %s; want 4, 12", len(status.Jobs), status.Storage.DailyBackups, status.CatalogError)
	}
	for _, job := range status.Jobs {
		if job.Status != "succeeded" || len(job.Backups) != 3 {
			t.Errorf("job %s is %s, with %d rows", job.JobID, job.Status, len(job.Backups))
		}
	}
}
