package dump

import (
	"errors"
	"fmt"
	"io"
)

// Sentinels of a [Filter]. They come wrapped, with the byte of the dump and
// what was seen there.
var (
	// ErrTruncated says that the dump ends within a statement, or, if it is
	// one of the sqlite3 shell, before its COMMIT.
	ErrTruncated = errors.New("the dump is cut off")
	// ErrEmpty says that the dump holds no statement.
	ErrEmpty = errors.New("the dump is empty")
	// ErrNotSQL says that what came is not SQL, such as an error page.
	ErrNotSQL = errors.New("this is not an SQL dump")
	// ErrTailTooLong says that the tail to hold back is over its limit.
	ErrTailTooLong = errors.New("the schema tail is over the limit")
)

// errEnded is the error of calls that come too late or too early.
var (
	errEnded    = errors.New("the dump has ended already")
	errNotEnded = errors.New("the dump has not ended in order")
)

// Row is a row of a table as the dump has it.
type Row struct {
	// Table is the name with its quoting taken off, as the dump first wrote
	// it.
	Table string
	// Number counts the rows of the table in the dump from 1.
	Number int64
	// Offset is the byte of the dump at which the row's statement begins.
	Offset int64
	// Statement is the whole statement with its semicolon. It is valid until
	// the function it was given to returns, and nil if the statement is longer
	// than 16 MiB, which no row of D1 is.
	Statement []byte
}

// Options say what a [Filter] does beside reading. The zero value passes
// everything through as it comes.
type Options struct {
	// HoldTail keeps back everything from the first CREATE INDEX, CREATE
	// TRIGGER or CREATE VIEW on, until ReleaseTail.
	HoldTail bool
	// Withhold is asked for each row, those of SQLite's own tables included,
	// when its statement has ended; true keeps the statement and its line end
	// out of the output. If a statement has several rows it is asked for all,
	// and one true withholds them together. A statement too long to be shown
	// is asked for as soon as that is known, for the rows seen so far. nil
	// withholds nothing.
	Withhold func(Row) bool
	// TailLimit is how many bytes of tail are kept in memory; more is
	// ErrTailTooLong. 0 means 64 MiB.
	TailLimit int64
}

// Filter is an io.Writer that passes a dump on to another and reads it
// meanwhile. It must not be used by two goroutines at once.
type Filter struct {
	scan  *scanner
	out   *output
	err   error // the first error; nothing is taken after it
	ended bool
}

// NewFilter makes a Filter that writes to dst. It never closes dst.
func NewFilter(dst io.Writer, opts Options) *Filter {
	out := &output{dst: dst, tailLimit: opts.TailLimit}
	if out.tailLimit <= 0 {
		out.tailLimit = defaultTailLimit
	}
	return &Filter{out: out, scan: newScanner(out, opts)}
}

// Write takes the next piece of the dump. Without HoldTail and Withhold it is
// written to dst at once and in one piece, but for the first word of the dump,
// which is kept until it is whole: something that is clearly not SQL is
// ErrNotSQL before anything of it was passed on. After an error every call
// returns that error.
func (f *Filter) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	if f.ended {
		return 0, errEnded
	}
	if len(p) == 0 {
		return 0, nil
	}
	f.out.begin(p)
	err := f.scan.write(p)
	if err == nil {
		err = f.out.end()
	}
	if err != nil {
		f.err = err
		return 0, err
	}
	return len(p), nil
}

// Finish says that the dump has ended, and returns what is wrong with its end:
// ErrTruncated, ErrEmpty or ErrNotSQL. What is still held back then, but for
// the tail, is written to dst.
func (f *Filter) Finish() error {
	if f.err != nil || f.ended {
		return f.err
	}
	f.out.begin(nil)
	f.err = f.scan.finish()
	if f.err == nil {
		f.ended = true
	}
	return f.err
}

// ReleaseTail writes the tail that HoldTail kept back to dst. It comes after
// Finish; what the caller wrote to dst in between stands before the tail.
func (f *Filter) ReleaseTail() error {
	if f.err != nil {
		return f.err
	}
	if !f.ended {
		return fmt.Errorf("release the tail: %w", errNotEnded)
	}
	tail := f.out.tail
	f.out.tail = nil
	if len(tail) == 0 {
		return nil
	}
	_, f.err = f.out.dst.Write(tail)
	return f.err
}

// Summary is what was found so far; it is whole after Finish returned nil.
func (f *Filter) Summary() Summary { return f.scan.tally.summary() }
