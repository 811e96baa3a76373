package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// firstTries and secondTries are how often one database is tried in each
// round. The second round comes after all others had their turn, when what
// ailed the API may have passed.
const (
	firstTries  = 3
	secondTries = 2
)

// round takes all planned databases, several at once, in order.
func (r *backupRun) round(ctx context.Context, tries int) {
	var workers sync.WaitGroup
	queue := &queue{r: r}
	for _, t := range r.tasks {
		if t.outcome == OutcomePlanned {
			queue.waiting = append(queue.waiting, t)
		}
	}
	for range min(r.e.opts.Concurrency, len(queue.waiting)) {
		workers.Go(func() {
			for t, release := queue.next(ctx); t != nil; t, release = queue.next(ctx) {
				r.take(ctx, t, tries)
				release()
			}
		})
	}
	workers.Wait()
}

// queue hands out the databases of a round, each under its lease where there
// is a catalogue to keep one.
type queue struct {
	r       *backupRun
	mu      sync.Mutex
	waiting []*task
	// blockedAt is since when all that is left is held by others.
	blockedAt time.Time
}

// lockPoll is how often a held database is asked for again.
const lockPoll = time.Second

// next is the next database to take, with what to call when it is taken; nil
// when none is left, or ctx ended.
func (q *queue) next(ctx context.Context) (*task, func()) {
	for ctx.Err() == nil {
		t, release, wait := q.claim(ctx)
		if !wait {
			return t, release
		}
		select {
		case <-ctx.Done():
		case <-time.After(lockPoll):
		}
	}
	return nil, nil
}

// claim takes the first database that nobody holds. The last result says that
// all that is left is held by others and may be asked for again.
func (q *queue) claim(ctx context.Context) (*task, func(), bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil, nil, false
	}
	names := make([]string, len(q.waiting))
	for i, t := range q.waiting {
		names[i] = catalog.DatabaseLease(t.database.ID)
	}
	lease, leased, err := q.r.log.acquire(ctx, names, q.r.owner)
	if err != nil {
		return nil, nil, q.heldByOthers(ctx, err)
	}
	q.blockedAt = time.Time{}
	if !leased {
		return q.take(0), func() {}, false
	}
	return q.take(slices.Index(names, lease.Name)), q.keep(ctx, lease), false
}

func (q *queue) take(i int) *task {
	t := q.waiting[i]
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return t
}

// keep renews a lease until the returned function is called.
func (q *queue) keep(ctx context.Context, lease catalog.Lease) func() {
	ctx, stop := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { q.r.log.keep(ctx, lease) })
	return func() { stop(); keeper.Wait() }
}

// heldByOthers settles what another run of the same night is at work on, and
// gives up what was waited for long enough. It says whether to ask again.
func (q *queue) heldByOthers(ctx context.Context, cause error) bool {
	now := q.r.now()
	if q.blockedAt.IsZero() {
		q.blockedAt = now
	}
	holders := q.r.log.holders(ctx)
	waited := now.Sub(q.blockedAt)
	q.waiting = slices.DeleteFunc(q.waiting, func(t *task) bool {
		lease, held := holders[catalog.DatabaseLease(t.database.ID)]
		switch {
		case !held:
			return false
		case q.orphaned(lease):
			q.r.log.release(ctx, lease)
			return false
		case q.r.job.IsNight() && lease.Owner.JobID == q.r.job.ID:
			q.r.settle(t, OutcomeElsewhere, "", nil)
			return true
		case waited >= q.r.req.LockWait:
			q.r.giveUpWaiting(t, &catalog.HeldError{Lease: lease}, waited)
			return true
		}
		q.r.observe(t, PhaseWaiting, 0, -1, lease.Owner.String())
		return false
	})
	if len(holders) == 0 && waited >= q.r.req.LockWait {
		for _, t := range q.waiting {
			q.r.giveUpWaiting(t, cause, waited)
		}
		q.waiting = nil
	}
	return len(q.waiting) > 0
}

// orphaned says whether a lease is that of a process of this host that is no
// more. What is on other hosts is only known by their leases' end.
func (q *queue) orphaned(lease catalog.Lease) bool {
	return lease.Owner.Host == q.r.e.opts.Host && !q.r.e.opts.Alive(lease.Owner.Process)
}

// waitHint is how to go on when a database was waited for in vain.
const waitHint = "patina status tells how far it is; --lock-wait waits longer"

func (r *backupRun) giveUpWaiting(t *task, cause error, waited time.Duration) {
	why := cause.Error()
	if held := (*catalog.HeldError)(nil); errors.As(cause, &held) {
		why = held.By() // the name of the lease says nothing to a person
	}
	r.mu.Lock()
	t.outcome, t.err = OutcomeHeld, fault.New(fault.Held, waitHint, "waited %s: %s", waited.Round(time.Second), why)
	r.mu.Unlock()
}

// take backs up one database, trying again what another try may cure.
func (r *backupRun) take(ctx context.Context, t *task, tries int) {
	if t.startedAt.IsZero() {
		t.startedAt = r.now()
	}
	// One deadline for all tries of both rounds.
	left := r.e.opts.Deadline - r.now().Sub(t.startedAt)
	ctx, cancel := context.WithTimeoutCause(ctx, left, &deadlineError{r.e.opts.Deadline})
	defer cancel()
	for n := 1; ; n++ {
		t.attempts++
		r.record(ctx, t)
		err := r.try(ctx, t)
		if err == nil {
			break
		}
		r.fail(t, r.explain(ctx, err))
		r.e.opts.Log.Info("backup failed", "database", t.database.Name, "attempt", t.attempts, "error", t.err)
		if n >= tries || !t.again || !pause(ctx, r.e.opts.Pause(n)) {
			break
		}
		r.observe(t, PhaseWaiting, 0, -1, "trying again: "+t.err.Error())
		r.mu.Lock()
		t.outcome = OutcomePlanned
		r.mu.Unlock()
	}
	if t.outcome == OutcomeFailed && errors.Is(ctx.Err(), context.Canceled) {
		t.outcome, t.again = OutcomeInterrupted, false
		t.err = fmt.Errorf("interrupted: %w", t.err)
	}
	after, cancelAfter := afterwards(ctx)
	defer cancelAfter()
	r.record(after, t)
	r.observeEnd(t)
}

// explain puts what an operator can act on in the place of what the network
// says: which limit of the configuration was reached.
func (r *backupRun) explain(ctx context.Context, err error) error {
	var deadline *deadlineError
	if errors.As(context.Cause(ctx), &deadline) {
		// What the deadline ended may say so too; once is enough.
		last := strings.ReplaceAll(err.Error(), ": "+deadline.Error(), "")
		return fmt.Errorf("%w; the last error was: %s", deadline, last)
	}
	return err
}

// heard says which limit of the configuration was reached where an export or a
// download fell silent. Other calls have limits of their own.
func (r *backupRun) heard(err error) error {
	if errors.Is(err, d1.ErrSilence) {
		return &silenceError{limit: r.e.opts.ExportTimeout, err: err}
	}
	return err
}

// silenceError says that nothing was heard for longer than export_timeout.
type silenceError struct {
	limit time.Duration
	err   error
}

// Error names the limit in the words that operators know from the system that
// Patina replaces.
func (e *silenceError) Error() string {
	return fmt.Sprintf("Timeout after %s (%s)", e.limit, e.err.Error())
}

// Unwrap is what was waited for.
func (e *silenceError) Unwrap() error { return e.err }

// deadlineError says that one database took longer than it may.
type deadlineError struct{ limit time.Duration }

// Error names the limit.
func (e *deadlineError) Error() string {
	return fmt.Sprintf("not done within the deadline of %s", e.limit)
}

// pause waits, and says whether it was let.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// retryable says whether another try may cure a failure.
func retryable(err error) bool {
	var deadline *deadlineError
	switch {
	case errors.As(err, &deadline),
		errors.Is(err, context.Canceled),
		errors.Is(err, store.ErrDenied),
		errors.Is(err, errVirtualTables):
		return false
	}
	switch d1.ClassOf(err) {
	case d1.ClassUnauthorized, d1.ClassGiveUp:
		return false
	}
	return fault.KindOf(err) != fault.Held
}
