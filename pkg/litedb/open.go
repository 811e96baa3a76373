package litedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// ErrEncoding is the error for a database whose text is not UTF-8, as D1's
// always is.
var ErrEncoding = errors.New("its text is not UTF-8")

// Open opens a database that is there, which it reads and never changes. It is as
// it was when it was opened, until it is closed, whoever writes to it meanwhile.
func Open(ctx context.Context, path string) (*DB, error) {
	// SQLite would take a missing name for an error of the disk, and a folder too.
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open the database: %s is no file", path)
	}
	d := &DB{path: path, lent: true}
	if err := d.openLent(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s: %w", path, err), d.Close())
	}
	return d, nil
}

func (d *DB) openLent(ctx context.Context) error {
	if err := d.connect(ctx, url.Values{"mode": {"ro"}}); err != nil {
		return err
	}
	if err := d.guard.bind(ctx, d.conn); err != nil {
		return err
	}
	for _, text := range []string{
		"PRAGMA query_only=ON", "PRAGMA cell_size_check=ON", fmt.Sprintf("PRAGMA cache_size=-%d", cacheKiB),
		"BEGIN", "SELECT count(*) FROM sqlite_schema", // from here on it stands still
	} {
		if err := d.exec(ctx, text); err != nil {
			return err
		}
	}
	rows, err := d.strings(ctx, "PRAGMA encoding")
	if err != nil {
		return err
	}
	if len(rows) != 1 || rows[0][0] != "UTF-8" {
		return ErrEncoding
	}
	return nil
}

// connect opens the one connection.
func (d *DB) connect(ctx context.Context, query url.Values) error {
	dsn := InMemory
	if d.path != InMemory {
		dsn = (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: d.path}).EscapedPath(), RawQuery: query.Encode()}).String()
	}
	var err error
	if d.db, err = sql.Open("sqlite", dsn); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	d.db.SetMaxOpenConns(1)
	if d.conn, err = d.db.Conn(ctx); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return nil
}
