package pgcatalog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/catalogtest/pgtest"
	"github.com/AutumnsGrove/patina/pkg/catalog/pgcatalog"
	"github.com/AutumnsGrove/patina/pkg/secret"
)

// patience is how long a test waits for calls that have limits of fractions of
// a second; it only ends a test that would hang, as pgx does for 15 seconds.
const patience = 10 * time.Second

// openErr opens a catalogue that cannot be opened, with a short limit.
func openErr(t *testing.T, database string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := pgcatalog.Open(ctx, pgcatalog.Options{URL: secret.New(database), CallLimit: 300 * time.Millisecond})
	if err == nil {
		_ = c.Close()
		t.Fatal("Open succeeded")
	}
	if ctx.Err() != nil {
		t.Fatalf("Open did not keep its limit: %v", err)
	}
	return err
}

// silentServer accepts connections and says nothing.
func silentServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return listener.Addr().String()
}

// refusingPort is an address on which nobody listens.
func refusingPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func TestOpenUnreachable(t *testing.T) {
	t.Parallel()
	const password = "hunter2%2Fwith-slash"
	for name, database := range map[string]string{
		"silent":             "postgres://patina:" + password + "@" + silentServer(t) + "/patina",
		"silent, no TLS":     "postgres://patina:" + password + "@" + silentServer(t) + "/patina?sslmode=disable",
		"refused":            "postgres://patina:" + password + "@" + refusingPort(t) + "/patina",
		"no such host":       "postgres://patina:" + password + "@patina.invalid/patina",
		"bad port":           "postgres://patina:" + password + "@127.0.0.1:hunter2/patina",
		"unescaped":          "postgres://patina:hunter2/x@127.0.0.1/patina",
		"bare / and digits":  "postgres://patina:4711/hunter2@127.0.0.1/patina",
		"bare ? and digits":  "postgres://patina:4711?hunter2@127.0.0.1/patina",
		"bare # and digits":  "postgres://patina:4711#hunter2@127.0.0.1/patina",
		"bare ? and no user": "postgres://hunter2?hunter2@127.0.0.1/patina",
		"not a URL":          "hunter2",
		"keywords":           "host=127.0.0.1 port=x password=hunter2",
		"bad escape":         "postgres://patina:hunter2%zz@127.0.0.1/patina",
		"bad sslmode":        "postgres://patina:" + password + "@127.0.0.1/patina?sslmode=hunter2",
		"bad pool option":    "postgres://patina:" + password + "@127.0.0.1/patina?pool_max_conns=hunter2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := openErr(t, database)
			if !errors.Is(err, catalog.ErrUnavailable) {
				t.Errorf("Open: %v, want ErrUnavailable", err)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "hunter2") || strings.Contains(err.Error(), "4711") {
				t.Errorf("Open tells the password: %v", err)
			}
		})
	}
}

func TestOpenRefusesLogin(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	at, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	// A cluster that trusts everybody refuses for the name alone.
	at.User = url.UserPassword("nobody-of-that-name", "hunter2")
	err = openErr(t, at.String())
	if !errors.Is(err, catalog.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Open with a wrong password: %v, want ErrUnavailable without it", err)
	}
	at, _ = url.Parse(database)
	at.Path = "/no-database-of-that-name"
	if err := openErr(t, at.String()); !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("Open of a database that is not there: %v, want ErrUnavailable", err)
	}
}

// openThrough opens a catalogue through a proxy.
func openThrough(t *testing.T, limit time.Duration) (*proxy, *pgcatalog.Catalog, string) {
	t.Helper()
	database := pgtest.New(t)
	p, through := newProxy(t, with(t, database, "sslmode", "disable"))
	c, err := pgcatalog.Open(t.Context(), pgcatalog.Options{URL: secret.New(through), CallLimit: limit})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return p, c, database
}

func TestServerFreezes(t *testing.T) {
	t.Parallel()
	p, c, _ := openThrough(t, 300*time.Millisecond)
	p.do(func() { p.frozen = true })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	job := backup.NightJob(time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC))
	for name, call := range map[string]func() error{
		"BeginRun": func() error { return c.BeginRun(ctx, job, backup.Run{ID: "aaaa"}) },
		"Now":      func() error { _, err := c.Now(ctx); return err },
		"Jobs":     func() error { _, err := c.Jobs(ctx, catalog.JobFilter{}); return err },
		"Acquire": func() error {
			_, err := c.Acquire(ctx, []string{"db:1"}, catalog.Owner{}, time.Minute)
			return err
		},
	} {
		if err := call(); !errors.Is(err, catalog.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if ctx.Err() != nil {
		t.Error("the calls did not keep their limit")
	}
}

func TestConnectionBreaks(t *testing.T) {
	t.Parallel()
	job := backup.NightJob(time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC))
	run := backup.Run{ID: "aaaa"}
	beginRun := func(ctx context.Context, c *pgcatalog.Catalog) error { return c.BeginRun(ctx, job, run) }
	setBackup := func(ctx context.Context, c *pgcatalog.Catalog) error {
		row := catalog.Backup{JobID: job.ID, RunID: run.ID, Database: "groveauth", Status: catalog.BackupRunning}
		return c.SetBackup(ctx, row)
	}
	acquire := func(ctx context.Context, c *pgcatalog.Catalog) error {
		_, err := c.Acquire(ctx, []string{"db:1"}, catalog.Owner{RunID: "aaaa"}, time.Minute)
		return err
	}
	for name, tt := range map[string]struct {
		cutBefore, cutAfter string
		call                func(context.Context, *pgcatalog.Catalog) error
		want                error
		rows                string
	}{
		"begin, before the transaction": {"BEGIN", "", beginRun, nil, "runs"},
		"begin, in the transaction":     {"patina.runs", "", beginRun, nil, "runs"},
		"begin, before the commit":      {"commit", "", beginRun, catalog.ErrUnavailable, ""},
		"begin, the commit's answer":    {"", "commit", beginRun, catalog.ErrUnavailable, "runs"},
		"set, in the transaction":       {"patina.backups", "", setBackup, nil, "backups"},
		"set, the commit's answer":      {"", "commit", setBackup, nil, "backups"},
		"acquire, in the transaction":   {"wanted", "", acquire, nil, "leases WHERE fence = 2"},
		"acquire, the commit's answer":  {"", "commit", acquire, catalog.ErrUnavailable, "leases WHERE fence = 2"},
		"acquire, making its row":       {"INSERT INTO patina.leases", "", acquire, nil, "leases WHERE fence = 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, c, database := openThrough(t, 5*time.Second)
			direct := open(t, database)
			if tt.rows == "backups" {
				if err := beginRun(t.Context(), direct); err != nil {
					t.Fatal(err)
				}
			}
			if tt.rows == "leases WHERE fence = 2" {
				lease, err := direct.Acquire(t.Context(), []string{"db:1"}, catalog.Owner{}, time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				if err := direct.Release(t.Context(), lease); err != nil {
					t.Fatal(err)
				}
			}
			p.do(func() { p.cutBefore, p.cutAfter = []byte(tt.cutBefore), []byte(tt.cutAfter) })
			err := tt.call(t.Context(), c)
			if !errors.Is(err, tt.want) || (tt.want == nil && err != nil) {
				t.Errorf("the call: %v, want %v", err, tt.want)
			}
			p.do(func() {
				if len(p.cutBefore)+len(p.cutAfter) > 0 {
					t.Error("nothing was cut")
				}
			})
			if tt.rows != "" {
				if n := pgtest.Query[int](t, database, "SELECT count(*) FROM patina."+tt.rows); n != 1 {
					t.Errorf("%d %s, want 1", n, tt.rows)
				}
			} else if n := pgtest.Query[int](t, database, "SELECT count(*) FROM patina.runs"); n != 0 {
				t.Errorf("%d runs, want none", n)
			}
		})
	}
}

// TestHostFreezes has a host stop in the middle of a transaction that holds a
// job's row, without its connection ending. Another host must get at the row.
func TestHostFreezes(t *testing.T) {
	t.Parallel()
	p, c, database := openThrough(t, 200*time.Millisecond)
	job := backup.NightJob(time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC))
	p.do(func() { p.freezeBefore = []byte("UPDATE patina.jobs") })
	if err := c.BeginRun(t.Context(), job, backup.Run{ID: "aaaa"}); !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("BeginRun of the frozen host: %v, want ErrUnavailable", err)
	}
	if !p.isFrozen() {
		t.Error("nothing was frozen")
	}
	if err := open(t, database).BeginRun(t.Context(), job, backup.Run{ID: "bbbb"}); err != nil {
		t.Errorf("BeginRun of another host: %v", err)
	}
}

// TestNobodyWaitsForALease has a name's row locked by somebody who is just
// taking it, and takes so for ever.
func TestNobodyWaitsForALease(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	c := open(t, database)
	owner := catalog.Owner{RunID: "aaaa"}
	for _, name := range []string{"db:1", "db:2"} {
		lease, err := c.Acquire(t.Context(), []string{name}, owner, time.Minute)
		if err != nil {
			t.Fatalf("Acquire: %v", err)
		}
		if err := c.Release(t.Context(), lease); err != nil {
			t.Fatalf("Release: %v", err)
		}
	}
	pgtest.Exec(t, database, "BEGIN", "SELECT FROM patina.leases WHERE name = 'db:1' FOR UPDATE")
	lease, err := c.Acquire(t.Context(), []string{"db:1", "db:2"}, owner, time.Minute)
	if err != nil || lease.Name != "db:2" {
		t.Errorf("Acquire of a locked and a free name = %q, %v; want the free one", lease.Name, err)
	}
	_, err = c.Acquire(t.Context(), []string{"db:1"}, owner, time.Minute)
	if !errors.Is(err, catalog.ErrHeld) {
		t.Errorf("Acquire of a locked name: %v, want ErrHeld", err)
	}
}

func TestSessionIsEnded(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	c := open(t, database)
	for range 3 {
		if _, err := c.Now(t.Context()); err != nil {
			t.Fatalf("Now: %v", err)
		}
		pgtest.Exec(t, database, `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'patina/1.2.3'`)
		if _, err := c.Jobs(t.Context(), catalog.JobFilter{}); err != nil {
			t.Errorf("Jobs after the server ended the session: %v", err)
		}
	}
}
