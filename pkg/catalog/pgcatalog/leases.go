package pgcatalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

const (
	leaseColumns = `l.name, l.fence, l.owner_job, l.owner_run, l.owner_host, l.owner_process,
		l.acquired_at, l.expires_at`
	// living is true of a lease that holds its name.
	living = `(l.released_at IS NULL AND l.expires_at > clock_timestamp())`
	// acquireTries bounds the looks at names that are neither free nor held,
	// because somebody is taking or giving them back at this moment.
	acquireTries = 4
)

// lease is a row of the table, with what it means right now.
type lease struct {
	catalog.Lease
	living bool
}

// Acquire takes the first of the names that is free: see catalog.Leases.
func (c *Catalog) Acquire(
	ctx context.Context, names []string, owner catalog.Owner, ttl time.Duration,
) (catalog.Lease, error) {
	const what = "acquire lease"
	if err := catalog.CheckAcquire(names, ttl); err != nil {
		return catalog.Lease{}, fmt.Errorf("%s: %w", what, err)
	}
	limited, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	var rows []lease
	for try := range acquireTries {
		var got *catalog.Lease
		err := c.write(limited, what, onceOnly, func(ctx context.Context, tx pgx.Tx) error {
			var err error
			if got, err = take(ctx, tx, names, owner, ttl); err != nil || got != nil {
				return err
			}
			rows, err = rowsOf(ctx, tx, names)
			return err
		})
		if err != nil {
			return catalog.Lease{}, err
		}
		if got != nil {
			return *got, nil
		}
		if !hasAll(rows, names) {
			if err := c.addNames(limited, what, names); err != nil {
				return catalog.Lease{}, err
			}
			continue
		}
		if i := slices.IndexFunc(rows, func(l lease) bool { return l.living }); i >= 0 {
			return catalog.Lease{}, &catalog.HeldError{Lease: rows[i].Lease}
		}
		if !pause(limited, firstPause<<try) {
			break
		}
	}
	// Somebody is at the first name each time one looks: it is as good as held.
	if len(rows) > 0 {
		return catalog.Lease{}, &catalog.HeldError{Lease: rows[0].Lease}
	}
	return catalog.Lease{}, c.interpret(ctx, what, context.DeadlineExceeded)
}

// take takes the first name that is free and that nobody is just taking. It
// takes none, and returns nil, if a name has no row yet: it might be the first.
func take(
	ctx context.Context, tx pgx.Tx, names []string, owner catalog.Owner, ttl time.Duration,
) (*catalog.Lease, error) {
	const query = `
		WITH wanted AS (
			SELECT name, min(place) AS place
			FROM unnest($1::text[]) WITH ORDINALITY AS w (name, place) GROUP BY name
		), free AS MATERIALIZED (
			SELECT l.name FROM patina.leases AS l JOIN wanted AS w ON w.name = l.name
			WHERE NOT ` + living + `
				AND (SELECT count(*) FROM wanted) =
					(SELECT count(*) FROM patina.leases AS a WHERE a.name = ANY ($1::text[]))
			ORDER BY w.place LIMIT 1
			FOR UPDATE OF l SKIP LOCKED
		), moment AS (SELECT clock_timestamp() AS now)
		UPDATE patina.leases AS l SET
			fence = l.fence + 1, owner_job = $2, owner_run = $3, owner_host = $4, owner_process = $5,
			acquired_at = moment.now, expires_at = moment.now + $6::bigint * interval '1 microsecond',
			released_at = NULL
		FROM free, moment WHERE l.name = free.name
		RETURNING ` + leaseColumns + `, true`
	got, err := scanLease(tx.QueryRow(ctx, query, names, catalog.Prose(owner.JobID), catalog.Prose(owner.RunID),
		catalog.Prose(owner.Host), int64(owner.Process), ttl.Microseconds()))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &got.Lease, err
}

// rowsOf are the rows of the names in the order of the names.
func rowsOf(ctx context.Context, tx pgx.Tx, names []string) ([]lease, error) {
	const query = `SELECT ` + leaseColumns + `, ` + living + ` FROM patina.leases AS l
		WHERE l.name = ANY ($1::text[]) ORDER BY array_position($1::text[], l.name)`
	return collect(ctx, tx, func(row pgx.CollectableRow) (lease, error) { return scanLease(row) }, query, names)
}

func hasAll(rows []lease, names []string) bool {
	for _, name := range names {
		if !slices.ContainsFunc(rows, func(l lease) bool { return l.Name == name }) {
			return false
		}
	}
	return true
}

// addNames makes rows for names that have none, held by nobody. It does so in
// a transaction of its own and in one order for all, so that nobody waits for
// a host that is taking a name.
func (c *Catalog) addNames(ctx context.Context, what string, names []string) error {
	const query = `INSERT INTO patina.leases (
			name, fence, owner_job, owner_run, owner_host, owner_process, acquired_at, expires_at, released_at)
		SELECT w.name, 0, '', '', '', 0, clock_timestamp(), clock_timestamp(), clock_timestamp()
		FROM (SELECT DISTINCT name FROM unnest($1::text[]) AS n (name)) AS w
		WHERE NOT EXISTS (SELECT FROM patina.leases AS l WHERE l.name = w.name)
		ORDER BY w.name COLLATE "C"
		ON CONFLICT (name) DO NOTHING`
	return c.write(ctx, what, idempotent, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, query, names)
		return err
	})
}

// Renew moves a lease's expiry: see catalog.Leases.
func (c *Catalog) Renew(ctx context.Context, held catalog.Lease, ttl time.Duration) (catalog.Lease, error) {
	const query = `UPDATE patina.leases AS l
		SET expires_at = clock_timestamp() + $3::bigint * interval '1 microsecond'
		WHERE l.name = $1 AND l.fence = $2 AND l.released_at IS NULL
		RETURNING ` + leaseColumns + `, true`
	err := catalog.CheckTTL(ttl)
	if err == nil && catalog.CheckName("", held.Name) != nil {
		err = fmt.Errorf("%w: %q", catalog.ErrLost, held.Name)
	}
	if err != nil {
		return catalog.Lease{}, fmt.Errorf("renew lease: %w", err)
	}
	var renewed lease
	err = c.write(ctx, "renew lease", idempotent, func(ctx context.Context, tx pgx.Tx) error {
		var err error
		renewed, err = scanLease(tx.QueryRow(ctx, query, held.Name, held.Fence, ttl.Microseconds()))
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("%w: %s", catalog.ErrLost, held.Name)
		}
		return err
	})
	if err != nil {
		return catalog.Lease{}, err
	}
	return renewed.Lease, nil
}

// Release frees a name: see catalog.Leases. The row stays, for its fence.
func (c *Catalog) Release(ctx context.Context, held catalog.Lease) error {
	const query = `UPDATE patina.leases SET released_at = clock_timestamp()
		WHERE name = $1 AND fence = $2 AND released_at IS NULL`
	return c.write(ctx, "release lease", idempotent, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, query, catalog.Prose(held.Name), held.Fence)
		return err
	})
}

// Held returns the leases that live, by name.
func (c *Catalog) Held(ctx context.Context) ([]catalog.Lease, error) {
	const query = `SELECT ` + leaseColumns + `, true FROM patina.leases AS l WHERE ` + living + ` ORDER BY l.name`
	var held []catalog.Lease
	err := c.read(ctx, "list leases", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		held, err = collect(ctx, tx, func(row pgx.CollectableRow) (catalog.Lease, error) {
			l, err := scanLease(row)
			return l.Lease, err
		}, query)
		return err
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

func scanLease(row interface{ Scan(...any) error }) (lease, error) {
	var l lease
	err := row.Scan(&l.Name, &l.Fence, &l.Owner.JobID, &l.Owner.RunID, &l.Owner.Host, &l.Owner.Process,
		(*moment)(&l.AcquiredAt), (*moment)(&l.ExpiresAt), &l.living)
	return l, err
}
