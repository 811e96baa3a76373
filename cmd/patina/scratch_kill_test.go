package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// builds says which folders lie in a folder in which a database is built.
func builds(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ".patina-scratch-*", "new.db"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// diesBuilding sends a process a signal while it builds a database in a folder, and
// returns how it ended.
func (i *installation) diesBuilding(dir string, signal syscall.Signal, args ...string) int {
	i.t.Helper()
	p := i.start(processOptions{env: map[string]string{"TMPDIR": dir}}, args...)
	for begun := time.Now(); len(builds(i.t, dir)) == 0; time.Sleep(time.Millisecond) {
		if time.Since(begun) > time.Minute {
			i.t.Fatalf("%v builds no database", args)
		}
	}
	if err := p.Process.Signal(signal); err != nil {
		i.t.Fatal(err)
	}
	return p.wait().status
}

// A database that is half built is gone when a process is told to end, and with the
// next run, once it has rested, when it is killed.
func TestADatabaseMayBeHalfBuilt(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the race detector makes minutes of what is not loaded in memory")
	}
	i, server := sandboxed(t, "alpha")
	_, err := server.Seed(t.Context(), "alpha", // more than is loaded in memory
		"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<9000) INSERT INTO t SELECT printf('%.*c',2000,'x') FROM n", "CREATE INDEX i ON t(v)")
	if err != nil {
		t.Fatal(err)
	}
	i.patina(0, "backup")
	for name, args := range map[string][]string{
		"restore": {"restore", "latest", "alpha", "--to", "sqlite:"},
		"verify":  {"verify", "latest", "alpha", "--level", "load"},
		"diff":    {"diff", "latest", "latest", "alpha"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if name == "restore" {
				args[len(args)-1] += filepath.Join(dir, "alpha.db")
			}
			if got := i.diesBuilding(dir, syscall.SIGTERM, args...); got != 143 {
				t.Errorf("SIGTERM: status %d", got)
			}
			if left := builds(t, dir); len(left) > 0 {
				t.Errorf("SIGTERM leaves %v", left)
			}
			if got := i.diesBuilding(dir, syscall.SIGKILL, args...); got != killed {
				t.Errorf("SIGKILL: status %d", got)
			}
			left := builds(t, dir)
			if len(left) != 1 {
				t.Fatalf("SIGKILL leaves %v", left)
			}
			old := time.Now().Add(-2 * time.Hour)
			for _, path := range []string{left[0], filepath.Dir(left[0])} {
				if err := os.Chtimes(path, old, old); err != nil {
					t.Fatal(err)
				}
			}
			i.process(0, processOptions{env: map[string]string{"TMPDIR": dir}}, args...)
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if entry.Name() != "alpha.db" {
					t.Errorf("the next run leaves %s", entry.Name())
				}
			}
		})
	}
}
