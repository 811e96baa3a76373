package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/litedb"
	"github.com/AutumnsGrove/patina/pkg/scratch"
)

// LoadResult is what was loaded into SQLite.
type LoadResult struct {
	Tables []backup.Table
	// Rows are those of the tables, Statements were run, and Checks are
	// assertions that hold.
	Rows, Statements int64
	Checks           int
	// Fingerprints is of how many tables they were held against the backup's.
	Fingerprints int
}

// LoadSQLite builds a SQLite database of the backup at a path where nothing is,
// and holds it against the plan: it is whole, its foreign keys point at rows, its
// tables have the rows of the backup and nothing is missing. On an error, of kind
// fault.Proof where it does not hold, nothing is left there.
func (e *Engine) LoadSQLite(ctx context.Context, s *Source, path string) (LoadResult, error) {
	db, err := litedb.Load(ctx, path, s.Plan, func(bytes, rows int64) {
		e.observeLoad(s, bytes, s.Plan.Summary.Bytes, fmt.Sprintf("%d of %d rows", rows, s.Plan.Rows()))
	})
	if err != nil {
		return LoadResult{}, ofLoad(ctx, s.Entry, err)
	}
	result, err := e.examine(ctx, db, s)
	if err != nil {
		return LoadResult{}, errors.Join(err, db.Discard())
	}
	return result, db.Finish()
}

// ofLoad is the error of a dump that does not load.
func ofLoad(ctx context.Context, entry Entry, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	kind := fault.Failed
	switch {
	case errors.Is(err, litedb.ErrDenied):
		kind = fault.Refused
	case errors.Is(err, litedb.ErrRejected):
		kind = fault.Proof
	}
	return fault.Wrap(kind, "", fmt.Errorf("load the dump of %s: %w", entry.ID(), err))
}

// examine holds a loaded database against the plan and the user's assertions.
func (e *Engine) examine(ctx context.Context, db *litedb.DB, s *Source) (LoadResult, error) {
	result := LoadResult{Statements: db.Statements}
	problems, err := problemsOf(ctx, db, s, &result)
	if err != nil {
		return result, err
	}
	for _, t := range result.Tables {
		result.Rows += t.Rows
	}
	for _, check := range e.checksOf(s) {
		if err := db.Assert(ctx, check); err != nil {
			problems = append(problems, fmt.Sprintf("the check %q: %v", check, err))
			continue
		}
		result.Checks++
	}
	if ctx.Err() != nil {
		return result, context.Cause(ctx)
	}
	if len(problems) > 0 {
		return result, fault.New(fault.Proof, "", "the dump of %s loads, but: %s", s.Entry.ID(), strings.Join(problems, "; "))
	}
	return result, nil
}

func problemsOf(ctx context.Context, db *litedb.DB, s *Source, result *LoadResult) ([]string, error) {
	problems, err := db.Integrity(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := db.ForeignKeys(ctx, s.absent()...)
	if err != nil {
		return nil, err
	}
	if result.Tables, err = db.Tables(ctx); err != nil {
		return nil, err
	}
	objects, err := db.Objects(ctx)
	if err != nil {
		return nil, err
	}
	if want := s.Plan.Tables(); !slices.Equal(want, result.Tables) {
		problems = append(problems, fmt.Sprintf("its tables and rows are %v, the dump says %v", result.Tables, want))
	}
	for _, o := range s.Plan.Objects() {
		if !slices.Contains(objects, o) {
			problems = append(problems, fmt.Sprintf("the %s %s is missing", o.Type, o.Name))
		}
	}
	problems = append(problems, keys...)
	if len(problems) > 0 {
		return problems, nil // which say enough
	}
	return fingerprintsDiffer(ctx, db, s, result)
}

// checksOf are the user's assertions, which are about all tables.
func (e *Engine) checksOf(s *Source) []string {
	if e.opts.Checks == nil || s.Plan.Chosen() != nil {
		return nil
	}
	return e.opts.Checks(s.Entry.Brief.Database)
}

// loadInMemory is how large a dump may be to be loaded in memory.
const loadInMemory = 16 << 20

// proveLoad loads one copy of a backup, whose plain bytes are written into a
// temporary file on the way.
func (e *Engine) proveLoad(ctx context.Context, entry Entry, from place, watch func(io.Reader) io.Reader) error {
	file, err := tempFile("")
	if err != nil {
		return err
	}
	s := &Source{Entry: entry, file: file}
	return errors.Join(e.proveSource(ctx, s, from, watch), s.Close())
}

func (e *Engine) proveSource(ctx context.Context, s *Source, from place, watch func(io.Reader) io.Reader) error {
	by, err := e.identities(ctx)
	if err != nil && s.Entry.Manifest().Encrypted() {
		return err
	}
	err = e.fetchFrom(ctx, s.Entry, from, func(body io.Reader, from place) error {
		reader, err := from.unpack(watch(body), by)
		if err != nil {
			return err
		}
		return copyAll(s.file, reader, reader)
	})
	if err != nil {
		return err
	}
	return e.load(ctx, s, nil)
}

// load plans a source, loads it into a database that is thrown away, and holds
// that against it. What is good may be looked at before it goes; look may be nil.
func (e *Engine) load(ctx context.Context, s *Source, look func(*litedb.DB)) error {
	if err := s.plan(ctx, e); err != nil {
		return err
	}
	// One at a time: each takes a page cache of its own.
	e.loading.Lock()
	defer e.loading.Unlock()
	path, free, err := e.scratch(s.Plan.Summary.Bytes)
	if err != nil {
		return err
	}
	db, err := litedb.Load(ctx, path, s.Plan, nil)
	if err != nil {
		return errors.Join(ofLoad(ctx, s.Entry, err), free())
	}
	_, err = e.examine(ctx, db, s)
	if err == nil && look != nil {
		look(db)
	}
	return errors.Join(err, db.Discard(), free())
}

// scratch is where a database is built that is thrown away: in memory, or in a
// folder that nobody else can open.
func (e *Engine) scratch(bytes int64) (path string, free func() error, err error) {
	if bytes <= loadInMemory {
		return litedb.InMemory, func() error { return nil }, nil
	}
	folder, err := scratch.NewFolder("")
	if err != nil {
		return "", nil, err
	}
	return folder.Database(), folder.Remove, nil
}
