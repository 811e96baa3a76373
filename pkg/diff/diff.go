package diff

import (
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/litedb"
)

// Database is a side of the comparison, as [litedb.DB] is one.
type Database interface {
	Schema(ctx context.Context) ([]litedb.Object, error)
	Shape(ctx context.Context, table string) (litedb.Shape, error)
	Select(ctx context.Context, query string) iter.Seq2[[]driver.Value, error]
}

// Kind is how something differs.
type Kind string

// The kinds of differences.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// Options say what is compared.
type Options struct {
	// Tables are those to compare; none means all.
	Tables []string
	// Examples is how many rows of each kind are told of a table.
	Examples int
	// Progress may be nil.
	Progress Progress
}

// Progress is told which table is compared, and how many rows of both sides were
// read so far, in all tables: when a table begins, and then now and again.
type Progress func(table string, rows int64)

// Result is how two databases differ.
type Result struct {
	Schema []Object
	// Tables are all that were compared, sorted by name.
	Tables []Table
}

// Same says whether nothing differs.
func (r Result) Same() bool {
	return len(r.Schema) == 0 && !slices.ContainsFunc(r.Tables, func(t Table) bool { return !t.Same() })
}

// Object is a difference of the schema.
type Object struct {
	Kind       Kind
	Type, Name string
	// Old and New are the SQL; empty where it is not there.
	Old, New string
}

// By is what tells the rows of a table apart.
type By string

// What tells rows apart.
const (
	ByPrimaryKey By = "primaryKey"
	// ByRowID is for tables without a primary key. D1's export does not keep their
	// rowids.
	ByRowID By = "rowid"
	// ByContent is for tables whose rows have no name on both sides.
	ByContent By = "content"
)

// Table is how the rows of a table differ.
type Table struct {
	Name string
	By   By
	// Key are the columns of the key.
	Key []string
	// OldOnly and NewOnly are columns that one side has alone.
	OldOnly, NewOnly                 []string
	Added, Removed, Changed, Matched int64
	Examples                         []Row
}

// Same says whether its rows are the same, as far as both sides have its columns.
func (t Table) Same() bool { return t.Added+t.Removed+t.Changed == 0 }

// Row is an example of a row that differs.
type Row struct {
	Kind Kind
	// Key is what tells the row apart.
	Key []Cell
	// Changes are the columns of a changed row that differ.
	Changes []Change
}

// Cell is a value of a column.
type Cell struct {
	Column string
	Value  driver.Value
}

// Change is a column that differs.
type Change struct {
	Column   string
	Old, New driver.Value
}

// Compare tells how a new database differs from an old one.
func Compare(ctx context.Context, old, new Database, opts Options) (Result, error) {
	before, err := schemaOf(ctx, old, opts.Tables)
	if err != nil {
		return Result{}, err
	}
	after, err := schemaOf(ctx, new, opts.Tables)
	if err != nil {
		return Result{}, err
	}
	for _, name := range opts.Tables {
		if !before.has(name) && !after.has(name) {
			return Result{}, fmt.Errorf("neither side has a table %s", name)
		}
	}
	result := Result{Schema: compareSchemas(before, after)}
	var rows int64
	for _, name := range tablesOf(before, after) {
		w := &walk{old: old, new: new, opts: opts, rows: &rows, table: Table{Name: name}}
		if err := w.prepare(ctx, before.ordinary(name), after.ordinary(name)); err != nil {
			return Result{}, err
		}
		if err := w.run(ctx); err != nil {
			return Result{}, fmt.Errorf("compare the rows of %s: %w", name, err)
		}
		result.Tables = append(result.Tables, w.table)
	}
	return result, nil
}

// object names an object of a schema, as SQLite compares names.
type object struct{ kind, folded string }

// definition is an object's name as it is written, and its SQL.
type definition struct{ name, sql string }

type schema map[object]definition

// has says whether there is a table, virtual or not.
func (s schema) has(table string) bool {
	_, virtual := s[object{"virtual", dump.FoldName(table)}]
	return virtual || s.ordinary(table)
}

// ordinary says whether there is a table that keeps its own rows.
func (s schema) ordinary(table string) bool {
	_, there := s[object{"table", dump.FoldName(table)}]
	return there
}

// schemaOf reads a schema; of some tables only, where they are named.
func schemaOf(ctx context.Context, db Database, tables []string) (schema, error) {
	all, err := db.Schema(ctx)
	if err != nil {
		return nil, err
	}
	s := schema{}
	for _, o := range all {
		// A trigger has the name of its table as that was typed.
		chosen := func(table string) bool { return dump.SameName(table, o.Table) }
		if strings.HasPrefix(o.Name, "_cf_") || len(tables) > 0 && !slices.ContainsFunc(tables, chosen) {
			continue
		}
		s[object{o.Type, dump.FoldName(o.Name)}] = definition{o.Name, o.SQL}
	}
	return s, nil
}

func compareSchemas(before, after schema) []Object {
	all := maps.Clone(before)
	maps.Copy(all, after)
	var differences []Object
	for o, named := range all {
		was, had := before[o]
		is, has := after[o]
		kind := Changed
		switch {
		case had && has && was == is:
			continue
		case !had:
			kind = Added
		case !has:
			kind = Removed
		}
		differences = append(differences, Object{kind, o.kind, named.name, was.sql, is.sql})
	}
	slices.SortFunc(differences, func(a, b Object) int {
		return strings.Compare(a.Type+"\x00"+a.Name, b.Type+"\x00"+b.Name)
	})
	return differences
}

// tablesOf are the tables of both, by their new names.
func tablesOf(before, after schema) []string {
	all := maps.Clone(before)
	maps.Copy(all, after)
	var names []string
	for o, named := range all {
		if o.kind == "table" {
			names = append(names, named.name)
		}
	}
	slices.Sort(names)
	return names
}
