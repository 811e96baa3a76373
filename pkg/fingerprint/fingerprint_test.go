package fingerprint_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/fingerprint"
)

// of is the fingerprint of the table t that the statements make.
func of(t *testing.T, statements ...string) string {
	t.Helper()
	return take(t, dumptest.Build(t, statements), "t")
}

func take(t *testing.T, db *sql.DB, table string) string {
	t.Helper()
	var columns []string
	for _, row := range dumptest.Query(t, db, fingerprint.Columns(table)) {
		columns = append(columns, row[0].(string))
	}
	rows := dumptest.Query(t, db, fingerprint.Query(table, columns))
	if len(rows) != 1 || len(rows[0]) != len(columns) {
		t.Fatalf("%d rows for an answer: %v", len(rows), rows)
	}
	var answer []string
	for _, cell := range rows[0] {
		answer = append(answer, cell.(string))
	}
	return fingerprint.Of(columns, answer)
}

func TestAChangeIsSeen(t *testing.T) {
	const schema = "CREATE TABLE t(a, b)"
	before := of(t, schema, "INSERT INTO t VALUES(1,'one'),(2,'two'),(3,NULL)")
	for name, rows := range map[string]string{
		"a row less":                      "(1,'one'),(2,'two')",
		"a row more":                      "(1,'one'),(2,'two'),(3,NULL),(NULL,NULL)",
		"a row twice for another":         "(1,'one'),(1,'one'),(3,NULL)",
		"an integer":                      "(1,'one'),(4,'two'),(3,NULL)",
		"an integer for a real":           "(1.0,'one'),(2,'two'),(3,NULL)",
		"an integer for a text":           "('1','one'),(2,'two'),(3,NULL)",
		"a text for a blob":               "(1,X'6f6e65'),(2,'two'),(3,NULL)",
		"NULL for an empty text":          "(1,'one'),(2,'two'),(3,'')",
		"a letter at the beginning":       "(1,'One'),(2,'two'),(3,NULL)",
		"a letter in the middle":          "(1,'oNe'),(2,'two'),(3,NULL)",
		"a letter at the end":             "(1,'onE'),(2,'two'),(3,NULL)",
		"a longer text":                   "(1,'one '),(2,'two'),(3,NULL)",
		"values that swapped their rows":  "(1,'two'),(2,'one'),(3,NULL)",
		"values that swapped the columns": "('one',1),('two',2),(NULL,3)",
		"two changes of the same size":    "(0,'one'),(3,'two'),(3,NULL)",
	} {
		if of(t, schema, "INSERT INTO t VALUES"+rows) == before {
			t.Errorf("%s is not seen", name)
		}
	}
	for name, statements := range map[string][]string{
		"another order of rows": {schema, "INSERT INTO t VALUES(3,NULL),(1,'one'),(2,'two')"},
		"other rowids":          {schema, "INSERT INTO t(rowid,a,b) VALUES(7,1,'one'),(9,2,'two'),(8,3,NULL)"},
		"a generated column":    {"CREATE TABLE t(a, b, c AS (a+1), d AS (b) STORED)", "INSERT INTO t VALUES(1,'one'),(2,'two'),(3,NULL)"},
	} {
		if of(t, statements...) != before {
			t.Errorf("%s makes another fingerprint", name)
		}
	}
}

// What D1's export is known to change must be seen, each in a column of its own.
func TestWhatExportsLoseIsSeen(t *testing.T) {
	for name, pair := range map[string][2]string{
		"a large integer":     {"9007199254740993", "9007199254740992"},
		"the largest integer": {"9223372036854775807", "9.2233720368547758e18"},
		"a literal \\n":       {`'a\nb' || char(10)`, `'a' || char(10) || 'b' || char(10)`},
		"invalid UTF-8":       {"CAST(X'ff' AS TEXT)", "CAST(X'efbfbd' AS TEXT)"},
		"a whole real":        {"1.0", "1"},
		"an infinity":         {"9e999", "NULL"},
		"a text after a NUL":  {"'a' || char(0) || 'b'", "'a'"},
	} {
		was, is := of(t, "CREATE TABLE t(v)", "INSERT INTO t VALUES("+pair[0]+")"), of(t, "CREATE TABLE t(v)", "INSERT INTO t VALUES("+pair[1]+")")
		if was == is {
			t.Errorf("%s is not seen", name)
		}
	}
}

// A real may be parsed to its neighbour by another version of SQLite.
func TestTheLastDigitOfARealIsNotSeen(t *testing.T) {
	if of(t, "CREATE TABLE t(v)", "INSERT INTO t VALUES(0.1)") != of(t, "CREATE TABLE t(v)", "INSERT INTO t VALUES(0.10000000000000002)") {
		t.Error("it is seen")
	}
}

func TestTheLargestOfAllIsAnswered(t *testing.T) {
	const columns = 100 // as many as D1 takes
	var names, values []string
	for i := range columns {
		names = append(names, fmt.Sprintf("\"%s%d\"", strings.Repeat(`a long "" name `, 8), i))
		values = append(values, []string{"9223372036854775807", "-9223372036854775808", "1e308", "zeroblob(100000)"}[i%4])
	}
	db := dumptest.Build(t, []string{
		"CREATE TABLE t(" + strings.Join(names, ",") + ")",
		"WITH n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<50) INSERT INTO t SELECT " + strings.Join(values, ",") + " FROM n",
	})
	var all []string
	for _, row := range dumptest.Query(t, db, fingerprint.Columns("t")) {
		all = append(all, row[0].(string))
	}
	if n := len(fingerprint.Query("t", all)); n > 100_000 {
		t.Errorf("the query has %d bytes", n)
	}
	take(t, db, "t")
	take(t, dumptest.Build(t, []string{`CREATE TABLE "or""der"(x)`}), `or"der`)
}
