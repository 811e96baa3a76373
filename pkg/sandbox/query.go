package sandbox

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"modernc.org/sqlite"
)

type statementBody struct {
	SQL    *string         `json:"sql"`
	Params json.RawMessage `json:"params"`
}

type queryBody struct {
	statementBody
	Batch []statementBody `json:"batch"`
}

// statement is one statement with its parameters.
type statement struct {
	sql    string
	params []any
}

func (x *exchange) query() (any, error) { return x.run(objects) }

func (x *exchange) raw() (any, error) { return x.run(arrays) }

// shape puts rows into the form of a route.
type shape func(columns []string, rows [][]any) any

func objects(columns []string, rows [][]any) any {
	shaped := make([]map[string]any, 0, len(rows))
	for _, row := range rows {
		object := make(map[string]any, len(columns))
		for i, column := range columns {
			object[column] = row[i]
		}
		shaped = append(shaped, object)
	}
	return shaped
}

func arrays(columns []string, rows [][]any) any {
	if columns == nil {
		columns = []string{}
	}
	return map[string]any{"columns": columns, "rows": append([][]any{}, rows...)}
}

// run runs what a call asks for, as one transaction.
func (x *exchange) run(as shape) (any, error) {
	statements, err := x.statements()
	if err != nil {
		return nil, err
	}
	x.db.lock.Lock()
	defer x.db.lock.Unlock()
	now := x.s.opts.Now()
	if err := x.s.busy(x.db, now); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(statements, mayWrite) {
		if err := x.db.keep(x.s.opts.History); err != nil {
			return nil, err
		}
	}
	var results []any
	writes := uint64(0)
	ctx := x.r.Context()
	err = x.db.inTransaction(ctx, func() error {
		for _, st := range statements {
			result, wrote, err := x.db.execute(ctx, st, as, x.readOnly)
			if err != nil {
				return err
			}
			results = append(results, result)
			writes += wrote
		}
		return nil
	})
	if err != nil {
		return nil, sqlError(d1Text(err))
	}
	x.s.advance(x.db, writes, now)
	return results, nil
}

var onlyReads = regexp.MustCompile(`(?is)^\s*(select|values|explain)\b`)

// mayWrite is on the safe side: a statement may write that is not known not to.
func mayWrite(st statement) bool { return !onlyReads.MatchString(st.sql) }

// statements reads the body: one text that may hold several statements, or a
// batch.
func (x *exchange) statements() ([]statement, error) {
	var body queryBody
	if err := x.body(&body); err != nil {
		return nil, err
	}
	if body.Batch == nil {
		return body.split()
	}
	if body.SQL != nil {
		return nil, badRequest("Invalid property: sql and batch exclude each other")
	}
	var all []statement
	for _, part := range body.Batch {
		some, err := part.split()
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func (b statementBody) split() ([]statement, error) {
	if b.SQL == nil {
		return nil, badRequest("Invalid property: sql => Required")
	}
	params, err := b.parameters()
	if err != nil {
		return nil, err
	}
	texts := splitStatements(*b.SQL)
	if len(texts) == 0 {
		return nil, sqlError("No SQL statements detected.")
	}
	if len(texts) > 1 && len(params) > 0 {
		return nil, badRequest("params cannot be used with several statements")
	}
	if len(texts) == 1 && parameterCount(texts[0]) != len(params) {
		return nil, sqlError("Wrong number of parameter bindings for SQL query.")
	}
	all := make([]statement, len(texts))
	for i, text := range texts {
		all[i] = statement{text, params}
	}
	return all, nil
}

func (b statementBody) parameters() ([]any, error) {
	if b.Params == nil {
		return nil, nil
	}
	if string(b.Params) == "null" {
		return nil, badRequest("Invalid property: params => Expected array, received null")
	}
	var params []any
	if err := json.Unmarshal(b.Params, &params); err != nil {
		return nil, badRequest("Invalid property: params => Expected array")
	}
	if len(params) > maxParameters {
		return nil, sqlError("too many SQL variables: SQLITE_ERROR")
	}
	return params, nil
}

var reads = regexp.MustCompile(`(?is)^\s*(select|with|values|pragma|explain)\b`)

var errReadOnly = errors.New("attempt to write a readonly database: SQLITE_READONLY")

// execute runs one statement under D1's rules, and says how many writes it is:
// one or none.
func (d *database) execute(ctx context.Context, st statement, as shape, readOnly bool) (result any, wrote uint64, err error) {
	if readOnly && !reads.MatchString(st.sql) {
		return nil, 0, errReadOnly
	}
	if len(st.sql) > maxStatementBytes {
		return nil, 0, errTooLong
	}
	before, err := d.changes(ctx)
	if err != nil {
		return nil, 0, err
	}
	columns, rows, err := d.rows(ctx, st)
	if err != nil {
		return nil, 0, err
	}
	after, err := d.changes(ctx)
	if err != nil {
		return nil, 0, err
	}
	if readOnly && after != before {
		// WITH can stand before a DELETE.
		return nil, 0, errReadOnly
	}
	if after != before || !reads.MatchString(st.sql) {
		wrote = 1
	}
	return map[string]any{
		"success": true,
		"results": as(columns, rows),
		"meta": map[string]any{
			"served_by": "sandbox", "duration": 0.1, "changes": after - before, "last_row_id": 0,
			"changed_db": after != before, "size_after": 8192, "rows_read": len(rows), "rows_written": after - before,
			"timings": map[string]any{"sql_duration_ms": 0.1},
		},
	}, wrote, nil
}

// changes counts all rows changed so far on the bound connection.
func (d *database) changes(ctx context.Context) (n int64, err error) {
	err = d.conn.QueryRowContext(ctx, "SELECT total_changes()").Scan(&n)
	return n, err
}

// rows runs a statement to its end.
func (d *database) rows(ctx context.Context, st statement) (columns []string, values [][]any, err error) {
	rows, err := d.conn.QueryContext(ctx, st.sql, st.params...)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if columns, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, nil, err
	}
	if hasDates(types) && reads.MatchString(st.sql) {
		// The driver turns text of columns declared as dates into times. An
		// expression has no declaration, so the same is asked for as such.
		if err := rows.Close(); err != nil {
			return nil, nil, err
		}
		_, values, err = d.rows(ctx, statement{undeclared(st.sql, len(columns)), st.params})
		return columns, values, err
	}
	for rows.Next() {
		row := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, err
		}
		for i := range row {
			row[i] = jsonValue(row[i])
		}
		values = append(values, row)
	}
	return columns, values, rows.Err()
}

func hasDates(types []*sql.ColumnType) bool {
	for _, t := range types {
		switch strings.ToUpper(t.DatabaseTypeName()) {
		case "DATE", "DATETIME", "TIMESTAMP":
			return true
		}
	}
	return false
}

// undeclared wraps a query so that its columns have no declared types.
func undeclared(query string, columns int) string {
	names, values := make([]string, columns), make([]string, columns)
	for i := range columns {
		names[i] = fmt.Sprintf("c%d", i)
		values[i] = fmt.Sprintf("+c%d", i)
	}
	return fmt.Sprintf("WITH answer(%s) AS (%s) SELECT %s FROM answer",
		strings.Join(names, ","), strings.TrimRight(strings.TrimSpace(query), ";"), strings.Join(values, ","))
}

// d1Text is an error of the engine in D1's words: its text, and the name of its
// code.
func d1Text(err error) string {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return err.Error()
	}
	text := failed.Error()
	// The driver says "SQL logic error: no such table: t (1)".
	if _, after, ok := strings.Cut(text, ": "); ok {
		text = after
	}
	if i := strings.LastIndex(text, " ("); i > 0 {
		text = text[:i]
	}
	name := codeNames()[failed.Code()&0xff]
	if name == "" {
		name = "SQLITE_ERROR"
	}
	return text + ": " + name
}

func codeNames() map[int]string {
	return map[int]string{
		1: "SQLITE_ERROR", 7: "SQLITE_NOMEM", 8: "SQLITE_READONLY", 11: "SQLITE_CORRUPT", 18: "SQLITE_TOOBIG",
		19: "SQLITE_CONSTRAINT", 20: "SQLITE_MISMATCH", 21: "SQLITE_MISUSE", 23: "SQLITE_AUTH",
	}
}

// details is what GET tells of a database beside its listing. Of one that is
// imported it is what there was before. It is called with the database's lock
// held.
func (d *database) details(ctx context.Context) (map[string]any, error) {
	if d.task != nil && d.task.load != nil {
		return maps.Clone(d.task.load.before), nil
	}
	var pages, pageSize, tables int64
	if err := d.free.QueryRowContext(ctx, `SELECT
		(SELECT page_count FROM pragma_page_count), (SELECT page_size FROM pragma_page_size),
		(SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\')`,
	).Scan(&pages, &pageSize, &tables); err != nil {
		return nil, err
	}
	told := d.listed()
	told["num_tables"], told["file_size"] = tables, pages*pageSize
	told["running_in_region"] = cmp.Or(strings.ToUpper(d.region), "WEUR")
	told["read_replication"] = map[string]string{"mode": "disabled"}
	return told, nil
}
