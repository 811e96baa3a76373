// Package litecatalog keeps the job catalogue in one SQLite file, for the
// processes of one host.
//
// Its rules: every change is one transaction that begins with the file's write
// lock (BEGIN IMMEDIATE), so that processes wait for each other instead of
// failing half way; the clock is the one that is given, since all processes of
// a host share it; every call ends within a limit, whatever its context; the
// file is private to its owner. The tables are made and brought up to date when
// the file is opened, by one process at a time, with the lock file that stays
// beside the database.
//
// It does not work on a network file system, where SQLite's locks do not hold:
// hosts that share a catalogue use pgcatalog.
package litecatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// DefaultCallLimit bounds every call where Options do not say.
const DefaultCallLimit = 5 * time.Second

// Options say where a catalogue lies.
type Options struct {
	// Path is the database file. It and its folder are made if missing, the
	// folder with mode 0700, the file with 0600.
	Path string
	// Now is the catalogue's clock. It must be given.
	Now func() time.Time
	// CallLimit bounds every call; 0 means DefaultCallLimit.
	CallLimit time.Duration
}

// Catalog is a catalogue in an SQLite file. It is made by Open.
type Catalog struct {
	db    *sql.DB
	path  string
	now   func() time.Time
	limit time.Duration
}

var _ catalog.Catalog = (*Catalog)(nil)

// Open opens the catalogue, making file and tables where they are missing. A
// file that holds something else, or a catalogue of a newer Patina, is an error
// wrapping catalog.ErrSchema, and is left as it is.
func Open(ctx context.Context, opts Options) (*Catalog, error) {
	if opts.Now == nil {
		return nil, errors.New("open catalogue: no clock was given")
	}
	c, err := connect(ctx, opts)
	if err != nil {
		return nil, err
	}
	if _, err := c.migrate(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Now is the time by the clock that was given.
func (c *Catalog) Now(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	if err := c.db.PingContext(ctx); err != nil {
		return time.Time{}, interpret(ctx, "read the clock", err)
	}
	return c.clock(), nil
}

// Close closes the file.
func (c *Catalog) Close() error {
	if err := c.db.Close(); err != nil {
		return fmt.Errorf("close catalogue: %w", err)
	}
	return nil
}

func (c *Catalog) clock() time.Time { return catalog.Cut(c.now()) }

// connect makes the handle and the file, but no tables.
func connect(ctx context.Context, opts Options) (*Catalog, error) {
	path, err := filepath.Abs(opts.Path)
	if err != nil || opts.Path == "" {
		return nil, fmt.Errorf("open catalogue: bad path %q", opts.Path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open catalogue: %w: %w", catalog.ErrUnavailable, err)
	}
	limit := opts.CallLimit
	if limit <= 0 {
		limit = DefaultCallLimit
	}
	db, err := openFile(ctx, path, limit)
	if err != nil {
		return nil, err
	}
	return &Catalog{db: db, path: path, now: opts.Now, limit: limit}, nil
}

// openFile opens one SQLite file with one connection: SQLite has one writer,
// and a second connection would only wait in the wrong place.
func openFile(ctx context.Context, path string, busy time.Duration) (*sql.DB, error) {
	_, statErr := os.Lstat(path)
	db, err := sql.Open("sqlite", dsn(path, busy))
	if err != nil {
		return nil, fmt.Errorf("open catalogue: %w: %w", catalog.ErrUnavailable, err)
	}
	db.SetMaxOpenConns(1)
	if !errors.Is(statErr, fs.ErrNotExist) {
		return db, nil
	}
	// The mode is set by name. Creating the file here would mean to close a
	// descriptor of it, and with that POSIX drops every lock that this
	// process has on it through SQLite.
	if err := create(ctx, db, path); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalogue: %w: %w", catalog.ErrUnavailable, err), db.Close())
	}
	return db, nil
}

// create has SQLite make the empty file and takes it from other users.
func create(ctx context.Context, db *sql.DB, path string) error {
	if _, err := db.ExecContext(ctx, "PRAGMA schema_version"); err != nil {
		return err
	}
	return os.Chmod(path, 0o600)
}

// dsn spells the path as a URI, in which ? # and % of a path are escaped.
func dsn(path string, busy time.Duration) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive letter
	}
	query := url.Values{
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: query.Encode()}).String()
}

// write runs one change in one transaction that holds the write lock.
func (c *Catalog) write(ctx context.Context, what string, change func(context.Context, *sql.Tx) error) error {
	return c.transact(ctx, what, nil, change)
}

// read runs queries in one transaction, so that they see one state.
func (c *Catalog) read(ctx context.Context, what string, query func(context.Context, *sql.Tx) error) error {
	return c.transact(ctx, what, &sql.TxOptions{ReadOnly: true}, query)
}

func (c *Catalog) transact(
	caller context.Context, what string, opts *sql.TxOptions, work func(context.Context, *sql.Tx) error,
) error {
	ctx, cancel := context.WithTimeout(caller, c.limit)
	defer cancel()
	tx, err := c.db.BeginTx(ctx, opts)
	if err != nil {
		return interpret(caller, what, err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := work(ctx, tx); err != nil {
		return interpret(caller, what, err)
	}
	return interpret(caller, what, tx.Commit())
}
