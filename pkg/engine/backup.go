package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// BackupRequest asks for backups.
type BackupRequest struct {
	// Names are databases or globs; empty means all configured ones.
	Names   []string
	Trigger backup.Trigger
	Reason  string
	// IfDue makes a scheduled run end at once when its night is finished.
	IfDue bool
	// LockWait is how long a database that another job holds is waited for.
	LockWait time.Duration
	// DryRun plans, asks D1 for sizes, and changes nothing.
	DryRun bool
}

// Outcome is what became of one database.
type Outcome string

// The outcomes. OutcomeAlready is a night's backup that was there before;
// OutcomeElsewhere one that another host of the same night is taking.
const (
	OutcomePlanned     Outcome = "planned"
	OutcomeDone        Outcome = "done"
	OutcomeAlready     Outcome = "already"
	OutcomeElsewhere   Outcome = "elsewhere"
	OutcomeHeld        Outcome = "held"
	OutcomeFailed      Outcome = "failed"
	OutcomeInterrupted Outcome = "interrupted"
)

// DatabaseResult is what became of one database.
type DatabaseResult struct {
	Database backup.Database
	Outcome  Outcome
	Attempts int
	// Err is why it was not backed up; nil otherwise.
	Err error
	// ManifestKey and Manifest are those of its backup in this job, whoever
	// took it; empty and nil where there is none.
	ManifestKey string
	Manifest    *manifest.Backup
	// Suspect is why the backup, which was published, is not to be relied on: it
	// does not load, or not as what it should be. Nil for a good one.
	Suspect error
	// LiveBytes is the database's size in D1, told on a dry run only.
	LiveBytes int64
	Took      time.Duration
}

// ok says whether nothing is left to do for the database.
func (r DatabaseResult) ok() bool {
	switch r.Outcome {
	case OutcomeDone, OutcomeAlready, OutcomeElsewhere, OutcomePlanned:
		return true
	}
	return false
}

// BackupResult is what a backup run did.
type BackupResult struct {
	Job       backup.Job
	Run       backup.Run
	StartedAt time.Time
	EndedAt   time.Time
	Status    catalog.RunStatus
	Databases []DatabaseResult
	DryRun    bool
	// Idle is true when the night was found finished, and nothing was done.
	Idle bool
	// CatalogErr is why the catalogue does not know of all this; nil when it
	// does.
	CatalogErr error
	// Warnings are things that went wrong without costing a backup.
	Warnings []error
}

// Successful counts the databases for which nothing is left to do.
func (r BackupResult) Successful() int {
	n := 0
	for _, d := range r.Databases {
		if d.ok() {
			n++
		}
	}
	return n
}

// Elsewhere counts the databases that another run of the night is taking.
func (r BackupResult) Elsewhere() int {
	n := 0
	for _, d := range r.Databases {
		if d.Outcome == OutcomeElsewhere {
			n++
		}
	}
	return n
}

// Bytes is the size of all dumps taken in this run, unpacked, and as stored.
func (r BackupResult) Bytes() (plain, stored int64) {
	for _, d := range r.Databases {
		if d.Outcome == OutcomeDone && d.Manifest != nil {
			plain += d.Manifest.Plain.Bytes
			stored += d.Manifest.Object.Stored.Bytes
		}
	}
	return plain, stored
}

// Kinds are the faults of the run, for its exit status: none when all is well.
func (r BackupResult) Kinds() []fault.Kind {
	var kinds []fault.Kind
	failed, unauthorized, held := 0, 0, 0
	for _, d := range r.Databases {
		switch {
		case d.ok():
			continue
		case d.Outcome == OutcomeHeld:
			held++
		case fault.KindOf(d.Err) == fault.Unauthorized:
			unauthorized++
		}
		failed++
	}
	switch {
	case failed == 0:
	case unauthorized == failed:
		kinds = append(kinds, fault.Unauthorized)
	case held == failed && r.Successful() == 0:
		kinds = append(kinds, fault.Held)
	}
	if failed > 0 {
		kinds = append(kinds, failedOrPartial(r.Successful()))
	}
	if slices.ContainsFunc(r.Databases, func(d DatabaseResult) bool { return d.Suspect != nil }) {
		kinds = append(kinds, fault.Proof)
	}
	if r.Status == catalog.RunInterrupted {
		kinds = append(kinds, fault.Interrupted)
	}
	if r.CatalogErr != nil && !r.DryRun {
		kinds = append(kinds, fault.Uncatalogued)
	}
	return kinds
}

func failedOrPartial(successful int) fault.Kind {
	if successful == 0 {
		return fault.Failed
	}
	return fault.Partial
}

// Backup pulls dumps of the databases asked for and publishes them. The error
// is of what kept it from starting; what became of each database is in the
// result.
func (e *Engine) Backup(ctx context.Context, req BackupRequest) (BackupResult, error) {
	if e.opts.D1 == nil {
		return BackupResult{}, errors.New("engine: backup needs a D1 client")
	}
	r, err := e.newBackupRun(ctx, req)
	if err != nil {
		return BackupResult{}, err
	}
	if req.IfDue {
		finished, err := e.nightFinished(ctx, r.job)
		if err != nil {
			return BackupResult{}, err
		}
		if finished {
			return r.idle(ctx), nil
		}
	}
	// A refusal for the request budget's sake is waited out for as long as the
	// context allows, so something must end it.
	planning, cancel := context.WithTimeoutCause(ctx, e.opts.Deadline, &deadlineError{e.opts.Deadline})
	defer cancel()
	if err := r.plan(planning); err != nil {
		return BackupResult{}, err
	}
	if req.DryRun {
		r.sizeUp(planning)
		return r.result(catalog.RunSucceeded), nil
	}
	if !r.settled() || r.failed() {
		return r.work(ctx), nil
	}
	told, err := e.allTold(ctx, r)
	if err != nil {
		return BackupResult{}, err
	}
	if told {
		return r.idle(ctx), nil
	}
	// A run died between its last manifest and its end: nothing is left to do
	// but to say so.
	return r.work(ctx), nil
}

func (e *Engine) newBackupRun(ctx context.Context, req BackupRequest) (*backupRun, error) {
	log := e.newJournal()
	now := e.now(ctx, log)
	r := &backupRun{e: e, req: req, log: log, startedAt: now, ahead: now.Sub(e.opts.Now())}
	id := e.opts.NewRunID()
	r.job = backup.NewJob(req.Trigger, req.Reason, now, id)
	if req.Trigger == backup.TriggerSchedule {
		tick, err := nightOf(e.opts.Nightly, now)
		if err != nil {
			return nil, fault.Wrap(fault.Usage, "", err)
		}
		r.job = backup.NightJob(tick)
		r.job.Reason = req.Reason
	}
	r.run = e.newRun(r.job, id, now)
	r.owner = catalog.Owner{JobID: r.job.ID, RunID: string(id), Host: e.opts.Host, Process: e.opts.Process}
	return r, nil
}

// nightFinished says whether a run of the night ended with nothing left to do.
func (e *Engine) nightFinished(ctx context.Context, job backup.Job) (bool, error) {
	ends, err := e.endsOf(ctx, job)
	return slices.ContainsFunc(ends, func(end manifest.End) bool {
		return end.Status == string(catalog.RunSucceeded) && len(end.Only) == 0
	}), err
}

// allTold says whether the ends of the night's runs tell every database of this
// one as backed up.
func (e *Engine) allTold(ctx context.Context, r *backupRun) (bool, error) {
	ends, err := e.endsOf(ctx, r.job)
	told := map[string]bool{}
	for _, end := range ends {
		for _, res := range end.Results {
			if res.Status == string(OutcomeDone) || res.Status == string(OutcomeAlready) {
				told[res.Database] = true
			}
		}
	}
	return !slices.ContainsFunc(r.tasks, func(t *task) bool { return !told[t.database.Name] }), err
}

// endsOf reads the end records of a job.
func (e *Engine) endsOf(ctx context.Context, job backup.Job) ([]manifest.End, error) {
	var ends []manifest.End
	for info, err := range e.opts.Store.List(ctx, backup.JobsDayPrefix(job.Day)+job.ID+".") {
		if err != nil {
			return nil, fmt.Errorf("look for the night's end record: %w", err)
		}
		end, err := e.readEnd(ctx, info.Key)
		if err != nil {
			return nil, err
		}
		if end != nil {
			ends = append(ends, *end)
		}
	}
	return ends, nil
}

// readEnd reads an end record; nil for any other document.
func (e *Engine) readEnd(ctx context.Context, key string) (*manifest.End, error) {
	if !backup.IsEndKey(key) {
		return nil, nil
	}
	body, err := e.readDocument(ctx, key)
	if err != nil {
		return nil, err
	}
	end, err := manifest.Decode[manifest.End](body)
	if err != nil {
		// A record of a newer version, or a damaged one, proves nothing.
		e.opts.Log.Warn("end record is not readable", "key", key, "error", err)
		return nil, nil
	}
	return &end, nil
}
