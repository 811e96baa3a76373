package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/dump"
)

// Limits of a piece of an import. Imports of others died at 100,000 to 300,000
// statements, far below the 5 GiB that D1 takes as a file
// (https://github.com/cloudflare/workers-sdk/issues/13272).
const (
	maxPieceBytes      = 200 << 20
	maxPieceStatements = 50_000
)

// markerName is the table by which it can be seen how far a load came: each
// piece leaves its number there, and a piece is there as a whole or not at all.
const markerName = "_patina_restore"

// loader takes a plan's SQL into a D1 database, in pieces.
type loader struct {
	e      *Engine
	source *Source
	job    string
	// target is the database's id.
	target string
	marker string
	// before is what the first piece does before all else.
	before []string

	maxBytes      int64
	maxStatements int

	file *os.File
	cuts []cut // ends of the units in the file
	size int64

	pieces     int // that are in
	statements int
	bytes      int64
	took       time.Duration // in which the database answered nobody
	// whole is how many bytes there are in all, and outlook how long they may
	// take.
	whole   int64
	outlook Outlook
	// last is the bookmark after the last piece.
	last string
	// tried is set when something may have been changed.
	tried bool
}

// cut is a place where a piece may end, and how many statements are before it.
type cut struct {
	end        int64
	statements int
}

// load imports everything.
func (l *loader) load(ctx context.Context) (err error) {
	size, err := l.source.extent(ctx)
	if err != nil {
		return err
	}
	l.whole = size.bytes
	if l.file, err = tempFile(""); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTemp(l.file)) }()
	if err := l.source.Plan.WriteSQL(ctx, func(unit []byte, n int) error { return l.take(ctx, unit, n) }); err != nil {
		return err
	}
	return l.flush(ctx)
}

// take adds a unit to the piece at hand, which is sent first where it would grow
// too large.
func (l *loader) take(ctx context.Context, unit []byte, statements int) error {
	n := 0
	if len(l.cuts) > 0 {
		n = l.cuts[len(l.cuts)-1].statements
	}
	if len(l.cuts) > 0 && (l.size+int64(len(unit)) > l.maxBytes || n+statements > l.maxStatements) {
		if err := l.flush(ctx); err != nil {
			return err
		}
		n = 0
	}
	if _, err := l.file.WriteAt(unit, l.size); err != nil {
		return fmt.Errorf("write a piece into a temporary file: %w", err)
	}
	l.size += int64(len(unit))
	l.cuts = append(l.cuts, cut{l.size, n + statements})
	return nil
}

// flush sends the piece at hand.
func (l *loader) flush(ctx context.Context) error {
	if err := l.send(ctx, 0, len(l.cuts)); err != nil {
		return err
	}
	l.cuts, l.size = l.cuts[:0], 0
	return nil
}

// send imports the units from one cut to another, in halves where D1 could not
// bear it: then all that follow are made smaller, too.
func (l *loader) send(ctx context.Context, from, to int) error {
	p := l.piece(from, to)
	err := l.try(ctx, p)
	var failed *d1.ImportError
	if !errors.As(err, &failed) || failed.Cause != d1.ImportReset && !failed.Ambiguous || to-from < 2 || ctx.Err() != nil {
		return err
	}
	l.e.opts.Log.Warn("D1 gave up on a piece of the import, which is cut in half", "statements", p.statements, "bytes", p.size, "error", err)
	l.maxBytes, l.maxStatements = max(p.size/2, 1), max(p.statements/2, 1)
	middle := (from + to) / 2
	if err := l.send(ctx, from, middle); err != nil {
		return err
	}
	return l.send(ctx, middle, to)
}

// piece is a part of the file with what goes before and behind it.
type piece struct {
	number        int
	from, size    int64
	statements    int
	prelude, mark string
	// units is in how many the piece can be cut, tryNow how often it was sent.
	units, tryNow int
}

func (l *loader) piece(from, to int) piece {
	p := piece{number: l.pieces + 1, units: to - from}
	if from > 0 {
		p.from, p.statements = l.cuts[from-1].end, -l.cuts[from-1].statements
	}
	if to > 0 {
		p.size = l.cuts[to-1].end - p.from
		p.statements += l.cuts[to-1].statements
	}
	marker := dump.QuoteName(l.marker)
	prelude := []string{"PRAGMA defer_foreign_keys=TRUE;"}
	if p.number == 1 {
		prelude = append(prelude, l.before...)
		prelude = append(prelude, "CREATE TABLE "+marker+" (piece INTEGER PRIMARY KEY, job TEXT);")
	}
	p.prelude = strings.Join(prelude, "\n") + "\n"
	p.mark = fmt.Sprintf("INSERT INTO %s VALUES(%d,'%s');\n", marker, p.number, l.job)
	return p
}

// tries is how often a piece is sent that did not get in.
const tries = 4

// try sends a piece until it is in. What an answer says of it does not count
// where it is not certain: then the database is looked at.
func (l *loader) try(ctx context.Context, p piece) error {
	for p.tryNow = 1; ; p.tryNow++ {
		err := l.once(ctx, p)
		if err == nil {
			return nil
		}
		var failed *d1.ImportError
		if !errors.As(err, &failed) || ctx.Err() != nil {
			return err
		}
		if failed.Ambiguous || failed.Cause == d1.ImportReset || p.tryNow > 1 {
			in, lookErr := l.in(ctx, p.number)
			if lookErr != nil {
				// Whether less would go is not the question any more.
				return fmt.Errorf("%w, after: %s", lookErr, err.Error())
			}
			if in {
				l.e.opts.Log.Info("the piece is in, whatever the answer said", "piece", p.number, "answer", err)
				l.done(p, d1.Imported{})
				return nil
			}
		}
		again := (failed.Ambiguous || failed.Cause == d1.ImportBusy) && !errors.Is(err, d1.ErrDeadline)
		if failed.Cause == d1.ImportReset && p.units > 1 {
			again = false // it would be again, and half of it may go
		}
		if !again || p.tryNow == tries {
			return err
		}
		if !pause(ctx, l.e.opts.Pause(p.tryNow)) {
			return context.Cause(ctx)
		}
	}
}

// once sends a piece once. Its first line makes its bytes unlike any that were
// ever sent: D1 takes a file that it knows for done.
func (l *loader) once(ctx context.Context, p piece) error {
	nonce := fmt.Sprintf("-- %s, piece %d, try %d, %s\n", l.job, p.number, p.tryNow, l.e.opts.NewRunID())
	head := nonce + p.prelude
	size := int64(len(head)) + p.size + int64(len(p.mark))
	before, what := l.bytes, l.what(p)
	var started time.Time
	l.tried = true
	imported, err := l.e.opts.D1.Import(ctx, d1.ImportRequest{
		ID: l.target, Size: size, Silence: l.e.opts.ExportTimeout,
		Open: func() io.Reader {
			return io.MultiReader(strings.NewReader(head), io.NewSectionReader(l.file, p.from, p.size), strings.NewReader(p.mark))
		},
		Progress: func(n int64) { l.observe(before+n, "uploading "+what) },
		Running: func() {
			now := l.e.opts.Now()
			if started.IsZero() {
				started = now
			}
			l.observe(before+p.size, what+l.silence(now.Sub(started)))
		},
	})
	if !started.IsZero() {
		l.took += l.e.opts.Now().Sub(started)
	}
	if err != nil {
		return err
	}
	l.done(p, imported)
	return nil
}

func (l *loader) done(p piece, imported d1.Imported) {
	l.pieces++
	l.statements += p.statements
	l.bytes += p.size
	l.last = imported.Bookmark
	l.observe(l.bytes, fmt.Sprintf("%d statements are in", l.statements))
}

func (l *loader) observe(bytes int64, detail string) {
	l.e.observeLoad(l.source, bytes, l.whole, detail)
}

// what says what a piece brings in.
func (l *loader) what(p piece) string {
	return fmt.Sprintf("import %d, statements %d to %d of a backup of %d rows", p.number,
		l.statements+1, l.statements+p.statements, l.source.Plan.Rows())
}

// silence says that the database answers nobody, since when, and for how much
// longer as far as earlier restores or the pieces before this one tell.
func (l *loader) silence(since time.Duration) string {
	text := fmt.Sprintf("; the database answers nobody, for %s so far", since.Round(time.Second))
	more, left := l.outlook.About, l.whole-l.bytes
	if l.bytes > 0 && left > 0 {
		more = time.Duration(float64(l.took) * float64(left) / float64(l.bytes))
	}
	if more = (more - since).Round(time.Second); more <= 0 {
		return text
	}
	return fmt.Sprintf("%s and about %s more", text, more)
}

// in says whether a piece is in the database.
func (l *loader) in(ctx context.Context, number int) (bool, error) {
	last, err := l.e.lastPiece(ctx, l.target, l.marker)
	if err != nil {
		return false, fmt.Errorf("look whether piece %d of the restore is in the database: %w", number, err)
	}
	return last >= number, nil
}

// lastPiece is how many pieces of a load a database holds; -1 where it has no
// table that tells.
func (e *Engine) lastPiece(ctx context.Context, id, marker string) (int, error) {
	there, err := e.number(ctx, id, "SELECT count(*) FROM sqlite_schema WHERE type='table' AND name="+dump.QuoteText(marker))
	if err != nil || there == 0 {
		return -1, err
	}
	last, err := e.number(ctx, id, "SELECT coalesce(max(piece),0) FROM "+dump.QuoteName(marker))
	return int(last), err
}

// unmark takes the table away by which the load was followed. To do that twice
// does no harm, so it is tried again whatever the answer was.
func (l *loader) unmark(ctx context.Context) error {
	for n := 1; ; n++ {
		_, err := l.e.opts.D1.Query(ctx, l.target, "DROP TABLE IF EXISTS "+dump.QuoteName(l.marker))
		if err == nil {
			return nil
		}
		if n == tries || errors.Is(err, d1.ErrDeadline) || !pause(ctx, l.e.opts.Pause(n)) {
			return fmt.Errorf("drop the table %s, by which the restore was followed: %w", l.marker, err)
		}
	}
}
