package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

// Leases are named rights to work on something, held for a while by one owner.
// They save work and keep runs out of each other's way; correctness rests on
// the store's create-only keys, never on a lease.
type Leases interface {
	// Acquire must take the first of the names that nobody holds, in the
	// order given, or return a *HeldError about the first. A lease that has
	// expired by the catalogue's clock is free. Each taking of a name gets a
	// greater fencing number than all before it. The same owner asking again
	// for a name it holds is refused like anybody else.
	Acquire(ctx context.Context, names []string, owner Owner, ttl time.Duration) (Lease, error)

	// Renew must move the expiry to ttl from now by the catalogue's clock,
	// or return an error wrapping ErrLost if the lease was taken by another
	// or released. An expired lease that nobody took yet is renewed.
	Renew(ctx context.Context, lease Lease, ttl time.Duration) (Lease, error)

	// Release must free the name if the lease is still its owner's. A lease
	// that was lost meanwhile is success: it is nobody's business any more.
	Release(ctx context.Context, lease Lease) error

	// Held must return the leases that live, by name.
	Held(ctx context.Context) ([]Lease, error)
}

// Owner is who holds a lease, told to those who wait for it.
type Owner struct {
	JobID   string `json:"jobId"`
	RunID   string `json:"runId"`
	Host    string `json:"host"`
	Process int    `json:"process"`
}

// String is the owner as a waiting operator reads it.
func (o Owner) String() string {
	return fmt.Sprintf("run %s of %s (process %d on %s)", o.RunID, o.JobID, o.Process, o.Host)
}

// Lease is a right that was taken.
type Lease struct {
	Name  string `json:"name"`
	Owner Owner  `json:"owner"`
	// Fence grows with each taking of the name.
	Fence int64 `json:"fence"`
	// AcquiredAt and ExpiresAt are by the catalogue's clock.
	AcquiredAt time.Time `json:"acquiredAt"`
	ExpiresAt  time.Time `json:"expiresAt"`
}

// HeldError tells who holds what was asked for. It wraps ErrHeld.
type HeldError struct {
	Lease Lease
}

// Error names the lease, its holder, place and since when.
func (e *HeldError) Error() string {
	return e.Lease.Name + " is " + e.By()
}

// By names holder, place and since when, for those to whom the lease's name
// says nothing.
func (e *HeldError) By() string {
	return fmt.Sprintf("held by %s since %s", e.Lease.Owner, e.Lease.AcquiredAt.UTC().Format(time.RFC3339))
}

// Unwrap is ErrHeld.
func (e *HeldError) Unwrap() error { return ErrHeld }

// DatabaseLease is the name of the lease on one database, for everything that
// must be alone with it: backup, restore, rewind, drill targets.
func DatabaseLease(databaseID string) string { return "db:" + databaseID }

// PruneLease is the name of the lease on removing what retention lets go.
const PruneLease = "prune"

// WeekLease is the name of the lease on the archive of a week.
func WeekLease(week backup.Week) string { return "week:" + week.String() }
