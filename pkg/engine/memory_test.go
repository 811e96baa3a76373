package engine_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/engine"
)

// maxHeap is what the whole pipeline may hold, the sandbox that serves the dump
// included, whatever the dump's size.
const maxHeap = 64 << 20

// TestMemoryDoesNotGrowWithTheDump carries a large dump through export,
// download, filter and store. It is not parallel: the heap is the process's.
func TestMemoryDoesNotGrowWithTheDump(t *testing.T) {
	size := int64(256 << 20)
	if testing.Short() {
		size = 80 << 20
	}
	b := newBench(t, "large")
	if err := b.d1.ServeFile("large", largeDump(t, size)); err != nil {
		t.Fatal(err)
	}
	e := b.host(nil)
	runtime.GC()
	goroutines := runtime.NumGoroutine()

	done := make(chan engine.BackupResult)
	go func() { done <- b.night(e) }()
	var peak uint64
	var result engine.BackupResult
	for running := true; running; {
		select {
		case result = <-done:
			running = false
		case <-time.After(2 * time.Millisecond):
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
	wantOutcomes(t, result, map[string]engine.Outcome{"large": engine.OutcomeDone})
	if peak > maxHeap {
		t.Errorf("%d MiB of heap for a dump of %d MiB, want at most %d", peak>>20, size>>20, maxHeap>>20)
	}
	t.Logf("%d MiB of heap at most", peak>>20)
	// What the pipeline started must be gone. Two connections stay idle, to the
	// API and to the files, with two goroutines on one side and one on the other.
	for begun := time.Now(); runtime.NumGoroutine() > goroutines+6; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("%d goroutines, before the run %d", runtime.NumGoroutine(), goroutines)
		}
	}
}

// largeDump writes a dump of at least size bytes.
func largeDump(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "large.sql")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	n, _ := fmt.Fprintln(w, "PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT, at TEXT);")
	for row, written := 0, int64(n); written < size; row++ {
		n, _ := fmt.Fprintf(w, "INSERT INTO \"users\" (\"id\",\"name\",\"at\") VALUES(%d,'user number %d','2024-12-08T03:00:00Z');\n", row, row)
		written += int64(n)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
