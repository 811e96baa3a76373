package pgcatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	migrations "github.com/AutumnsGrove/patina/sql"
)

const (
	// versionTable is where goose writes down what it applied.
	versionTable = "patina.migrations"
	// migrationLock is the number of the advisory lock that lets one process
	// migrate at a time: "patina" in ASCII.
	migrationLock int64 = 0x706174696e61
	// migrateLimit bounds all of a migration. Of it, lockTries seconds may be
	// spent on waiting for another process that is at it.
	migrateLimit = 30 * time.Second
	lockTries    = 20
	unlockTries  = 3
)

// Migrate makes the schema and its tables or brings them up to date, whatever
// else the database holds, and returns the names of the files that it applied.
// The policy in the options does not matter.
func Migrate(ctx context.Context, opts Options) ([]string, error) {
	c, err := connect(ctx, opts)
	if err != nil {
		return nil, err
	}
	known, found, err := c.look(ctx)
	if err != nil || found.version == migrations.Newest(known) {
		return nil, errors.Join(err, c.Close())
	}
	applied, err := c.migrate(ctx, MigrateAlways)
	return applied, errors.Join(err, c.Close())
}

// Pending returns the names of the files that Migrate would apply. It changes
// nothing.
func Pending(ctx context.Context, opts Options) ([]string, error) {
	c, err := connect(ctx, opts)
	if err != nil {
		return nil, err
	}
	known, found, err := c.look(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return migrations.After(known, found.version), c.Close()
}

// prepare sees to it that the tables are there, as far as the policy allows.
func (c *Catalog) prepare(ctx context.Context, policy MigratePolicy) error {
	known, found, err := c.look(ctx)
	if err != nil || found.version == migrations.Newest(known) {
		return err
	}
	if policy == MigrateNever {
		return c.schemaError(migrateHint, "is at schema number %d, and this patina needs %d",
			found.version, migrations.Newest(known))
	}
	_, err = c.migrate(ctx, policy)
	return err
}

// migrate makes the schema if the policy allows, and applies what is missing.
func (c *Catalog) migrate(ctx context.Context, policy MigratePolicy) ([]string, error) {
	if err := c.makeSchema(ctx, policy); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, migrateLimit)
	defer cancel()
	// A connection of its own, closed at the end: should the lock's release
	// get lost, the end of the session frees it.
	db := stdlib.OpenDB(*c.pool.Config().ConnConfig)
	defer func() { _ = db.Close() }() // what counts was committed, or failed
	folder, err := migrations.Postgres()
	if err != nil {
		return nil, fmt.Errorf("migrate catalogue: %w", err)
	}
	locker, err := newLocker(c.limit)
	if err != nil {
		return nil, fmt.Errorf("migrate catalogue: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, folder,
		goose.WithTableName(versionTable), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("migrate catalogue: %w", err)
	}
	results, err := provider.Up(limited)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results = partial.Applied
	}
	var applied []string
	for _, result := range results {
		applied = append(applied, filepath.Base(result.Source.Path))
	}
	return applied, c.interpret(ctx, "migrate catalogue", err)
}

// makeSchema makes the schema where it is missing and the policy allows. The
// look and the making are one transaction under a lock of their own, so that
// two first uses at once both succeed.
func (c *Catalog) makeSchema(ctx context.Context, policy MigratePolicy) error {
	return c.write(ctx, "migrate catalogue", idempotent, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock+1); err != nil {
			return err
		}
		found, err := c.lookIn(ctx, tx)
		if err != nil || found.schema {
			return err
		}
		if found.foreign != "" && policy != MigrateAlways {
			return c.schemaError(migrateHint,
				"holds other things (such as %s) and no schema patina, which is not made unasked", found.foreign)
		}
		_, err = tx.Exec(ctx, `CREATE SCHEMA patina`)
		return err
	})
}

// boundedLocker is goose's lock with a limit on its release, which goose gives
// a context that never ends.
type boundedLocker struct {
	lock.SessionLocker
	limit time.Duration
}

func newLocker(limit time.Duration) (lock.SessionLocker, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock),
		lock.WithLockTimeout(1, lockTries), lock.WithUnlockTimeout(1, unlockTries))
	if err != nil {
		return nil, err
	}
	return &boundedLocker{SessionLocker: locker, limit: limit}, nil
}

// SessionUnlock releases the lock.
func (l *boundedLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	return l.SessionLocker.SessionUnlock(ctx, conn)
}
