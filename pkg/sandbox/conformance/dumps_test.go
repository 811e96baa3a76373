package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/sandbox/conformance/workerdtest"
)

// more are databases beyond the fidelity cases, for the forms of names, values
// and objects that a dump can hold.
func more() []fidelityCase {
	return []fidelityCase{
		{"empty", nil},
		{"integers", []string{
			"CREATE TABLE t(v)",
			"INSERT INTO t VALUES(0),(-1),(9007199254740991),(9007199254740992),(9007199254740993),(-9007199254740993)",
			"INSERT INTO t VALUES(1152921504606846977),(4611686018427387905),(9223372036854775807),(-9223372036854775808)",
			"INSERT INTO t VALUES(100000000000000000),(999999999999999999),(123456789012345678)",
		}},
		{"reals", []string{
			"CREATE TABLE t(v REAL)",
			"INSERT INTO t VALUES(0.1),(1.5),(-2.25),(1e20),(1e21),(1.5e21),(123456789012345680000.0),(1e-6),(1e-7),(1.25e-7),(5e-324)",
			"INSERT INTO t VALUES(1.7976931348623157e308),(2.2250738585072014e-308),(0.30000000000000004),(-0.0),(1e300),(100.0),(3.0)",
		}},
		{"infinities", []string{"CREATE TABLE t(v)", "INSERT INTO t VALUES(9e999),(-9e999)"}},
		{"texts", []string{
			"CREATE TABLE t(v TEXT)",
			"INSERT INTO t VALUES(''),('it''s'),('a' || char(10) || 'b'),('a' || char(13) || 'b'),('a' || char(13,10) || 'b')",
			`INSERT INTO t VALUES('a\nb'),('a\nb' || char(10)),('a\rb' || char(13)),('tab' || char(9)),('\'),('--'),('/*'),(';')`,
			"INSERT INTO t VALUES('é'),('🌲'),(char(0x2028)),(char(1)),('\"')",
		}},
		{"dates", []string{
			"CREATE TABLE t(d DATE, e DATETIME, f TIMESTAMP, g BOOLEAN)",
			"INSERT INTO t VALUES('2024-12-08','2024-12-08 10:15:00','2024-12-08T10:15:00.123Z',1),(20241208,1733652900,'never',0)",
		}},
		{"blobs", []string{"CREATE TABLE t(v BLOB)", "INSERT INTO t VALUES(X''),(X'00'),(X'0a0d27'),(zeroblob(20))"}},
		{"every_quoting", []string{
			"CREATE TABLE `back tick`(`a b` INT)", "INSERT INTO `back tick` VALUES(1)",
			"CREATE TABLE [square]([c d] INT)", "INSERT INTO [square] VALUES(2)",
			"CREATE TABLE 'single'(e INT)", "INSERT INTO 'single' VALUES(3)",
			`CREATE TABLE "order"("index" INT, "a""b" INT)`, `INSERT INTO "order" VALUES(4,5)`,
			"CREATE TABLE IF NOT EXISTS plain(f INT)", "INSERT INTO plain VALUES(6)",
			"create table lower(g int)", "INSERT INTO lower VALUES(7)",
			"CREATE TABLE ünïcode(h INT)", "INSERT INTO ünïcode VALUES(8)",
		}},
		{"objects", []string{
			"CREATE TABLE a(id INTEGER PRIMARY KEY, v TEXT UNIQUE)", "CREATE TABLE b(x, y, PRIMARY KEY(x, y)) WITHOUT ROWID",
			"CREATE VIEW z AS SELECT * FROM a", "CREATE INDEX i2 ON b(y)", "CREATE INDEX i1 ON a(v DESC)",
			"CREATE TRIGGER t2 AFTER INSERT ON a BEGIN UPDATE b SET y = 1; END",
			"CREATE UNIQUE INDEX i3 ON b(x) WHERE y > 1",
			"CREATE TRIGGER t1 BEFORE DELETE ON a BEGIN SELECT 1; END",
			"CREATE VIEW w AS SELECT 1 AS one",
			"INSERT INTO b VALUES('k2',1),('k1',2)",
		}},
		{"covered", []string{
			"CREATE TABLE t(v TEXT)", "CREATE INDEX i ON t(v)", "INSERT INTO t VALUES('c'),('a'),('b')",
		}},
		{"dropped_sequence", []string{
			"CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT)", "INSERT INTO t DEFAULT VALUES", "DROP TABLE t", "CREATE TABLE u(x)",
		}},
		{"renamed", []string{
			"CREATE TABLE t(a, b)", "INSERT INTO t VALUES(1,2)", "ALTER TABLE t RENAME TO t2", "ALTER TABLE t2 ADD COLUMN c DEFAULT 'x'",
			"ALTER TABLE t2 RENAME COLUMN a TO aa", "ALTER TABLE t2 DROP COLUMN b",
		}},
		{"rows_and_deletes", []string{
			"CREATE TABLE t(id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES(5,'e'),(1,'a'),(3,'c')", "DELETE FROM t WHERE id = 3", "INSERT INTO t VALUES(2,'b')",
		}},
	}
}

// TestDumpsAreThoseOfWorkerd compares the dumps of every case, byte for byte.
func TestDumpsAreThoseOfWorkerd(t *testing.T) {
	t.Parallel()
	cases := append(slices.Concat(fidelityCases(t), more(), forms()), drawn())
	real := workerdtest.Start(t, len(cases))
	realAPI := api{real.BaseURL, real.AccountID, real.Token}
	server, ours := startSandbox(t, nil)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			realID := real.Create(t, c.Name, c.SQL...)
			id, err := server.Seed(t.Context(), c.Name, withSameBlobs(t, realAPI, realID, c.SQL)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, options := range dumpOptions() {
				want, wantRefused := realAPI.export(t, realID, options)
				got, gotRefused := ours.export(t, id, options)
				if wantRefused == "" && !bytes.HasPrefix(want, []byte("PRAGMA defer_foreign_keys=TRUE;\n")) {
					t.Errorf("with %v workerd's dump begins with %.60q", options, want)
				}
				if gotRefused != wantRefused {
					t.Errorf("with %v refused with %q, workerd with %q", options, gotRefused, wantRefused)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("with %v the dump differs (-workerd +sandbox):\n%s", options, cmp.Diff(short(want), short(got)))
				}
			}
		})
	}
}

func dumpOptions() []map[string]any {
	return []map[string]any{
		{},
		{"no_data": true},
		{"no_schema": true},
		{"no_schema": true, "no_data": true},
		{"tables": []string{"t"}},
		{"tables": []string{"t", "sqlite_sequence", "i", "w"}},
		{"tables": []string{"nosuch"}},
		{"tables": []string{"t", "b", "i2", "t1", "f_data"}, "no_data": true},
		{"tables": []string{"sqlite_sequence", "sqlite_stat1", "u", "T"}, "no_schema": true},
	}
}

// withSameBlobs replaces random blobs by those that workerd drew.
func withSameBlobs(t *testing.T, real api, id string, statements []string) []string {
	t.Helper()
	all := make([]string, len(statements))
	for i, statement := range statements {
		all[i] = statement
		if !strings.Contains(statement, "randomblob") {
			continue
		}
		var answer struct {
			Result []struct {
				Results []struct {
					ID  int    `json:"id"`
					Hex string `json:"h"`
				} `json:"results"`
			} `json:"result"`
		}
		_, text := real.call(t, http.MethodPost, "/"+id+"/query", map[string]string{"sql": "SELECT id, hex(v) AS h FROM t"})
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatal(err)
		}
		var rows []string
		for _, row := range answer.Result[0].Results {
			rows = append(rows, fmt.Sprintf("(%d,X'%s')", row.ID, row.Hex))
		}
		all[i] = "INSERT INTO t VALUES " + strings.Join(rows, ",")
	}
	return all
}

// short cuts the lines of a dump to what a person can compare.
func short(dump []byte) []string {
	lines := strings.SplitAfter(string(dump), "\n")
	for i, line := range lines {
		lines[i] = line[:min(len(line), 300)]
	}
	return lines
}
