package litedb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/litedb"
)

// fileOf makes a database that is somebody else's, and leaves it open.
func fileOf(t *testing.T, statements ...string) (path string, db *sql.DB) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "a b%20?#.db")
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return path, db
}

func open(t *testing.T, path string) *litedb.DB {
	t.Helper()
	db, err := litedb.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// selected is what a query says, as text that tells types apart.
func selected(t *testing.T, db *litedb.DB, query string) []string {
	t.Helper()
	var all []string
	for row, err := range db.Select(t.Context(), query) {
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		for _, v := range row {
			all = append(all, fmt.Sprintf("%T %q", v, fmt.Sprint(v)))
		}
	}
	return all
}

// An opened database stands still, is read only, and stays when it is discarded.
func TestOpen(t *testing.T) {
	t.Parallel()
	for _, journal := range []string{"delete", "wal"} {
		path, writer := fileOf(t, "PRAGMA journal_mode="+journal, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)")
		db := open(t, path)
		if _, err := writer.ExecContext(t.Context(), "PRAGMA busy_timeout=0; INSERT INTO t VALUES(2)"); (err == nil) != (journal == "wal") {
			t.Errorf("%s: written meanwhile: %v", journal, err)
		}
		if got := selected(t, db, "SELECT count(*) FROM t"); got[0] != `int64 "1"` {
			t.Errorf("%s: %s rows", journal, got)
		}
		for _, err := range db.Select(t.Context(), "DELETE FROM t") {
			if !errors.Is(err, litedb.ErrDenied) {
				t.Errorf("%s: deleted: %v", journal, err)
			}
		}
		if err := db.Discard(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// What is no database, or none that can be compared, is refused.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	noise := filepath.Join(t.TempDir(), "noise")
	if err := os.WriteFile(noise, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	utf16, _ := fileOf(t, "PRAGMA encoding='UTF-16le'", "CREATE TABLE t(a)")
	for path, want := range map[string]string{
		filepath.Join(t.TempDir(), "none"): "no such file",
		t.TempDir():                        "is no file",
		noise:                              "not a database",
		utf16:                              litedb.ErrEncoding.Error(),
	} {
		if db, err := litedb.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
			if err == nil {
				_ = db.Close()
			}
		}
	}
}

// Values come as they are, whatever their columns are declared as.
func TestSelect(t *testing.T) {
	t.Parallel()
	db := load(t, "CREATE TABLE t(a DATETIME, b BOOLEAN, c REAL, d);"+
		"INSERT INTO t VALUES('2024-12-08',1,2,'a\x00\xff'),(NULL,'x',9e999,X''),('',0,-0.5,X'00ff');")
	want := []string{
		`string "2024-12-08"`, `int64 "1"`, `float64 "2"`, `string "a\x00\xff"`,
		`<nil> "<nil>"`, `string "x"`, `float64 "+Inf"`, `[]uint8 "[]"`,
		`string ""`, `int64 "0"`, `float64 "-0.5"`, `[]uint8 "[0 255]"`,
	}
	if diff := cmp.Diff(want, selected(t, db, `SELECT +a, +b, +c, +d FROM t ORDER BY rowid`)); diff != "" {
		t.Error(diff)
	}
	for range db.Select(t.Context(), "SELECT 1 UNION SELECT 2") {
		break
	}
	ended, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	for _, err := range db.Select(ended, "SELECT 1") {
		if err == nil {
			t.Error("rows for an ended context")
		}
	}
	// Neither the search for the first row nor a sort waits for a row to be looked at.
	for _, query := range []string{"SELECT i FROM n WHERE i<0", "SELECT i FROM n ORDER BY -i"} {
		soon, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
		for _, err := range db.Select(soon, "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n) "+query) {
			if err == nil {
				t.Errorf("%s has a row", query)
			}
		}
		stop()
	}
	for _, err := range db.Select(t.Context(), "SELECT load_extension('x')") {
		if !errors.Is(err, litedb.ErrDenied) {
			t.Error(err)
		}
	}
}

// The schema is told without what is made by itself.
func TestSchema(t *testing.T) {
	t.Parallel()
	db := load(t, "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT, b UNIQUE);INSERT INTO t VALUES(1,2);"+
		"CREATE TABLE w(a, b, c AS (a+1), PRIMARY KEY(b, a)) WITHOUT ROWID;CREATE TABLE \"o'\"(rowid, _rowid_);CREATE TABLE n(rowid, _rowid_, oid);"+
		"CREATE INDEX i ON t(b);CREATE VIEW v AS SELECT 1;"+
		"CREATE VIRTUAL TABLE f USING fts5(a);CREATE TABLE f_content(id,c0);INSERT INTO f_content VALUES(3,'some words');")
	objects, err := db.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range objects {
		names = append(names, o.Type+" "+o.Name)
	}
	if diff := cmp.Diff([]string{"index i", "table n", "table o'", "table t", "table w", "view v", "virtual f"}, names); diff != "" {
		t.Error(diff)
	}
	for table, want := range map[string]litedb.Shape{
		"t":  {Columns: []string{"a", "b"}, Key: []string{"a"}, RowID: "rowid"},
		"w":  {Columns: []string{"a", "b", "c"}, Key: []string{"b", "a"}},
		"o'": {Columns: []string{"rowid", "_rowid_"}, Key: []string{}, RowID: "oid"},
		"n":  {Columns: []string{"rowid", "_rowid_", "oid"}, Key: []string{}},
	} {
		got, err := db.Shape(t.Context(), table)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", table, err, diff)
		}
	}
}
