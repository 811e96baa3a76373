package dirstore

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAFolderThatGoesWhileItIsRead opens many folders while they are removed: a
// folder that is gone holds nothing, whether it went before it was opened or
// just after.
func TestAFolderThatGoesWhileItIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	folder := filepath.Join(dir, "a")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.Mkdir(folder, 0o700) // it may be there
				_ = os.Remove(folder)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	for range 20_000 {
		if keys, err := s.readFolder("a/"); err != nil || len(keys) != 0 {
			t.Fatalf("readFolder: %v, %v", keys, err)
		}
	}
}
