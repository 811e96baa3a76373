package engine_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// Chosen tables take the place of those of a live database, and no row of another
// is lost by it, whatever its foreign keys do: or it is refused.
func TestRestoreTablesKeepsChildren(t *testing.T) {
	t.Parallel()
	const parent = "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT, up REFERENCES p(id) ON DELETE CASCADE)"
	for name, tt := range map[string]struct {
		parent, child string
		then          []string // after the backup
		want          fault.Kind
		says          string
	}{
		"cascade":            {child: "p REFERENCES p(id) ON DELETE CASCADE"},
		"cascade, implied":   {child: "p REFERENCES P ON UPDATE CASCADE ON DELETE CASCADE"},
		"set null":           {child: "p REFERENCES p(id) ON DELETE SET NULL"},
		"set default":        {child: "p DEFAULT 1 REFERENCES p(id) ON DELETE SET DEFAULT"},
		"restrict":           {child: "p REFERENCES p(id) ON DELETE RESTRICT"},
		"no action":          {child: "p REFERENCES p(id)"},
		"of a table":         {child: "p, CHECK(p>0), FOREIGN KEY(p) REFERENCES p(id) ON DELETE CASCADE"},
		"a new row":          {child: "p REFERENCES p(id) ON DELETE CASCADE", then: []string{"INSERT INTO p VALUES(9,'new',NULL)"}},
		"a new row pointed":  {child: "p REFERENCES p(id) ON DELETE CASCADE", then: []string{"INSERT INTO p VALUES(9,'new',NULL)", "INSERT INTO c VALUES(3,9)"}, want: fault.Refused, says: "rows of c point at rows of p that the backup does not have"},
		"pointed, no action": {child: "p REFERENCES p(id)", then: []string{"INSERT INTO p VALUES(9,'new',NULL)", "INSERT INTO c VALUES(3,9)"}, want: fault.Refused, says: "rows of other tables point at rows that the backup does not have"},
		"under a new row":    {child: "p REFERENCES p(id) ON DELETE CASCADE", then: []string{"INSERT INTO p VALUES(9,'new',NULL)", "UPDATE p SET up=9 WHERE id=2"}},
		"a missing row":      {child: "p REFERENCES p(id) ON DELETE CASCADE", then: []string{"INSERT INTO p VALUES(9,'new',NULL)", "DELETE FROM c WHERE p=2", "DELETE FROM p WHERE id=2", "INSERT INTO c VALUES(2,1)"}},
		"another schema":     {child: "p REFERENCES p(id) ON DELETE CASCADE", then: []string{"ALTER TABLE p ADD COLUMN more"}, want: fault.Refused, says: "the table was made in another way"},
		"a key of another":   {parent: "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT UNIQUE, up)", child: "p REFERENCES p(v) ON DELETE CASCADE", want: fault.Refused, says: "something else than its primary key"},
		"no primary key":     {parent: "CREATE TABLE p(id UNIQUE, v TEXT, up)", child: "p REFERENCES p(id) ON DELETE SET NULL", want: fault.Refused, says: "it has no primary key"},
		"a unique value":     {parent: "CREATE TABLE p(id TEXT PRIMARY KEY, v TEXT UNIQUE, up)", child: "p REFERENCES p(id) ON DELETE CASCADE", then: []string{"INSERT INTO p VALUES('x','gone',NULL)", "UPDATE p SET v='other' WHERE id=1"}},
		"swapped values": {
			parent: "CREATE TABLE p(id TEXT PRIMARY KEY, v TEXT UNIQUE, up)", child: "p REFERENCES p(id) ON DELETE CASCADE",
			then: []string{"UPDATE p SET v='x' WHERE id=1", "UPDATE p SET v='one' WHERE id=2", "UPDATE p SET v='two' WHERE id=1"},
			want: fault.Refused, says: "values that must be unique are on other rows than in the backup",
		},
		"swapped values of a unique index": {
			parent: "CREATE TABLE p(id TEXT PRIMARY KEY, v TEXT, up)", child: "p REFERENCES p(id) ON DELETE CASCADE",
			then: []string{"CREATE UNIQUE INDEX pu ON p(v)", "UPDATE p SET v='x' WHERE id=1", "UPDATE p SET v='one' WHERE id=2", "UPDATE p SET v='two' WHERE id=1"},
		},
		"live triggers": {
			child: "p REFERENCES p(id) ON DELETE CASCADE",
			then: []string{
				"CREATE TRIGGER a1 AFTER INSERT ON p BEGIN DELETE FROM c; END", "CREATE TRIGGER a2 AFTER UPDATE ON p BEGIN DELETE FROM c; END",
				"CREATE TRIGGER a3 BEFORE DELETE ON p BEGIN DELETE FROM c; END", "CREATE TRIGGER a4 AFTER UPDATE ON c BEGIN DELETE FROM c; END",
			},
		},
		"live triggers, dropped": {
			child: "p REFERENCES p(id)",
			then: []string{
				"CREATE TRIGGER a1 AFTER INSERT ON p BEGIN DELETE FROM c; END", "CREATE TRIGGER a3 BEFORE DELETE ON p BEGIN DELETE FROM c; END",
			},
		},
		"two columns": {parent: "CREATE TABLE p(id INT, v TEXT, up, PRIMARY KEY(id, v)) WITHOUT ROWID", child: "p, v GENERATED ALWAYS AS (iif(p=1,'one','two')), FOREIGN KEY(p,v) REFERENCES p(id,v) ON DELETE CASCADE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if tt.parent == "" {
				tt.parent = parent
			}
			b.seed("app", tt.parent, "CREATE INDEX pv ON p(v)", "INSERT INTO p VALUES(1,'one',NULL),(2,'two',NULL)",
				"CREATE TRIGGER pt AFTER DELETE ON p BEGIN DELETE FROM c; END",
				"CREATE TABLE c(id INTEGER PRIMARY KEY, "+tt.child+")")
			if strings.Contains(tt.child, "p(v)") {
				b.seed("app", "INSERT INTO c(id,p) VALUES(1,'one'),(2,'two')")
			} else {
				b.seed("app", "INSERT INTO c(id,p) VALUES(1,1),(2,2)")
			}
			e := b.host(nil)
			b.night(e)
			b.seed("app", append([]string{"DROP TRIGGER pt", "UPDATE p SET up=NULL"}, tt.then...)...)
			var before strings.Builder
			if err := b.d1.Dump(t.Context(), "app", &before); err != nil {
				t.Fatal(err)
			}
			b.setClock(time.Date(2024, 12, 8, 11, 0, 0, 0, time.UTC))
			result, err := b.restoreTables(e, "p")
			var after strings.Builder
			if dumpErr := b.d1.Dump(t.Context(), "app", &after); dumpErr != nil {
				t.Fatal(dumpErr)
			}
			if fault.KindOf(err) != tt.want || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("%v, want %s %s", err, tt.want, tt.says)
			}
			if err != nil {
				if before.String() != after.String() {
					t.Errorf("it was refused and is\n%s\nwant\n%s", after.String(), before.String())
				}
				return
			}
			if got, want := rowsFor(after.String(), "c"), rowsFor(before.String(), "c"); !slices.Equal(got, want) || len(got) != 2 {
				t.Errorf("the children are %q, want %q", got, want)
			}
			if result.State != engine.StateRestored || !result.Compared || !strings.Contains(after.String(), "TRIGGER pt") || strings.Contains(after.String(), "patina") {
				t.Errorf("%+v\n%s", result, after.String())
			}
			if got := rowsFor(after.String(), "p"); len(got) != 2 || !strings.Contains(got[0], "'one'") || !strings.Contains(got[1], "'two'") {
				t.Errorf("the table holds %q", got)
			}
		})
	}
}

// rowsFor are the INSERTs of a table in a dump.
func rowsFor(text, table string) []string {
	var rows []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, `INSERT INTO "`+table+`"`) {
			rows = append(rows, line)
		}
	}
	return rows
}

// restoreTables replaces tables of app by those of the night's backup.
func (b *bench) restoreTables(e *engine.Engine, tables ...string) (engine.RestoreResult, error) {
	b.t.Helper()
	source := b.source(e, "2024-12-08T03:01", "app")
	if err := source.Only(tables); err != nil {
		b.t.Fatal(err)
	}
	return e.Restore(b.t.Context(), engine.RestoreRequest{Source: source, Target: "app", Replace: true})
}

// A chosen table comes beside one that only Unicode takes for the same.
func TestRestoreTablesTakesNamesAsSQLite(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.seed("app", "CREATE TABLE É(v)", "INSERT INTO É VALUES('of the backup')")
	e := b.host(nil)
	b.night(e)
	b.seed("app", "DROP TABLE É", "CREATE TABLE é(v)", "INSERT INTO é VALUES('since')")
	b.setClock(time.Date(2024, 12, 8, 11, 0, 0, 0, time.UTC))
	result, err := b.restoreTables(e, "É")
	if err != nil || len(result.Replaced.Tables) != 0 || !result.Compared {
		t.Errorf("%+v, %v", result, err)
	}
	var after strings.Builder
	if err := b.d1.Dump(t.Context(), "app", &after); err != nil {
		t.Fatal(err)
	}
	if len(rowsFor(after.String(), "É")) != 1 || len(rowsFor(after.String(), "é")) != 1 {
		t.Errorf("it holds\n%s", after.String())
	}
}

// A full-text index over a chosen table is kept by triggers, and none fires when its
// rows are exchanged: it is filled anew, or told where it cannot be.
func TestRestoreTablesFillsIndexesAnew(t *testing.T) {
	t.Parallel()
	const index = "CREATE VIRTUAL TABLE docs_fts USING fts5(title, body, content='docs', content_rowid=id)"
	for name, tt := range map[string]struct {
		then             []string // after the backup
		reindexed, stale []string // of stale ones, what is told
	}{
		"filled": {then: []string{index}, reindexed: []string{"docs_fts"}},
		"another schema": {then: []string{
			"ALTER TABLE docs ADD COLUMN tags", "CREATE VIRTUAL TABLE docs_fts USING fts5(title, tags, content=docs, content_rowid=id)",
		}, stale: []string{"docs_fts: it has columns that the backup does not have"}},
		"with its own rows": {
			then:  []string{"CREATE VIRTUAL TABLE docs_fts USING fts5(title, body)"},
			stale: []string{"docs_fts: its rows are its own, and the trigger docs_new kept them"},
		},
		"without content": {
			then:  []string{"CREATE VIRTUAL TABLE docs_fts USING fts5(title, body, content='')"},
			stale: []string{"docs_fts: it keeps no content of which it could be filled, and the trigger docs_new kept it"},
		},
		"over a view": {then: []string{
			"CREATE VIEW titles AS SELECT id, title FROM docs", "CREATE VIRTUAL TABLE docs_fts USING fts5(title, content='titles', content_rowid='id')",
		}, stale: []string{"docs_fts: it is over the view titles"}},
		"over another": {then: []string{"CREATE TABLE notes(id INTEGER PRIMARY KEY, title)", "CREATE VIRTUAL TABLE docs_fts USING fts5(title, content=notes)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.seed("app", "CREATE TABLE docs(id INTEGER PRIMARY KEY, title, body)", "INSERT INTO docs VALUES(1,'one','first words'),(2,'two','second words')")
			e := b.host(nil)
			b.night(e)
			b.seed("app", append(tt.then,
				"CREATE TRIGGER docs_new AFTER INSERT ON docs BEGIN INSERT INTO docs_fts(rowid,title) VALUES(new.id,new.title); END",
				"DELETE FROM docs", "INSERT INTO docs(id,title) VALUES(7,'later')")...)
			b.setClock(time.Date(2024, 12, 8, 11, 0, 0, 0, time.UTC))
			source := b.source(e, "2024-12-08T03:01", "app")
			if err := source.Only([]string{"docs"}); err != nil {
				t.Fatal(err)
			}
			// D1 exports no database with a virtual table, so that there is no
			// safety backup.
			result, err := e.Restore(t.Context(), engine.RestoreRequest{Source: source, Target: "app", Replace: true, NoSafetyBackup: true})
			var stale []string
			for _, index := range result.Stale {
				stale = append(stale, index.Name+": "+index.Why)
			}
			if err != nil || !slices.Equal(result.Reindexed, tt.reindexed) || !slices.Equal(stale, tt.stale) {
				t.Fatalf("filled anew %q, stale %q: %v", result.Reindexed, stale, err)
			}
			if tt.reindexed == nil {
				return
			}
			found, err := b.client(nil).Raw(t.Context(), b.ids["app"], "SELECT group_concat(rowid) FROM docs_fts WHERE docs_fts MATCH 'words'")
			if err != nil || found[0].Rows[0][0] != "1,2" {
				t.Errorf("the index finds %v, %v", found, err)
			}
			found, err = b.client(nil).Raw(t.Context(), b.ids["app"], "SELECT count(*) FROM docs_fts WHERE docs_fts MATCH 'later'")
			if err != nil || found[0].Rows[0][0] != json.Number("0") {
				t.Errorf("of what is gone the index finds %v, %v", found, err)
			}
		})
	}
}
