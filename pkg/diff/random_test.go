package diff_test

import (
	"database/sql/driver"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/diff"
	"github.com/AutumnsGrove/patina/pkg/litedb"
)

// randomTable is a table of random values, and what tells its rows apart: its first
// keys columns, the rowid, or else the content.
type randomTable struct {
	by     diff.By
	keys   int
	create string
}

func randomTables() []randomTable {
	return []randomTable{
		{diff.ByPrimaryKey, 1, "(a PRIMARY KEY, b, c)"},
		{diff.ByPrimaryKey, 1, "(a PRIMARY KEY, b, c) WITHOUT ROWID"},
		{diff.ByPrimaryKey, 1, "(a COLLATE NOCASE PRIMARY KEY, b COLLATE NOCASE, c)"},
		{diff.ByPrimaryKey, 1, "(a COLLATE RTRIM PRIMARY KEY, b, c COLLATE RTRIM) WITHOUT ROWID"},
		{diff.ByPrimaryKey, 1, "(a REAL PRIMARY KEY, b REAL, c TEXT)"},
		{diff.ByPrimaryKey, 1, "(a INT PRIMARY KEY, b INTEGER, c BLOB)"},
		{diff.ByPrimaryKey, 1, "(a NUMERIC PRIMARY KEY DESC, b NUMERIC, c AS (a || '' || b))"},
		{diff.ByPrimaryKey, 2, "(a, b, c, PRIMARY KEY(a, b DESC))"},
		{diff.ByPrimaryKey, 2, "(a COLLATE NOCASE, b, c, PRIMARY KEY(a, b)) WITHOUT ROWID"},
		{diff.ByRowID, 0, "(a, b, c)"},
		{diff.ByRowID, 0, "(a COLLATE NOCASE, rowid, oid)"},
		{diff.ByContent, 0, "(rowid, oid, _rowid_)"},
		{diff.ByContent, 0, "(rowid COLLATE NOCASE, oid REAL, _rowid_ COLLATE RTRIM)"},
	}
}

// pool holds values that are near to each other.
func pool() []string {
	return []string{
		"NULL", "0", "1", "1.0", "-1", "2", "2.5", "0.0", "-0.0", "9e999", "-9e999", "1e300", "'1'", "X'31'", "''", "X''", "'a'", "'A'", "'a '", "'b'", "'B'",
		"X'61'", "X'62'", "CAST(X'6100' AS TEXT)", "CAST(X'ff' AS TEXT)", "X'ff'", "'é'", "'É'", "9007199254740992", "9007199254740992.0", "9007199254740993",
		"9223372036854775807", "9223372036854775808.0", "-9223372036854775808", "-9223372036854775808.0",
	}
}

// randomRows are rows of three values for each of the tables.
func randomRows(random *rand.Rand) [][][]string {
	values := pool()
	tables := make([][][]string, len(randomTables()))
	for i := range tables {
		for range random.IntN(30) {
			row := make([]string, 3)
			for c := range row {
				row[c] = values[random.IntN(len(values))]
			}
			tables[i] = append(tables[i], row)
		}
	}
	return tables
}

// randomSide makes a database of all kinds of tables, of which some rows are left
// out, some are there twice, and some have another value.
func randomSide(t *testing.T, random *rand.Rand, tables [][][]string) func() *litedb.DB {
	t.Helper()
	values := pool()
	var text strings.Builder
	text.WriteString("PRAGMA synchronous=OFF;BEGIN;")
	for i, table := range randomTables() {
		fmt.Fprintf(&text, "CREATE TABLE t%02d%s;", i, table.create)
		columns := 3 - strings.Count(table.create, " AS ")
		for _, row := range tables[i] {
			row = slices.Clone(row[:columns])
			if random.IntN(6) == 0 {
				row[random.IntN(columns)] = values[random.IntN(len(values))]
			}
			// A row that SQLite does not take is none.
			insert := fmt.Sprintf("INSERT OR IGNORE INTO t%02d VALUES(%s);", i, strings.Join(row, ","))
			text.WriteString(strings.Repeat(insert, []int{0, 1, 1, 1, 1, 2}[random.IntN(6)]))
		}
	}
	text.WriteString("COMMIT")
	return fileOf(t, text.String())
}

// exactly is a value as text that no other value has, and loosely that which an
// integer and a real of the same value have, too.
func exactly(v driver.Value) string {
	if _, isText := v.(string); isText {
		return fmt.Sprintf("text %q", v)
	}
	if _, isReal := v.(float64); isReal {
		return "real " + loosely(v)
	}
	return loosely(v)
}

func loosely(v driver.Value) string {
	number := new(big.Float).SetPrec(2000)
	switch v := v.(type) {
	case int64:
		return number.SetInt64(v).Text('f', 0)
	case float64:
		if v == 0 {
			v = 0 // SQLite knows no other zero
		}
		if number.SetFloat64(v).IsInt() {
			return number.Text('f', 0)
		}
		return number.Text('p', 0)
	}
	return fmt.Sprintf("%T %q", v, v)
}

func joined(row []driver.Value, as func(driver.Value) string) string {
	texts := make([]string, len(row))
	for i, v := range row {
		texts[i] = as(v)
	}
	return strings.Join(texts, "|")
}

// rowsByName reads a table: its rows by their keys, and how many there are of each
// row that has none.
func rowsByName(t *testing.T, db *litedb.DB, i int) (byKey map[string]string, others map[string]int64) {
	t.Helper()
	table := randomTables()[i]
	shape, err := db.Shape(t.Context(), fmt.Sprintf("t%02d", i))
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	keys := table.keys
	if table.by == diff.ByRowID {
		columns, keys = append(columns, "+"+shape.RowID), 1
	}
	for _, c := range shape.Columns {
		columns = append(columns, `+"`+c+`"`)
	}
	byKey, others = map[string]string{}, map[string]int64{}
	for row, err := range db.Select(t.Context(), fmt.Sprintf("SELECT %s FROM t%02d", strings.Join(columns, ","), i)) {
		if err != nil {
			t.Fatal(err)
		}
		content := joined(row, exactly)
		if keys == 0 || slices.Contains(row[:keys], nil) {
			others[content]++
			continue
		}
		byKey[joined(row[:keys], loosely)] = content
	}
	return byKey, others
}

// naively compares two sides of a table, of which all rows are held.
func naively(t *testing.T, old, new *litedb.DB, i int) diff.Table {
	t.Helper()
	var table diff.Table
	oldByKey, oldOthers := rowsByName(t, old, i)
	newByKey, newOthers := rowsByName(t, new, i)
	for key, was := range oldByKey {
		is, there := newByKey[key]
		switch {
		case !there:
			table.Removed++
		case was == is:
			table.Matched++
		default:
			table.Changed++
		}
	}
	for key := range newByKey {
		if _, there := oldByKey[key]; !there {
			table.Added++
		}
	}
	for row, n := range oldOthers {
		both := min(n, newOthers[row])
		table.Matched += both
		table.Removed += n - both
	}
	for row, n := range newOthers {
		table.Added += n - min(n, oldOthers[row])
	}
	return table
}

// Random tables differ as a comparison by hand says.
func TestRandomTables(t *testing.T) {
	t.Parallel()
	sums := make([]diff.Table, len(randomTables()))
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 0))
		rows := randomRows(random)
		old, new := randomSide(t, random, rows)(), randomSide(t, random, rows)()
		result, err := diff.Compare(t.Context(), old, new, diff.Options{Examples: 1000})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i, got := range result.Tables {
			want := naively(t, old, new, i)
			want.By = randomTables()[i].by
			sums[i].Added += got.Added
			sums[i].Removed += got.Removed
			sums[i].Changed += got.Changed
			sums[i].Matched += got.Matched
			if n := int64(len(got.Examples)); n != got.Added+got.Removed+got.Changed {
				t.Errorf("seed %d, t%02d: %d examples of %+v", seed, i, n, got)
			}
			counted := diff.Table{By: got.By, Added: got.Added, Removed: got.Removed, Changed: got.Changed, Matched: got.Matched}
			if difference := cmp.Diff(want, counted); difference != "" {
				t.Errorf("seed %d, t%02d%s (-naive +walked)\n%s", seed, i, randomTables()[i].create, difference)
			}
		}
	}
	for i, sum := range sums {
		if min(sum.Added, sum.Removed, sum.Matched) == 0 || (sum.Changed == 0) != (randomTables()[i].by == diff.ByContent) {
			t.Errorf("t%02d is not put to the test: %+v", i, sum)
		}
	}
}
