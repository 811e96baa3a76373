//go:build linux || darwin

package dirstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/dirstore"
)

// The child processes that tests of this file start.
const (
	roleVariable = "PATINA_DIRSTORE_CHILD"
	roleHang     = "hang"
	roleFull     = "full"
)

func TestMain(m *testing.M) {
	switch role, dir, _ := strings.Cut(os.Getenv(roleVariable), ":"); role {
	case roleHang:
		os.Exit(childHang(dir))
	case roleFull:
		os.Exit(childFull(dir))
	}
	os.Exit(m.Run())
}

// child starts this test binary in a role, over a folder.
func child(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role+":"+dir)
	return cmd
}

// childHang writes half of an object, says so, and waits to be killed.
func childHang(dir string) int {
	s, err := dirstore.Open(dir)
	if err != nil {
		return 1
	}
	body := io.MultiReader(strings.NewReader("half"), hangingReader{})
	_, _ = s.Put(context.Background(), "k", body, store.PutOptions{})
	return 1
}

type hangingReader struct{}

// Read never returns. It sleeps, because the runtime ends a process of which all
// goroutines wait for each other.
func (hangingReader) Read([]byte) (int, error) {
	_, _ = os.Stdout.WriteString("ready")
	time.Sleep(time.Hour)
	return 0, io.EOF
}

// TestLeftovers kills a process in the middle of a Put. What it leaves is
// removed once it is old, but never while the process lives.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := child(t, roleHang, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready"))); err != nil {
		t.Fatal(err)
	}
	age := func() {
		for _, name := range temps(t, dir) {
			old := time.Now().Add(-2 * time.Hour)
			if err := os.Chtimes(filepath.Join(dir, tempFolder, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	age()
	put(t, openIn(t, dir), "while it lives", "x")
	if got := temps(t, dir); len(got) != 1 {
		t.Errorf("temporary files: %q, want that of the living process", got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	s := openIn(t, dir)
	if diff := cmp.Diff([]string{"while it lives"}, keys(t, s)); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	put(t, s, "after its death", "x")
	if got := temps(t, dir); len(got) != 0 {
		t.Errorf("temporary files: %q, want none", got)
	}
	young := filepath.Join(dir, tempFolder, "young")
	if err := os.WriteFile(young, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, openIn(t, dir), "later", "x")
	if _, err := os.Stat(young); err != nil {
		t.Errorf("a young temporary file was removed: %v", err)
	}
}

// TestDiskFull writes where no more than fullBytes fit.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := child(t, roleFull, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := temps(t, dir); len(got) != 0 {
		t.Errorf("temporary files %q are left", got)
	}
	if diff := cmp.Diff([]string{"fits"}, keys(t, openIn(t, dir))); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

const fullBytes = 1 << 20

// childFull runs with a limit on the size of files.
func childFull(dir string) int {
	if err := limitFiles(fullBytes); err != nil {
		return fail(err)
	}
	s, err := dirstore.Open(dir)
	if err != nil {
		return fail(err)
	}
	if _, err := s.Put(context.Background(), "full", bytes.NewReader(make([]byte, fullBytes+1)), store.PutOptions{}); err == nil {
		return fail(errors.New("Put of too much succeeds"))
	}
	if _, err := s.Put(context.Background(), "fits", bytes.NewReader(make([]byte, fullBytes)), store.PutOptions{}); err != nil {
		return fail(err)
	}
	return 0
}

func fail(err error) int {
	_, _ = os.Stderr.WriteString(err.Error())
	return 1
}

// limitFiles has writes beyond a size fail, as on a full disk.
func limitFiles(size uint64) error {
	signal.Ignore(syscall.SIGXFSZ)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size})
}
