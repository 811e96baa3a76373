package diff_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/diff"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/litedb"
)

func load(t *testing.T, text string) *litedb.DB {
	t.Helper()
	p, err := plan.Read(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	db, err := litedb.Load(t.Context(), litedb.InMemory, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Discard() })
	return db
}

// told is a result in short lines.
func told(r diff.Result) []string {
	var lines []string
	for _, o := range r.Schema {
		lines = append(lines, fmt.Sprint(o.Kind, " ", o.Type, " ", o.Name))
	}
	for _, t := range r.Tables {
		if t.Same() && len(t.OldOnly)+len(t.NewOnly) == 0 {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s by %s%v +%d -%d ~%d =%d old%v new%v", t.Name, t.By, t.Key, t.Added, t.Removed, t.Changed, t.Matched, t.OldOnly, t.NewOnly))
		for _, row := range t.Examples {
			lines = append(lines, fmt.Sprint("  ", row.Kind, " ", row.Key, " ", row.Changes))
		}
	}
	return lines
}

// What differs is told, with its key, and nothing else.
func TestCompare(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		old, new string
		want     []string
	}{
		"the same": {
			"CREATE TABLE t(id INTEGER PRIMARY KEY, v);INSERT INTO t VALUES(1,'a');",
			"CREATE TABLE t(id INTEGER PRIMARY KEY, v);INSERT INTO t VALUES(1,'a');", nil,
		},
		"rows": {
			"CREATE TABLE t(id INTEGER PRIMARY KEY, v, w);INSERT INTO t VALUES(1,'a',0),(2,'b',0),(3,'c',0),(9,'z',0);",
			"CREATE TABLE t(id INTEGER PRIMARY KEY, v, w);INSERT INTO t VALUES(1,'a',0),(3,'C',0),(4,'d',0),(9,'z',0);",
			[]string{
				"t by primaryKey[id] +1 -1 ~1 =2 old[] new[]", "  removed [{id 2}] []", "  changed [{id 3}] [{v c C}]", "  added [{id 4}] []",
			},
		},
		"kinds of values": {
			"CREATE TABLE t(id INTEGER PRIMARY KEY, v);INSERT INTO t VALUES(1,1),(2,1.5),(3,'1'),(4,X'31'),(5,NULL),(6,'a\x00b');",
			"CREATE TABLE t(id INTEGER PRIMARY KEY, v);INSERT INTO t VALUES(1,1.0),(2,1.5),(3,1),(4,'1'),(5,0),(6,'a\x00c');",
			[]string{
				"t by primaryKey[id] +0 -0 ~5 =1 old[] new[]", "  changed [{id 1}] [{v 1 1}]", "  changed [{id 3}] [{v 1 1}]", "  changed [{id 4}] [{v [49] 1}]",
			},
		},
		"composite keys and collations": {
			"CREATE TABLE t(a TEXT COLLATE NOCASE, b, PRIMARY KEY(a,b)) WITHOUT ROWID;INSERT INTO t VALUES('B',1),('a',1),('a',2);",
			"CREATE TABLE t(a TEXT COLLATE NOCASE, b, PRIMARY KEY(a,b)) WITHOUT ROWID;INSERT INTO t VALUES('a',1),('a',3),('B',1);",
			[]string{"t by primaryKey[a b] +1 -1 ~0 =2 old[] new[]", "  removed [{a a} {b 2}] []", "  added [{a a} {b 3}] []"},
		},
		"no key": {
			"CREATE TABLE t(v);INSERT INTO t VALUES('a'),('b');", "CREATE TABLE t(v);INSERT INTO t VALUES('a'),('c'),('d');",
			[]string{"t by rowid[rowid] +1 -0 ~1 =1 old[] new[]", "  changed [{rowid 2}] [{v b c}]", "  added [{rowid 3}] []"},
		},
		"schema": {
			"CREATE TABLE t(id INTEGER PRIMARY KEY, v, gone);INSERT INTO t VALUES(1,2,3);CREATE INDEX i ON t(v);CREATE VIEW w AS SELECT 1;",
			"CREATE TABLE t(id INTEGER PRIMARY KEY, v, came);INSERT INTO t VALUES(1,2,4);CREATE INDEX i ON t(v,id);CREATE TABLE n(x);INSERT INTO n VALUES(1);",
			[]string{
				"changed index i", "added table n", "changed table t", "removed view w",
				"n by rowid[rowid] +1 -0 ~0 =0 old[] new[]", "  added [{rowid 1}] []", "t by primaryKey[id] +0 -0 ~0 =1 old[gone] new[came]",
			},
		},
		"virtual tables": {
			"CREATE VIRTUAL TABLE f USING fts5(a);CREATE TABLE f_content(id,c0);INSERT INTO f_content VALUES(1,'x');",
			"CREATE VIRTUAL TABLE f USING fts5(a);CREATE TABLE f_content(id,c0);INSERT INTO f_content VALUES(1,'y');", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := diff.Compare(t.Context(), load(t, tt.old), load(t, tt.new), diff.Options{Examples: 1})
			if err != nil {
				t.Fatal(err)
			}
			if name == "kinds of values" {
				result, err = diff.Compare(t.Context(), load(t, tt.old), load(t, tt.new), diff.Options{Examples: 3})
			}
			if difference := cmp.Diff(tt.want, told(result)); difference != "" || err != nil {
				t.Errorf("%v (-want +got)\n%s", err, difference)
			}
			back, err := diff.Compare(t.Context(), load(t, tt.new), load(t, tt.old), diff.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for i, table := range back.Tables {
				forth := result.Tables[i]
				if table.Added != forth.Removed || table.Removed != forth.Added || table.Changed != forth.Changed || table.Matched != forth.Matched {
					t.Errorf("back: %+v, forth: %+v", table, forth)
				}
			}
		})
	}
}

// Only the tables that are named are compared, and one that is on neither side is
// an error.
func TestCompareTables(t *testing.T) {
	t.Parallel()
	old, new := load(t, "CREATE TABLE a(x);CREATE TABLE b(x);"), load(t, "CREATE TABLE a(x);INSERT INTO a VALUES(1);CREATE TABLE b(x,y);")
	result, err := diff.Compare(t.Context(), old, new, diff.Options{Tables: []string{"a"}})
	if err != nil || len(result.Schema) != 0 || len(result.Tables) != 1 || result.Same() {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := diff.Compare(t.Context(), old, new, diff.Options{Tables: []string{"nosuch"}}); err == nil {
		t.Error("a table that is nowhere was compared")
	}
}

// Who waits is told when a table begins, and then now and again, and need not wait
// for the end.
func TestProgressAndItsEnd(t *testing.T) {
	t.Parallel()
	side := func() *litedb.DB {
		return made(t, "CREATE TABLE a(x)", []string{
			"INSERT INTO a VALUES(1),(2)", "CREATE TABLE b(x)", "WITH n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<5000) INSERT INTO b SELECT i FROM n",
		})
	}
	old, new := side(), side()
	var told []string
	note := func(table string, rows int64) { told = append(told, fmt.Sprint(table, " ", rows)) }
	if _, err := diff.Compare(t.Context(), old, new, diff.Options{Progress: note}); err != nil {
		t.Fatal(err)
	}
	if difference := cmp.Diff([]string{"a 0", "b 4", "b 4096", "b 8192"}, told); difference != "" {
		t.Errorf("(-want +got)\n%s", difference)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	told = nil
	_, err := diff.Compare(ctx, old, new, diff.Options{Progress: func(table string, rows int64) {
		note(table, rows)
		if rows > 4000 {
			cancel(why)
		}
	}})
	if difference := cmp.Diff([]string{"a 0", "b 4", "b 4096"}, told); difference != "" || !errors.Is(err, why) {
		t.Errorf("%v (-want +got)\n%s", err, difference)
	}
}
