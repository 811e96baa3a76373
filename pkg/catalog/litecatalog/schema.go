package litecatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"

	migrations "github.com/AutumnsGrove/patina/sql"
)

const (
	// versionTable is where goose writes down what it applied.
	versionTable = "migrations"
	// lockSuffix names the file whose lock lets one process migrate at a time.
	lockSuffix = ".lock"
	// migrateLimit bounds all of a migration, the wait for another process
	// that is at it included.
	migrateLimit = 30 * time.Second
)

// Migrate makes file and tables or brings them up to date, as Open does, and
// returns the names of the files that it applied.
func Migrate(ctx context.Context, opts Options) ([]string, error) {
	c, err := connect(ctx, opts)
	if err != nil {
		return nil, err
	}
	applied, err := c.migrate(ctx)
	return applied, errors.Join(err, c.Close())
}

// Pending returns the names of the files that Migrate would apply. It changes
// nothing; it does not even make the file.
func Pending(ctx context.Context, opts Options) ([]string, error) {
	known, err := list()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(opts.Path); errors.Is(err, fs.ErrNotExist) {
		return migrations.After(known, 0), nil
	}
	c, err := connect(ctx, opts)
	if err != nil {
		return nil, err
	}
	version, err := c.version(ctx, known)
	return migrations.After(known, version), errors.Join(err, c.Close())
}

// migrate applies what is missing, if anything is.
func (c *Catalog) migrate(ctx context.Context) ([]string, error) {
	known, err := list()
	if err != nil {
		return nil, err
	}
	version, err := c.version(ctx, known)
	if err != nil || version == migrations.Newest(known) {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, migrateLimit)
	defer cancel()
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	applied, err := c.up(ctx)
	return applied, errors.Join(err, unlock())
}

// lock waits for the right to migrate. goose has a lock for Postgres only, and
// without one two processes could both find a migration missing and apply it
// one after the other.
func (c *Catalog) lock(ctx context.Context) (func() error, error) {
	db, err := openFile(ctx, c.path+lockSuffix, migrateLimit)
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, errors.Join(interpret(ctx, "wait for the migration lock", err), db.Close())
	}
	return func() error { return errors.Join(tx.Rollback(), db.Close()) }, nil
}

// up applies what is still missing now that the lock is ours.
func (c *Catalog) up(ctx context.Context) ([]string, error) {
	// In write-ahead mode readers and the writer do not wait for each other.
	// The mode stays with the file.
	if _, err := c.db.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return nil, interpret(ctx, "migrate catalogue", err)
	}
	folder, err := migrations.SQLite()
	if err != nil {
		return nil, fmt.Errorf("migrate catalogue: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, c.db, folder,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("migrate catalogue: %w", err)
	}
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results = partial.Applied
	}
	var applied []string
	for _, result := range results {
		applied = append(applied, filepath.Base(result.Source.Path))
	}
	return applied, interpret(ctx, "migrate catalogue", err)
}

// version is the number of the newest migration that was applied, 0 for an
// empty file. A file that is not ours, or too new, is an error.
func (c *Catalog) version(ctx context.Context, known []migrations.Migration) (int64, error) {
	var version sql.NullInt64
	var foreign sql.NullString
	err := c.read(ctx, "open catalogue", func(ctx context.Context, tx *sql.Tx) error {
		var ours int
		const tables = `SELECT count(*) FILTER (WHERE name = ?), min(name) FROM sqlite_schema
			WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\'`
		if err := tx.QueryRowContext(ctx, tables, versionTable).Scan(&ours, &foreign); err != nil {
			return err
		}
		if ours == 0 {
			return nil
		}
		foreign = sql.NullString{}
		const newest = `SELECT max(version_id) FROM ` + versionTable + ` WHERE is_applied`
		return tx.QueryRowContext(ctx, newest).Scan(&version)
	})
	switch {
	case err != nil:
		return 0, err
	case foreign.Valid:
		return 0, schemaError("", "%s holds other things (such as %s) and no catalogue", c.path, foreign.String)
	case version.Int64 > migrations.Newest(known):
		return 0, schemaError("", "%s is of a newer patina: its schema is number %d, and this patina knows up to %d",
			c.path, version.Int64, migrations.Newest(known))
	}
	return version.Int64, nil
}

func list() ([]migrations.Migration, error) {
	folder, err := migrations.SQLite()
	if err != nil {
		return nil, fmt.Errorf("open catalogue: %w", err)
	}
	return migrations.List(folder)
}
