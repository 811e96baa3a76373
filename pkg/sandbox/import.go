package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
)

// AbandonedImport is what becomes of an import that nobody polls. What
// production does is not documented, so both are offered.
type AbandonedImport string

const (
	// AbandonedUndo returns the database to its state before: the default.
	AbandonedUndo AbandonedImport = ""
	// AbandonedFinish goes on to the end, unseen.
	AbandonedFinish AbandonedImport = "finish"
)

// FailureForm is how the failure of an import is told.
type FailureForm string

const (
	// FailureInside tells it as a success that holds a failure, and an engine
	// that was reset as a 429 with code 7429: the default.
	FailureInside FailureForm = ""
	// FailureStatus tells it as a success whose status is "error".
	FailureStatus FailureForm = "status"
	// FailureRefused tells it as the API's refusal.
	FailureRefused FailureForm = "refused"
	// FailureUntold tells it in the words that are also said of an import that
	// has succeeded: "Not currently importing anything."
	FailureUntold FailureForm = "untold"
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
	// before is what GET told of the database.
	before map[string]any
	// read is set at the end of the file; err is why it will not be reached.
	read bool
	err  error
}

type importBody struct {
	Action          string `json:"action"`
	ETag            string `json:"etag"`
	Filename        string `json:"filename"`
	CurrentBookmark string `json:"current_bookmark"`
}

var md5Form = regexp.MustCompile(`^[0-9a-f]{32}$`)

func (b importBody) check() error {
	if b.Action != "poll" && !md5Form.MatchString(b.ETag) {
		return badRequest("Invalid property: etag => Invalid")
	}
	switch {
	case b.Action == "init":
		return nil
	case b.Action == "ingest" && b.Filename == "":
		return badRequest("Invalid property: filename => Required")
	case b.Action == "poll" && b.CurrentBookmark == "":
		return badRequest("Invalid property: current_bookmark => Required")
	case b.Action != "ingest" && b.Action != "poll":
		return badRequest("Invalid property: action => Invalid discriminator value. Expected 'init' | 'ingest' | 'poll'")
	}
	return nil
}

// importFile is the import's one route: init, ingest and poll.
func (x *exchange) importFile() (any, error) {
	var body importBody
	if err := x.body(&body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	if x.fault != nil && x.fault.Kind == FaultInner {
		return inner(x.fault.Message), nil
	}
	x.db.lock.Lock()
	defer x.db.lock.Unlock()
	now := x.s.opts.Now()
	if err := x.s.settle(x.db, now); err != nil {
		return nil, err
	}
	switch body.Action {
	case "init":
		return x.initImport(body.ETag, now)
	case "ingest":
		path, ok := x.s.uploaded(x.db, body.Filename, body.ETag)
		if !ok {
			return inner("Input file " + body.Filename + " missing or invalid"), nil
		}
		return x.startImport(path, now)
	}
	t := x.db.task
	if t == nil || t.kind != taskImport || t.bookmark != body.CurrentBookmark {
		return inner(taskImport.idle()), nil
	}
	t.polls++
	t.seenAt = now
	return x.imported(now)
}

// initImport asks for a file, or starts at once with one that is there already.
func (x *exchange) initImport(etag string, now time.Time) (any, error) {
	name := uploadName(x.db, etag)
	if path, ok := x.s.uploaded(x.db, name, etag); ok {
		return x.startImport(path, now)
	}
	return map[string]string{"filename": name, "upload_url": x.s.invite(x.db, name, now)}, nil
}

// startImport begins an import. D1 waits a moment for one that ends quickly; as
// long as ImportPolls is not negative, none does.
func (x *exchange) startImport(path string, now time.Time) (any, error) {
	d := x.db
	if kind, blocked := d.blocks(now); blocked {
		return inner(kind.underWay(taskImport)), nil
	}
	bookmark := d.tell(x.s.opts.BookmarkMoves, now)
	if err := d.keep(x.s.opts.History); err != nil {
		return nil, err
	}
	l, err := d.openLoad(x.r.Context(), path, now)
	if err != nil {
		return nil, err
	}
	d.task = &task{kind: taskImport, bookmark: bookmark, seenAt: now, load: l}
	return x.imported(now)
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

// imported does the next part of an import, and tells how far it is.
func (x *exchange) imported(now time.Time) (any, error) {
	t, d := x.db.task, x.db
	t.load.run(d, x.s.opts.ImportPart, x.s.reset())
	waiting := t.polls <= x.s.opts.ImportPolls && x.s.opts.ImportPolls >= 0
	if waiting || t.load.err == nil && !t.load.read {
		x.status = http.StatusAccepted
		return t.active(fmt.Sprintf("Processed %d queries.", t.load.queries)), nil
	}
	d.task = nil
	if err := t.load.finish(x.s, d, now); err != nil {
		return x.importFailed(t, err)
	}
	meta, err := t.load.meta(d, now)
	if err != nil {
		return nil, err
	}
	told := t.told("complete", []string{fmt.Sprintf("Processed %d queries.", t.load.queries)})
	told["result"] = map[string]any{
		"num_queries": t.load.queries, "final_bookmark": d.tell(x.s.opts.BookmarkMoves, now), "meta": meta,
	}
	return told, nil
}

// importFailed tells why the database is as it was before.
func (x *exchange) importFailed(t *task, err error) (any, error) {
	text := d1Text(err)
	var refused *refusal
	isReset := errors.As(err, &refused)
	form := x.s.opts.ImportFailure
	told := t.told("error", nil)
	told["error"] = text
	switch {
	case form == FailureUntold:
		return inner(taskImport.idle()), nil
	case form == FailureStatus:
		told["errors"] = []string{text}
		return told, nil
	case isReset:
		return nil, refused
	case form == FailureRefused:
		return nil, sqlError(text)
	}
	told["success"] = false
	return told, nil
}

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
