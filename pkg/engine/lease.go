package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// right is a lease that a run works under, which it must not do without it once
// it had it. Without a catalogue there is none to have.
type right struct {
	log   *journal
	lease catalog.Lease
	// leased says whether there is a lease.
	leased bool
	// lost ends the work that is kept under the lease: see keep.
	lost context.CancelCauseFunc
}

// takeRight takes a lease for a run, also one that a dead process of this host
// left. The error wraps catalog.ErrHeld where another run has it.
func (e *Engine) takeRight(ctx context.Context, log *journal, name string, run backup.Run) (right, error) {
	owner := catalog.Owner{JobID: run.JobID, RunID: string(run.ID), Host: run.Host, Process: run.Process}
	for {
		lease, leased, err := log.acquire(ctx, []string{name}, owner)
		if err == nil {
			return right{log: log, lease: lease, leased: leased}, nil
		}
		var held *catalog.HeldError
		if !errors.As(err, &held) || held.Lease.Owner.Host != e.opts.Host || e.opts.Alive(held.Lease.Owner.Process) {
			return right{}, err
		}
		log.release(ctx, held.Lease)
	}
}

func (r right) release(ctx context.Context) {
	if r.leased {
		r.log.release(ctx, r.lease)
	}
}

// keep renews the lease until the returned function is called. The context that
// it returns ends with errLeaseLost when the lease is lost, whether a renewal sees
// it first or confirm does.
func (r *right) keep(ctx context.Context) (context.Context, func()) {
	ctx, lost := context.WithCancelCause(ctx)
	r.lost = lost
	renewing, stop := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	if r.leased {
		log, lease := r.log, r.lease
		keeper.Go(func() { log.renew(renewing, lease, func() { lost(errLeaseLost) }) })
	}
	return ctx, func() {
		stop()
		keeper.Wait()
		lost(nil)
	}
}

// confirm makes sure of the lease before the step that counts. Where it is lost, the
// context that keep returned ends, so that nothing else is begun under it.
func (r right) confirm(ctx context.Context) error {
	if !r.leased || !r.log.usable() {
		return nil
	}
	_, err := r.log.catalog.Renew(ctx, r.lease, leaseTTL)
	if errors.Is(err, catalog.ErrLost) {
		r.lost(errLeaseLost)
		return errLeaseLost
	}
	r.log.note("renew lease", err)
	return nil
}

// errLeaseLost ends a run that must be alone with its work: another one may be
// at it.
var errLeaseLost = errors.New("the lease was lost to another run")
