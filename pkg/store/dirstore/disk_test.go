package dirstore_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/dirstore"
)

const tempFolder = ".patina-tmp"

func put(t *testing.T, s store.Store, key, data string) store.Receipt {
	t.Helper()
	receipt, err := s.Put(t.Context(), key, strings.NewReader(data), store.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func keys(t *testing.T, s store.Store) []string {
	t.Helper()
	keys := []string{}
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// temps is the names in the folder of temporary files.
func temps(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, tempFolder))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestOpenCreatesFolders(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	put(t, openIn(t, dir), "daily/k", "x")
	if got := string(mustRead(t, filepath.Join(dir, "daily", "k"))); got != "x" {
		t.Errorf("file holds %q, want x", got)
	}
	if _, err := dirstore.Open(filepath.Join(dir, "daily", "k")); err == nil {
		t.Error("Open of a file succeeds")
	}
	if _, err := dirstore.Open(""); err == nil {
		t.Error("Open of no folder succeeds")
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestModes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, openIn(t, dir), "daily/k", "x")
	for path, want := range map[string]os.FileMode{"daily/k": 0o600, "daily": 0o700, tempFolder: 0o700} {
		fi, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
	if got := temps(t, dir); len(got) != 0 {
		t.Errorf("temporary files %q are left", got)
	}
}

// TestReservedKeys asks for what lies among the temporary files.
func TestReservedKeys(t *testing.T) {
	t.Parallel()
	s := openIn(t, t.TempDir())
	for _, key := range []string{tempFolder, tempFolder + "/x", ".PATINA-tmp/x"} {
		if _, err := s.Put(t.Context(), key, strings.NewReader("x"), store.PutOptions{}); !errors.Is(err, store.ErrKey) {
			t.Errorf("Put(%q) = %v, want ErrKey", key, err)
		}
		if err := s.Delete(t.Context(), key); !errors.Is(err, store.ErrKey) {
			t.Errorf("Delete(%q) = %v, want ErrKey", key, err)
		}
	}
}

// TestSymlinks puts links in the way of every method: none is followed, and
// nothing outside of the root is read, listed, written or deleted.
func TestSymlinks(t *testing.T) {
	t.Parallel()
	outside, dir := t.TempDir(), t.TempDir()
	secretFile := filepath.Join(outside, "secret")
	if err := os.WriteFile(secretFile, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openIn(t, dir)
	put(t, s, "real/k", "x")
	for name, target := range map[string]string{
		"folder": outside, "file": secretFile, "inside": "real", "inside-file": "real/k", "dangling": filepath.Join(outside, "new"), "up": "..",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"real/k"}, keys(t, s)); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	for _, key := range []string{"folder/secret", "file", "inside/k", "inside-file", "dangling", "up/x"} {
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Stat(%q) = %v, want ErrNotFound", key, err)
		}
		if _, _, err := s.Get(t.Context(), key, store.GetOptions{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get(%q) = %v, want ErrNotFound", key, err)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete(%q) = %v, want nothing to happen", key, err)
		}
		if _, err := s.Put(t.Context(), key, strings.NewReader("y"), store.PutOptions{}); err == nil {
			t.Errorf("Put(%q) succeeds", key)
		}
	}
	if got := string(mustRead(t, secretFile)); got != "secret" {
		t.Errorf("file outside holds %q", got)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside holds %v, %v, want the one file", entries, err)
	}
}

// TestForeignNames lists files that no key of ours can name.
func TestForeignNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openIn(t, dir)
	for _, name := range []string{"ümlaut", `back\slash`, "line\nbreak", ".dot"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{".dot", `back\slash`, "line\nbreak", "ümlaut"}, keys(t, s)); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

// TestEmptyFolders has writers and deleters meet in folders that become empty
// again and again, and checks that none is left.
func TestEmptyFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openIn(t, dir)
	var group sync.WaitGroup
	for _, key := range []string{"one/two/a", "one/two/b", "one/c", "one/two/three/d"} {
		group.Go(func() {
			for range 50 {
				if _, err := s.Put(t.Context(), key, strings.NewReader("x"), store.PutOptions{}); err != nil {
					t.Error(err)
				}
				if err := s.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if _, err := os.Stat(filepath.Join(dir, "one")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the empty folder is left: %v", err)
	}
}

// TestETagSurvivesCopy copies a store with its times, as cp -a does.
func TestETagSurvivesCopy(t *testing.T) {
	t.Parallel()
	dir, copied := t.TempDir(), t.TempDir()
	receipt := put(t, openIn(t, dir), "k", "content")
	if err := os.WriteFile(filepath.Join(copied, "k"), mustRead(t, filepath.Join(dir, "k")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(copied, "k"), time.Time{}, receipt.ModifiedAt); err != nil {
		t.Fatal(err)
	}
	body, _, err := openIn(t, copied).Get(t.Context(), "k", store.GetOptions{IfMatch: receipt.ETag})
	if err != nil {
		t.Fatal(err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}

// TestETagsWithinOneTick writes many files of one length at once: every
// writing has an ETag of its own.
func TestETagsWithinOneTick(t *testing.T) {
	t.Parallel()
	const writers = 200
	s := openIn(t, t.TempDir())
	tags := make([]string, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			receipt, err := s.Put(t.Context(), fmt.Sprint(i), strings.NewReader("same length"), store.PutOptions{})
			if err != nil {
				t.Error(err)
			}
			tags[i] = receipt.ETag
		})
	}
	group.Wait()
	slices.Sort(tags)
	if got := len(slices.Compact(tags)); got != writers {
		t.Errorf("%d writings have %d ETags", writers, got)
	}
}

// TestFileCutWhileRead shortens a file under a reader.
func TestFileCutWhileRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openIn(t, dir)
	put(t, s, "k", strings.Repeat("x", 1000))
	body, _, err := s.Get(t.Context(), "k", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close() //nolint:errcheck // it was only read
	if err := os.Truncate(filepath.Join(dir, "k"), 500); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(body)
	if len(data) != 500 || !errors.Is(err, io.ErrUnexpectedEOF) || err == io.ErrUnexpectedEOF { //nolint:errorlint // the bare error is the point
		t.Errorf("read %d bytes and %v, want 500 and a wrapped io.ErrUnexpectedEOF", len(data), err)
	}
}

// TestTempVisibleToNobody looks at a store while a Put is under way.
func TestTempVisibleToNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openIn(t, dir)
	body, feed := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := s.Put(t.Context(), "k", body, store.PutOptions{})
		done <- err
	}()
	if _, err := feed.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, s); len(got) != 0 {
		t.Errorf("List shows %q while the object is being written", got)
	}
	if got := temps(t, dir); len(got) != 1 {
		t.Errorf("temporary files: %q, want one", got)
	}
	_ = feed.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := temps(t, dir); len(got) != 0 {
		t.Errorf("temporary files %q are left", got)
	}
}

// TestDamagedWhileWritten changes bytes of the file behind Put's back.
func TestDamagedWhileWritten(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{"other": "HALF", "short": "hal", "long": "half and more"} {
		dir := t.TempDir()
		s := openIn(t, dir)
		body, feed := io.Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := s.Put(t.Context(), "k", body, store.PutOptions{})
			done <- err
		}()
		if _, err := feed.Write([]byte("half")); err != nil {
			t.Fatal(err)
		}
		// A second write is only taken when the first is in the file.
		if _, err := feed.Write(nil); err != nil {
			t.Fatal(err)
		}
		for _, temp := range temps(t, dir) {
			if err := os.WriteFile(filepath.Join(dir, tempFolder, temp), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_ = feed.Close()
		if err := <-done; err == nil {
			t.Errorf("Put of a file with %s bytes succeeds", name)
		}
		if got := keys(t, s); len(got) != 0 {
			t.Errorf("store holds %q, want nothing", got)
		}
	}
}
