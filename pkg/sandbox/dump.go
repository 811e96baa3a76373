package sandbox

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Format chooses among the forms that D1's dumps have had (section 7.1 of the
// fact sheet). Its zero value is the newest form.
type Format struct {
	// Columns says whether INSERTs name their columns.
	Columns ColumnForm
	// Infinity is how infinities are written.
	Infinity InfinityForm
	// End is what follows the last statement.
	End EndForm
}

// ColumnForm is a form of INSERT.
type ColumnForm string

// InfinityForm is a form of infinities.
type InfinityForm string

// EndForm is a form of a dump's end.
type EndForm string

// The forms. The zero value of each is the newest one, which production writes.
const (
	ColumnsNamed   ColumnForm = ""
	ColumnsOmitted ColumnForm = "omitted"

	InfinityLiteral InfinityForm = ""
	InfinityWord    InfinityForm = "word"

	EndWithNewline    EndForm = ""
	EndWithoutNewline EndForm = "bare"
)

// dumpOptions are those of an export.
type dumpOptions struct {
	NoSchema bool     `json:"no_schema"`
	NoData   bool     `json:"no_data"`
	Tables   []string `json:"tables"`
	// Compatibility is newer than this generator. An old backend would not
	// know the field, and D1 ignores what it does not know here.
	Compatibility string `json:"compatibility"`
}

func (o dumpOptions) wants(name string) bool {
	return len(o.Tables) == 0 || slices.Contains(o.Tables, name)
}

// errVirtual is the generator's refusal, in D1's words.
var errVirtual = errors.New("cannot export databases with Virtual Tables (fts5)")

// Dump writes what an export of the whole database would give now.
func (s *Server) Dump(ctx context.Context, name string, w io.Writer) error {
	d := s.find(name, true)
	if d == nil {
		return fmt.Errorf("sandbox: no database %q", name)
	}
	d.lock.Lock()
	defer d.lock.Unlock()
	if err := s.untouched(d, s.opts.Now()); err != nil {
		return fmt.Errorf("sandbox: dump %s: %w", name, err)
	}
	return d.dump(ctx, w, dumpOptions{}, s.opts.Format)
}

// dump writes the database as D1's generator does, its faults included. It
// holds one row at a time.
func (d *database) dump(ctx context.Context, w io.Writer, opts dumpOptions, format Format) error {
	out := &dumper{ctx: ctx, d: d, w: bufio.NewWriterSize(w, 1<<16), opts: opts, format: format}
	out.statement("PRAGMA defer_foreign_keys=TRUE;")
	tables, err := d.objects(ctx, `SELECT name, sql FROM sqlite_schema
		WHERE type = 'table' AND sql IS NOT NULL ORDER BY name = 'sqlite_sequence', rowid`)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := out.table(table); err != nil {
			return err
		}
	}
	if err := out.tail(); err != nil {
		return err
	}
	if format.End == EndWithNewline {
		_ = out.w.WriteByte('\n') // Flush tells
	}
	return out.w.Flush()
}

// object is a row of the schema.
type object struct{ name, sql string }

func (d *database) objects(ctx context.Context, query string) (all []object, err error) {
	rows, err := d.free.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var o object
		if err := rows.Scan(&o.name, &o.sql); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

type dumper struct {
	ctx    context.Context //nolint:containedctx // a dumper lives for one call
	d      *database
	w      *bufio.Writer
	opts   dumpOptions
	format Format
	begun  bool
}

// statement writes a statement; between two there is a line feed.
func (o *dumper) statement(text string) {
	if o.begun {
		_ = o.w.WriteByte('\n') // Flush tells
	}
	o.begun = true
	_, _ = o.w.WriteString(text)
}

// quotedTable is D1's test for a quoted name. It finds one in a comment or a
// default value as well.
var quotedTable = regexp.MustCompile(`CREATE TABLE ['"]`)

// table writes one table's schema and rows.
func (o *dumper) table(t object) error {
	if !o.opts.wants(t.name) {
		return nil
	}
	schema := t.sql + ";"
	switch {
	case t.name == "sqlite_sequence":
		schema = "DELETE FROM sqlite_sequence;"
	case t.name == "sqlite_stat4":
		return nil // workerd's SQLite is built without it
	case strings.HasPrefix(t.name, "sqlite_stat"):
		schema = "ANALYZE sqlite_schema;"
	case strings.HasPrefix(t.sql, "CREATE VIRTUAL TABLE"):
		return errVirtual
	case strings.HasPrefix(t.name, "_cf_"), strings.HasPrefix(t.name, "sqlite_"):
		return nil
	case quotedTable.MatchString(t.sql):
		schema = "CREATE TABLE IF NOT EXISTS " + strings.TrimPrefix(t.sql, "CREATE TABLE ") + ";"
	}
	if !o.opts.NoSchema {
		o.statement(schema)
	}
	if o.opts.NoData {
		return nil
	}
	return o.rows(t.name)
}

func (o *dumper) rows(table string) (err error) {
	columns, err := o.columns(table)
	if err != nil {
		return err
	}
	values := make([]string, len(columns))
	for i, column := range columns {
		// An expression has no declared type, so the driver leaves it as it is.
		values[i] = "+" + column
	}
	rows, err := o.d.free.QueryContext(o.ctx, "SELECT "+strings.Join(values, ",")+" FROM "+quoteName(table))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	head := "INSERT INTO " + quoteName(table) + " (" + strings.Join(columns, ",") + ") VALUES("
	if o.format.Columns == ColumnsOmitted {
		head = "INSERT INTO " + quoteName(table) + " VALUES("
	}
	for rows.Next() {
		if err := o.row(rows, head, len(columns)); err != nil {
			return err
		}
	}
	return rows.Err()
}

// columns are the quoted names of a table's columns, generated ones left out.
func (o *dumper) columns(table string) (names []string, err error) {
	found, err := o.d.objects(o.ctx, "SELECT name, '' FROM pragma_table_info("+quoteText(table)+")")
	for _, column := range found {
		names = append(names, quoteName(column.name))
	}
	return names, err
}

func (o *dumper) row(rows *sql.Rows, head string, columns int) error {
	row, into := make([]any, columns), make([]any, columns)
	for i := range row {
		into[i] = &row[i]
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	texts := make([]string, columns)
	for i, v := range row {
		texts[i] = o.literal(v)
	}
	o.statement(head + strings.Join(texts, ",") + ");")
	return nil
}

// literal is a value as D1 writes it, losses included.
func (o *dumper) literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case int64:
		return jsNumber(float64(v))
	case float64:
		return o.real(v)
	case string:
		return textLiteral(v)
	case []byte:
		return "X'" + hex.EncodeToString(v) + "'"
	}
	return "ERROR"
}

func (o *dumper) real(v float64) string {
	if math.IsInf(v, 0) && o.format.Infinity == InfinityLiteral {
		return map[bool]string{true: "9e999", false: "-9e999"}[v > 0]
	}
	return jsNumber(v)
}

// textLiteral writes text on one line. A literal backslash-n in a text that
// also holds a line feed is lost: D1's generator looks for no collision
// (https://github.com/cloudflare/workers-sdk/issues/9042).
func textLiteral(s string) string {
	literal := quoteText(jsText(s))
	if strings.Contains(s, "\r") {
		literal = "replace(" + strings.ReplaceAll(literal, "\r", `\r`) + `,'\r',char(13))`
	}
	if strings.Contains(s, "\n") {
		literal = "replace(" + strings.ReplaceAll(literal, "\n", `\n`) + `,'\n',char(10))`
	}
	return literal
}

// tail writes indexes, then triggers, then views.
func (o *dumper) tail() error {
	if o.opts.NoSchema {
		return nil
	}
	found, err := o.d.objects(o.ctx, `SELECT name, sql FROM sqlite_schema
		WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL ORDER BY type, rowid`)
	if err != nil {
		return err
	}
	for _, it := range found {
		if o.opts.wants(it.name) {
			o.statement(it.sql + ";")
		}
	}
	return nil
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
