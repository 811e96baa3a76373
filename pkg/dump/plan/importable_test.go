package plan_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
)

// obstacles are what keeps a dump from loading, one a line.
func obstacles(t *testing.T, text string) string {
	t.Helper()
	found, err := plan.Importable(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, o := range found {
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprint(o.Code, " ", o.Name, " ", o.Other, " ", o.Count)), " "))
		if o.FirstOffset < 0 || o.FirstOffset >= int64(len(text)) || o.String() == "" {
			t.Errorf("%+v", o)
		}
	}
	return strings.Join(lines, "; ")
}

// loadAsItIs loads a dump as an import does: cut into statements, in one
// transaction, with D1's limits and foreign keys.
func loadAsItIs(t *testing.T, text string) error {
	t.Helper()
	tx, err := likeD1(t).BeginTx(context.WithoutCancel(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = execute(t.Context(), tx, text)
	if err == nil {
		return tx.Commit()
	}
	return errors.Join(err, tx.Rollback())
}

func execute(ctx context.Context, tx *sql.Tx, text string) error {
	var held string // a statement whose semicolon is in a comment goes on
	_, err := dump.ReadStatements(strings.NewReader(text), func(st dump.Statement) error {
		held += string(st.Text)
		if st.Commented {
			held += "\n"
			return nil
		}
		_, err := tx.ExecContext(ctx, held)
		held = ""
		return err
	})
	if err == nil && held != "" {
		return errors.New("incomplete input")
	}
	return err
}

// Each obstacle is seen, and is one for the engine too, but for what only D1
// refuses.
func TestImportable(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", dump.LongStatement)
	for name, tt := range map[string]struct {
		dump, want string
		onlyD1     bool
	}{
		"plain":               {dump: "CREATE TABLE t(a);INSERT INTO t VALUES(1),('x'),(X'00'),(NULL),(-1.5e3);CREATE INDEX i ON t(a);CREATE VIEW v AS SELECT 1;CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END;"},
		"line ends":           {dump: `CREATE TABLE t(a);INSERT INTO t VALUES(replace(replace('a\nb\r','\r',char(13)),'\n',char(10)));`},
		"words as text":       {dump: "CREATE TABLE t(a);INSERT INTO t VALUES('Infinity ERROR unistr(');"},
		"9e999":               {dump: "CREATE TABLE t(a);INSERT INTO t VALUES(9e999);"},
		"parent first":        {dump: "CREATE TABLE p(id INTEGER PRIMARY KEY);CREATE TABLE c(p REFERENCES p);INSERT INTO p VALUES(1);INSERT INTO c VALUES(1);"},
		"itself":              {dump: "CREATE TABLE t(id INTEGER PRIMARY KEY, up REFERENCES T(id));INSERT INTO t VALUES(1,1);"},
		"no rows":             {dump: "CREATE TABLE c(p REFERENCES p);CREATE TABLE p(id INTEGER PRIMARY KEY);"},
		"child first":         {dump: "CREATE TABLE c(p REFERENCES \"P\");INSERT INTO c VALUES(NULL);INSERT INTO c VALUES(1);CREATE TABLE P(id INTEGER PRIMARY KEY);INSERT INTO P VALUES(1);", want: "parent_after_child c P 2"},
		"table constraint":    {dump: "CREATE TABLE c(a, b, FOREIGN KEY(a,b) REFERENCES p(x,y));INSERT INTO c VALUES(NULL,NULL);CREATE TABLE p(x,y,PRIMARY KEY(y,x));", want: "parent_after_child c p 1"},
		"a key of two":        {dump: "CREATE TABLE p(x,y,UNIQUE(y,x));CREATE TABLE c(a, b, FOREIGN KEY(a,b) REFERENCES p(x,y));INSERT INTO c VALUES(NULL,NULL);"},
		"a key in a column":   {dump: "CREATE TABLE p(\"x(\" TEXT CHECK(length(\"x(\")>0) COLLATE BINARY UNIQUE, y DECIMAL(1,2));CREATE TABLE c(a REFERENCES p(\"x(\"));INSERT INTO c VALUES(NULL);"},
		"a key by an index":   {dump: "CREATE TABLE p(x);CREATE TABLE c(a REFERENCES p(x));INSERT INTO c VALUES(NULL);CREATE UNIQUE INDEX i ON p(x);", want: "parent_key_after_child c p 1"},
		"a key of the parent": {dump: "PRAGMA defer_foreign_keys=TRUE;CREATE TABLE c(a REFERENCES p(x));CREATE TABLE p(x);INSERT INTO p VALUES(1);CREATE UNIQUE INDEX i ON p(x);", want: "parent_key_after_child p p 1"},
		"a key by now":        {dump: "CREATE TABLE p(x);CREATE UNIQUE INDEX i ON p(x);CREATE TABLE c(a REFERENCES p(x));INSERT INTO c VALUES(NULL);"},
		"a part of an index":  {dump: "CREATE TABLE p(x);CREATE UNIQUE INDEX i ON p(x) WHERE x > 1;CREATE TABLE c(a REFERENCES p(x));INSERT INTO c VALUES(NULL);", want: "parent_key_after_child c p 1"},
		"no parent at all":    {dump: "CREATE TABLE c(p REFERENCES p);INSERT INTO c VALUES(NULL);", want: "parent_after_child c p 1"},
		"INSTEAD OF":          {dump: "CREATE TRIGGER tr INSTEAD OF UPDATE OF a, b ON \"v\" BEGIN SELECT 1; END;CREATE VIEW v AS SELECT 1 AS a;", want: "made_before_its_table tr v 1"},
		"INSTEAD OF, behind":  {dump: "CREATE VIEW v AS SELECT 1 AS a;CREATE TRIGGER tr INSTEAD OF INSERT ON v BEGIN SELECT 1; END;"},
		"an index before":     {dump: "CREATE INDEX i ON t(a);CREATE TABLE t(a);", want: "made_before_its_table i t 1"},
		"rows of nothing":     {dump: "INSERT INTO t VALUES(1);", want: "no_table t 1"},
		"AUTOINCREMENT":       {dump: "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT);DELETE FROM sqlite_sequence;INSERT INTO sqlite_sequence VALUES('t',9);"},
		"no AUTOINCREMENT":    {dump: "CREATE TABLE t(a);DELETE FROM sqlite_sequence;", want: "no_sequence 1"},
		"statistics":          {dump: "CREATE TABLE t(a);ANALYZE sqlite_schema;INSERT INTO sqlite_stat1 VALUES('t',NULL,'1');"},
		"no statistics":       {dump: "CREATE TABLE t(a);INSERT INTO sqlite_stat1 VALUES('t',NULL,'1');", want: "no_table sqlite_stat1 1"},
		"as long as it gets":  {dump: "CREATE TABLE t(a);INSERT INTO t VALUES('" + long[:dump.LongStatement-len("INSERT INTO t VALUES('');")] + "');"},
		"too long":            {dump: "CREATE TABLE t(a);INSERT INTO t VALUES('" + long + "');", want: "long_statement t 1"},
		"Infinity":            {dump: "CREATE TABLE t(a);INSERT INTO t VALUES(Infinity);INSERT INTO t VALUES(-Infinity);", want: "unreadable_word t 2"},
		"ERROR":               {dump: "CREATE TABLE t(a);INSERT INTO t VALUES(1,ERROR);", want: "unreadable_word t 1"},
		"NUL":                 {dump: "CREATE TABLE t(a);INSERT INTO t VALUES('a\x00b');", want: "nul_in_text t 1"},
		"unistr":              {dump: "CREATE TABLE t(a);INSERT INTO t VALUES(unistr('\\u000a'));", want: "no_function unistr 1", onlyD1: true},
		"BEGIN":               {dump: "BEGIN TRANSACTION;CREATE TABLE t(a);COMMIT;", want: "refused_statement BEGIN 1; refused_statement COMMIT 1"},
		"COMMIT":              {dump: "CREATE TABLE t(a);COMMIT;", want: "refused_statement COMMIT 1", onlyD1: true},
		"pragmas":             {dump: "PRAGMA foreign_keys=OFF;PRAGMA defer_foreign_keys=TRUE;PRAGMA user_version=3;PRAGMA user_version=4;", want: "refused_pragma user_version 2", onlyD1: true},
		"the shell's virtual": {dump: "PRAGMA writable_schema=ON;INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts5(a)');", want: "refused_pragma writable_schema 1; refused_statement sqlite_schema 1", onlyD1: true},
		"fts5":                {dump: "CREATE VIRTUAL TABLE f USING fts5(a);INSERT INTO f VALUES('x');"},
		"another module":      {dump: "CREATE VIRTUAL TABLE f USING csv(filename='x');", want: "refused_statement f 1"},
		"D1's own":            {dump: "CREATE TABLE _cf_KV(a);", want: "refused_statement _cf_KV 1", onlyD1: true},
		"TEMP":                {dump: "CREATE TEMP TABLE t(a);", want: "refused_statement TEMP 1", onlyD1: true},
		"commented":           {dump: "CREATE VIEW v AS SELECT 1 --;\nCREATE TABLE t(a);", want: "commented_semicolon v 1"},
		"commented at last":   {dump: "CREATE VIEW v AS SELECT 1 --;\n", want: "commented_semicolon v 1"},
		"no SQL":              {dump: "CREATE TABLE t(a);\nfailed;", want: "refused_statement 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, obstacles(t, tt.dump)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := loadAsItIs(t, tt.dump); !tt.onlyD1 && (err != nil) != (tt.want != "") {
				t.Errorf("the engine says: %v", err)
			}
		})
	}
}

// What is said of the dump of every case is what an engine with D1's limits does
// with it.
func TestImportableAgreesWithTheEngine(t *testing.T) {
	t.Parallel()
	verdicts := map[bool]int{}
	for _, tt := range dumptest.Cases(t) {
		text := dumptest.AsD1(t, dumptest.Build(t, tt.SQL))
		said, err := obstacles(t, text), loadAsItIs(t, text)
		verdicts[err == nil]++
		if (said == "") != (err == nil) {
			t.Errorf("%s: said %q, the engine: %v", tt.Name, said, err)
		}
	}
	if verdicts[true] < 5 || verdicts[false] < 5 {
		t.Errorf("loaded or not: %v", verdicts)
	}
}

// What Patina writes of every case has no obstacle.
func TestWhatIsPlannedIsImportable(t *testing.T) {
	t.Parallel()
	for _, tt := range dumptest.Cases(t) {
		units, _ := planned(t, dumptest.AsD1(t, dumptest.Build(t, tt.SQL)))
		if said := obstacles(t, strings.Join(units, "")); said != "" {
			t.Errorf("%s: %s", tt.Name, said)
		}
	}
}

// A statement that is not kept in memory is too long in any case, and a dump that
// is none is an error.
func TestImportableEnds(t *testing.T) {
	t.Parallel()
	if got := obstacles(t, "CREATE TABLE t(a);INSERT INTO t VALUES('"+strings.Repeat("x", 20<<20)+"');"); got != "long_statement 1" {
		t.Errorf("a statement of 20 MiB: %q", got)
	}
	for _, text := range []string{"SQLite format 3", "CREATE TABLE t(a"} {
		if _, err := plan.Importable(strings.NewReader(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
