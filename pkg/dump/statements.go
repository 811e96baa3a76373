package dump

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrStatementTooLong is the error for a statement that is not kept in memory.
var ErrStatementTooLong = fmt.Errorf("a statement of over %d bytes, which no row of D1 makes", maxHeld)

// Span is a part of a statement's text, from its first byte to behind its last.
type Span struct{ From, To int }

// Kinds of a [Statement].
const (
	// KindInsert is an INSERT or REPLACE.
	KindInsert = "insert"
	// KindDelete is a DELETE.
	KindDelete = "delete"
	// KindTable is a CREATE TABLE; the other things that can be created are
	// [ObjectIndex], [ObjectTrigger], [ObjectView] and [ObjectVirtual].
	KindTable = "table"
	// KindOther is every other statement.
	KindOther = "other"
)

// Statement is one statement of a dump.
type Statement struct {
	// Offset is the byte of the dump at which it begins.
	Offset int64
	// Text is the statement with its semicolon. It is valid until the function
	// that it was given to returns.
	Text []byte
	// Kind is one of the kinds above.
	Kind string
	// Name is that of the table of an INSERT or DELETE, as the dump first wrote
	// it, or of the object that is created. Its quoting is taken off.
	Name string
	// Temporary says that what it creates is gone with the connection.
	Temporary bool
	// Rows are the rows of an INSERT ... VALUES with their parentheses. They
	// are valid as long as Text.
	Rows []Span
	// Odd says that a value of a row is none that D1 and every SQLite read as
	// it stands, or is a call of a function other than replace.
	Odd bool
	// Commented says that the semicolon at the end of Text belongs to a line
	// comment, so that SQLite would read on: see [FindingComment].
	Commented bool
}

// readChunk is how much is read at a time.
const readChunk = 256 << 10

// ReadStatements gives each statement of a dump to the function, in order, and
// returns what the dump holds. It ends with the first error of the reader, of
// the function or of the dump, as [Filter.Finish] has them. No more is kept than
// one statement and a chunk.
func ReadStatements(r io.Reader, each func(Statement) error) (Summary, error) {
	f := NewFilter(io.Discard, Options{})
	s := f.scan
	var kept []byte // the dump from the statement at hand on
	var from int64  // where that is
	s.each = func(end int64) error {
		st := s.told()
		st.Text = kept[st.Offset-from : end-from]
		return each(st)
	}
	for {
		kept = slices.Grow(kept, readChunk)
		n, err := r.Read(kept[len(kept) : len(kept)+readChunk])
		chunk := kept[len(kept) : len(kept)+n]
		kept = kept[:len(kept)+n]
		if _, failed := f.Write(chunk); failed != nil {
			return f.Summary(), failed
		}
		done := s.begun()
		kept = append(kept[:0], kept[done-from:]...)
		from = done
		switch {
		case errors.Is(err, io.EOF):
			// The end of a dump may be the end of its last statement.
			err := f.Finish()
			return f.Summary(), err
		case err != nil:
			return f.Summary(), err
		case len(kept) > maxHeld:
			return f.Summary(), fmt.Errorf("byte %d: %w", from, ErrStatementTooLong)
		}
	}
}

// begun is where the statement at hand begins, or the end of what was read if
// none has begun.
func (s *scanner) begun() int64 {
	switch {
	case !s.progress.between():
		return s.st.start
	case s.lex == lexWord || s.lex == lexDash || s.lex == lexSlash:
		return s.tokenAt
	default:
		return s.tally.bytes
	}
}

// told is what is known of the statement that has ended, but for its text.
func (s *scanner) told() Statement {
	st := Statement{
		Offset: s.st.start, Kind: KindOther, Rows: s.spans,
		Temporary: s.st.temporary, Odd: s.st.odd, Commented: s.st.commented,
	}
	switch s.st.verb {
	case wordInsert, wordReplace:
		st.Kind = KindInsert
		if s.st.table != nil {
			st.Name = s.st.table.name
		}
	case wordDelete:
		st.Kind, st.Name = KindDelete, string(s.st.name)
	case wordCreate:
		st.Kind, st.Name = s.createdKind(), string(s.st.name)
	}
	return st
}

func (s *scanner) createdKind() string {
	switch {
	case s.st.kind == wordIndex:
		return ObjectIndex
	case s.st.kind == wordTrigger:
		return ObjectTrigger
	case s.st.kind == wordView:
		return ObjectView
	case s.st.virtual:
		return ObjectVirtual
	case s.st.kind == wordTable:
		return KindTable
	}
	return KindOther
}
