package litedb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// Object is an entry of the schema: a table, index, trigger or view, or what Type
// calls virtual, a virtual table. Table is the table or view that it is about.
type Object struct {
	Type, Name, Table, SQL string
}

// Schema are the objects that somebody made, sorted by type and name. What a
// virtual table keeps is left out, and what SQLite makes by itself.
func (d *DB) Schema(ctx context.Context) ([]Object, error) {
	rows, err := d.strings(ctx, `SELECT iif(type='table' AND sql LIKE 'CREATE VIRTUAL%','virtual',type), name, tbl_name, sql FROM sqlite_schema
		WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
		AND name NOT IN (SELECT name FROM pragma_table_list WHERE schema='main' AND type='shadow') ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	objects := make([]Object, 0, len(rows))
	for _, row := range rows {
		objects = append(objects, Object{row[0], row[1], row[2], row[3]})
	}
	return objects, nil
}

// Shape is how the rows of a table are made up.
type Shape struct {
	// Columns are all that a query can name, generated ones among them.
	Columns []string
	// Key are the columns of the primary key, in its order; none where there is
	// none.
	Key []string
	// RowID names the rowid in a query; empty where there is none, or where
	// columns took all of its names.
	RowID string
}

// Shape tells how the rows of a table are made up.
func (d *DB) Shape(ctx context.Context, table string) (Shape, error) {
	var s Shape
	columns, err := d.strings(ctx, "SELECT name FROM pragma_table_xinfo("+dump.QuoteText(table)+") WHERE hidden<>1 ORDER BY cid")
	if err != nil {
		return s, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	key, err := d.strings(ctx, "SELECT name FROM pragma_table_xinfo("+dump.QuoteText(table)+") WHERE pk>0 ORDER BY pk")
	if err != nil {
		return s, fmt.Errorf("read the key of %s: %w", table, err)
	}
	without, err := d.strings(ctx, "SELECT wr FROM pragma_table_list("+dump.QuoteText(table)+") WHERE schema='main'")
	if err != nil || len(without) != 1 {
		return s, fmt.Errorf("read the kind of %s: %w", table, err)
	}
	s.Columns, s.Key = firsts(columns), firsts(key)
	if without[0][0] == "0" {
		s.RowID = rowID(s.Columns)
	}
	return s, nil
}

// rowID is a name of the rowid that is no column's.
func rowID(columns []string) string {
	for _, name := range []string{"rowid", "_rowid_", "oid"} {
		taken := false
		for _, c := range columns {
			taken = taken || strings.EqualFold(c, name)
		}
		if !taken {
			return name
		}
	}
	return ""
}

func firsts(rows [][]string) []string {
	all := make([]string, 0, len(rows))
	for _, row := range rows {
		all = append(all, row[0])
	}
	return all
}

// Select are the rows of a SELECT, which may read and do nothing else. A value is
// nil, an int64, a float64, a string of the text's bytes, or a []byte. A row is
// good until the next one; what its values point to may be kept.
//
// A column that is declared as a time would come as something else: where a query
// names one, it writes +column. While rows are read the database does nothing
// else.
func (d *DB) Select(ctx context.Context, query string) iter.Seq2[[]driver.Value, error] {
	return func(yield func([]driver.Value, error) bool) {
		err := d.conn.Raw(func(raw any) error {
			return d.guard.under(looking, func() error { return each(ctx, raw.(driver.Conn), query, yield) })
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

// errStop says that no more rows are wanted.
var errStop = errors.New("stop")

// lookEvery is after how many rows the context is looked at: that is cheaper than
// to watch it during each.
const lookEvery = 64

func each(ctx context.Context, conn driver.Conn, query string, yield func([]driver.Value, error) bool) (err error) {
	stmt, err := conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for n := 0; ; n++ {
		if n%lookEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := rows.Next(row); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if !yield(row, nil) {
			return errStop
		}
	}
}
