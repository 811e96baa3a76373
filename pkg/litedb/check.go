package litedb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/fingerprint"
)

// maxProblems is how many problems of a kind are told.
const maxProblems = 20

// Integrity is what PRAGMA integrity_check finds wrong, in SQLite's words: rows
// that do not keep a CHECK, NOT NULL or UNIQUE among it.
func (d *DB) Integrity(ctx context.Context) ([]string, error) {
	rows, err := d.strings(ctx, fmt.Sprintf("PRAGMA integrity_check(%d)", maxProblems))
	if err != nil {
		return nil, fmt.Errorf("check the integrity: %w", err)
	}
	var problems []string
	for _, row := range rows {
		if row[0] != "ok" {
			problems = append(problems, row[0])
		}
	}
	return problems, nil
}

// ForeignKeys are the rows whose foreign keys point at nothing, in words, but
// for keys that point at tables that are known to be absent.
func (d *DB) ForeignKeys(ctx context.Context, absent ...string) ([]string, error) {
	rows, err := d.strings(ctx, fmt.Sprintf(
		`SELECT "table", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2 LIMIT %d`, maxProblems))
	if err != nil {
		return nil, fmt.Errorf("check the foreign keys: %w", err)
	}
	var problems []string
	for _, row := range rows {
		if slices.ContainsFunc(absent, func(name string) bool { return dump.SameName(name, row[1]) }) {
			continue
		}
		problems = append(problems, fmt.Sprintf("%s rows of %s point at rows of %s that are not there", row[2], row[0], row[1]))
	}
	return problems, nil
}

// Tables are the user's tables with their rows, sorted by name; virtual tables
// and what they keep are left out.
func (d *DB) Tables(ctx context.Context) ([]backup.Table, error) {
	names, err := d.strings(ctx, `SELECT name FROM pragma_table_list WHERE schema='main' AND type='table'
		AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	tables := make([]backup.Table, 0, len(names))
	for _, row := range names {
		t := backup.Table{Name: row[0]}
		if err := d.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+dump.QuoteName(t.Name)).Scan(&t.Rows); err != nil {
			return nil, fmt.Errorf("count the rows of %s: %w", t.Name, err)
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// Fingerprint tells the rows of a table from others. See package fingerprint.
func (d *DB) Fingerprint(ctx context.Context, table string) (string, error) {
	named, err := d.strings(ctx, fingerprint.Columns(table))
	if err != nil {
		return "", fmt.Errorf("read the columns of %s: %w", table, err)
	}
	columns := firsts(named)
	answer, err := d.strings(ctx, fingerprint.Query(table, columns))
	if err != nil {
		return "", fmt.Errorf("take the fingerprint of %s: %w", table, err)
	}
	return fingerprint.Of(columns, answer[0]), nil
}

// Objects are the indexes, triggers, views and virtual tables, sorted by type and
// name, as a dump's summary names them.
func (d *DB) Objects(ctx context.Context) ([]backup.Object, error) {
	rows, err := d.strings(ctx, `SELECT iif(type='table','virtual',type), name FROM sqlite_schema
		WHERE sql IS NOT NULL AND (type<>'table' OR sql LIKE 'CREATE VIRTUAL%') ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("list the objects: %w", err)
	}
	objects := make([]backup.Object, 0, len(rows))
	for _, row := range rows {
		objects = append(objects, backup.Object{Type: row[0], Name: row[1]})
	}
	return objects, nil
}

var (
	// ErrFalse is the error of an assertion that does not hold.
	ErrFalse = errors.New("it does not hold")
	// ErrNoAnswer is the error of an assertion that is not one SELECT with one
	// value.
	ErrNoAnswer = errors.New("it is not a SELECT with one value")
)

// Assert runs a SELECT of the user's, which may read and do nothing else: it
// holds if its one value is a number other than zero. What is wrong is ErrFalse,
// ErrNoAnswer, ErrDenied or SQLite's own.
func (d *DB) Assert(ctx context.Context, query string) error {
	return d.guard.under(looking, func() error {
		rows, err := d.conn.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // its error was seen by Err
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		if len(columns) != 1 || !rows.Next() {
			return errors.Join(ErrNoAnswer, rows.Err())
		}
		var value any
		if err := rows.Scan(&value); err != nil {
			return err
		}
		if rows.Next() {
			return ErrNoAnswer
		}
		if !truthy(value) {
			return fmt.Errorf("%w: %v", ErrFalse, value)
		}
		return rows.Err()
	})
}

func truthy(value any) bool {
	switch v := value.(type) {
	case int64:
		return v != 0
	case float64:
		return v != 0
	}
	return false
}

// strings runs a query of the package's own.
func (d *DB) strings(ctx context.Context, query string) ([][]string, error) {
	rows, err := d.conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error was seen by Err
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]string
	for rows.Next() {
		row := make([]string, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// Finish closes the database, whose file is then on the disk and whole.
func (d *DB) Finish() error {
	if err := d.Close(); err != nil || d.path == InMemory || d.lent {
		return err
	}
	file, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
