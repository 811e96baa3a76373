package plan_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/dump/plan"
)

const shop = `CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);INSERT INTO users VALUES(1,'a');
CREATE TABLE "Order Lines"(id INTEGER PRIMARY KEY, u REFERENCES users(id) ON DELETE SET NULL);INSERT INTO "Order Lines" VALUES(7,1);
CREATE TABLE log(id INTEGER PRIMARY KEY AUTOINCREMENT, what);INSERT INTO log VALUES(3,'x');
DELETE FROM sqlite_sequence;INSERT INTO sqlite_sequence VALUES('users',5);INSERT INTO sqlite_sequence VALUES('log',9);
CREATE TABLE note(id, body);INSERT INTO note VALUES(1,'hello');CREATE VIRTUAL TABLE f USING fts5(body, content='note');
ANALYZE sqlite_schema;INSERT INTO sqlite_stat1 VALUES('users',NULL,'1');
CREATE INDEX "on" ON [USERS](name);CREATE UNIQUE INDEX li ON "order lines"(u);
CREATE TRIGGER tu AFTER UPDATE OF name ON "Users" BEGIN INSERT INTO log(what) VALUES(new.name); END;
CREATE TRIGGER tl AFTER INSERT ON log BEGIN UPDATE users SET name='log' WHERE id=new.id; END;
CREATE TRIGGER tv INSTEAD OF INSERT ON v BEGIN SELECT 1; END;
CREATE VIEW v AS SELECT x.users FROM "users" AS x;CREATE VIEW w AS SELECT x.log, 'users' FROM note AS x;`

// What is left of a plan, and what that depends on.
func TestOnly(t *testing.T) {
	t.Parallel()
	const begin = "PRAGMA defer_foreign_keys=TRUE;\n"
	for name, tt := range map[string]struct {
		tables       []string
		want         string
		dependencies []string
	}{
		"counter, index, trigger": {
			tables: []string{"USERS", "users"},
			want: begin + "CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);\nINSERT INTO users VALUES(1,'a');\n" +
				"DELETE FROM sqlite_sequence WHERE name='users';\nINSERT INTO sqlite_sequence VALUES('users',5);\n" +
				"CREATE INDEX \"on\" ON [USERS](name);\nCREATE TRIGGER tu AFTER UPDATE OF name ON \"Users\" BEGIN INSERT INTO log(what) VALUES(new.name); END;\n",
			dependencies: []string{"referenced_by users table Order Lines SET NULL", "named_by users view v ", "trigger_names users table log ", "named_by users trigger tl "},
		},
		"a key to another": {
			tables:       []string{"order lines"},
			want:         begin + "CREATE TABLE \"Order Lines\"(id INTEGER PRIMARY KEY, u REFERENCES users(id) ON DELETE SET NULL);\nINSERT INTO \"Order Lines\" VALUES(7,1);\nCREATE UNIQUE INDEX li ON \"order lines\"(u);\n",
			dependencies: []string{"foreign_key Order Lines table users SET NULL"},
		},
		"an index and its rows": {
			tables: []string{"f", "note"},
			want: begin + "CREATE TABLE note(id, body);\nINSERT INTO note VALUES(1,'hello');\nCREATE VIRTUAL TABLE f USING fts5(body, content='note');\n" +
				"INSERT INTO \"f\" (\"f\") VALUES('rebuild');\n",
			dependencies: []string{"named_by note view w "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := plan.Read(strings.NewReader(shop), int64(len(shop)))
			if err != nil {
				t.Fatal(err)
			}
			found, err := p.Only(tt.tables)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			if err := p.WriteSQL(t.Context(), func(sql []byte, _ int) error { got.Write(sql); return nil }); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var dependencies []string
			for _, d := range found {
				dependencies = append(dependencies, fmt.Sprint(d.Kind, " ", d.Table, " ", d.Type, " ", d.Name, " ", d.Action))
			}
			if diff := cmp.Diff(tt.dependencies, dependencies); diff != "" {
				t.Errorf("dependencies (-want +got):\n%s", diff)
			}
		})
	}
}

// What cannot be chosen, and what may have been meant.
func TestOnlyRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		want error
		says string
	}{
		"user":         {plan.ErrNotThere, "user (there is users)"},
		"v":            {plan.ErrNotThere, "v is a view"},
		"nothing like": {plan.ErrNotThere, "nothing like"},
		"f":            {plan.ErrRefused, "those of note, which must be chosen, too"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := plan.Read(strings.NewReader(shop), int64(len(shop)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Only([]string{name}); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %v: %s", err, tt.want, tt.says)
			}
		})
	}
}

// What meets a chosen table in a database.
func TestInto(t *testing.T) {
	t.Parallel()
	users := plan.Object{Type: "table", Name: "users", SQL: "CREATE TABLE users(id INTEGER PRIMARY KEY, old)"}
	for name, tt := range map[string]struct {
		live []plan.Object
		want []string
		lost string
		says string
	}{
		"nothing":       {},
		"another table": {live: []plan.Object{{Type: "table", Name: "x", SQL: "CREATE TABLE x(a)"}}},
		"itself": {
			live: []plan.Object{users, {Type: "index", Name: "on", SQL: `CREATE INDEX "on" ON users(old)`}, {Type: "trigger", Name: "z", SQL: "CREATE TRIGGER z AFTER INSERT ON users BEGIN SELECT 1; END"}},
			want: []string{`DROP TRIGGER "z";`, `DROP TABLE "users";`}, lost: "{trigger z}",
		},
		"its index on another": {live: []plan.Object{{Type: "index", Name: "ON", SQL: `CREATE INDEX "ON" ON x(a)`}}, says: "the index on of the backup meets one (index)"},
		"its trigger of another": {
			live: []plan.Object{{Type: "trigger", Name: "tu", SQL: "CREATE TRIGGER tu AFTER INSERT ON x BEGIN SELECT 1; END"}},
			says: "the trigger tu of the backup meets one (trigger)",
		},
		"a view":                {live: []plan.Object{{Type: "view", Name: "users", SQL: "CREATE VIEW users AS SELECT 1"}}, says: "the table users of the backup meets one (view)"},
		"a child that cascades": {live: []plan.Object{users, {Type: "table", Name: "c", SQL: "CREATE TABLE c(u REFERENCES users ON DELETE CASCADE)"}}, says: "c points at it with ON DELETE CASCADE"},
		"a child that does not": {live: []plan.Object{users, {Type: "table", Name: "c", SQL: "CREATE TABLE c(u REFERENCES users ON DELETE NO ACTION)"}}, want: []string{`DROP TABLE "users";`}},
		"a child of a column":   {live: []plan.Object{users, {Type: "table", Name: "c", SQL: "CREATE TABLE c(u REFERENCES users(old))"}}, says: "the foreign key of c needs the columns old"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := plan.Read(strings.NewReader(shop), int64(len(shop)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Only([]string{"users"}); err != nil {
				t.Fatal(err)
			}
			got, err := p.Into(tt.live, false)
			if (err != nil) != (tt.says != "") || err != nil && (!errors.Is(err, plan.ErrUnsafe) || !strings.Contains(err.Error(), tt.says)) {
				t.Fatalf("%v, want %q", err, tt.says)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if lost := strings.Trim(fmt.Sprint(p.Lost()), "[]"); lost != tt.lost {
				t.Errorf("lost are %s, want %s", lost, tt.lost)
			}
		})
	}
}

// A full-text index takes the place of one that is there, and its shadow tables go
// with that.
func TestIntoTakesAnIndex(t *testing.T) {
	t.Parallel()
	p, err := plan.Read(strings.NewReader(shop), int64(len(shop)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Only([]string{"f", "note"}); err != nil {
		t.Fatal(err)
	}
	got, err := p.Into([]plan.Object{
		{Type: "table", Name: "note", SQL: "CREATE TABLE note(id, body)"},
		{Type: "table", Name: "F", SQL: "CREATE VIRTUAL TABLE F USING fts5(body, content='note')"},
		{Type: "table", Name: "F_data", SQL: "CREATE TABLE 'F_data'(id INTEGER PRIMARY KEY, block BLOB)"},
		{Type: "table", Name: "g", SQL: "CREATE VIRTUAL TABLE g USING fts5(body, content='NOTE')"},
	}, false)
	if diff := cmp.Diff([]string{`DROP TABLE "F";`, `DROP TABLE "note";`}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"g"}, p.Reindexed()); diff != "" || len(p.Stale()) > 0 {
		t.Errorf("stale %q, filled anew (-want +got):\n%s", p.Stale(), diff)
	}
}
