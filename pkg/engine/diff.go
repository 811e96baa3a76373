package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/diff"
	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/litedb"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// Side is one of the two that are compared: a backup, what is live, or a SQLite
// file.
type Side struct {
	Date Date
	Live bool
	File string
}

// ParseSide reads a date as ParseDate does, "live", or "sqlite:FILE".
func ParseSide(s string) (Side, error) {
	if s == "live" {
		return Side{Live: true}, nil
	}
	if file, found := strings.CutPrefix(s, "sqlite:"); found {
		if file == "" {
			return Side{}, fault.New(fault.Usage, "patina diff --help", "%q names no file", s)
		}
		return Side{File: file}, nil
	}
	date, err := ParseDate(s)
	if err != nil {
		return Side{}, fault.New(fault.Usage, "patina list", "bad side %q: want 2024-12-08, 2024-12-08T10:15 (UTC), latest, live or sqlite:FILE", s)
	}
	return Side{Date: date}, nil
}

// String is the side as it is typed.
func (s Side) String() string {
	switch {
	case s.Live:
		return "live"
	case s.File != "":
		return "sqlite:" + s.File
	}
	return s.Date.String()
}

// DiffRequest asks how two sides of a database differ.
type DiffRequest struct {
	Database string
	Old, New Side
	// Tables are those to compare; none means all.
	Tables []string
	// Examples is how many rows of each kind are told of a table.
	Examples int
}

// DiffResult is how they differ.
type DiffResult struct {
	diff.Result
	// Old and New are the backups that were compared; nil for other sides.
	Old, New *Entry
}

// Diff compares two sides of a database. A live side is exported, which blocks
// the database meanwhile, and nothing of it is published.
func (e *Engine) Diff(ctx context.Context, req DiffRequest) (result DiffResult, err error) {
	old, err := e.openSide(ctx, req.Old, req.Database)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, old.close()) }()
	new, err := e.openSide(ctx, req.New, req.Database)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, new.close()) }()
	result.Old, result.New = old.entry, new.entry
	result.Result, err = diff.Compare(ctx, old.db, new.db, diff.Options{
		Tables: req.Tables, Examples: req.Examples, Progress: e.observeDiff(req, old, new),
	})
	if ctx.Err() != nil {
		return result, context.Cause(ctx)
	}
	return result, err
}

// observeDiff tells how far a comparison is: of how many rows, where those of both
// sides are known.
func (e *Engine) observeDiff(req DiffRequest, old, new openedSide) diff.Progress {
	of := ""
	if old.tables != nil && new.tables != nil {
		of = fmt.Sprintf(" of %d", rowsOf(old.tables, req.Tables)+rowsOf(new.tables, req.Tables))
	}
	return func(table string, rows int64) {
		e.opts.Observer.Observe(Event{
			Database: req.Database, Phase: PhaseComparing, Total: -1, Detail: fmt.Sprintf("%d%s rows, table %s", rows, of, table),
		})
	}
}

// rowsOf is how many rows those of the tables have that are named; none means all.
func rowsOf(tables []backup.Table, names []string) int64 {
	var rows int64
	for _, t := range tables {
		if len(names) == 0 || isAmong(names, t.Name) {
			rows += t.Rows
		}
	}
	return rows
}

// openedSide is a side as a database.
type openedSide struct {
	db *litedb.DB
	// tables are those that were loaded, with their rows; nil where none were.
	tables []backup.Table
	entry  *Entry
	free   func() error
}

func (s openedSide) close() error { return errors.Join(s.db.Discard(), s.free()) }

func (e *Engine) openSide(ctx context.Context, side Side, database string) (openedSide, error) {
	switch {
	case side.File != "":
		db, err := litedb.Open(ctx, side.File)
		return openedSide{db: db, free: func() error { return nil }}, err
	case side.Live:
		return e.openLive(ctx, database)
	}
	choice, err := e.Choose(ctx, side.Date, database, "")
	if err != nil {
		return openedSide{}, err
	}
	entry, err := e.Open(ctx, choice.Entry)
	if err != nil {
		return openedSide{}, err
	}
	source, err := e.Prepare(ctx, entry, "")
	if err != nil {
		return openedSide{}, err
	}
	return e.loadSide(ctx, source, &entry)
}

// loadSide loads a source into a database that is thrown away, and closes it.
func (e *Engine) loadSide(ctx context.Context, s *Source, entry *Entry) (openedSide, error) {
	path, free, err := e.scratch(s.Plan.Summary.Bytes)
	if err != nil {
		return openedSide{}, errors.Join(err, s.Close())
	}
	db, err := litedb.Load(ctx, path, s.Plan, func(bytes, rows int64) {
		e.observeLoad(s, bytes, s.Plan.Summary.Bytes, fmt.Sprintf("%d of %d rows", rows, s.Plan.Rows()))
	})
	if err != nil {
		return openedSide{}, errors.Join(ofLoad(ctx, s.Entry, err), s.Close(), free())
	}
	opened := openedSide{db: db, tables: s.Plan.Tables(), entry: entry, free: free}
	if err := s.Close(); err != nil {
		return openedSide{}, errors.Join(err, opened.close())
	}
	return opened, nil
}

// openLive exports a database under its lease.
func (e *Engine) openLive(ctx context.Context, name string) (openedSide, error) {
	found, err := e.databaseNamed(ctx, name)
	if err != nil {
		return openedSide{}, err
	}
	log := e.newJournal()
	now := e.now(ctx, log)
	id := e.opts.NewRunID()
	var opened openedSide
	run := e.newRun(backup.NewJob(backup.TriggerManual, "", now, id), id, now)
	err = e.underLease(ctx, log, found.Database, run, func(ctx context.Context, _ right) error {
		source, err := e.exportLive(ctx, found)
		if err != nil {
			return err
		}
		opened, err = e.loadSide(ctx, source, nil)
		return err
	})
	return opened, err
}

// exportLive fetches a dump of a live database into a private temporary file.
func (e *Engine) exportLive(ctx context.Context, db d1.Database) (*Source, error) {
	file, err := tempFile("")
	if err != nil {
		return nil, err
	}
	s := &Source{file: file}
	s.Entry.Brief = manifest.NewBrief(manifest.Backup{Database: db.Database})
	s.Entry.Name.Database = db.Name
	if err := e.fillLive(ctx, s, db); err != nil {
		return nil, errors.Join(fmt.Errorf("export %s: %w", db.Name, err), s.Close())
	}
	return s, nil
}

func (e *Engine) fillLive(ctx context.Context, s *Source, db d1.Database) error {
	if err := refuseVirtual(ctx, e.opts.D1, db.ID); err != nil {
		return err
	}
	e.observeRestore(s.Entry, PhaseExporting, 0, -1)
	dumped, err := e.opts.D1.Export(ctx, d1.ExportRequest{DatabaseID: db.ID, Silence: e.opts.ExportTimeout})
	if err != nil {
		return err
	}
	body, err := e.opts.D1.Download(ctx, dumped, d1.DownloadRequest{Silence: e.opts.ExportTimeout})
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // read to its end or given up
	size, err := e.copyLive(s, body)
	if err != nil {
		return err
	}
	if s.Plan, err = plan.Read(contextReaderAt{ctx, s.file}, size); errors.Is(err, plan.ErrRefused) {
		return fault.Wrap(fault.Refused, "", err)
	}
	return err
}

// copyLive writes a dump into the temporary file, and makes sure that it is whole.
func (e *Engine) copyLive(s *Source, body *d1.Body) (int64, error) {
	filter := dump.NewFilter(s.file, dump.Options{})
	watched := &watchedReader{src: body, seen: func(n int64) { e.observeRestore(s.Entry, PhaseDownloading, n, body.Length()) }}
	n, err := io.CopyBuffer(struct{ io.Writer }{filter}, watched, make([]byte, copyBuffer))
	if err != nil {
		return n, err
	}
	if err := filter.Finish(); err != nil {
		return n, fmt.Errorf("the downloaded dump is not whole: %w", err)
	}
	if want := body.Length(); want >= 0 && n != want {
		return n, fmt.Errorf("read %d bytes of a dump of %d", n, want)
	}
	return s.file.Seek(0, io.SeekCurrent)
}
