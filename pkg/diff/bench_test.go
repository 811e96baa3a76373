package diff_test

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/diff"
	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/litedb"
)

// BenchmarkCompare compares two databases of which each lacks a row of the other,
// in files, with what the sqlite3 shell does for it: EXCEPT both ways, which tells
// no changes from additions and removals.
func BenchmarkCompare(b *testing.B) {
	const size = 32 << 20
	text := dumptest.Users(size)
	first := bytes.Index(text, []byte("INSERT"))
	second := first + bytes.Index(text[first:], []byte("\nINSERT")) + 1
	without := append(bytes.Clone(text[:first]), text[second:]...)
	old, new := file(b, text), file(b, without)
	b.Run("compare", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			result, err := diff.Compare(b.Context(), old.db, new.db, diff.Options{Examples: 3})
			if err != nil || result.Tables[0].Removed != 1 {
				b.Fatalf("%+v, %v", result, err)
			}
		}
	})
	b.Run("except", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if got := except(b.Context(), b, old.path, new.path); got != "1\n0\n" {
				b.Fatalf("%q", got)
			}
		}
	})
}

type built struct {
	db   *litedb.DB
	path string
}

func file(b *testing.B, text []byte) built {
	b.Helper()
	p, err := plan.Read(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "side.db")
	db, err := litedb.Load(b.Context(), path, p, nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := db.Finish(); err != nil {
		b.Fatal(err)
	}
	if db, err = litedb.Open(b.Context(), path); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return built{db, path}
}

func except(ctx context.Context, b *testing.B, old, new string) string {
	b.Helper()
	out, err := shell(ctx, old, "ATTACH '"+new+"' AS n;"+
		"SELECT count(*) FROM (SELECT * FROM main.users EXCEPT SELECT * FROM n.users);"+
		"SELECT count(*) FROM (SELECT * FROM n.users EXCEPT SELECT * FROM main.users);")
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return out
}

func shell(ctx context.Context, path, sql string) (string, error) {
	out, err := exec.CommandContext(ctx, "sqlite3", path, sql).CombinedOutput()
	return string(out), err
}
