package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// resetText is one of D1's words for an engine that gave up.
const resetText = "D1 DB exceeded its CPU time limit and was reset."

// words are D1's own, in a form that Go's errors do not have.
type words string

// Error is the words.
func (w words) Error() string { return string(w) }

// load is the work of an import: a file's statements, run one by one in one
// transaction, which is what makes it one unit for the user.
type load struct {
	// ctx does not end with the request: a client that goes away does not stop
	// the engine.
	ctx     context.Context //nolint:containedctx // a load outlives its calls
	file    *os.File
	cut     *cutter
	began   time.Time
	changes int64
	queries int
	// reported is how many of them were told of.
	reported int
	// before is what GET told of the database.
	before map[string]any
	// read is set at the end of the file; err is why it will not be reached.
	read bool
	err  error
}

// openLoad opens a file and the transaction it is loaded in.
func (d *database) openLoad(ctx context.Context, path string, now time.Time) (*load, error) {
	ctx = context.WithoutCancel(ctx)
	before, err := d.details(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := d.changes(ctx)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	l := &load{ctx: ctx, file: file, cut: newCutter(file), began: now, changes: changes, before: before}
	if err := d.control(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if head, _ := l.cut.r.Peek(len(databaseHeader)); string(head) == databaseHeader {
		// The engine would say no more than that it cannot read it.
		l.err = errors.New("file is a SQLite database, not SQL: SQLITE_ERROR")
	}
	return l, nil
}

// databaseHeader is how every database file begins
// (https://www.sqlite.org/fileformat2.html#the_database_header).
const databaseHeader = "SQLite format 3"

// engineLimit is how many statements the engine bears, and how it ends then.
type engineLimit struct {
	statements int
	err        error
}

func (s *Server) reset() engineLimit {
	text := s.opts.ImportLimitError
	if text == "" {
		text = resetText
	}
	return engineLimit{s.opts.ImportLimit, &refusal{http.StatusTooManyRequests, 7429, text}}
}

// run runs the next statements: all that are left if part is 0. After an error
// the database is as before.
func (l *load) run(d *database, part int, limit engineLimit) {
	for n := 0; l.err == nil && !l.read && (part <= 0 || n < part); n++ {
		if err := l.step(d, limit); err != nil {
			l.err = err
		}
	}
}

func (l *load) step(d *database, limit engineLimit) error {
	text, err := l.cut.next()
	if errors.Is(err, io.EOF) {
		l.read = true
		return nil
	}
	if err != nil {
		return err
	}
	if limit.statements > 0 && l.queries >= limit.statements {
		return limit.err
	}
	if blank(strings.TrimSuffix(text, ";")) {
		return errors.New("SQL code did not contain a statement.: SQLITE_ERROR")
	}
	if _, err := d.conn.ExecContext(l.ctx, text); err != nil {
		return loadError(err)
	}
	l.queries++
	return nil
}

// loadError puts what the driver says of parameters, which an import has none
// for, into D1's words.
func loadError(err error) error {
	if strings.Contains(err.Error(), "missing") && strings.Contains(err.Error(), "argument") {
		return words("Wrong number of parameter bindings for SQL query.")
	}
	return err
}

// finish runs what is left and makes it last, or returns the database to its
// state before and says why.
func (l *load) finish(s *Server, d *database, at time.Time) error {
	l.run(d, 0, s.reset())
	if l.err != nil {
		return errors.Join(l.err, l.undo(d))
	}
	if err := d.control(l.ctx, "COMMIT"); err != nil {
		return errors.Join(err, l.undo(d))
	}
	s.advance(d, 1, at)
	return l.file.Close()
}

// undo returns the database to its state before.
func (l *load) undo(d *database) error {
	return errors.Join(d.control(l.ctx, "ROLLBACK"), l.file.Close())
}

func (l *load) meta(d *database, now time.Time) (map[string]any, error) {
	after, err := d.changes(l.ctx)
	if err != nil {
		return nil, err
	}
	details, err := d.details(l.ctx)
	if err != nil {
		return nil, err
	}
	took := max(0.1, float64(now.Sub(l.began).Microseconds())/1000)
	return map[string]any{
		"served_by": "sandbox", "served_by_region": "WEUR", "served_by_colo": "SBX", "served_by_primary": true,
		"duration": took, "timings": map[string]any{"sql_duration_ms": took},
		"changes": after - l.changes, "rows_read": 0, "rows_written": after - l.changes,
		"last_row_id": 0, "changed_db": true, "size_after": details["file_size"],
	}, nil
}

// news are the lines since the last answer.
func (l *load) news() []string {
	if l.queries == l.reported {
		return nil
	}
	l.reported = l.queries
	return []string{fmt.Sprintf("Processed %d queries.", l.queries)}
}
