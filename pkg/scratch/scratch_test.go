//go:build unix

package scratch_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/scratch"
)

// childVariable has this test binary make a folder in the one it names, and wait to
// be killed.
const childVariable = "PATINA_SCRATCH_CHILD"

func TestMain(m *testing.M) {
	if parent := os.Getenv(childVariable); parent != "" {
		os.Exit(child(parent))
	}
	os.Exit(m.Run())
}

func child(parent string) int {
	folder, err := scratch.New(parent)
	if err != nil {
		return 1
	}
	for _, suffix := range []string{"", "-journal"} {
		if err := os.WriteFile(folder.Database()+suffix, []byte("half"), 0o600); err != nil {
			return 1
		}
	}
	_, _ = os.Stdout.WriteString(filepath.Base(filepath.Dir(folder.Database())) + "\n")
	time.Sleep(time.Hour)
	return 1
}

// start starts a child, and returns its folder's name.
func start(t *testing.T, parent string) (cmd *exec.Cmd, name string) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+parent)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 256)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, string(line[:n-1])
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

// left are the names in a folder.
func left(t *testing.T, parent string) []string {
	t.Helper()
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// sweep makes a folder, which sweeps before, and removes it.
func sweep(t *testing.T, parent string) {
	t.Helper()
	folder, err := scratch.New(parent)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Remove(); err != nil {
		t.Fatal(err)
	}
}

// What a killed process leaves is gone with the next folder, and never while the
// process lives.
func TestAKilledProcessIsSweptUp(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	cmd, name := start(t, parent)
	sweep(t, parent)
	if diff := cmp.Diff([]string{name}, left(t, parent)); diff != "" {
		t.Errorf("while it lives (-want +got)\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(parent, name, "new.db-journal")); err != nil {
		t.Error(err)
	}
	kill(t, cmd)
	sweep(t, parent)
	if diff := cmp.Diff([]string{}, left(t, parent)); diff != "" {
		t.Errorf("after its death (-want +got)\n%s", diff)
	}
}

// leftover makes what a process leaves that dies, and returns its path.
func leftover(t *testing.T, parent string) string {
	t.Helper()
	cmd, name := start(t, parent)
	kill(t, cmd)
	return filepath.Join(parent, name)
}

// Whatever is not a leftover of this user on this host for certain is left alone.
func TestWhatIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"another file in it":    func(path string) error { return os.WriteFile(path+"/notes", nil, 0o600) },
		"a folder in it":        func(path string) error { return os.Mkdir(path+"/new.db-wal", 0o700) },
		"a link in it":          func(path string) error { return os.Symlink("/etc/passwd", path+"/new.db-wal") },
		"others may enter":      func(path string) error { return os.Chmod(path, 0o710) },
		"another name":          func(path string) error { return os.Rename(path, path+"x") },
		"a name without number": func(path string) error { return os.Rename(path, trimNumber(path)) },
		"another host's":        func(path string) error { return os.Rename(path, trimNumber(path)+"elsewhere-12") },
		"a link to it": func(path string) error {
			return errors.Join(os.Rename(path, path+"x"), os.Symlink(filepath.Base(path)+"x", path))
		},
		"a file": func(path string) error {
			return errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte("kept"), 0o600))
		},
		"another user's": func(path string) error {
			if os.Geteuid() != 0 {
				return os.Chmod(path, 0o701) // only root can give it away
			}
			return os.Chown(path, 12345, 12345)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			path := leftover(t, parent)
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			before := tree(t, parent)
			sweep(t, parent)
			if diff := cmp.Diff(before, tree(t, parent)); diff != "" {
				t.Errorf("(-before +after)\n%s", diff)
			}
		})
	}
}

// trimNumber is a path without its number.
func trimNumber(path string) string {
	for path[len(path)-1] != '-' {
		path = path[:len(path)-1]
	}
	return path
}

// tree is all that lies below a folder.
func tree(t *testing.T, parent string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(parent, func(path string, d fs.DirEntry, err error) error {
		all = append(all, path+" "+d.Type().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Many that start at once sweep up one leftover, and take nothing from each other.
func TestManyStartAtOnce(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	for range 4 {
		leftover(t, parent)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				folder, err := scratch.New(parent)
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.WriteFile(folder.Database(), nil, 0o600); err != nil {
					t.Errorf("it was taken away: %v", err)
				}
				if err := folder.Remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff([]string{}, left(t, parent)); diff != "" {
		t.Errorf("left (-want +got)\n%s", diff)
	}
}

// A parent that is not there is an error, and one that cannot be swept none.
func TestParents(t *testing.T) {
	t.Parallel()
	if _, err := scratch.New(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	parent := t.TempDir()
	if err := os.Chmod(parent, 0o300); err != nil {
		t.Fatal(err)
	}
	folder, err := scratch.New(parent)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Dir(folder.Database()))
	if err != nil || fi.Mode() != fs.ModeDir|0o700 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	if err := errors.Join(folder.Remove(), os.Chmod(parent, 0o700)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{}, left(t, parent)); diff != "" {
		t.Errorf("left (-want +got)\n%s", diff)
	}
}
