package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// journal writes to the catalogue as long as it answers. The first time it
// does not, the journal remembers why and asks no more, so that a catalogue
// that hangs costs one time limit and not one for each database.
type journal struct {
	catalog catalog.Catalog
	log     *slog.Logger

	// failed is called when the catalogue answers no more; may be nil.
	failed func()

	mu  sync.Mutex
	err error
	// underWay are the calls that wait for an answer.
	underWay map[*call]bool
}

// call is one that waits for an answer.
type call struct{ giveUp context.CancelFunc }

func newJournal(c catalog.Catalog, openErr error, log *slog.Logger) *journal {
	if c == nil && openErr == nil {
		openErr = errors.New("no catalogue is configured")
	}
	return &journal{catalog: c, log: log, err: openErr, underWay: map[*call]bool{}}
}

// newJournal is one that has the engine ask the catalogue for nothing more when it
// does not answer.
func (e *Engine) newJournal() *journal {
	j := newJournal(e.opts.Catalog, e.opts.CatalogErr, e.opts.Log)
	if e.memory != nil {
		j.failed = func() { e.memory.silent.Store(true) }
	}
	return j
}

// ask makes a call, and takes note of its failure. A call that others have found
// to be in vain is given up at once, so that a catalogue that hangs holds up a
// run for one limit in all, however many calls wait for it.
func (j *journal) ask(ctx context.Context, op string, question func(context.Context) error) error {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	c := &call{giveUp}
	j.mu.Lock()
	if j.err != nil {
		j.mu.Unlock()
		return j.err
	}
	j.underWay[c] = true
	j.mu.Unlock()
	err := question(ctx)
	j.mu.Lock()
	delete(j.underWay, c)
	j.mu.Unlock()
	j.note(op, err)
	return err
}

// Err is why the catalogue is not, or no longer, written to.
func (j *journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// note remembers a failure. Errors that are answers (held, lost, a step that
// another run has taken further already) are not failures of the catalogue.
func (j *journal) note(op string, err error) {
	for _, answer := range []error{catalog.ErrHeld, catalog.ErrLost, catalog.ErrStep, context.Canceled} {
		if errors.Is(err, answer) {
			j.log.Debug("catalogue answers", "operation", op, "error", err)
			return
		}
	}
	if err == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = err
		for c := range j.underWay {
			c.giveUp()
		}
		if j.failed != nil {
			j.failed()
		}
		j.log.Warn("catalogue is not written any more", "operation", op, "error", err)
	}
}

func (j *journal) usable() bool { return j.Err() == nil }

func (j *journal) now(ctx context.Context) (time.Time, bool) {
	if !j.usable() {
		return time.Time{}, false
	}
	var t time.Time
	err := j.ask(ctx, "now", func(ctx context.Context) (err error) {
		t, err = j.catalog.Now(ctx)
		return err
	})
	return t.UTC(), err == nil
}

func (j *journal) begin(ctx context.Context, job backup.Job, run backup.Run) {
	_ = j.ask(ctx, "begin run", func(ctx context.Context) error { return j.catalog.BeginRun(ctx, job, run) }) // it was noted
}

func (j *journal) end(ctx context.Context, job backup.Job, run backup.RunID, end catalog.RunEnd) {
	_ = j.ask(ctx, "end run", func(ctx context.Context) error { return j.catalog.EndRun(ctx, job.ID, run, end) }) // it was noted
}

// set writes the row of one database. Where the run that published it is not in
// this catalogue, because its host has one of its own, the row is written in
// the name of the run that found the backup.
func (j *journal) set(ctx context.Context, row catalog.Backup, finder backup.RunID) {
	_ = j.ask(ctx, "set backup", func(ctx context.Context) error { // it was noted
		err := j.catalog.SetBackup(ctx, row)
		if errors.Is(err, catalog.ErrNotFound) && row.RunID != finder {
			row.RunID = finder
			err = j.catalog.SetBackup(ctx, row)
		}
		return err
	})
}

// beat keeps a run alive in the catalogue until ctx ends.
func (j *journal) beat(ctx context.Context, job backup.Job, run backup.RunID) {
	ticker := time.NewTicker(catalog.HeartbeatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if !j.usable() {
				return
			}
			_ = j.ask(ctx, "heartbeat", func(ctx context.Context) error { return j.catalog.Heartbeat(ctx, job.ID, run) }) // it was noted
		}
	}
}

// keepAlive beats for a run until the returned function is called.
func (j *journal) keepAlive(ctx context.Context, job backup.Job, run backup.RunID) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var heart sync.WaitGroup
	heart.Go(func() { j.beat(ctx, job, run) })
	return func() {
		cancel()
		heart.Wait()
	}
}

// leaseTTL is as long as a run is believed to live without a sign of life.
const leaseTTL = catalog.DeadAfter

// acquire takes the first free name. The second result is nil when the
// catalogue is away: the work goes on without a lease.
func (j *journal) acquire(ctx context.Context, names []string, owner catalog.Owner) (catalog.Lease, bool, error) {
	if !j.usable() {
		return catalog.Lease{}, false, nil
	}
	var lease catalog.Lease
	err := j.ask(ctx, "acquire lease", func(ctx context.Context) (err error) {
		lease, err = j.catalog.Acquire(ctx, names, owner, leaseTTL)
		return err
	})
	if errors.Is(err, catalog.ErrHeld) {
		return catalog.Lease{}, false, err
	}
	return lease, err == nil, nil
}

// keep renews a lease until ctx ends, and then releases it. Losing it never
// ends a backup: what is published is decided by the store.
func (j *journal) keep(ctx context.Context, lease catalog.Lease) {
	lost := false
	lease = j.renew(ctx, lease, func() {
		lost = true
		j.log.Warn("lease lost, backup goes on", "lease", lease.Name)
	})
	if !lost {
		j.release(ctx, lease)
	}
}

// renew renews a lease until ctx ends, or until it is lost, which it tells. It
// returns the lease as it was renewed last.
func (j *journal) renew(ctx context.Context, lease catalog.Lease, lost func()) catalog.Lease {
	ticker := time.NewTicker(catalog.HeartbeatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return lease
		case <-ticker.C:
			if !j.usable() {
				return lease
			}
			err := j.ask(ctx, "renew lease", func(ctx context.Context) error {
				renewed, err := j.catalog.Renew(ctx, lease, leaseTTL)
				if err == nil {
					lease = renewed
				}
				return err
			})
			if errors.Is(err, catalog.ErrLost) {
				lost()
				return lease
			}
		}
	}
}

func (j *journal) release(ctx context.Context, lease catalog.Lease) {
	if !j.usable() {
		return
	}
	// The context has ended by now; giving back what others wait for must
	// not fail for that.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = j.ask(ctx, "release lease", func(ctx context.Context) error { return j.catalog.Release(ctx, lease) }) // it was noted
}

// holders are the leases that live, by name; empty when the catalogue is away.
func (j *journal) holders(ctx context.Context) map[string]catalog.Lease {
	if !j.usable() {
		return nil
	}
	var leases []catalog.Lease
	_ = j.ask(ctx, "list leases", func(ctx context.Context) (err error) { // it was noted
		leases, err = j.catalog.Held(ctx)
		return err
	})
	byName := make(map[string]catalog.Lease, len(leases))
	for _, l := range leases {
		byName[l.Name] = l
	}
	return byName
}
