package plan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// Sink takes what a plan brings back, in the order in which it loads.
type Sink interface {
	// Statement takes a statement with its semicolon. It is valid until the
	// call returns.
	Statement(sql []byte) error
	// Row takes a row of a table. What it points to is valid until the call
	// returns.
	Row(Row) error
}

// Row is a row to insert.
type Row struct {
	// Table is its table's name.
	Table string
	// Head is the INSERT up to its rows.
	Head []byte
	// Values are the row, with its parentheses.
	Values []byte
}

// emitter is one run of Emit.
type emitter struct {
	ctx  context.Context
	plan *Plan
	sink Sink
	row  []byte
	vals []dump.Value
}

// Emit gives everything to the sink. It may be called again.
func (p *Plan) Emit(ctx context.Context, sink Sink) error {
	e := &emitter{ctx: ctx, plan: p, sink: sink}
	p.changes = p.changes[:p.found]
	for _, step := range []func() error{
		e.begin, e.tables,
		func() error { return e.statements(p.keyIndexes) },
		e.rows, e.virtuals, e.sequence,
		func() error { return e.statements(p.indexes) },
		e.stats,
		func() error { return e.statements(p.views) },
		e.rebuilds,
		func() error { return e.statements(p.triggers) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (e *emitter) begin() error { return e.statement("PRAGMA defer_foreign_keys=TRUE;") }

func (e *emitter) statement(text string) error { return e.sink.Statement([]byte(text)) }

func (e *emitter) statements(texts [][]byte) error {
	for _, text := range texts {
		if err := e.sink.Statement(text); err != nil {
			return err
		}
	}
	return e.ctx.Err()
}

func (e *emitter) tables() error {
	for _, t := range e.plan.tables {
		creates := t.creates
		if t.kept != nil {
			creates = [][]byte{t.kept.create()}
		}
		if err := e.statements(creates); err != nil {
			return err
		}
	}
	return nil
}

func (e *emitter) rows() error {
	order := parentsFirst(e.plan.tables, e.plan.byName)
	for _, t := range order {
		if err := e.rowsOf(t, nil, nil); err != nil {
			return err
		}
		if t.kept == nil {
			continue
		}
		if err := e.statements(t.kept.exchange()); err != nil {
			return err
		}
	}
	for _, t := range slices.Backward(order) {
		if t.kept == nil {
			continue
		}
		if err := e.statements(t.kept.last()); err != nil {
			return err
		}
	}
	return nil
}

// virtuals makes the virtual tables and fills those that keep their rows
// themselves.
func (e *emitter) virtuals() error {
	for _, v := range e.plan.virtuals {
		if err := e.sink.Statement(v.create); err != nil {
			return err
		}
		if v.outside {
			continue
		}
		if err := e.fill(v); err != nil {
			return err
		}
	}
	return nil
}

// fill gives the rows of a virtual table.
func (e *emitter) fill(v *virtual) error {
	if v.content != nil {
		head := "INSERT INTO " + dump.QuoteName(v.name) + " (rowid," + strings.Join(v.columns(), ",") + ") VALUES"
		into := *v.content
		into.name = v.name
		if err := e.rowsOf(&into, []byte(head), nil); err != nil {
			return err
		}
	}
	if v.direct == nil {
		return nil
	}
	return e.rowsOf(v.direct, nil, nil)
}

// rebuilds fills the indexes over other tables' rows.
func (e *emitter) rebuilds() error {
	for _, v := range e.plan.virtuals {
		var err error
		switch {
		case !v.outside:
		case v.direct != nil:
			err = e.rowsOf(v.direct, nil, nil)
		default:
			err = e.rebuild(v.name)
		}
		if err != nil {
			return err
		}
	}
	for _, name := range e.plan.reindexed {
		if err := e.rebuild(name); err != nil {
			return err
		}
	}
	return nil
}

// rebuild fills an index over another table's rows of these.
func (e *emitter) rebuild(index string) error {
	name := dump.QuoteName(index)
	return e.statement("INSERT INTO " + name + " (" + name + ") VALUES('rebuild');")
}

// sequence sets the counters of AUTOINCREMENT, which the rows have moved.
func (e *emitter) sequence() error {
	if e.plan.chosen != nil {
		return e.countersOfChosen()
	}
	if len(e.plan.sequence.spans) == 0 {
		return nil
	}
	if err := e.statement("DELETE FROM sqlite_sequence;"); err != nil {
		return err
	}
	return e.rowsOf(&e.plan.sequence, nil, nil)
}

// stats brings the planner's statistics back, but for D1's own tables.
func (e *emitter) stats() error {
	if len(e.plan.stats.spans) == 0 {
		return nil
	}
	if err := e.statement("ANALYZE sqlite_schema;"); err != nil {
		return err
	}
	return e.rowsOf(&e.plan.stats, nil, func(row []byte) bool { return !bytes.HasPrefix(row, []byte("('_cf_")) })
}

// rowsOf gives the rows of a table, under another head if there is one, and
// those only that are wanted.
func (e *emitter) rowsOf(t *table, head []byte, wanted func([]byte) bool) error {
	parts := make([]io.Reader, 0, len(t.spans))
	for _, s := range t.spans {
		parts = append(parts, io.NewSectionReader(e.plan.source, s.from, s.to-s.from))
	}
	if len(parts) == 0 {
		return nil
	}
	_, err := dump.ReadStatements(io.MultiReader(parts...), func(st dump.Statement) error {
		if t.kept != nil && !plain(st) {
			return fmt.Errorf("a statement that is more than rows: %w", ErrRefused)
		}
		if !plain(st) {
			return e.sink.Statement(st.Text)
		}
		row := Row{Table: t.name, Head: head}
		if head == nil {
			row.Head = t.kept.head(st.Text[:st.Rows[0].From])
		}
		for _, at := range st.Rows {
			row.Values = st.Text[at.From:at.To]
			if wanted != nil && !wanted(row.Values) {
				continue
			}
			if st.Odd {
				if err := e.rewrite(t, &row); err != nil {
					return err
				}
			}
			if err := e.sink.Row(row); err != nil {
				return err
			}
		}
		return e.ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("the rows of %s: %w", t.name, err)
	}
	return nil
}

// plain says whether an INSERT is its head, rows and nothing else.
func plain(st dump.Statement) bool {
	if len(st.Rows) == 0 {
		return false
	}
	end := 0
	for i, row := range st.Rows {
		if i > 0 && string(bytes.TrimSpace(st.Text[end:row.From])) != "," {
			return false
		}
		end = row.To
	}
	return string(bytes.TrimSpace(st.Text[end:])) == ";"
}

// rewrite writes a row as D1 and every SQLite read it.
func (e *emitter) rewrite(t *table, row *Row) error {
	var err error
	if e.vals, err = dump.ParseRow(e.vals[:0], row.Values); err != nil {
		return err
	}
	e.row = append(e.row[:0], '(')
	var lost int64
	for i, v := range e.vals {
		if i > 0 {
			e.row = append(e.row, ',')
		}
		if v.Kind == dump.ValueError {
			lost++
		}
		e.row = v.AppendSQL(e.row)
	}
	e.row = append(e.row, ')')
	switch {
	case lost > 0:
		e.plan.change(ChangeErrorWord, t.name, lost)
	case !bytes.Equal(e.row, row.Values):
		e.plan.change(ChangeRewritten, t.name, 1)
	}
	row.Values = e.row
	return nil
}
