package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/retention"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// PruneRequest asks for what retention lets go to be removed.
type PruneRequest struct {
	Trigger backup.Trigger
	Reason  string
	// Confirmed are the databases of which this run may take more than a third
	// of the recovery points for good.
	Confirmed []string
	// DryRun plans and changes nothing.
	DryRun bool
}

// PruneResult is what becomes of everything that lies in the bucket.
type PruneResult struct {
	Job                backup.Job
	Run                backup.Run
	StartedAt, EndedAt time.Time
	// Outcome is one of OutcomePlanned (of a dry run), OutcomeDone,
	// OutcomeElsewhere (another run prunes), OutcomeHeld, OutcomeFailed and
	// OutcomeInterrupted.
	Outcome Outcome
	// Err is why it was not done, or not to its end; nil otherwise.
	Err error
	// Items are the backups, oldest first, then the archives, and then the rest.
	Items []PruneItem
	// Refused are the databases of which nothing goes, because too much would.
	Refused []retention.Refusal
	// Records is how many records went with the backups that they were about.
	Records int
	DryRun  bool
	// CatalogErr is why the catalogue does not know of all this; nil when it
	// does.
	CatalogErr error
	Warnings   []error
}

// ItemKind is what a thing in the bucket is.
type ItemKind string

// The kinds of things in the bucket.
const (
	ItemDaily      ItemKind = "daily"
	ItemWeekly     ItemKind = "weekly"
	ItemUnfinished ItemKind = "unfinished"
	ItemForeign    ItemKind = "foreign"
	ItemUpload     ItemKind = "upload"
)

// ItemOutcome is what was done about a thing.
type ItemOutcome string

// The outcomes.
const (
	// ItemKept is that of what retention keeps.
	ItemKept ItemOutcome = "kept"
	// ItemDue may go; nothing was done yet.
	ItemDue ItemOutcome = "due"
	// ItemDeleted is gone.
	ItemDeleted ItemOutcome = "deleted"
	// ItemLater may go, but the store's rules keep it for now.
	ItemLater ItemOutcome = "later"
	// ItemSpared may go by the plan, but it was seen in time that it must not.
	ItemSpared ItemOutcome = "spared"
	// ItemFailed could not be removed.
	ItemFailed ItemOutcome = "failed"
)

// PruneItem is one thing in the bucket, and what becomes of it.
type PruneItem struct {
	Kind ItemKind
	// Key is that of the manifest, or of the object that has none. Object is
	// what the manifest names.
	Key, Object string
	// Database is empty for what is of no single one.
	Database string
	// Bytes is the length of the object.
	Bytes int64
	// Why says in words why it stays, or why it may go.
	Why     string
	Outcome ItemOutcome
	// Err is why it was spared or could not be removed.
	Err error

	// proof are the archives of which one must be seen to hold the backup.
	proof []string
	// abort ends an upload.
	abort func(context.Context) error
	// gone says that the first of its keys was removed, if not all.
	gone bool
}

// Due says whether the thing may go by the plan.
func (i PruneItem) Due() bool { return i.Outcome != ItemKept }

// Count is how many things of an outcome there are, and their bytes.
func (r PruneResult) Count(outcome ItemOutcome) (n int, bytes int64) {
	for _, item := range r.Items {
		if item.Outcome == outcome {
			n++
			bytes += item.Bytes
		}
	}
	return n, bytes
}

// Kinds are the faults of the run, for its exit status: none when all is well.
func (r PruneResult) Kinds() []fault.Kind {
	errs := []error{r.Err}
	for _, item := range r.Items {
		errs = append(errs, item.Err)
	}
	deleted, _ := r.Count(ItemDeleted)
	kinds := kindsOf(errs, deleted > 0)
	if len(r.Refused) > 0 {
		kinds = append(kinds, fault.Refused)
	}
	if r.CatalogErr != nil && !r.DryRun && r.Outcome != OutcomeElsewhere {
		kinds = append(kinds, fault.Uncatalogued)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// maxClockSkew is how far this host's clock and the store's may be apart for
// anything to be deleted.
const maxClockSkew = 5 * time.Minute

// pruneRun is one process that prunes.
type pruneRun struct {
	e   *Engine
	req PruneRequest
	log *journal
	// bucket is what lay there when the plan was made.
	bucket *survey
	// now is the earlier of this host's clock and the store's.
	now    time.Time
	right  right
	mu     sync.Mutex
	result PruneResult
}

func (r *pruneRun) warn(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Warnings = append(r.result.Warnings, err)
}

// Prune removes what retention lets go, and what dead runs left. The error is of
// what kept it from making a plan, by when nothing was removed; what became of
// each thing is in the result.
func (e *Engine) Prune(ctx context.Context, req PruneRequest) (PruneResult, error) {
	if e.opts.Retention == nil {
		return PruneResult{}, errors.New("engine: pruning needs a policy")
	}
	log := e.newJournal()
	now, err := e.carefulNow(ctx)
	if err != nil {
		return PruneResult{}, err
	}
	id := e.opts.NewRunID()
	job := backup.PruneJob(req.Trigger, req.Reason, now, id)
	r := &pruneRun{e: e, req: req, log: log, now: now}
	r.result = PruneResult{Job: job, Run: e.newRun(job, id, now), StartedAt: now, DryRun: req.DryRun, Outcome: OutcomePlanned}
	if !r.claim(ctx) {
		return r.result, nil
	}
	defer func() { r.right.release(ctx) }()
	ctx, stop := r.right.keep(ctx)
	defer stop()
	if err := r.plan(ctx); err != nil {
		return PruneResult{}, err
	}
	if !req.DryRun {
		r.work(ctx)
	}
	r.result.EndedAt, r.result.CatalogErr = e.opts.Now().UTC(), log.Err()
	return r.result, nil
}

// carefulNow is the earlier of this host's clock and the store's, so that a clock
// that is ahead ages nothing. Where they are far apart one of them is wrong, and
// it cannot be told which.
func (e *Engine) carefulNow(ctx context.Context) (time.Time, error) {
	local := e.opts.Now().UTC()
	clock, ok := e.opts.Store.(store.Clock)
	if !ok {
		return local, nil
	}
	remote, err := clock.Now(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the store's clock: %w", err)
	}
	if apart := local.Sub(remote).Abs(); apart > maxClockSkew {
		return time.Time{}, fault.New(fault.Refused, "set the clock of this host",
			"this host's clock says %s and the store's %s: they are %s apart, and nothing is removed while they are more than %s",
			local.Format(time.RFC3339), remote.UTC().Format(time.RFC3339), apart.Round(time.Second), maxClockSkew)
	}
	if remote.Before(local) {
		return remote.UTC(), nil
	}
	return local, nil
}

// claim takes the lease, and says whether there is something to do. A scheduled
// run leaves the work to who has it.
func (r *pruneRun) claim(ctx context.Context) bool {
	if r.req.DryRun {
		return true
	}
	var err error
	if r.right, err = r.e.takeRight(ctx, r.log, catalog.PruneLease, r.result.Run); err == nil {
		return true
	}
	if r.req.Trigger == backup.TriggerSchedule {
		r.result.Outcome = OutcomeElsewhere
		return false
	}
	r.result.Outcome, r.result.Err = OutcomeHeld, fault.Wrap(fault.Held, "patina status", err)
	return false
}

// work announces the run, removes what may go, and says how it ended.
func (r *pruneRun) work(ctx context.Context) {
	if !slices.ContainsFunc(r.result.Items, PruneItem.Due) {
		r.result.Outcome = OutcomeDone
		r.cleanRecords(ctx, nil)
		return // nothing to announce
	}
	r.log.begin(ctx, r.result.Job, r.result.Run)
	stop := r.log.keepAlive(ctx, r.result.Job, r.result.Run.ID)
	if err := r.announce(ctx); err != nil {
		r.fail(ctx, err)
	} else {
		r.removeAll(ctx)
	}
	stop()
	r.conclude(ctx)
}

// announce writes the begin record. Nothing is removed that is not announced:
// what is gone without a record is taken for lost.
func (r *pruneRun) announce(ctx context.Context) error {
	begin := manifest.Begin{Job: r.result.Job, Run: r.result.Run}
	for _, item := range r.result.Items {
		if !item.Due() || item.Kind == ItemUpload {
			continue
		}
		begin.Deletes = append(begin.Deletes, item.Key)
		if item.Object != "" {
			begin.Deletes = append(begin.Deletes, item.Object)
		}
	}
	if err := record(ctx, r.e, backup.BeginKey(r.result.Job, r.result.Run.ID), begin); err != nil {
		return fmt.Errorf("write the begin record, without which nothing is removed: %w", err)
	}
	return nil
}

// fail ends the run badly.
func (r *pruneRun) fail(ctx context.Context, err error) {
	r.result.Outcome, r.result.Err = OutcomeFailed, err
	switch {
	case errors.Is(context.Cause(ctx), errLeaseLost):
		r.result.Outcome, r.result.Err = OutcomeHeld, fault.Wrap(fault.Held, "patina status", errLeaseLost)
	case errors.Is(ctx.Err(), context.Canceled):
		r.result.Outcome, r.result.Err = OutcomeInterrupted, errInterrupted
	}
}

// conclude says how the run ended, in the bucket and in the catalogue.
func (r *pruneRun) conclude(ctx context.Context) {
	after, cancel := afterwards(ctx)
	defer cancel()
	status, message := r.status()
	ended := r.e.opts.Now().UTC()
	end := manifest.End{Job: r.result.Job, Run: r.result.Run, EndedAt: ended, Status: string(status), Message: message}
	for _, item := range r.result.Items {
		if item.gone {
			end.Deleted = append(end.Deleted, manifest.Deleted{Key: item.Key, Object: item.Object, Bytes: item.Bytes, Why: item.Why})
		}
	}
	if err := record(after, r.e, backup.EndKey(r.result.Job, r.result.Run.ID), end); err != nil {
		r.warn(fmt.Errorf("write the end record: %w", err))
	}
	r.log.end(after, r.result.Job, r.result.Run.ID, catalog.RunEnd{Status: status, At: ended, Message: message})
}

// status is how the run ended, with its first error in words.
func (r *pruneRun) status() (catalog.RunStatus, string) {
	var first error
	for _, item := range r.result.Items {
		first = cmp.Or(first, item.Err)
	}
	first = cmp.Or(r.result.Err, first)
	switch {
	case first == nil:
		return catalog.RunSucceeded, ""
	case r.result.Outcome == OutcomeInterrupted:
		return catalog.RunInterrupted, first.Error()
	case r.result.Err != nil:
		return catalog.RunFailed, first.Error()
	}
	return catalog.RunPartial, first.Error()
}
