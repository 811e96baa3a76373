package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// backupRun is one process at work on a backup job.
type backupRun struct {
	e         *Engine
	req       BackupRequest
	log       *journal
	job       backup.Job
	run       backup.Run
	owner     catalog.Owner
	startedAt time.Time
	// ahead is by how much the clock that decides is ahead of this host's.
	ahead time.Duration
	// conditions is what the store was seen to keep.
	conditions store.Conditions

	mu       sync.Mutex
	tasks    []*task
	warnings []error
}

// task is one database of a run. Its fields are guarded by the run's mutex
// where two goroutines may meet; one worker at a time works on a task.
type task struct {
	database backup.Database
	outcome  Outcome
	attempts int
	err      error
	// again is true for a failure that another try may cure.
	again       bool
	manifestKey string
	manifest    *manifest.Backup
	written     *manifest.Written
	liveBytes   int64
	startedAt   time.Time
	endedAt     time.Time
	// triedAt is when the present try began; suffixAt is the time in its
	// suffix.
	triedAt, suffixAt time.Time
	// spoiled are manifests whose objects did not pass a look afterwards.
	spoiled map[string]bool
	// suspect is why the dump, which is whole, is not to be relied on; nil for a
	// good one.
	suspect error
}

// now is the time by the clock that decides, as far as this host can tell it
// without asking again: every time that a run records is of one clock.
func (r *backupRun) now() time.Time { return r.e.opts.Now().Add(r.ahead).UTC() }

func (r *backupRun) add(db backup.Database, err error) {
	t := &task{database: db, outcome: OutcomePlanned, spoiled: map[string]bool{}}
	r.tasks = append(r.tasks, t)
	if err != nil {
		t.outcome, t.err = OutcomeFailed, err
	}
}

// settle ends a task well.
func (r *backupRun) settle(t *task, outcome Outcome, key string, m *manifest.Backup) {
	r.mu.Lock()
	t.outcome, t.err, t.again = outcome, nil, false
	t.manifestKey, t.manifest = key, m
	t.endedAt = r.now()
	r.mu.Unlock()
}

// fail ends a task, or a round of it, badly.
func (r *backupRun) fail(t *task, err error) {
	r.mu.Lock()
	t.outcome, t.err, t.again = OutcomeFailed, err, retryable(err)
	t.endedAt = r.now()
	r.mu.Unlock()
}

func (r *backupRun) id() backup.RunID { return r.run.ID }

func (r *backupRun) warn(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, err)
}

// settled says whether no database is left to be backed up.
func (r *backupRun) settled() bool {
	return !slices.ContainsFunc(r.tasks, func(t *task) bool { return t.outcome == OutcomePlanned })
}

// failed says whether a database is known to have failed.
func (r *backupRun) failed() bool {
	return slices.ContainsFunc(r.tasks, func(t *task) bool { return t.outcome == OutcomeFailed })
}

// idle is the result of a run that found its night done.
func (r *backupRun) idle(ctx context.Context) BackupResult {
	r.catchUp(ctx)
	result := r.result(catalog.RunSucceeded)
	// Nothing was to be written, so nothing is missing from the catalogue.
	result.Idle, result.CatalogErr = true, nil
	return result
}

func (r *backupRun) result(status catalog.RunStatus) BackupResult {
	result := BackupResult{
		Job: r.job, Run: r.run, Status: status,
		StartedAt: r.startedAt, EndedAt: r.now(),
		DryRun: r.req.DryRun, CatalogErr: r.log.Err(), Warnings: r.warnings,
	}
	for _, t := range r.tasks {
		result.Databases = append(result.Databases, DatabaseResult{
			Database: t.database, Outcome: t.outcome, Attempts: t.attempts, Err: t.err,
			ManifestKey: t.manifestKey, Manifest: t.manifest, LiveBytes: t.liveBytes, Suspect: t.suspect,
			Took: max(0, t.endedAt.Sub(t.startedAt)),
		})
	}
	return result
}

// work does the run: it announces itself, takes the databases, gives those
// that may yet succeed a second round, and says how it ended.
func (r *backupRun) work(ctx context.Context) BackupResult {
	r.announce(ctx)
	stop := r.log.keepAlive(ctx, r.job, r.run.ID)
	r.conditions = r.e.conditions(ctx, r)
	r.round(ctx, firstTries)
	if r.reopen() {
		r.round(ctx, secondTries)
	}
	stop()
	return r.conclude(ctx)
}

// announce writes the begin record and the catalogue's rows. Neither may cost
// a backup.
func (r *backupRun) announce(ctx context.Context) {
	r.log.begin(ctx, r.job, r.run)
	begin := manifest.Begin{Job: r.job, Run: r.run}
	for _, t := range r.tasks {
		r.record(ctx, t)
		if t.outcome == OutcomePlanned {
			begin.Writes = append(begin.Writes, backup.Writes(r.job.Day, t.database.Name, r.run.ID)...)
		}
	}
	if err := record(ctx, r.e, backup.BeginKey(r.job, r.run.ID), begin); err != nil {
		r.warn(fmt.Errorf("write the begin record: %w", err))
	}
}

// reopen makes the failures that another try may cure planned again.
func (r *backupRun) reopen() bool {
	any := false
	for _, t := range r.tasks {
		if t.outcome == OutcomeFailed && t.again {
			t.outcome, any = OutcomePlanned, true
		}
	}
	return any
}

// conclude says how the run ended, in the bucket and in the catalogue.
func (r *backupRun) conclude(ctx context.Context) BackupResult {
	after, cancel := afterwards(ctx)
	defer cancel()
	for _, t := range r.tasks {
		if t.outcome == OutcomePlanned {
			t.outcome, t.err = OutcomeInterrupted, errInterrupted
		}
	}
	r.lookElsewhere(after, ctx.Err() == nil)
	status := r.status(ctx)
	result := r.result(status)
	for _, t := range r.tasks {
		r.record(after, t)
	}
	r.log.end(after, r.job, r.run.ID, catalog.RunEnd{Status: status, At: result.EndedAt, Message: r.firstError()})
	// The end record comes last: where it stands, no later run looks for what
	// this one may have left unsaid.
	if err := r.writeEnd(after, status, result.EndedAt); err != nil {
		r.warn(fmt.Errorf("write the end record: %w", err))
	}
	r.catchUp(after)
	result.CatalogErr, result.Warnings = r.log.Err(), r.warnings
	return result
}

// lookTime bounds the last look at the night's backups: of the time that a run
// has for its conclusion, most must be left for saying how it ended.
const lookTime = 20 * time.Second

// lookElsewhere looks whether another run of the night has by now what this one
// left to it or, where failures are to be looked at too, could not do itself:
// then the night lacks nothing. What failed here is still told.
func (r *backupRun) lookElsewhere(ctx context.Context, failures bool) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	for _, t := range r.tasks {
		// What was never found or tried is no other run's either.
		tried := t.outcome == OutcomeHeld || t.outcome == OutcomeFailed && t.attempts > 0
		wanted := t.outcome == OutcomeElsewhere || failures && tried
		if !r.job.IsNight() || !wanted {
			continue
		}
		failure := t.err
		found, err := r.findNight(ctx, t)
		switch {
		case err != nil && failure == nil:
			r.warn(err)
		case found && failure != nil:
			r.warn(fmt.Errorf("%s: %w; another run of this night, on %s, has its backup", t.database.Name, failure, t.manifest.Host))
		}
	}
}

var errInterrupted = errors.New("interrupted before it was done")

func (r *backupRun) firstError() string {
	for _, t := range r.tasks {
		if t.err != nil {
			return t.database.Name + ": " + t.err.Error()
		}
	}
	return ""
}

// status is what the databases add up to.
func (r *backupRun) status(ctx context.Context) catalog.RunStatus {
	ok, bad, cut := 0, 0, 0
	for _, t := range r.tasks {
		switch t.outcome {
		case OutcomeDone, OutcomeAlready, OutcomeElsewhere:
			ok++
		case OutcomeInterrupted:
			cut++
		default:
			bad++
		}
	}
	switch {
	case cut > 0 || (ctx.Err() != nil && bad > 0):
		return catalog.RunInterrupted
	case bad == 0:
		return catalog.RunSucceeded
	case ok == 0:
		return catalog.RunFailed
	default:
		return catalog.RunPartial
	}
}

func (r *backupRun) writeEnd(ctx context.Context, status catalog.RunStatus, at time.Time) error {
	end := manifest.End{
		Job: r.job, Run: r.run, EndedAt: at, Status: string(r.endStatus(status)), Message: r.firstError(), Only: r.req.Names,
	}
	for _, t := range r.tasks {
		end.Results = append(end.Results, r.resultOf(t))
	}
	return record(ctx, r.e, backup.EndKey(r.job, r.run.ID), end)
}

// resultOf tells in the end record what the catalogue's row tells, so that the
// row can be had from the bucket.
func (r *backupRun) resultOf(t *task) manifest.Result {
	row := r.row(t)
	return manifest.Result{
		Database: row.Database, DatabaseID: row.DatabaseID, Status: string(t.outcome), Error: row.Error, Attempts: row.Attempts,
		ManifestKey: row.ManifestKey, RunID: row.RunID, PlainBytes: row.PlainBytes, StoredBytes: row.StoredBytes,
		StartedAt: row.StartedAt, EndedAt: row.EndedAt, Manifest: t.written,
	}
}

// endStatus keeps a night that another host still works on from being recorded
// as finished: that host's own end record will say so.
func (r *backupRun) endStatus(status catalog.RunStatus) catalog.RunStatus {
	elsewhere := slices.ContainsFunc(r.tasks, func(t *task) bool { return t.outcome == OutcomeElsewhere })
	if status == catalog.RunSucceeded && elsewhere {
		return catalog.RunPartial
	}
	return status
}

// record writes the catalogue's row of a task.
func (r *backupRun) record(ctx context.Context, t *task) {
	if t.outcome == OutcomeElsewhere {
		return // the row is the other host's
	}
	r.log.set(ctx, r.row(t), r.run.ID)
}

// row is the catalogue's row of a task as it is now.
func (r *backupRun) row(t *task) catalog.Backup {
	row := catalog.Backup{
		JobID: r.job.ID, RunID: r.run.ID, Database: t.database.Name, DatabaseID: t.database.ID,
		Status: rowStatus(t), Attempts: t.attempts, ManifestKey: t.manifestKey,
		StartedAt: t.startedAt, EndedAt: t.endedAt,
	}
	if t.err != nil {
		row.Error = t.err.Error()
	}
	if m := t.manifest; m != nil {
		row.RunID = m.RunID
		row.PlainBytes, row.StoredBytes = m.Plain.Bytes, m.Object.Stored.Bytes
	}
	if t.outcome == OutcomeAlready {
		// The row is about the run that published, not the one that found it.
		row.Attempts, row.StartedAt, row.EndedAt = t.manifest.Export.Attempts, t.manifest.StartedAt, t.manifest.EndedAt
	}
	return row
}

func rowStatus(t *task) catalog.BackupStatus {
	switch t.outcome {
	case OutcomeDone, OutcomeAlready:
		return catalog.BackupDone
	case OutcomePlanned:
		if t.attempts > 0 {
			return catalog.BackupRunning
		}
		return catalog.BackupPending
	case OutcomeInterrupted:
		return catalog.BackupInterrupted
	default:
		return catalog.BackupFailed
	}
}

// written describes a document that was written.
func written(key string, body []byte) *manifest.Written {
	return &manifest.Written{Key: key, Sum: seal.SumOf(body)}
}
