package plan_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // the engine that loads what is planned

	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
)

// What is written for a dump: the order, what is left out, and what is told of
// it.
func TestWriteSQL(t *testing.T) {
	t.Parallel()
	const begin = "PRAGMA defer_foreign_keys=TRUE;\n"
	for name, tt := range map[string]struct {
		dump, want string
		changes    []string
	}{
		"empty":             {dump: "PRAGMA defer_foreign_keys=TRUE;", want: begin},
		"a lone pragma":     {dump: "PRAGMA foreign_keys=OFF;", want: begin},
		"a foreign pragma":  {dump: "PRAGMA user_version=3;", want: begin, changes: []string{"pragma_left_out user_version 1"}},
		"a transaction":     {dump: "BEGIN TRANSACTION;CREATE TABLE t(a);COMMIT;", want: begin + "CREATE TABLE t(a);\n"},
		"rows are packed":   {dump: "CREATE TABLE t(a);INSERT INTO t VALUES(1);\nINSERT INTO t VALUES(2);", want: begin + "CREATE TABLE t(a);\nINSERT INTO t VALUES(1),\n(2);\n"},
		"another head":      {dump: "CREATE TABLE t(a);INSERT INTO t VALUES(1);INSERT INTO t (a) VALUES(2);", want: begin + "CREATE TABLE t(a);\nINSERT INTO t VALUES(1);\nINSERT INTO t (a) VALUES(2);\n"},
		"more than VALUES":  {dump: "CREATE TABLE t(a);INSERT INTO t VALUES(1) ON CONFLICT DO NOTHING;", want: begin + "CREATE TABLE t(a);\nINSERT INTO t VALUES(1) ON CONFLICT DO NOTHING;\n"},
		"default values":    {dump: "CREATE TABLE t(a);INSERT INTO t DEFAULT VALUES;", want: begin + "CREATE TABLE t(a);\nINSERT INTO t DEFAULT VALUES;\n"},
		"tables first":      {dump: "CREATE TABLE c(p REFERENCES p);INSERT INTO c VALUES(1);CREATE TABLE p(a);INSERT INTO p VALUES(1);", want: begin + "CREATE TABLE c(p REFERENCES p);\nCREATE TABLE p(a);\nINSERT INTO p VALUES(1);\nINSERT INTO c VALUES(1);\n"},
		"views, triggers":   {dump: "CREATE TABLE t(a);CREATE TRIGGER tr INSTEAD OF INSERT ON v BEGIN SELECT 1; END;CREATE VIEW v AS SELECT 1;CREATE INDEX i ON t(a);", want: begin + "CREATE TABLE t(a);\nCREATE INDEX i ON t(a);\nCREATE VIEW v AS SELECT 1;\nCREATE TRIGGER tr INSTEAD OF INSERT ON v BEGIN SELECT 1; END;\n"},
		"words":             {dump: "CREATE TABLE t(a);INSERT INTO t VALUES(Infinity),(-Infinity),(ERROR),(1);", want: begin + "CREATE TABLE t(a);\nINSERT INTO t VALUES(9e999),\n(-9e999),\n(NULL),\n(1);\n", changes: []string{"rewritten t 2", "error_word_to_null t 1"}},
		"NUL":               {dump: "CREATE TABLE t(a);INSERT INTO t VALUES('a\x00b');", want: begin + "CREATE TABLE t(a);\nINSERT INTO t VALUES(CAST(X'610062' AS TEXT));\n", changes: []string{"rewritten t 1"}},
		"unistr":            {dump: "CREATE TABLE t(a);INSERT INTO t VALUES(unistr('a\\u000ab''c'));", want: begin + "CREATE TABLE t(a);\nINSERT INTO t VALUES('a\nb''c');\n", changes: []string{"rewritten t 1"}},
		"no AUTOINCREMENT":  {dump: "CREATE TABLE t(a);DELETE FROM sqlite_sequence;INSERT INTO sqlite_sequence VALUES('t',1);", want: begin + "CREATE TABLE t(a);\n", changes: []string{"sequence_left_out sqlite_sequence 1"}},
		"AUTOINCREMENT":     {dump: "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT);DELETE FROM sqlite_sequence;INSERT INTO sqlite_sequence VALUES('t',9);", want: begin + "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT);\nDELETE FROM sqlite_sequence;\nINSERT INTO sqlite_sequence VALUES('t',9);\n"},
		"statistics":        {dump: "CREATE TABLE t(a);ANALYZE sqlite_schema;INSERT INTO sqlite_stat1 VALUES('_cf_KV',NULL,'1');INSERT INTO sqlite_stat1 VALUES('t','i','1 1');CREATE INDEX i ON t(a);", want: begin + "CREATE TABLE t(a);\nCREATE INDEX i ON t(a);\nANALYZE sqlite_schema;\nINSERT INTO sqlite_stat1 VALUES('t','i','1 1');\n"},
		"sqlite_stat4":      {dump: "CREATE TABLE t(a);INSERT INTO sqlite_stat4 VALUES('t','i','1','1','1',X'00');", want: begin + "CREATE TABLE t(a);\n", changes: []string{"internal_left_out sqlite_stat4 1"}},
		"D1's own":          {dump: "CREATE TABLE _cf_KV(key TEXT);INSERT INTO _cf_KV VALUES('a');", want: begin, changes: []string{"internal_left_out _cf_KV 1"}},
		"commented":         {dump: "CREATE TABLE t(a) -- it;\n;CREATE INDEX i ON t(a);", want: begin + "CREATE TABLE t(a) -- it;\n;\nCREATE INDEX i ON t(a);\n"},
		"fts5 of its own":   {dump: "PRAGMA writable_schema=ON;INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts5(a, \"b c\" UNINDEXED, prefix=2)');CREATE TABLE f_content(id INTEGER PRIMARY KEY, c0, c1);INSERT INTO f_content VALUES(7,'x','y');CREATE TABLE f_data(a);INSERT INTO f_data VALUES(1);", want: begin + "CREATE VIRTUAL TABLE f USING fts5(a, \"b c\" UNINDEXED, prefix=2);\nINSERT INTO \"f\" (rowid,\"a\",\"b c\") VALUES(7,'x','y');\n", changes: []string{"virtual_rebuilt f 1"}},
		"fts5 of a table":   {dump: "CREATE TABLE t(id INTEGER PRIMARY KEY,a);INSERT INTO t VALUES(1,'x');CREATE VIRTUAL TABLE f USING fts5(a, content='t', content_rowid='id');CREATE TABLE f_data(a);", want: begin + "CREATE TABLE t(id INTEGER PRIMARY KEY,a);\nINSERT INTO t VALUES(1,'x');\nCREATE VIRTUAL TABLE f USING fts5(a, content='t', content_rowid='id');\nINSERT INTO \"f\" (\"f\") VALUES('rebuild');\n", changes: []string{"virtual_rebuilt f 1"}},
		"keys in a circle":  {dump: "CREATE TABLE a(b REFERENCES b);CREATE TABLE b(a REFERENCES a, s REFERENCES b);INSERT INTO a VALUES(1);INSERT INTO b VALUES(1,1);", want: begin + "CREATE TABLE a(b REFERENCES b);\nCREATE TABLE b(a REFERENCES a, s REFERENCES b);\nINSERT INTO b VALUES(1,1);\nINSERT INTO a VALUES(1);\n"},
		"a key by an index": {dump: "CREATE TABLE c(p REFERENCES P(x));CREATE TABLE p(x, y);INSERT INTO p VALUES(1,2);INSERT INTO c VALUES(1);CREATE INDEX i ON p(y);CREATE UNIQUE INDEX k ON p(\"X\");CREATE UNIQUE INDEX l ON p(y);", want: begin + "CREATE TABLE c(p REFERENCES P(x));\nCREATE TABLE p(x, y);\nCREATE UNIQUE INDEX k ON p(\"X\");\nINSERT INTO p VALUES(1,2);\nINSERT INTO c VALUES(1);\nCREATE INDEX i ON p(y);\nCREATE UNIQUE INDEX l ON p(y);\n"},
		"rows in two parts": {dump: "CREATE TABLE a(x);CREATE TABLE b(x);INSERT INTO a VALUES(1);INSERT INTO b VALUES(2);INSERT INTO a VALUES(3);", want: begin + "CREATE TABLE a(x);\nCREATE TABLE b(x);\nINSERT INTO a VALUES(1),\n(3);\nINSERT INTO b VALUES(2);\n"},
		"names of any case": {dump: "CREATE TABLE \"T\"(a);INSERT INTO t VALUES(1);INSERT INTO \"T\" VALUES(2);", want: begin + "CREATE TABLE \"T\"(a);\nINSERT INTO t VALUES(1);\nINSERT INTO \"T\" VALUES(2);\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			units, p := planned(t, tt.dump)
			if diff := cmp.Diff(tt.want, strings.Join(units, "")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var changes []string
			for _, c := range p.Changes() {
				changes = append(changes, fmt.Sprint(c.Code, " ", c.Name, " ", c.Count))
			}
			if diff := cmp.Diff(tt.changes, changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

// What no dump holds is refused before anything is written, and the error tells
// where it stands.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"ATTACH":               "ATTACH 'x' AS y;",
		"SELECT":               "SELECT load_extension('x');",
		"UPDATE":               "UPDATE t SET a=1;",
		"DROP":                 "DROP TABLE t;",
		"DELETE of rows":       "DELETE FROM t;",
		"INSERT of a query":    "INSERT INTO t SELECT 1;",
		"a temporary table":    "CREATE TEMP TABLE x(a);",
		"a query for a value":  "INSERT INTO t VALUES((SELECT 1));",
		"a call for a value":   "INSERT INTO t VALUES(load_extension('x'));",
		"an rtree":             "CREATE VIRTUAL TABLE r USING rtree(id,a,b);",
		"another module":       "CREATE VIRTUAL TABLE r USING csv(filename='/etc/passwd');",
		"an index of nothing":  "CREATE VIRTUAL TABLE f USING fts5(a, content='');",
		"a row of the schema":  "INSERT INTO sqlite_schema VALUES('table','x','x',0,'CREATE TABLE x(a)');",
		"two in the schema":    "INSERT INTO sqlite_schema VALUES('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts5(a); ATTACH ''x'' AS y');",
		"an operator":          "INSERT INTO t VALUES('a'||'b');",
		"no value":             "INSERT INTO t VALUES();",
		"a column for a value": "INSERT INTO t VALUES(a);",
		"rollback":             "ROLLBACK;",
		"a savepoint":          "SAVEPOINT x;",
		"a detour by REINDEX":  "REINDEX;",
		"vacuum into":          "VACUUM INTO '/tmp/x';",
		"an upsert of a query": "INSERT INTO t(a) SELECT 1 WHERE true ON CONFLICT DO NOTHING;",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := "CREATE TABLE t(a);\n"
			_, err := plan.Read(strings.NewReader(before+text), int64(len(before+text)))
			if !errors.Is(err, plan.ErrRefused) {
				t.Fatalf("%v", err)
			}
			if want := fmt.Sprintf("byte %d: ", len(before)); !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%q does not begin with %q", err, want)
			}
		})
	}
}

// A dump of the sqlite3 shell loads into D1, its full-text tables too.
func TestShellDump(t *testing.T) {
	t.Parallel()
	from := dumptest.Build(t, []string{
		"CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, n INTEGER)",
		"INSERT INTO t(a,n) VALUES('two' || char(10) || 'lines', 9007199254740993), ('x', -9223372036854775808)",
		"CREATE VIRTUAL TABLE f USING fts5(a, b)",
		"INSERT INTO f(rowid,a,b) VALUES(5,'hello world','x'),(9,'other words','it''s')",
		"CREATE VIRTUAL TABLE o USING fts5(a, content=t, content_rowid=id)",
		"INSERT INTO o(o) VALUES('rebuild')",
		"CREATE VIEW v AS SELECT a FROM t", "CREATE TRIGGER tr INSTEAD OF INSERT ON v BEGIN INSERT INTO t(a) VALUES(new.a); END",
	})
	units, _ := planned(t, asShell(t, from))
	into := likeD1(t)
	load(t, into, units)
	if diff := cmp.Diff(dumptest.Content(t, from), dumptest.Content(t, into)); diff != "" {
		t.Errorf("(-original +restored):\n%s", diff)
	}
	for _, search := range []string{"SELECT rowid FROM f WHERE f MATCH 'words'", "SELECT rowid FROM o WHERE o MATCH 'lines'"} {
		want, got := dumptest.Query(t, from, search), dumptest.Query(t, into, search)
		if len(want) != 1 || !cmp.Equal(want, got) {
			t.Errorf("%s: %v, want %v", search, got, want)
		}
	}
}

// A plan gives the same again and again, and tells of it once.
func TestEmitTwice(t *testing.T) {
	t.Parallel()
	text := "CREATE TABLE t(a);\nINSERT INTO t VALUES(Infinity);\n"
	p, err := plan.Read(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	var runs [2][]string
	for i := range runs {
		if err := p.WriteSQL(t.Context(), func(sql []byte, _ int) error {
			runs[i] = append(runs[i], string(sql))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(runs[0], runs[1]) || len(runs[0]) != 3 || len(p.Changes()) != 1 || p.Changes()[0].Count != 1 {
		t.Errorf("%q, then %q, changed %v", runs[0], runs[1], p.Changes())
	}
}

// What the sink refuses ends the run.
func TestSinkFails(t *testing.T) {
	t.Parallel()
	text := "CREATE TABLE t(a);\nINSERT INTO t VALUES(1);\nCREATE INDEX i ON t(a);"
	broken := errors.New("disk full")
	for fails := range 4 {
		p, err := plan.Read(strings.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		err = p.WriteSQL(t.Context(), func([]byte, int) error {
			calls++
			if calls > fails {
				return broken
			}
			return nil
		})
		if !errors.Is(err, broken) || calls != fails+1 {
			t.Errorf("%d calls: %v", calls, err)
		}
	}
}
