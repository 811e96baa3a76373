package litecatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

const leaseColumns = `name, fence, owner_job, owner_run, owner_host, owner_process, acquired_at, expires_at`

// Acquire takes the first of the names that is free: see catalog.Leases.
func (c *Catalog) Acquire(
	ctx context.Context, names []string, owner catalog.Owner, ttl time.Duration,
) (catalog.Lease, error) {
	if err := catalog.CheckAcquire(names, ttl); err != nil {
		return catalog.Lease{}, fmt.Errorf("acquire lease: %w", err)
	}
	var got catalog.Lease
	err := c.write(ctx, "acquire lease", func(ctx context.Context, tx *sql.Tx) error {
		now := c.clock()
		var first *catalog.HeldError
		for _, name := range names {
			holder, err := living(ctx, tx, name, now)
			switch {
			case errors.Is(err, sql.ErrNoRows):
				got, err = take(ctx, tx, name, owner, now, ttl)
				return err
			case err != nil:
				return err
			case first == nil:
				first = &catalog.HeldError{Lease: holder}
			}
		}
		return first
	})
	if err != nil {
		return catalog.Lease{}, err
	}
	return got, nil
}

// living is the lease that holds a name, or sql.ErrNoRows.
func living(ctx context.Context, tx *sql.Tx, name string, now time.Time) (catalog.Lease, error) {
	const query = `SELECT ` + leaseColumns + ` FROM leases
		WHERE name = ? AND released_at IS NULL AND expires_at > ?`
	return scanLease(tx.QueryRowContext(ctx, query, name, moment(now)))
}

func take(
	ctx context.Context, tx *sql.Tx, name string, owner catalog.Owner, now time.Time, ttl time.Duration,
) (catalog.Lease, error) {
	const query = `INSERT INTO leases (
			name, fence, owner_job, owner_run, owner_host, owner_process, acquired_at, expires_at)
		VALUES (?, 1, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET
			fence = fence + 1, owner_job = excluded.owner_job, owner_run = excluded.owner_run,
			owner_host = excluded.owner_host, owner_process = excluded.owner_process,
			acquired_at = excluded.acquired_at, expires_at = excluded.expires_at, released_at = NULL
		RETURNING ` + leaseColumns
	return scanLease(tx.QueryRowContext(ctx, query, name,
		catalog.Prose(owner.JobID), catalog.Prose(owner.RunID), catalog.Prose(owner.Host), owner.Process,
		moment(now), moment(now.Add(ttl))))
}

// Renew moves a lease's expiry: see catalog.Leases.
func (c *Catalog) Renew(ctx context.Context, lease catalog.Lease, ttl time.Duration) (catalog.Lease, error) {
	const query = `UPDATE leases SET expires_at = ?
		WHERE name = ? AND fence = ? AND released_at IS NULL
		RETURNING ` + leaseColumns
	if err := catalog.CheckTTL(ttl); err != nil {
		return catalog.Lease{}, fmt.Errorf("renew lease: %w", err)
	}
	var renewed catalog.Lease
	err := c.write(ctx, "renew lease", func(ctx context.Context, tx *sql.Tx) error {
		var err error
		renewed, err = scanLease(tx.QueryRowContext(ctx, query,
			moment(c.clock().Add(ttl)), lease.Name, lease.Fence))
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: %s", catalog.ErrLost, lease.Name)
		}
		return err
	})
	if err != nil {
		return catalog.Lease{}, err
	}
	return renewed, nil
}

// Release frees a name: see catalog.Leases. The row stays, for its fence.
func (c *Catalog) Release(ctx context.Context, lease catalog.Lease) error {
	const query = `UPDATE leases SET released_at = ? WHERE name = ? AND fence = ? AND released_at IS NULL`
	return c.write(ctx, "release lease", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, moment(c.clock()), lease.Name, lease.Fence)
		return err
	})
}

// Held returns the leases that live, by name.
func (c *Catalog) Held(ctx context.Context) ([]catalog.Lease, error) {
	const query = `SELECT ` + leaseColumns + ` FROM leases
		WHERE released_at IS NULL AND expires_at > ? ORDER BY name`
	var held []catalog.Lease
	err := c.read(ctx, "list leases", func(ctx context.Context, tx *sql.Tx) error {
		var err error
		held, err = collect(ctx, tx, func(rows *sql.Rows) (catalog.Lease, error) { return scanLease(rows) },
			query, moment(c.clock()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

func scanLease(row interface{ Scan(...any) error }) (catalog.Lease, error) {
	var l catalog.Lease
	err := row.Scan(&l.Name, &l.Fence, &l.Owner.JobID, &l.Owner.RunID, &l.Owner.Host, &l.Owner.Process,
		(*moment)(&l.AcquiredAt), (*moment)(&l.ExpiresAt))
	return l, err
}
