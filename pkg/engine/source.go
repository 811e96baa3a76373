package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// Source is a backup ready to be brought back: fetched, held against its
// manifest to the last byte, read, and planned. Nothing was touched yet.
type Source struct {
	Entry Entry
	Plan  *plan.Plan
	// Dependencies are those of the tables that Only left.
	Dependencies []plan.Dependency

	file *os.File
	// written is how much SQL it takes to bring it back; zero until it is asked
	// for.
	written extent
}

// extent is an amount of SQL.
type extent struct{ bytes, statements int64 }

// Prepare fetches the backup of an opened entry (see Open) into a private
// temporary file of the folder, which empty means the system's, and plans how it
// is brought back. The caller closes the source.
func (e *Engine) Prepare(ctx context.Context, entry Entry, folder string) (*Source, error) {
	file, err := tempFile(folder)
	if err != nil {
		return nil, err
	}
	s := &Source{Entry: entry, file: file}
	if err := s.fill(ctx, e); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// tempFile is a file that nobody else can open and that is gone when it is
// closed, or when the process dies.
func tempFile(folder string) (*os.File, error) {
	file, err := os.CreateTemp(folder, ".patina-*.sql")
	if err != nil {
		return nil, fmt.Errorf("create a temporary file: %w", err)
	}
	// Systems that do not let go of an open file's name remove it on Close.
	_ = os.Remove(file.Name())
	return file, nil
}

func (s *Source) fill(ctx context.Context, e *Engine) error {
	if err := e.Download(ctx, s.Entry, s.file); err != nil {
		return err
	}
	return s.plan(ctx, e)
}

// plan plans what is in the temporary file, and holds it against the manifest.
func (s *Source) plan(ctx context.Context, e *Engine) error {
	size, err := s.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("read the temporary file: %w", err)
	}
	e.observeRestore(s.Entry, PhasePlanning, size, size)
	s.Plan, err = plan.Read(contextReaderAt{ctx, s.file}, size)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, plan.ErrRefused):
		return fault.Wrap(fault.Refused, "patina download gets it as it is",
			fmt.Errorf("the dump of %s: %w", s.Entry.ID(), err))
	case err != nil:
		return fault.Wrap(fault.Proof, "", fmt.Errorf("the dump of %s: %w: %w", s.Entry.ID(), seal.ErrDamaged, err))
	}
	if err := sameContent(s.Plan.Summary, s.Entry.Manifest()); err != nil {
		return fault.Wrap(fault.Proof, "", fmt.Errorf("the dump of %s: %w", s.Entry.ID(), err))
	}
	return nil
}

// extent is how much SQL it takes to bring the backup back. It is found out by
// writing it, once.
func (s *Source) extent(ctx context.Context) (extent, error) {
	if s.written != (extent{}) {
		return s.written, nil
	}
	bytes, statements, err := s.Plan.Measure(ctx)
	if err != nil {
		return extent{}, fmt.Errorf("write the dump of %s anew: %w", s.Entry.ID(), err)
	}
	s.written = extent{bytes, statements}
	return s.written, nil
}

// Close frees the temporary file.
func (s *Source) Close() error { return closeTemp(s.file) }

// closeTemp closes a file of tempFile, and takes its name away where that is still
// there.
func closeTemp(file *os.File) error {
	err := file.Close()
	if gone := os.Remove(file.Name()); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		return errors.Join(err, gone)
	}
	return err
}

// SQLResult is what was written as SQL.
type SQLResult struct {
	Bytes      int64
	Statements int
}

// WriteSQL writes the backup as SQL that wrangler, D1's import and the sqlite3
// shell load, each in one transaction of theirs.
func (e *Engine) WriteSQL(ctx context.Context, s *Source, dst io.Writer) (SQLResult, error) {
	var result SQLResult
	buffered := bufio.NewWriterSize(dst, copyBuffer)
	err := s.Plan.WriteSQL(ctx, func(unit []byte, statements int) error {
		n, err := buffered.Write(unit)
		result.Bytes += int64(n)
		result.Statements += statements
		e.observeLoad(s, result.Bytes, -1, fmt.Sprintf("%d statements", result.Statements))
		return err
	})
	if err != nil {
		return result, err
	}
	return result, buffered.Flush()
}

func (e *Engine) observeRestore(entry Entry, phase Phase, bytes, total int64) {
	e.opts.Observer.Observe(Event{Database: entry.Brief.Database, Phase: phase, Bytes: bytes, Total: total})
}

// observeLoad tells how far the restoring of a source is.
func (e *Engine) observeLoad(s *Source, bytes, total int64, detail string) {
	e.opts.Observer.Observe(Event{
		Database: s.Entry.Brief.Database, Phase: PhaseRestoring, Bytes: bytes, Total: total, Detail: detail,
	})
}

// contextReaderAt fails once its context has ended.
type contextReaderAt struct {
	ctx context.Context
	io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (r contextReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.ReaderAt.ReadAt(p, off)
}
