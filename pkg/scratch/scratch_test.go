package scratch_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/scratch"
)

const victimVariable = "PATINA_SCRATCH_VICTIM"

// TestMain is the process that is killed, too: it makes a folder and a file in the
// place that it is told, and waits.
func TestMain(m *testing.M) {
	place := os.Getenv(victimVariable)
	if place == "" {
		m.Run()
		return
	}
	folder, err := scratch.NewFolder(place)
	if err == nil {
		err = os.WriteFile(folder.Database(), []byte("half"), 0o600)
	}
	if err == nil {
		_, err = scratch.NewFile(filepath.Join(place, "dump.sql"))
	}
	fmt.Println("made", err)
	time.Sleep(time.Minute)
}

// victim starts the process, and returns once it has made its places.
func victim(t *testing.T, place string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"="+place)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "made <nil>\n" {
		t.Fatal(line, err)
	}
	return cmd
}

// age makes all that is in a place as if it had rested for a while.
func age(t *testing.T, place string, by time.Duration) {
	t.Helper()
	at := time.Now().Add(-by)
	err := filepath.WalkDir(place, func(path string, _ os.DirEntry, err error) error {
		if err != nil || path == place {
			return err
		}
		return os.Chtimes(path, at, at)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, place string) []string {
	t.Helper()
	entries, err := os.ReadDir(place)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

// sweep makes a folder and a file as the next run does, and lets them go.
func sweep(t *testing.T, place string) {
	t.Helper()
	folder, err := scratch.NewFolder(place)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Remove(); err != nil {
		t.Fatal(err)
	}
	file, err := scratch.NewFile(filepath.Join(place, "dump.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file.Name()); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAKillLeavesIsSwept(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	process := victim(t, place)
	age(t, place, 2*time.Hour)
	sweep(t, place)
	if left := names(t, place); len(left) != 2 {
		t.Fatalf("of a living process is left: %q", left)
	}
	_, _ = process.Process.Kill(), process.Wait()
	age(t, place, 30*time.Minute)
	sweep(t, place)
	if left := names(t, place); len(left) != 2 {
		t.Fatalf("of what may be another host's is left: %q", left)
	}
	age(t, place, 2*time.Hour)
	sweep(t, place)
	if left := names(t, place); len(left) != 0 {
		t.Errorf("of a dead process is left: %q", left)
	}
}

func TestWhatIsNotOursStays(t *testing.T) {
	t.Parallel()
	place, elsewhere := t.TempDir(), t.TempDir()
	precious := filepath.Join(elsewhere, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("A", 26)
	for _, folder := range []string{".patina-scratch-", ".patina-scratch-mine", ".patina-" + text, "." + text, ".dump.sql." + text + ".part"} {
		if err := os.Mkdir(filepath.Join(place, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"dump.sql", ".dump.sql.part", ".dump.sql.mine.part", ".other.sql." + text + ".part", ".patina-scratch-B" + text} {
		if err := os.WriteFile(filepath.Join(place, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(elsewhere, filepath.Join(place, ".patina-scratch-C"+text)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, filepath.Join(place, ".dump.sql.C"+text+".part")); err != nil {
		t.Fatal(err)
	}
	before := names(t, place)
	age(t, place, 2*time.Hour)
	sweep(t, place)
	if after := names(t, place); !slices.Equal(before, after) {
		t.Errorf("of %q is left %q", before, after)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

// What bears the name of a dead process's folder, and may be something else, stays.
func TestWhatIsNoLeftoverStays(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"another file in it": func(path string) error { return os.WriteFile(filepath.Join(path, "notes"), nil, 0o600) },
		"a folder in it":     func(path string) error { return os.Mkdir(filepath.Join(path, "new.db-wal"), 0o700) },
		"a link in it":       func(path string) error { return os.Symlink("new.db", filepath.Join(path, "new.db-wal")) },
		"others may open it": func(path string) error { return os.Chmod(path, 0o750) },
		"another user's": func(path string) error {
			if os.Getuid() != 0 {
				return os.Chmod(path, 0o701) // only root can give it away
			}
			return os.Chown(path, 12345, 12345)
		},
		"a link to it": func(path string) error {
			return errors.Join(os.Rename(path, path+"-elsewhere"), os.Symlink(path+"-elsewhere", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := t.TempDir()
			process := victim(t, place)
			_, _ = process.Process.Kill(), process.Wait()
			found, err := filepath.Glob(filepath.Join(place, ".patina-scratch-*"))
			if err != nil || len(found) != 1 {
				t.Fatalf("%q, %v", found, err)
			}
			if err := change(found[0]); err != nil {
				t.Fatal(err)
			}
			age(t, place, 2*time.Hour)
			before := all(t, place)
			sweep(t, place)
			if after := all(t, place); !slices.Equal(before, after) {
				t.Errorf("of %q is left %q", before, after)
			}
		})
	}
}

// all are the names of what a place's folders hold.
func all(t *testing.T, place string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(place, func(path string, d os.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) != ".part" {
			paths = append(paths, path+" "+d.Type().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestNobodyElseCanOpenThem(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	folder, err := scratch.NewFolder(place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Remove() })
	if info, err := os.Stat(filepath.Dir(folder.Database())); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	file, err := scratch.NewFile(filepath.Join(place, "dump.sql"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	if info, err := file.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
}

func TestAPlaceThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	if _, err := scratch.NewFolder(nowhere); err == nil {
		t.Error("a folder was made")
	}
	if _, err := scratch.NewFile(filepath.Join(nowhere, "x")); err == nil {
		t.Error("a file was made")
	}
}
