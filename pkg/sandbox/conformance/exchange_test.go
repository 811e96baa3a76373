package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/sandbox/conformance/workerdtest"
)

// exchangeCase is a restore of chosen tables into a database that went on.
type exchangeCase struct {
	name string
	// backup makes what the backup holds, and then is what happened since.
	backup, then []string
	choose       []string
	// error is a part of the refusal; empty where it succeeds.
	error string
	// want is asked of the database afterwards, with its answer.
	want map[string]string
}

func exchangeCases() []exchangeCase {
	const swap = "UPDATE p SET v=CASE id WHEN 1 THEN 'two' WHEN 2 THEN 'one' END"
	parent := func(v, key string) []string {
		return []string{
			"CREATE TABLE p(id INTEGER PRIMARY KEY, v " + v + ")", "INSERT INTO p VALUES(1,'one'),(2,'two')",
			"CREATE TABLE c(p REFERENCES p(id) " + key + ")", "INSERT INTO c VALUES(1),(2)",
		}
	}
	const rows, children = "SELECT group_concat(id||v) FROM (SELECT * FROM p ORDER BY id)", "SELECT group_concat(p) FROM (SELECT * FROM c ORDER BY rowid)"
	as := map[string]string{rows: "1one,2two", children: "1,2"}
	var cases []exchangeCase
	for _, action := range []string{"CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"} {
		cases = append(cases, exchangeCase{
			name: action, backup: parent("TEXT", "ON UPDATE "+action+" ON DELETE "+action),
			then:   []string{"UPDATE p SET v='x'", "INSERT INTO p VALUES(9,'new')", "CREATE TRIGGER g AFTER DELETE ON p BEGIN DELETE FROM c; END", "CREATE TRIGGER h AFTER UPDATE ON c BEGIN DELETE FROM c; END"},
			choose: []string{"p"}, want: as,
		})
	}
	return append(
		cases,
		exchangeCase{
			name: "swapped, an index", backup: append(parent("TEXT", "ON DELETE CASCADE"), "CREATE UNIQUE INDEX u ON p(v)"),
			then: []string{"UPDATE p SET v='x'||id", swap}, choose: []string{"p"}, want: as,
		},
		exchangeCase{
			name: "swapped, a partial index of an expression", backup: append(parent("TEXT", "ON DELETE CASCADE"), "CREATE UNIQUE INDEX u ON p(lower(v)) WHERE id>0"),
			then: []string{"UPDATE p SET v='x'||id", swap}, choose: []string{"p"}, want: as,
		},
		exchangeCase{
			name: "swapped, a column", backup: parent("TEXT UNIQUE", "ON DELETE CASCADE"),
			then: []string{"UPDATE p SET v='x'||id", swap}, choose: []string{"p"}, error: "UNIQUE constraint failed",
			want: map[string]string{rows: "1two,2one", children: "1,2"},
		},
		exchangeCase{
			name: "a new row that is pointed at", backup: parent("TEXT", "ON DELETE SET NULL"),
			then: []string{"INSERT INTO p VALUES(9,'new')", "INSERT INTO c VALUES(9)"}, choose: []string{"p"}, error: "rows of c point at rows of p",
			want: map[string]string{rows: "1one,2two,9new", children: "1,2,9"},
		},
		exchangeCase{
			name: "through one that is chosen",
			backup: []string{
				"CREATE TABLE p(id INTEGER PRIMARY KEY, v)", "INSERT INTO p VALUES(1,'one'),(2,'two')",
				"CREATE TABLE m(id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE CASCADE)", "INSERT INTO m VALUES(1,1),(2,2)",
				"CREATE TABLE c(p REFERENCES m(id) ON DELETE SET NULL)", "INSERT INTO c VALUES(1),(2)",
			},
			then: []string{"INSERT INTO p VALUES(9,'new')", "UPDATE m SET p=9 WHERE id=2"}, choose: []string{"m", "p"}, want: as,
		},
		exchangeCase{
			name: "a full-text index", backup: []string{"CREATE TABLE p(id INTEGER PRIMARY KEY, v)", "INSERT INTO p VALUES(1,'one'),(2,'two')"},
			then: []string{
				"CREATE VIRTUAL TABLE f USING fts5(v, content='p', content_rowid='id')", "DELETE FROM p", "INSERT INTO p VALUES(5,'five')", "INSERT INTO f(f) VALUES('rebuild')",
			},
			choose: []string{"p"},
			want:   map[string]string{rows: "1one,2two", "SELECT group_concat(rowid) FROM f WHERE f MATCH 'one OR two OR five'": "1,2"},
		},
	)
}

// TestExchangesAreThoseOfWorkerd brings chosen tables back, which says as much of
// foreign keys, triggers and unique values as the engine has in it.
func TestExchangesAreThoseOfWorkerd(t *testing.T) {
	t.Parallel()
	cases := exchangeCases()
	workerd := workerdtest.Start(t, len(cases))
	server, ours := startSandbox(t, nil)
	for i, c := range cases {
		source, err := server.Seed(t.Context(), fmt.Sprintf("source-%d", i), c.backup...)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		dump, refused := ours.export(t, source, nil)
		if refused != "" {
			t.Fatalf("%s: %s", c.name, refused)
		}
		statements := slices.Concat(c.backup, c.then)
		target := fmt.Sprintf("target-%d", i)
		id, err := server.Seed(t.Context(), target, statements...)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		real := subject{api{workerd.BaseURL, workerd.AccountID, workerd.Token}, workerd.Create(t, target, statements...)}
		var ends []imported
		for name, s := range map[string]subject{"workerd": real, "the sandbox": {ours, id}} {
			end := s.imports(t, s.id, s.exchange(t, string(dump), c.choose))
			end.Changes = 0 // they count otherwise what a full-text index writes
			ends = append(ends, end)
			if (end.Status == "complete") != (c.error == "") || !strings.Contains(end.Error, c.error) {
				t.Errorf("%s, %s: %+v, want %q", c.name, name, end, c.error)
			}
			for query, want := range c.want {
				if got := fmt.Sprint(s.rows(t, query)[0][0]); got != want {
					t.Errorf("%s, %s: %s are %s, want %s", c.name, name, query, got, want)
				}
			}
		}
		if diff := cmp.Diff(ends[0], ends[1]); diff != "" {
			t.Errorf("%s: the ends differ:\n%s", c.name, diff)
		}
	}
}

// exchange is a file that brings tables of a dump into what the database holds.
func (s subject) exchange(t *testing.T, dump string, tables []string) string {
	t.Helper()
	p, err := plan.Read(strings.NewReader(dump), int64(len(dump)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Only(tables); err != nil {
		t.Fatal(err)
	}
	var live []plan.Object
	for _, row := range s.rows(t, `SELECT type,name,coalesce(sql,'') FROM sqlite_schema WHERE name NOT LIKE '\_cf\_%' ESCAPE '\' ORDER BY rowid`) {
		live = append(live, plan.Object{Type: row[0].(string), Name: row[1].(string), SQL: row[2].(string)})
	}
	before, err := p.Into(live, false)
	if err != nil {
		t.Fatal(err)
	}
	file := "PRAGMA defer_foreign_keys=TRUE;\n" + strings.Join(before, "\n") + "\n"
	if err := p.WriteSQL(t.Context(), func(sql []byte, _ int) error { file += string(sql); return nil }); err != nil {
		t.Fatal(err)
	}
	return file
}
