package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// Values that must be unique and were exchanged since the backup come back in
// place, or it is refused with the reason, and everything is as it was.
func TestRestoreTablesExchangesUniqueValues(t *testing.T) {
	t.Parallel()
	const (
		plain = "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT, w TEXT)"
		swap  = "UPDATE p SET v=CASE id WHEN 1 THEN 'two' WHEN 2 THEN 'one' ELSE v END, w=CASE id WHEN 1 THEN 'b' WHEN 2 THEN 'a' ELSE w END WHERE id<3"
		chain = "UPDATE p SET v=CASE id WHEN 1 THEN 'two' WHEN 2 THEN 'three' WHEN 3 THEN 'one' END, w=CASE id WHEN 1 THEN 'b' WHEN 2 THEN 'c' WHEN 3 THEN 'a' END"
	)
	// SQLite looks at each row by itself: it takes a step by values of its own.
	by := func(then string) []string { return []string{"UPDATE p SET v='x'||id, w='y'||id", then} }
	for name, tt := range map[string]struct {
		parent, index string
		then          []string // after the backup
		want          fault.Kind
	}{
		"swapped, an index":             {parent: plain, index: "CREATE UNIQUE INDEX u ON p(v)", then: by(swap)},
		"a chain, an index":             {parent: plain, index: "CREATE UNIQUE INDEX u ON p(v)", then: by(chain)},
		"swapped, a composite index":    {parent: plain, index: "CREATE UNIQUE INDEX u ON p(v, w)", then: by(swap)},
		"a chain, a composite index":    {parent: plain, index: "CREATE UNIQUE INDEX u ON p(w, v)", then: by(chain)},
		"swapped, a partial index":      {parent: plain, index: "CREATE UNIQUE INDEX u ON p(v) WHERE id<3", then: by(swap)},
		"swapped, an expression":        {parent: plain, index: "CREATE UNIQUE INDEX u ON p(lower(v), w||v)", then: by(swap)},
		"an index that came since":      {parent: plain, then: append(by(swap), "CREATE UNIQUE INDEX since ON p(v)")},
		"swapped, a column":             {parent: "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT UNIQUE, w TEXT)", then: by(swap), want: fault.Refused},
		"a chain, a column":             {parent: "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT UNIQUE NOT NULL, w TEXT)", then: by(chain), want: fault.Refused},
		"swapped, columns":              {parent: "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT, w TEXT, UNIQUE(v, w))", then: by(swap), want: fault.Refused},
		"swapped, no rowid":             {parent: "CREATE TABLE p(id INT PRIMARY KEY, v TEXT, w TEXT, UNIQUE(w)) WITHOUT ROWID", then: by(swap), want: fault.Refused},
		"of a row that went":            {parent: "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT UNIQUE, w TEXT)", then: []string{"UPDATE p SET v='x' WHERE id=3", "INSERT INTO p VALUES(9,'three','c')"}},
		"of a row that went, itself":    {parent: "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT UNIQUE, w TEXT, up REFERENCES p(id) ON DELETE SET NULL)", then: []string{"UPDATE p SET v='x' WHERE id=3", "INSERT INTO p(id,v,w) VALUES(9,'three','c')"}, want: fault.Refused},
		"of a row that went, unpointed": {parent: "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT UNIQUE, w TEXT)", then: []string{"DELETE FROM p WHERE id=3", "INSERT INTO p VALUES(9,'three','c')"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.seed("app", tt.parent, "INSERT INTO p(id,v,w) VALUES(1,'one','a'),(2,'two','b'),(3,'three','c')",
				"CREATE TABLE c(p REFERENCES p(id) ON DELETE CASCADE)", "INSERT INTO c VALUES(1),(2)")
			if tt.index != "" {
				b.seed("app", tt.index)
			}
			e := b.host(nil)
			b.night(e)
			backup := b.content("app")
			b.seed("app", tt.then...)
			before := b.content("app")
			b.setClock(time.Date(2024, 12, 8, 11, 0, 0, 0, time.UTC))
			result, err := b.restoreTables(e, "p")
			after, want := b.content("app"), backup
			if err != nil {
				want = before
			}
			if fault.KindOf(err) != tt.want || after != want {
				t.Fatalf("%v, want %q, and it holds\n%s\nwant\n%s", err, tt.want, after, want)
			}
			switch {
			case err == nil && result.State != engine.StateRestored,
				err != nil && (result.State == engine.StateRestored || !strings.Contains(err.Error(), "values that must be unique") || len(fault.Hints(err)) == 0):
				t.Errorf("%s: %v (%v)", result.State, err, fault.Hints(err))
			}
		})
	}
}
