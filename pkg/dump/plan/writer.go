package plan

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

const (
	// maxStatement is how long an INSERT of ours gets, in bytes. D1 takes
	// [dump.LongStatement]; what is between is room for what others may add.
	maxStatement = 90_000
	// maxWork bounds the instructions that an INSERT compiles to. D1's engine
	// runs no statement of over 25,000 (SQLITE_LIMIT_VDBE_OP in workerd's
	// sqlite.c++).
	maxWork = 12_000
	// maxPiece is how many bytes of a long value go into a row of the staging
	// table, where each takes two digits.
	maxPiece = maxStatement/2 - 500
	// joinWidth is how many pieces are joined in one pair of parentheses:
	// an expression of D1 may be 100 deep, and a chain of || is as deep as it
	// is long.
	joinWidth = 16
)

// Unit takes SQL that may not be taken apart, and how many statements it is:
// one, or those that bring in one long row. It is valid until the call returns.
type Unit func(sql []byte, statements int) error

// WriteSQL gives the plan as SQL that wrangler, D1's import and the sqlite3
// shell load. Rows are packed into INSERTs of at most 90,000 bytes. A row that
// is longer goes through a staging table, so that it never stands half-filled
// in its own, where constraints, indexes and foreign keys look at it.
func (p *Plan) WriteSQL(ctx context.Context, out Unit) error {
	w := &writer{plan: p, out: out, stage: p.FreeName("_patina_stage")}
	if err := p.Emit(ctx, w); err != nil {
		return err
	}
	return w.flush()
}

// Measure is how much WriteSQL writes. That is another number than those of the
// dump: rows are packed.
func (p *Plan) Measure(ctx context.Context) (bytes, statements int64, err error) {
	err = p.WriteSQL(ctx, func(sql []byte, n int) error {
		bytes += int64(len(sql))
		statements += int64(n)
		return nil
	})
	return bytes, statements, err
}

// writer is the sink that writes SQL.
type writer struct {
	plan  *Plan
	out   Unit
	stage string

	pending []byte // an INSERT without its end
	head    int    // how much of it is its head
	work    int    // what it compiles to, in instructions
	values  []dump.Value
	unit    []byte
}

// FreeName is a name like the given one that nothing in the plan has.
func (p *Plan) FreeName(name string) string {
	taken := map[string]bool{}
	for _, t := range p.Summary.Tables {
		taken[fold(t.Name)] = true
	}
	for _, o := range p.Summary.Objects {
		taken[fold(o.Name)] = true
	}
	free := name
	for i := 2; taken[free] || p.taken[free]; i++ {
		free = name + strconv.Itoa(i)
	}
	return free
}

// Statement implements [Sink].
func (w *writer) Statement(sql []byte) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.unit = append(append(w.unit[:0], sql...), '\n')
	return w.out(w.unit, 1)
}

// Row implements [Sink].
func (w *writer) Row(row Row) error {
	const between, end = 2, 2 // ",\n" and ";\n"
	work := workOf(row.Values)
	if len(w.pending) > 0 && len(w.pending)+between+len(row.Values)+end <= maxStatement &&
		w.work+work <= maxWork && bytes.Equal(w.pending[:w.head], row.Head) {
		w.pending = append(w.pending, ",\n"...)
		w.pending = append(w.pending, row.Values...)
		w.work += work
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	if len(row.Head)+len(row.Values)+end > maxStatement {
		return w.long(row)
	}
	w.pending = append(append(w.pending, row.Head...), row.Values...)
	w.head, w.work = len(row.Head), work
	return nil
}

// workOf is no less than the instructions that a row compiles to: one a value
// and some for each call.
func workOf(values []byte) int {
	return 3 + bytes.Count(values, []byte(",")) + 5*bytes.Count(values, []byte("("))
}

// flush hands on the INSERT that is pending.
func (w *writer) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	sql := append(w.pending, ";\n"...)
	w.pending = w.pending[:0]
	return w.out(sql, 1)
}

// long brings in a row that is too long for one statement: the pieces of its
// long values into the staging table, then the row out of them, at once.
func (w *writer) long(row Row) error {
	var err error
	if w.values, err = dump.ParseRow(w.values[:0], row.Values); err != nil {
		return err
	}
	staged := w.staged(len(row.Head))
	if staged == nil {
		return fmt.Errorf("a row of %s has %d bytes without its texts and blobs, and D1 takes %d in a statement",
			row.Table, len(row.Values), dump.LongStatement)
	}
	w.plan.change(ChangeStaged, row.Table, 1)
	stage := dump.QuoteName(w.stage)
	w.unit = append(w.unit[:0], "CREATE TABLE "+stage+" (n INTEGER PRIMARY KEY, d BLOB);\n"...)
	statements, pieces := 3, 0
	insert := append(bytes.Clone(row.Head), '(')
	for i, v := range w.values {
		if i > 0 {
			insert = append(insert, ',')
		}
		if !slices.Contains(staged, i) {
			insert = append(insert, v.Source...)
			continue
		}
		first := pieces
		for piece := range slices.Chunk(v.Bytes, maxPiece) {
			pieces++
			w.unit = fmt.Appendf(w.unit, "INSERT INTO %s VALUES(%d,X'", stage, pieces)
			w.unit = hex.AppendEncode(w.unit, piece)
			w.unit = append(w.unit, "');\n"...)
		}
		insert = appendJoin(insert, stage, first, pieces, v.Kind)
	}
	w.unit = append(append(w.unit, insert...), ");\nDROP TABLE "+stage+";\n"...)
	return w.out(w.unit, statements+pieces)
}

// staged are the values of the row that must be staged for the rest to fit in a
// statement, the longest first; nil if all of them are not enough.
func (w *writer) staged(head int) []int {
	var able []int
	left := head + len("();\n")
	for i, v := range w.values {
		left += len(v.Source) + len(",")
		if (v.Kind == dump.ValueText || v.Kind == dump.ValueBlob) && len(v.Bytes) > 0 {
			able = append(able, i)
		}
	}
	slices.SortStableFunc(able, func(a, b int) int {
		return cmp.Compare(len(w.values[b].Source), len(w.values[a].Source))
	})
	for n, i := range able {
		v := w.values[i]
		left += lenJoin(w.stage, len(v.Bytes)) - len(v.Source)
		if left <= maxStatement {
			return able[:n+1]
		}
	}
	return nil
}

// lenJoin is no less than what [appendJoin] appends for a value.
func lenJoin(stage string, bytes int) int {
	pieces := (bytes + maxPiece - 1) / maxPiece
	return len("CAST( AS TEXT)") + pieces*(len(`(SELECT d FROM "" WHERE n=99999)||`)+len("()")+2*len(stage))
}

// appendJoin appends the expression that is the pieces behind first up to last,
// joined. What || makes is text of the same bytes.
func appendJoin(dst []byte, stage string, first, last int, kind dump.ValueKind) []byte {
	dst = append(dst, "CAST("...)
	for n := first + 1; n <= last; n++ {
		if n > first+1 {
			dst = append(dst, "||"...)
		}
		if (n-first-1)%joinWidth == 0 {
			dst = append(dst, '(')
		}
		dst = fmt.Appendf(dst, "(SELECT d FROM %s WHERE n=%d)", stage, n)
		if (n-first)%joinWidth == 0 || n == last {
			dst = append(dst, ')')
		}
	}
	if kind == dump.ValueBlob {
		return append(dst, " AS BLOB)"...)
	}
	return append(dst, " AS TEXT)"...)
}
