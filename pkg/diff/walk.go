package diff

import (
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/litedb"
)

// walk goes through a table on both sides.
type walk struct {
	old, new Database
	opts     Options
	// rows is how many were read so far, in all tables.
	rows  *int64
	table Table
	// columns are what both sides have; keys are how many values of the key come
	// before theirs in a row.
	columns          []string
	keys             int
	oldSQL, newSQL   string
	examples         map[Kind]int
	byContentIfNulls bool
}

// prepare finds out how the rows are told apart.
func (w *walk) prepare(ctx context.Context, inOld, inNew bool) error {
	var before, after litedb.Shape
	var err error
	if inOld {
		if before, err = w.old.Shape(ctx, w.table.Name); err != nil {
			return err
		}
	}
	if inNew {
		if after, err = w.new.Shape(ctx, w.table.Name); err != nil {
			return err
		}
	}
	switch {
	case !inOld:
		before = after
	case !inNew:
		after = before
	}
	w.columns, w.table.OldOnly = shared(before.Columns, after.Columns)
	_, w.table.NewOnly = shared(after.Columns, before.Columns)
	w.table.By, w.table.Key = keyOf(before, after)
	nulls := false
	if w.table.By == ByPrimaryKey {
		if nulls, err = w.anyNull(ctx, inOld, inNew); err != nil {
			return err
		}
	}
	w.keys = len(w.table.Key)
	w.byContentIfNulls = w.table.By == ByContent || nulls
	if inOld {
		w.oldSQL = w.query(before.RowID)
	}
	if inNew {
		w.newSQL = w.query(after.RowID)
	}
	w.examples = map[Kind]int{}
	return nil
}

// shared tells the names that both lists have from those that the first has
// alone. A query for a column that is not there would not fail: SQLite takes its
// name for a text.
func shared(names, others []string) (both, alone []string) {
	for _, name := range names {
		if slices.ContainsFunc(others, func(o string) bool { return dump.SameName(o, name) }) {
			both = append(both, name)
			continue
		}
		alone = append(alone, name)
	}
	return both, alone
}

// keyOf is what tells rows apart on both sides.
func keyOf(before, after litedb.Shape) (By, []string) {
	switch {
	case !slices.EqualFunc(before.Key, after.Key, dump.SameName):
		return ByContent, nil
	case len(before.Key) > 0:
		return ByPrimaryKey, before.Key
	case before.RowID != "" && after.RowID != "":
		return ByRowID, []string{"rowid"}
	}
	return ByContent, nil
}

// anyNull says whether a key holds NULL, which does not tell a row apart.
func (w *walk) anyNull(ctx context.Context, inOld, inNew bool) (bool, error) {
	tests := make([]string, len(w.table.Key))
	for i, c := range w.table.Key {
		tests[i] = dump.QuoteName(c) + " IS NULL"
	}
	query := "SELECT 1 FROM " + dump.QuoteName(w.table.Name) + " WHERE " + strings.Join(tests, " OR ") + " LIMIT 1"
	for _, side := range []struct {
		db    Database
		there bool
	}{{w.old, inOld}, {w.new, inNew}} {
		if !side.there {
			continue
		}
		for _, err := range side.db.Select(ctx, query) {
			return err == nil, err
		}
	}
	return false, nil
}

// query reads the key and the columns of all rows, in order.
func (w *walk) query(rowID string) string {
	keys := make([]string, 0, len(w.table.Key))
	for _, c := range w.table.Key {
		keys = append(keys, dump.QuoteName(c))
	}
	if w.table.By == ByRowID {
		keys = []string{rowID}
	}
	var values, order []string
	for _, k := range keys {
		values = append(values, "+"+k)
		order = append(order, k+" COLLATE BINARY")
	}
	for _, c := range w.columns {
		values = append(values, "+"+dump.QuoteName(c))
		if w.byContentIfNulls {
			order = append(order, dump.QuoteName(c)+" COLLATE BINARY", "typeof("+dump.QuoteName(c)+")")
		}
	}
	if len(values) == 0 {
		values, order = []string{"NULL"}, []string{"1"}
	}
	return fmt.Sprintf("SELECT %s FROM %s ORDER BY %s", strings.Join(values, ","), dump.QuoteName(w.table.Name), strings.Join(order, ","))
}

// cursor is one side of the walk.
type cursor struct {
	next func() ([]driver.Value, error, bool)
	row  []driver.Value
	// read is told of each row.
	read func()
}

func (c *cursor) advance() error {
	row, err, more := c.next()
	c.row = nil
	if !more || err != nil {
		return err
	}
	c.row = row
	c.read()
	return nil
}

// cursor begins a side; one without a query has no rows.
func (w *walk) cursor(ctx context.Context, db Database, query string) (*cursor, func(), error) {
	if query == "" {
		return &cursor{next: func() ([]driver.Value, error, bool) { return nil, nil, false }}, func() {}, nil
	}
	next, stop := iter.Pull2(db.Select(ctx, query))
	c := &cursor{next: next, read: w.tell}
	return c, stop, c.advance()
}

func (w *walk) run(ctx context.Context) error {
	if w.opts.Progress != nil {
		w.opts.Progress(w.table.Name, *w.rows) // a sort may come before the first row
	}
	old, stopOld, err := w.cursor(ctx, w.old, w.oldSQL)
	defer stopOld()
	if err != nil {
		return err
	}
	new, stopNew, err := w.cursor(ctx, w.new, w.newSQL)
	defer stopNew()
	if err != nil {
		return err
	}
	for old.row != nil || new.row != nil {
		if err := w.step(old, new); err != nil {
			return err
		}
	}
	return nil
}

// step takes the lower row, or one of each side where they have the same key.
func (w *walk) step(old, new *cursor) error {
	order := w.order(old.row, new.row)
	switch {
	case order < 0:
		w.found(Removed, old.row, nil)
		return old.advance()
	case order > 0:
		w.found(Added, new.row, nil)
		return new.advance()
	}
	if changes := w.changes(old.row, new.row); len(changes) > 0 {
		w.found(Changed, new.row, changes)
	} else {
		w.table.Matched++
	}
	if err := old.advance(); err != nil {
		return err
	}
	return new.advance()
}

// order says which row comes first; a side that has ended comes last.
func (w *walk) order(old, new []driver.Value) int {
	switch {
	case old == nil:
		return 1
	case new == nil:
		return -1
	}
	for i := range w.keys {
		if c := compare(old[i], new[i]); c != 0 {
			return c
		}
	}
	if !w.byContentIfNulls || w.keys > 0 && !slices.Contains(old[:w.keys], nil) {
		return 0
	}
	for i := w.keys; i < len(old); i++ {
		if c := compareExactly(old[i], new[i]); c != 0 {
			return c
		}
	}
	return 0
}

func (w *walk) changes(old, new []driver.Value) []Change {
	var changes []Change
	for i, c := range w.columns {
		if was, is := old[w.keys+i], new[w.keys+i]; compareExactly(was, is) != 0 {
			changes = append(changes, Change{c, was, is})
		}
	}
	return changes
}

// found counts a difference, and keeps it where examples are wanted still.
func (w *walk) found(kind Kind, row []driver.Value, changes []Change) {
	switch kind {
	case Added:
		w.table.Added++
	case Removed:
		w.table.Removed++
	case Changed:
		w.table.Changed++
	}
	if w.examples[kind] >= w.opts.Examples {
		return
	}
	w.examples[kind]++
	example := Row{Kind: kind, Changes: changes}
	names, values := w.table.Key, row
	if w.keys == 0 || slices.Contains(row[:w.keys], nil) {
		names, values = w.columns, row[w.keys:]
	}
	for i, name := range names {
		example.Key = append(example.Key, Cell{name, values[i]})
	}
	w.table.Examples = append(w.table.Examples, example)
}

// toldEvery is after how many rows progress is told: it costs nothing then.
const toldEvery = 4096

func (w *walk) tell() {
	*w.rows++
	if w.opts.Progress != nil && *w.rows%toldEvery == 0 {
		w.opts.Progress(w.table.Name, *w.rows)
	}
}
