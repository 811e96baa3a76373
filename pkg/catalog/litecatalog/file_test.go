package litecatalog_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/litecatalog"
)

const first = "00001_jobs.sql"

// all are the names of all migrations.
func all() []string { return []string{first, "00002_documents.sql"} }

// childPath names the file that a child process of this test is to use.
const childPath = "PATINA_LITECATALOG_CHILD"

func TestMain(m *testing.M) {
	path := os.Getenv(childPath)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := child(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is what each process does in TestProcesses.
func child(path string) error {
	ctx := context.Background()
	c, err := litecatalog.Open(ctx, litecatalog.Options{Path: path, Now: time.Now})
	if err != nil {
		return err
	}
	tick := time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC)
	job, run := backup.NightJob(tick), backup.RunID(fmt.Sprintf("%04x", os.Getpid()))
	if err := c.BeginRun(ctx, job, backup.Run{ID: run}); err != nil {
		return err
	}
	for i := range 10 {
		names := []string{"db:0", "db:1", "db:2", "db:3", "db:4", "db:5", "db:6", "db:7", "db:8", "db:9"}
		lease, err := c.Acquire(ctx, names, catalog.Owner{RunID: string(run)}, time.Hour)
		if errors.Is(err, catalog.ErrHeld) {
			break
		}
		if err != nil {
			return err
		}
		row := catalog.Backup{JobID: job.ID, RunID: run, Database: lease.Name, Status: catalog.BackupRunning, Attempts: i}
		if err := c.SetBackup(ctx, row); err != nil {
			return err
		}
	}
	if err := c.EndRun(ctx, job.ID, run, catalog.RunEnd{Status: catalog.RunInterrupted}); err != nil {
		return err
	}
	return c.Close()
}

// TestProcesses has several processes use a file at once that is not there yet.
func TestProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state", "catalog.db")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childPath+"="+path)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("child: %v\n%s", err, out)
			}
		})
	}
	all.Wait()
	c := open(t, path, time.Now)
	jobs, err := c.Jobs(t.Context(), catalog.JobFilter{})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("Jobs = %d, %v; want 1", len(jobs), err)
	}
	if len(jobs[0].Runs) != 4 || len(jobs[0].Backups) != 10 {
		t.Errorf("%d runs and %d backups, want 4 and 10", len(jobs[0].Runs), len(jobs[0].Backups))
	}
	var applied int
	query(t, path, `SELECT count(*) FROM migrations WHERE version_id = 1`, &applied)
	if applied != 1 {
		t.Errorf("the first migration was applied %d times, want once", applied)
	}
}

// raw opens the file without the catalogue.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func query(t *testing.T, path, statement string, into any) {
	t.Helper()
	if err := raw(t, path).QueryRowContext(t.Context(), statement).Scan(into); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func execute(t *testing.T, path, statement string) {
	t.Helper()
	if _, err := raw(t, path).ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"catalog.db", "a b", "100%25 #1?mode=memory&x=y", "ümläut", "quote'\"", ":memory:"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), name, "state")
			path := filepath.Join(folder, name)
			c := open(t, path, time.Now)
			if err := c.BeginRun(t.Context(), backup.NightJob(time.Now()), backup.Run{ID: "aaaa"}); err != nil {
				t.Fatalf("BeginRun: %v", err)
			}
			info, err := os.Stat(folder)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("folder: %v, %v; want mode 0700", info.Mode(), err)
			}
			files, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, file := range files {
				names = append(names, file.Name())
				if info, err := file.Info(); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v; want mode 0600", file.Name(), info.Mode(), err)
				}
			}
			want := []string{name, name + "-shm", name + "-wal", name + ".lock"}
			if !slices.Equal(names, want) {
				t.Errorf("files %q, want %q", names, want)
			}
		})
	}
}

func TestMigrateAndPending(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state", "catalog.db")
	opts := litecatalog.Options{Path: path, Now: time.Now}
	for _, want := range [][]string{all(), nil} {
		pending, err := litecatalog.Pending(t.Context(), opts)
		if err != nil || !slices.Equal(pending, want) {
			t.Fatalf("Pending = %v, %v; want %v", pending, err, want)
		}
		if _, err := os.Stat(filepath.Dir(path)); want != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Pending made the folder: %v", err)
		}
		applied, err := litecatalog.Migrate(t.Context(), opts)
		if err != nil || !slices.Equal(applied, want) {
			t.Fatalf("Migrate = %v, %v; want %v", applied, err, want)
		}
	}
}

func TestNotOurs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		make func(t *testing.T, path string)
		want []string
	}{
		"another database": {
			func(t *testing.T, path string) { execute(t, path, `CREATE TABLE users (id INTEGER)`) },
			[]string{"users"},
		},
		"no database": {
			func(t *testing.T, path string) {
				if err := os.WriteFile(path, []byte(strings.Repeat("not SQLite ", 100)), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"not a database"},
		},
		"a newer patina's": {
			func(t *testing.T, path string) {
				_ = open(t, path, time.Now).Close()
				execute(t, path, `INSERT INTO migrations (version_id, is_applied) VALUES (77, 1)`)
			},
			[]string{"77", "up to 2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "catalog.db")
			tt.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			opts := litecatalog.Options{Path: path, Now: time.Now}
			for call, attempt := range map[string]func() error{
				"Open":    func() error { _, err := litecatalog.Open(t.Context(), opts); return err },
				"Migrate": func() error { _, err := litecatalog.Migrate(t.Context(), opts); return err },
				"Pending": func() error { _, err := litecatalog.Pending(t.Context(), opts); return err },
			} {
				err := attempt()
				if !errors.Is(err, catalog.ErrSchema) {
					t.Errorf("%s: %v, want ErrSchema", call, err)
					continue
				}
				for _, word := range tt.want {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%s: %q does not say %q", call, err, word)
					}
				}
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

func TestLockedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	open(t, path, time.Now)
	c, err := litecatalog.Open(t.Context(),
		litecatalog.Options{Path: path, Now: time.Now, CallLimit: 100 * time.Millisecond})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	holder, err := raw(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Close() }()
	if _, err := holder.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	err = c.BeginRun(t.Context(), backup.NightJob(time.Now()), backup.Run{ID: "aaaa"})
	if !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("BeginRun while another process writes: %v, want ErrUnavailable", err)
	}
	if _, err := c.Jobs(t.Context(), catalog.JobFilter{}); err != nil {
		t.Errorf("Jobs while another process writes: %v", err)
	}
	if _, err := holder.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := c.BeginRun(t.Context(), backup.NightJob(time.Now()), backup.Run{ID: "aaaa"}); err != nil {
		t.Errorf("BeginRun afterwards: %v", err)
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string]litecatalog.Options{
		"below a file": {Path: filepath.Join(file, "catalog.db"), Now: time.Now},
		"a folder":     {Path: filepath.Dir(file), Now: time.Now},
		"no clock":     {Path: file},
		"no path":      {Now: time.Now},
	} {
		if _, err := litecatalog.Open(t.Context(), opts); err == nil {
			t.Errorf("Open of %s succeeded", name)
		}
	}
}
