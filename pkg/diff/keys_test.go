package diff_test

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/diff"
	"github.com/AutumnsGrove/patina/pkg/litedb"
)

// oddTables are tables t whose rows are told apart in all ways that there are, with
// the columns that take any value, and those of the key.
func oddTables() map[string]struct {
	create       string
	columns, key []string
} {
	type odd = struct {
		create       string
		columns, key []string
	}
	return map[string]odd{
		"an untyped key":       {"CREATE TABLE t(k PRIMARY KEY, v)", []string{"k", "v"}, []string{"k"}},
		"two columns":          {"CREATE TABLE t(a, v, b, PRIMARY KEY(b, a))", []string{"a", "v", "b"}, []string{"b", "a"}},
		"without rowid":        {"CREATE TABLE t(a, b, v, PRIMARY KEY(a, b)) WITHOUT ROWID", []string{"a", "b", "v"}, []string{"a", "b"}},
		"a collation":          {"CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY, v)", []string{"k", "v"}, []string{"k"}},
		"another collation":    {"CREATE TABLE t(k COLLATE RTRIM, v, PRIMARY KEY(k DESC))", []string{"k", "v"}, []string{"k"}},
		"reals":                {"CREATE TABLE t(k REAL PRIMARY KEY, v)", []string{"k", "v"}, []string{"k"}},
		"blobs":                {"CREATE TABLE t(k BLOB PRIMARY KEY, v) WITHOUT ROWID", []string{"k", "v"}, []string{"k"}},
		"names to be quoted":   {`CREATE TABLE t("a ""key""" PRIMARY KEY, "select")`, []string{`"a ""key"""`, `"select"`}, []string{`"a ""key"""`}},
		"generated columns":    {"CREATE TABLE t(k PRIMARY KEY, v, g AS (typeof(v)), s AS (k) STORED)", []string{"k", "v"}, []string{"k"}},
		"no key":               {"CREATE TABLE t(v, w)", []string{"v", "w"}, nil},
		"no key and no rowid":  {"CREATE TABLE t(rowid, _rowid_, oid)", []string{"rowid", "_rowid_", "oid"}, nil},
		"a rowid in disguise":  {"CREATE TABLE t(rowid, v)", []string{"rowid", "v"}, nil},
		"nothing but the key":  {"CREATE TABLE t(k PRIMARY KEY)", []string{"k"}, []string{"k"}},
		"an integer key twice": {"CREATE TABLE t(k INT PRIMARY KEY, v UNIQUE)", []string{"k", "v"}, []string{"k"}},
	}
}

// oddValues are what keys and values are drawn from: few, so that they meet.
func oddValues() []string {
	return []string{
		"NULL", "0", "1", "-1", "1.0", "1.5", "-0.0", "9007199254740993", "9007199254740992", "9007199254740992.0",
		"9223372036854775807", "-9223372036854775808", "9.223372036854775808e18", "9e999", "-9e999",
		"''", "'1'", "'a'", "'A'", "'a '", "'é'", "'a' || char(0) || 'b'", "X''", "X'61'", "X'00'", "X'ff'", "CAST(X'ff' AS TEXT)",
	}
}

// TestOddKeys holds the comparison against one that holds all rows in memory and
// knows no order.
func TestOddKeys(t *testing.T) {
	t.Parallel()
	values := oddValues()
	for name, odd := range oddTables() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			draw := rand.New(rand.NewPCG(1, uint64(len(name)))) //nolint:gosec // the same every time
			var seen [4]int64
			for range 25 {
				var inserts [2][]string
				for range draw.IntN(30) {
					row := make([]string, len(odd.columns))
					for i := range row {
						row[i] = values[draw.IntN(len(values))]
					}
					insert := "INSERT OR IGNORE INTO t(" + strings.Join(odd.columns, ",") + ") VALUES(" + strings.Join(row, ",") + ")"
					switch draw.IntN(4) {
					case 0:
						inserts[0] = append(inserts[0], insert)
					case 1:
						inserts[1] = append(inserts[1], insert)
					default:
						inserts[0], inserts[1] = append(inserts[0], insert), append([]string{insert}, inserts[1]...)
					}
				}
				old, new := made(t, odd.create, inserts[0]), made(t, odd.create, inserts[1])
				got, err := diff.Compare(t.Context(), old, new, diff.Options{})
				if err != nil {
					t.Fatal(err)
				}
				table := got.Tables[0]
				want := naive(t, old, new, table, odd.columns, odd.key)
				if counts := [4]int64{table.Added, table.Removed, table.Changed, table.Matched}; counts != want {
					t.Fatalf("%s: added, removed, changed, matched %v, want %v; old\n%s\nnew\n%s", odd.create, counts, want,
						strings.Join(inserts[0], "\n"), strings.Join(inserts[1], "\n"))
				}
				for i := range seen {
					seen[i] += want[i]
				}
			}
			if seen[0] == 0 || seen[1] == 0 || seen[2] == 0 && len(odd.key) > 0 && len(odd.key) < len(odd.columns) || seen[3] == 0 {
				t.Errorf("added, removed, changed, matched %v: something was never tried", seen)
			}
		})
	}
}

// made is a database of the statements.
func made(t *testing.T, create string, inserts []string) *litedb.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append([]string{"PRAGMA synchronous=OFF", create}, inserts...) {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	opened, err := litedb.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Discard() })
	return opened
}

// naive counts what was added, removed, changed and matched.
func naive(t *testing.T, old, new *litedb.DB, table diff.Table, columns, key []string) [4]int64 {
	t.Helper()
	if table.By == diff.ByRowID {
		key = []string{"_rowid_"}
	}
	var counts [4]int64
	before, after := rowsByKey(t, old, columns, key), rowsByKey(t, new, columns, key)
	for k, rows := range before {
		others := after[k]
		for _, row := range rows {
			switch i := slices.Index(others, row); {
			case i >= 0:
				counts[3]++
				others = slices.Delete(others, i, i+1)
			case len(others) > 0 && len(key) > 0 && !strings.HasPrefix(k, "?"):
				counts[2]++
				others = others[1:]
			default:
				counts[1]++
			}
		}
		after[k] = others
	}
	for _, rows := range after {
		counts[0] += int64(len(rows))
	}
	return counts
}

// rowsByKey are all rows by their keys. What has none, or NULL in it, is under a
// name of its content.
func rowsByKey(t *testing.T, db *litedb.DB, columns, key []string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	var names []string
	for _, c := range slices.Concat(key, columns) {
		names = append(names, "+"+c)
	}
	for row, err := range db.Select(t.Context(), "SELECT "+strings.Join(names, ",")+" FROM t") {
		if err != nil {
			t.Fatal(err)
		}
		var k, content []string
		for _, v := range row[:len(key)] {
			k = append(k, loosely(v))
		}
		for _, v := range row[len(key):] {
			content = append(content, exactly(v))
		}
		name := strings.Join(k, "|")
		if len(key) == 0 || slices.Contains(row[:len(key)], nil) {
			name = "?" + strings.Join(content, "|")
		}
		all[name] = append(all[name], strings.Join(content, "|"))
	}
	return all
}

// exactly tells values apart, and their types.
func exactly(v driver.Value) string {
	if r, ok := v.(float64); ok && r == 0 {
		v = 0.0 // there is one zero
	}
	return fmt.Sprintf("%T %q", v, fmt.Sprint(v))
}

// loosely takes a real for the integer that it equals, as SQLite does in keys.
func loosely(v driver.Value) string {
	if r, ok := v.(float64); ok && r >= -1<<63 && r < 1<<63 && float64(int64(r)) == r {
		v = int64(r)
	}
	return exactly(v)
}
