package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
)

// Everything goes, in an order that foreign keys, views and triggers allow, and
// nothing that a trigger would do happens.
func TestDrop(t *testing.T) {
	t.Parallel()
	all := append([]dumptest.Case{{Name: "keys, triggers and an index of words", SQL: []string{
		"CREATE TABLE parent(id INTEGER PRIMARY KEY)",
		"CREATE TABLE child(p NOT NULL REFERENCES parent(id) ON DELETE RESTRICT)",
		"CREATE TABLE grandchild(c REFERENCES Child(p))", "CREATE UNIQUE INDEX i ON child(p)",
		"INSERT INTO parent VALUES(1)", "INSERT INTO child VALUES(1)", "INSERT INTO grandchild VALUES(1)",
		"CREATE TABLE a(b REFERENCES b(a))", "CREATE TABLE b(a PRIMARY KEY REFERENCES a(b))",
		"CREATE VIEW v AS SELECT * FROM parent",
		"CREATE TRIGGER tr BEFORE DELETE ON child BEGIN SELECT raise(ABORT, 'no'); END",
		"CREATE VIRTUAL TABLE f USING fts5(x)", "CREATE TABLE f_node(x)", "CREATE TABLE \"od\"\"d\"(x)", "CREATE TABLE n(id INTEGER PRIMARY KEY AUTOINCREMENT)",
	}}}, dumptest.Cases(t)...)
	for _, tt := range all {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			db := dumptest.Build(t, append([]string{"PRAGMA foreign_keys=ON"}, tt.SQL...))
			var objects []plan.Object
			for _, row := range dumptest.Query(t, db, "SELECT type, name, coalesce(sql,'') FROM sqlite_schema") {
				objects = append(objects, plan.Object{Type: row[0].(string), Name: row[1].(string), SQL: row[2].(string)})
			}
			load(t, db, append([]string{"PRAGMA defer_foreign_keys=TRUE;"}, plan.Drop(objects)...))
			left := dumptest.Query(t, db, "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
			if len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// Tables and Objects are what is there after the load.
func TestTablesAndObjects(t *testing.T) {
	t.Parallel()
	text := "CREATE TABLE b(x);INSERT INTO b VALUES(1),(2);CREATE TABLE A(x);CREATE TABLE _cf_KV(x);INSERT INTO gone VALUES(1);" +
		"CREATE VIRTUAL TABLE f USING fts5(x);CREATE TABLE f_content(id,c0);INSERT INTO f_content VALUES(1,'x');CREATE INDEX i ON b(x);"
	p, err := plan.Read(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, table := range p.Tables() {
		got = append(got, table.Name)
	}
	for _, o := range p.Objects() {
		got = append(got, o.Type+" "+o.Name)
	}
	if diff := cmp.Diff([]string{"A", "b", "virtual f", "index i"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
