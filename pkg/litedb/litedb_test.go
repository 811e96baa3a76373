package litedb_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/litedb"
)

// deadline bounds a statement that never ends by itself.
const deadline = time.Second

func planOf(t *testing.T, text string) *plan.Plan {
	t.Helper()
	p, err := plan.Read(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func load(t *testing.T, text string) *litedb.DB {
	t.Helper()
	db, err := litedb.Load(t.Context(), litedb.InMemory, planOf(t, text), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Discard() })
	return db
}

// Every database that the export does not damage comes back in a file, which has
// the same rows, and is whole.
func TestFidelityCases(t *testing.T) {
	t.Parallel()
	damaged := map[string]bool{
		"int53": true, "mixed_newline": true, "mixed_cr": true, "real_no_affinity": true, "strict": true, "invalid_utf8": true,
		"fts5": true, // it is not exported
	}
	for _, tt := range dumptest.Cases(t) {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			from := dumptest.Build(t, tt.SQL)
			path := filepath.Join(t.TempDir(), "new.db")
			db, err := litedb.Load(t.Context(), path, planOf(t, dumptest.AsD1(t, from)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if problems, err := db.Integrity(t.Context()); err != nil || len(problems) > 0 {
				t.Errorf("integrity: %v, %v", problems, err)
			}
			if err := db.Finish(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(dumptest.Content(t, from), content(t, path)); (diff != "") != damaged[tt.Name] {
				t.Errorf("(-original +restored):\n%s", diff)
			}
			if left, _ := filepath.Glob(path + "-*"); len(left) > 0 {
				t.Errorf("left beside it: %v", left)
			}
		})
	}
}

func content(t *testing.T, path string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	return dumptest.Content(t, db)
}

// Values are bound as the dump has them, to the last bit and byte.
func TestValues(t *testing.T) {
	t.Parallel()
	db := load(t, "CREATE TABLE t(n, v);INSERT INTO t VALUES"+
		"(1,9223372036854775807),(2,-9223372036854775808),(3,'a\x00b'),(4,'\xff'),(5,X''),(6,''),(7,9e999),(8,-9e999),"+
		"(9,0.1),(10,NULL),(11,replace('a\\nb','\\n',char(10))),(12,unistr('\\u000a')),(13,9223372036854775808),(14,'it''s');")
	for _, assertion := range []string{
		"SELECT v=9223372036854775807 AND typeof(v)='integer' FROM t WHERE n=1",
		"SELECT v=-9223372036854775807-1 AND typeof(v)='integer' FROM t WHERE n=2",
		"SELECT hex(v)='610062' AND typeof(v)='text' FROM t WHERE n=3",
		"SELECT hex(v)='FF' AND typeof(v)='text' FROM t WHERE n=4",
		"SELECT v=x'' AND typeof(v)='blob' FROM t WHERE n=5",
		"SELECT v='' AND typeof(v)='text' FROM t WHERE n=6",
		"SELECT v>1.7e308 AND typeof(v)='real' FROM t WHERE n=7",
		"SELECT v< -1.7e308 AND typeof(v)='real' FROM t WHERE n=8",
		"SELECT v=0.1 FROM t WHERE n=9",
		"SELECT v IS NULL FROM t WHERE n=10",
		"SELECT v='a'||char(10)||'b' FROM t WHERE n=11",
		"SELECT v=char(10) FROM t WHERE n=12",
		"SELECT typeof(v)='real' FROM t WHERE n=13",
		"SELECT v='it''s' FROM t WHERE n=14",
		"SELECT count(*)=14 FROM t",
	} {
		if err := db.Assert(t.Context(), assertion); err != nil {
			t.Errorf("%s: %v", assertion, err)
		}
	}
}

// A dump that reaches out of its database does not load, and leaves nothing.
func TestHostileDumps(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ dump, says string }{
		"a function of files in a view": {"CREATE VIEW v AS SELECT load_extension('x');", ""},
		"an extension in an index":      {"CREATE TABLE t(a);INSERT INTO t VALUES('x');CREATE INDEX i ON t(load_extension(a));", "load_extension"},
		"an extension as a default":     {"CREATE TABLE t(a, b DEFAULT (load_extension('x')));INSERT INTO t(a) VALUES(1);", "load_extension"},
		"an extension in a CHECK":       {"CREATE TABLE t(a CHECK(load_extension(a)));INSERT INTO t VALUES('x');", "load_extension"},
		"an extension, generated":       {"CREATE TABLE t(a, b AS (load_extension(a)) STORED);INSERT INTO t(a) VALUES('x');", "load_extension"},
		"CREATE TABLE AS":               {"CREATE TABLE t AS SELECT load_extension('x');", "load_extension"},
		"another database":              {"CREATE TABLE temp.t(a);", "not allowed"},
		"an endless query":              {"CREATE TABLE t AS WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n;", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "new.db")
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			p, err := plan.Read(strings.NewReader(tt.dump), int64(len(tt.dump)))
			if err == nil {
				var db *litedb.DB
				db, err = litedb.Load(ctx, path, p, nil)
				if name == "a function of files in a view" && err == nil {
					// A view that nobody reads does no harm, and one that is read is
					// refused.
					err = db.Assert(ctx, "SELECT count(*) FROM v")
					err = errors.Join(err, db.Discard())
				}
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("%v, want one with %q", err, tt.says)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is there: %v", err)
			}
		})
	}
}

// An assertion reads, and does nothing else.
func TestAssert(t *testing.T) {
	t.Parallel()
	db := load(t, "CREATE TABLE t(a);INSERT INTO t VALUES(1);")
	for query, want := range map[string]error{
		"SELECT count(*) > 0 FROM t":     nil,
		"SELECT 0.5":                     nil,
		"SELECT 0":                       litedb.ErrFalse,
		"SELECT NULL":                    litedb.ErrFalse,
		"SELECT 'yes'":                   litedb.ErrFalse,
		"SELECT 1, 2":                    litedb.ErrNoAnswer,
		"SELECT 1 WHERE 0":               litedb.ErrNoAnswer,
		"SELECT 1 UNION SELECT 2":        litedb.ErrNoAnswer,
		"DELETE FROM t":                  litedb.ErrDenied,
		"DROP TABLE t":                   litedb.ErrDenied,
		"PRAGMA user_version=3":          litedb.ErrDenied,
		"ATTACH 'x' AS y":                litedb.ErrDenied,
		"SELECT load_extension('x')":     litedb.ErrDenied,
		"CREATE TEMP TABLE x(a)":         litedb.ErrDenied,
		"SELECT count(*) FROM nosuch":    errors.New("no such table"),
		"SELEC 1":                        errors.New("syntax error"),
		"SELECT 1; DELETE FROM t":        litedb.ErrDenied,
		"INSERT INTO t VALUES(2)":        litedb.ErrDenied,
		"BEGIN":                          litedb.ErrDenied,
		"VACUUM INTO '/tmp/patina-copy'": litedb.ErrDenied,
	} {
		err := db.Assert(t.Context(), query)
		switch {
		case want == nil && err == nil, want != nil && errors.Is(err, want):
		case want != nil && err != nil && strings.Contains(err.Error(), want.Error()):
		default:
			t.Errorf("%s: %v, want %v", query, err, want)
		}
	}
	if err := db.Assert(t.Context(), "SELECT count(*)=1 FROM t"); err != nil {
		t.Errorf("the table was changed: %v", err)
	}
}

// Keys of a table that is absent are none of those that only Unicode takes for it.
func TestForeignKeysOfAbsentTables(t *testing.T) {
	t.Parallel()
	db := load(t, `CREATE TABLE é(id INTEGER PRIMARY KEY);CREATE TABLE c(p REFERENCES "é"(id), q REFERENCES Absent(id));INSERT INTO c VALUES(7,8);`)
	keys, err := db.ForeignKeys(t.Context(), "É", "ABSENT")
	if diff := cmp.Diff([]string{"1 rows of c point at rows of é that are not there"}, keys); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

// What is wrong with the rows is found.
func TestChecks(t *testing.T) {
	t.Parallel()
	db := load(t, "CREATE TABLE p(id INTEGER PRIMARY KEY);CREATE TABLE c(p REFERENCES p(id), n NOT NULL);"+
		"INSERT INTO c VALUES(7,1),(8,2),(NULL,3);CREATE INDEX i ON c(n);CREATE VIEW v AS SELECT 1;"+
		"CREATE VIRTUAL TABLE f USING fts5(a);CREATE TABLE f_content(id,c0);INSERT INTO f_content VALUES(3,'some words');")
	keys, err := db.ForeignKeys(t.Context())
	if diff := cmp.Diff([]string{"2 rows of c point at rows of p that are not there"}, keys); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	tables, err := db.Tables(t.Context())
	if diff := cmp.Diff([]backup.Table{{Name: "c", Rows: 3}, {Name: "p"}}, tables); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	objects, err := db.Objects(t.Context())
	if diff := cmp.Diff([]backup.Object{{Type: "index", Name: "i"}, {Type: "view", Name: "v"}, {Type: "virtual", Name: "f"}}, objects); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if err := db.Assert(t.Context(), "SELECT rowid=3 FROM f WHERE f MATCH 'words'"); err != nil {
		t.Error(err)
	}
}

// A load that fails leaves nothing, whatever it failed of.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	good := "CREATE TABLE t(a);INSERT INTO t VALUES(1);"
	dir := t.TempDir()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx        context.Context
		path, dump string
		rejected   bool
	}{
		"a folder that is missing": {t.Context(), filepath.Join(dir, "no", "new.db"), good, false},
		"an end":                   {ended, filepath.Join(dir, "ended.db"), good, false},
		"a row twice":              {t.Context(), filepath.Join(dir, "twice.db"), "CREATE TABLE t(a UNIQUE);INSERT INTO t VALUES(1),(1);", true},
		"a table that is missing":  {t.Context(), filepath.Join(dir, "missing.db"), "INSERT INTO t VALUES(1);", true},
		"broken SQL":               {t.Context(), filepath.Join(dir, "broken.db"), "CREATE TABLE t(a,,b);", true},
	} {
		if db, err := litedb.Load(tt.ctx, tt.path, planOf(t, tt.dump), nil); err == nil {
			t.Errorf("%s: loaded", name)
			_ = db.Discard()
		} else if errors.Is(err, litedb.ErrRejected) != tt.rejected {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What is there is not touched.
func TestExistingFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "old.db")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := litedb.Load(t.Context(), path, planOf(t, "CREATE TABLE t(a);"), nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("%v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "mine" {
		t.Errorf("%q", text)
	}
}
