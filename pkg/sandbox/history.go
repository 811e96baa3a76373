package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"modernc.org/sqlite"
)

// A state's file is copied when the state is about to end: always if a bookmark
// of it was told, and otherwise if the file is no larger than this.
const keptUntold = 16 << 20

// moment is a state that a database was in.
type moment struct {
	// writes and looks are what its last bookmark is made of.
	writes, looks uint64
	since, till   time.Time
	// path is a copy of the file; empty means that none is kept.
	path string
}

// keep copies the file before it is written, for those who travel back to it.
// It is called with the database's lock held and no transaction open.
func (d *database) keep(history int) error {
	if history < 0 || d.copy != "" {
		return nil
	}
	from, err := os.Open(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // read only
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if !d.told && info.Size() > keptUntold {
		return nil
	}
	to, err := os.CreateTemp(filepath.Dir(d.path), "state-*.sqlite")
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return errors.Join(err, to.Close(), os.Remove(to.Name()))
	}
	d.copy = to.Name()
	return to.Close()
}

// advance ends the current state and begins the next one, so many writes later.
// A state never comes back under its old bookmark. It is called with the
// database's lock held.
func (s *Server) advance(d *database, writes uint64, now time.Time) {
	if writes == 0 {
		return
	}
	d.past = append(d.past, moment{writes: d.writes, looks: d.looks, since: d.since, till: now, path: d.copy})
	d.copy, d.told = "", false
	d.writes += writes
	d.since = now
	s.forget(d, now)
}

// forget removes the states that nobody can travel to any more, and the oldest
// ones beyond the number that is kept.
func (s *Server) forget(d *database, now time.Time) {
	d.past = slices.DeleteFunc(d.past, func(m moment) bool {
		old := now.Sub(m.till) > s.opts.Retention
		if old && m.path != "" {
			_ = os.Remove(m.path) // the folder is temporary
		}
		return old
	})
	kept := 0
	for i := len(d.past) - 1; i >= 0; i-- {
		m := &d.past[i]
		if m.path == "" {
			continue
		}
		if kept++; kept > s.opts.History {
			_ = os.Remove(m.path) // the folder is temporary
			m.path = ""
		}
	}
}

// forgetAll removes the copies of all states.
func (d *database) forgetAll() error {
	var errs []error
	for _, m := range append(d.past, moment{path: d.copy}) {
		if m.path != "" {
			errs = append(errs, os.Remove(m.path))
		}
	}
	d.past, d.copy = nil, ""
	return errors.Join(errs...)
}

// at is the bookmark of the state that a database was in at a time, which is
// the nearest one at or before it.
func (x *exchange) at(text string, now time.Time) (string, error) {
	d, opts := x.db, x.s.opts
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "", badRequest("Invalid property: timestamp => Invalid datetime")
	}
	if at.After(now) || at.Before(d.createdAt.Truncate(time.Second)) || now.Sub(at) > opts.Retention {
		return "", badRequest("timestamp is outside of the time that can be travelled to")
	}
	if !at.Before(d.since) {
		return d.tell(opts.BookmarkMoves, now), nil
	}
	for i := len(d.past) - 1; i >= 0; i-- {
		if m := d.past[i]; !at.Before(m.since) || i == 0 {
			return d.markOf(m.writes, m.looks, d.day(opts.BookmarkMoves, m.till)), nil
		}
	}
	return "", badRequest("timestamp is outside of the time that can be travelled to")
}

// restore takes the database back to a bookmark or a time, in place.
func (x *exchange) restore() (any, error) {
	query := x.r.URL.Query()
	wanted, timestamp := query.Get("bookmark"), query.Get("timestamp")
	if (wanted == "") == (timestamp == "") {
		return nil, badRequest("Invalid property: exactly one of bookmark and timestamp is required")
	}
	d, now := x.db, x.s.opts.Now()
	d.lock.Lock()
	defer d.lock.Unlock()
	if err := x.s.busy(d, now); err != nil {
		return nil, err
	}
	x.s.forget(d, now)
	if timestamp != "" {
		found, err := x.at(timestamp, now)
		if err != nil {
			return nil, err
		}
		wanted = found
	}
	m, err := d.momentOf(wanted)
	if err != nil {
		return nil, err
	}
	if err := d.countRestore(x.s.opts.RestoreLimit, now); err != nil {
		return nil, err
	}
	previous := d.tell(x.s.opts.BookmarkMoves, now)
	if err := d.keep(x.s.opts.History); err != nil {
		return nil, err
	}
	if m != nil {
		if err := d.load(x.r.Context(), m.path); err != nil {
			return nil, err
		}
	}
	x.s.advance(d, 1, now)
	return map[string]string{
		"bookmark": wanted, "previous_bookmark": previous,
		"message": fmt.Sprintf("Database %s has been restored to bookmark %s", d.name, wanted),
	}, nil
}

// momentOf is the state behind a bookmark: nil is the current one.
func (d *database) momentOf(bookmark string) (*moment, error) {
	writes, err := d.parse(bookmark)
	if err != nil {
		return nil, err
	}
	if writes == d.writes {
		return nil, nil //nolint:nilnil // as the comment says
	}
	for i := range d.past {
		if m := &d.past[i]; m.writes == writes && m.path != "" {
			return m, nil
		}
	}
	return nil, badRequest("bookmark %s is outside of the time that can be travelled to", bookmark)
}

// restoreWindow is the time in which a database may be restored ten times
// (https://developers.cloudflare.com/d1/reference/time-travel/).
const restoreWindow = 10 * time.Minute

// countRestore refuses one restore too many. With which code D1 does is not
// known.
func (d *database) countRestore(limit int, now time.Time) error {
	d.restores = slices.DeleteFunc(d.restores, func(at time.Time) bool { return now.Sub(at) >= restoreWindow })
	if limit > 0 && len(d.restores) >= limit {
		return &refusal{http.StatusTooManyRequests, 7429, "Too many restores of this database. Please wait a few minutes."}
	}
	d.restores = append(d.restores, now)
	return nil
}

// load overwrites the database with a copy of it, page by page, below the
// connections that have it open.
func (d *database) load(ctx context.Context, path string) (err error) {
	conn, err := d.free.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.Raw(func(driver any) error {
		restorer, ok := driver.(interface {
			NewRestore(src string) (*sqlite.Backup, error)
		})
		if !ok {
			return fmt.Errorf("%T restores nothing", driver)
		}
		copying, err := restorer.NewRestore(fileURL(path))
		if err != nil {
			return err
		}
		for more := true; more && err == nil; {
			more, err = copying.Step(-1)
		}
		return errors.Join(err, copying.Finish())
	})
}
