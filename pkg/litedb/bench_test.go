package litedb_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/litedb"
)

// BenchmarkLoad compares reading, planning and loading a dump into a new file
// with the sqlite3 shell, in one transaction and with synchronous off.
func BenchmarkLoad(b *testing.B) {
	const size = 64 << 20
	for _, kind := range []struct {
		name string
		text []byte
	}{
		{"users", dumptest.Users(size)},
		{"counters", dumptest.Counters(size)},
		{"files", dumptest.Files(size)},
	} {
		b.Run(kind.name+"/litedb", func(b *testing.B) {
			b.SetBytes(int64(len(kind.text)))
			b.ReportAllocs()
			path := filepath.Join(b.TempDir(), "new.db")
			for b.Loop() {
				p, err := plan.Read(bytes.NewReader(kind.text), int64(len(kind.text)))
				if err != nil {
					b.Fatal(err)
				}
				db, err := litedb.Load(b.Context(), path, p, nil)
				if err != nil {
					b.Fatal(err)
				}
				if err := db.Discard(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(kind.name+"/sqlite3", func(b *testing.B) {
			b.SetBytes(int64(len(kind.text)))
			dir := b.TempDir()
			text := append([]byte("PRAGMA synchronous=OFF;BEGIN;\n"), kind.text...)
			text = append(text, "COMMIT;\n"...)
			for b.Loop() {
				path := filepath.Join(dir, "new.db")
				shell := exec.CommandContext(b.Context(), "sqlite3", path)
				shell.Stdin = bytes.NewReader(text)
				if out, err := shell.CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
				if err := os.Remove(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFingerprint compares taking the fingerprint of a table with counting
// its rows, and with reading all of its values.
func BenchmarkFingerprint(b *testing.B) {
	text := dumptest.Users(16 << 20)
	p, err := plan.Read(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		b.Fatal(err)
	}
	db, err := litedb.Load(b.Context(), litedb.InMemory, p, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Discard() }()
	b.Run("fingerprint", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := db.Fingerprint(b.Context(), "users"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("count", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := db.Tables(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			for _, err := range db.Select(b.Context(), "SELECT * FROM users") {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
