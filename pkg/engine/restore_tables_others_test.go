package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// Whatever foreign keys and triggers the live database has, the other tables hold
// the same after chosen ones were restored: every row, and every value in it.
func TestRestoreTablesKeepsOthers(t *testing.T) {
	t.Parallel()
	const parent = "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT)"
	audited := func(table string) []string {
		var triggers []string
		for _, when := range []string{"BEFORE", "AFTER"} {
			for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
				triggers = append(triggers, "CREATE TRIGGER "+table+when+event+" "+when+" "+event+" ON "+table+
					" BEGIN INSERT INTO audit VALUES('"+table+" "+when+" "+event+"'); END")
			}
		}
		return triggers
	}
	for name, tt := range map[string]struct {
		backup []string // after p, in the backup and the database
		then   []string // after the backup
		choose []string
		want   fault.Kind
	}{
		"cascade":            {backup: []string{"CREATE TABLE c(id, p REFERENCES p(id) ON UPDATE CASCADE ON DELETE CASCADE)"}},
		"set null":           {backup: []string{"CREATE TABLE c(id, p REFERENCES p(id) ON UPDATE SET NULL ON DELETE SET NULL)"}},
		"set default":        {backup: []string{"CREATE TABLE c(id, p DEFAULT 1 REFERENCES p(id) ON UPDATE SET DEFAULT ON DELETE SET DEFAULT)"}},
		"restrict":           {backup: []string{"CREATE TABLE c(id, p REFERENCES p(id) ON UPDATE RESTRICT ON DELETE RESTRICT)"}},
		"no action":          {backup: []string{"CREATE TABLE c(id, p REFERENCES p(id) ON UPDATE NO ACTION ON DELETE NO ACTION)"}},
		"update only":        {backup: []string{"CREATE TABLE c(id, p REFERENCES p(id) ON UPDATE CASCADE)"}},
		"deferred":           {backup: []string{"CREATE TABLE c(id, p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)"}},
		"deferred, set null": {backup: []string{"CREATE TABLE c(id, p REFERENCES p(id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED)"}},
		"itself":             {backup: []string{"CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE CASCADE, up REFERENCES c(id) ON DELETE SET NULL)"}},
		"through one that is chosen": {
			backup: []string{"CREATE TABLE m(id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE CASCADE)", "INSERT INTO m VALUES(1,1),(2,2)", "CREATE TABLE c(id, p REFERENCES m(id) ON DELETE CASCADE)"},
			choose: []string{"p", "m"},
		},
		"through one that is chosen, set null": {
			backup: []string{"CREATE TABLE m(id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE CASCADE)", "INSERT INTO m VALUES(1,1),(2,2)", "CREATE TABLE c(id, p REFERENCES m(id) ON DELETE SET NULL)"},
			choose: []string{"m", "p"},
		},
		"through the nulls of one that is chosen": {
			backup: []string{"CREATE TABLE m(id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE SET NULL)", "INSERT INTO m VALUES(1,1),(2,2)", "CREATE TABLE c(id, p REFERENCES m(id) ON DELETE CASCADE)"},
			choose: []string{"p", "m"},
		},
		"through two that are chosen": {
			backup: []string{
				"CREATE TABLE l(id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE CASCADE)", "INSERT INTO l VALUES(1,1),(2,2)",
				"CREATE TABLE m(id INTEGER PRIMARY KEY, p REFERENCES l(id) ON DELETE CASCADE)", "INSERT INTO m VALUES(1,1),(2,2)",
				"CREATE TABLE c(id, p REFERENCES m(id) ON DELETE SET NULL)",
			},
			choose: []string{"p", "l", "m"},
		},
		"through a key that came since": {
			backup: []string{"CREATE TABLE m(id INTEGER PRIMARY KEY, p)", "INSERT INTO m VALUES(1,1),(2,2)", "CREATE TABLE c(id, p REFERENCES m(id) ON DELETE RESTRICT)"},
			then:   []string{"DROP TABLE c", "DROP TABLE m", "CREATE TABLE m(id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE CASCADE)", "INSERT INTO m VALUES(1,1),(2,2)", "CREATE TABLE c(id, p REFERENCES m(id) ON DELETE CASCADE)", "INSERT INTO c(id,p) VALUES(1,1),(2,2)"},
			choose: []string{"p", "m"}, want: fault.Refused,
		},
		"a new row under one that is chosen": {
			backup: []string{"CREATE TABLE m(id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE CASCADE)", "INSERT INTO m VALUES(1,1),(2,2)", "CREATE TABLE c(id, p REFERENCES m(id) ON DELETE CASCADE)"},
			then:   []string{"INSERT INTO p VALUES(9,'new')", "UPDATE m SET p=9 WHERE id=2"},
			choose: []string{"p", "m"},
		},
		"a new row pointed at through one that is chosen": {
			backup: []string{"CREATE TABLE m(id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE CASCADE)", "INSERT INTO m VALUES(1,1),(2,2)", "CREATE TABLE c(id, p REFERENCES m(id) ON DELETE SET NULL)"},
			then:   []string{"INSERT INTO p VALUES(9,'new')", "INSERT INTO m VALUES(9,9)", "INSERT INTO c(id,p) VALUES(9,9)"},
			choose: []string{"p", "m"}, want: fault.Refused,
		},
		"a ring": {
			backup: []string{
				"CREATE TABLE m(id INTEGER PRIMARY KEY, p REFERENCES l(id) ON DELETE CASCADE)", "CREATE TABLE l(id INTEGER PRIMARY KEY, p REFERENCES m(id) ON DELETE SET NULL)",
				"INSERT INTO l VALUES(1,NULL),(2,NULL)", "INSERT INTO m VALUES(1,1),(2,2)", "UPDATE l SET p=id", "CREATE TABLE c(id, p REFERENCES m(id) ON DELETE CASCADE)",
			},
			then:   []string{"INSERT INTO l VALUES(9,1)", "UPDATE m SET p=9 WHERE id=1"},
			choose: []string{"l", "m", "p"},
		},
		"a chosen one that goes": {
			backup: []string{"CREATE TABLE m(id INTEGER PRIMARY KEY, p REFERENCES p(id) ON DELETE CASCADE)", "INSERT INTO m VALUES(1,1),(2,2)", "CREATE TABLE c(id, p REFERENCES m(id))"},
			choose: []string{"p", "m"},
		},
		"a chosen one by another key": {
			backup: []string{
				"CREATE TABLE k(v PRIMARY KEY, id UNIQUE)", "INSERT INTO k VALUES(1,1),(2,2)", "CREATE TABLE m(id PRIMARY KEY REFERENCES k(id) ON UPDATE CASCADE)", "INSERT INTO m VALUES(1),(2)",
				"CREATE TABLE c(id, p REFERENCES m(id) ON UPDATE CASCADE ON DELETE CASCADE)", "CREATE TABLE n(v REFERENCES k(v) ON DELETE CASCADE)",
			},
			then:   []string{"UPDATE k SET id=3 WHERE v=1"},
			choose: []string{"p", "k", "m"}, want: fault.Refused,
		},
		"views": {
			backup: []string{"CREATE TABLE c(id, p)"},
			then:   []string{"CREATE VIEW pv AS SELECT * FROM p", "CREATE TRIGGER pvi INSTEAD OF INSERT ON pv BEGIN INSERT INTO audit VALUES('view'); END"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.seed("app", append(append([]string{parent, "INSERT INTO p VALUES(1,'one'),(2,'two'),(3,'three')"}, tt.backup...),
				"INSERT INTO c(id,p) VALUES(1,1),(2,2)", "CREATE TABLE audit(what)")...)
			e := b.host(nil)
			b.night(e)
			b.seed("app", append(tt.then, "UPDATE p SET v='changed' WHERE id=1", "DELETE FROM p WHERE id=3", "INSERT INTO p VALUES(4,'four')")...)
			choose := tt.choose
			if choose == nil {
				choose = []string{"p"}
			}
			for _, table := range append([]string{"c"}, choose...) {
				b.seed("app", audited(table)...)
			}
			before := b.content("app")
			b.setClock(time.Date(2024, 12, 8, 11, 0, 0, 0, time.UTC))
			result, err := b.restoreTables(e, choose...)
			after := b.content("app")
			if fault.KindOf(err) != tt.want {
				t.Fatalf("%v, want %q\n%s", err, tt.want, after)
			}
			if err != nil {
				if before != after {
					t.Errorf("it was refused and is\n%s\nwant\n%s", after, before)
				}
				return
			}
			if got, want := withoutTables(after, choose), withoutTables(before, choose); got != want {
				t.Errorf("the others are\n%s\nwant\n%s", got, want)
			}
			if got := strings.Join(rowsFor(after, "p"), ""); result.State != engine.StateRestored || !result.Compared ||
				strings.Contains(got, "changed") || strings.Contains(got, "four") || !strings.Contains(got, "three") {
				t.Errorf("%+v, and the table holds %s", result, got)
			}
		})
	}
}

// withoutTables is a dump without these tables, their rows and what is on them.
func withoutTables(text string, tables []string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		of := false
		for _, table := range tables {
			of = of || strings.HasPrefix(line, `INSERT INTO "`+table+`"`) || strings.HasPrefix(line, "CREATE TABLE "+table+"(") || strings.Contains(line, " ON "+table+" ")
		}
		if !of {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
