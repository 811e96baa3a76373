package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// Drill is a backup that was restored into a D1 database made for that, and
// thrown away.
type Drill struct {
	Entry Entry
	Job   backup.Job
	// Database is the one that was made; its ID is empty where none was.
	Database backup.Database
	// Recovery is how long it took from the first byte read to the last row seen.
	Recovery   time.Duration
	Statements int
	Bytes      int64
	// Fingerprints is of how many tables they were held against the backup's.
	Fingerprints int
	// Removed says that the database is gone again.
	Removed bool
	// Err is why it did not come back as it was; nil where it did.
	Err error
}

// DrillResult is what was tried.
type DrillResult struct {
	Drills []Drill
	// Leftovers are databases of drills that died, which were removed.
	Leftovers  []backup.Database
	Warnings   []error
	CatalogErr error
	DryRun     bool
}

// Kinds are the faults of the drills.
func (r DrillResult) Kinds() []fault.Kind {
	errs := make([]error, len(r.Drills))
	passed := false
	for i, d := range r.Drills {
		errs[i] = d.Err
		passed = passed || d.Err == nil
	}
	return kindsOf(errs, passed)
}

// Drill restores backups into new D1 databases, one after another, holds each
// against its backup, and removes it again. The request's Level is not used.
func (e *Engine) Drill(ctx context.Context, req VerifyRequest) (DrillResult, error) {
	log := e.newJournal()
	result := DrillResult{DryRun: req.DryRun}
	inv, err := e.takeInventory(ctx, ListRequest{Date: req.Date}.prefixes()...)
	if err != nil {
		return result, err
	}
	chosen := req.choose(inv.entries)
	if len(chosen) == 0 {
		return result, fault.New(fault.Failed, "patina list", "there is no backup%s to try", req.of())
	}
	if req.DryRun {
		for _, entry := range chosen {
			result.Drills = append(result.Drills, Drill{Entry: entry})
		}
		return result, nil
	}
	if result.Leftovers, err = e.removeLeftovers(ctx, log); err != nil {
		result.Warnings = append(result.Warnings, fmt.Errorf("look for what dead drills left: %w", err))
	}
	for _, entry := range chosen {
		if ctx.Err() != nil {
			return result, context.Cause(ctx)
		}
		d := &drillRun{e: e, log: log, result: Drill{Entry: entry}}
		d.result.Err = d.run(ctx)
		result.Drills = append(result.Drills, d.result)
		result.Warnings = append(result.Warnings, d.warnings...)
	}
	result.CatalogErr = log.Err()
	return result, nil
}

// drillRun is one drill.
type drillRun struct {
	e        *Engine
	log      *journal
	process  backup.Run
	created  d1.Database
	warnings []error
	// took is how long the database answered nobody.
	took   time.Duration
	result Drill
}

// run restores the backup, and removes what it made whatever came of it.
func (d *drillRun) run(ctx context.Context) error {
	began := d.e.now(ctx, d.log)
	id := d.e.opts.NewRunID()
	d.result.Job = backup.DrillJob(began, id)
	d.process = d.e.newRun(d.result.Job, id, began)
	entry, err := d.e.Open(ctx, d.result.Entry)
	if err != nil {
		return err
	}
	source, err := d.e.Prepare(ctx, entry, "")
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }() // it was only read
	if err := d.create(ctx, entry); err != nil {
		return err
	}
	return d.e.underLease(ctx, d.log, d.created.Database, d.process, func(ctx context.Context, _ right) error {
		return d.try(ctx, source, began)
	})
}

// try restores the backup into the database, removes that, and says how it ended.
// All of it is done under the lease, by which later drills see that it is not dead.
func (d *drillRun) try(ctx context.Context, source *Source, began time.Time) error {
	err := d.restore(ctx, source)
	d.result.Recovery = d.e.now(ctx, d.log).Sub(began)
	if gone := d.remove(ctx); gone != nil {
		d.warnings = append(d.warnings, fmt.Errorf("the database %s (%s) of the drill is left: %w", d.created.Name, d.created.ID, gone))
	}
	d.conclude(ctx, err)
	return err
}

// create makes the database, and puts its id on record before it is used: only by
// that record may it be removed.
func (d *drillRun) create(ctx context.Context, entry Entry) error {
	db := entry.Manifest().Database
	var failure error
	d.created, failure = d.e.opts.D1.CreateDatabase(ctx, d1.CreateRequest{
		Name: backup.DrillName(d.result.Job), Location: locationOf(db), Jurisdiction: db.Jurisdiction,
	})
	if failure != nil && d.created.ID == "" {
		return fmt.Errorf("create a database for the drill: %w", failure)
	}
	d.result.Database = d.created.Database
	begin := manifest.Begin{Job: d.result.Job, Run: d.process, Restore: &manifest.Restoring{
		Target: d.created.Database, Created: true, CreatedAt: d.created.CreatedAt, Backup: entry.Key,
	}}
	if err := record(ctx, d.e, backup.BeginKey(d.result.Job, d.process.ID), begin); err != nil {
		// An id that is not on record is never deleted, not even now.
		return fault.New(fault.Refused, "delete it in the dashboard", "the database %s (%s) was made, and could not be put on record, without which it is not removed: %w",
			d.created.Name, d.created.ID, errors.Join(err, failure))
	}
	if failure != nil {
		return fmt.Errorf("create the database %s for the drill, which a later one removes: %w", backup.DrillName(d.result.Job), failure)
	}
	if db.Jurisdiction != d.created.Jurisdiction {
		return errors.Join(fault.New(fault.Refused, "", "the new database is in the jurisdiction %q, the original in %q: nothing was loaded", d.created.Jurisdiction, db.Jurisdiction),
			d.remove(ctx))
	}
	d.log.begin(ctx, d.result.Job, d.process)
	return nil
}

func (d *drillRun) restore(ctx context.Context, source *Source) error {
	l := &loader{
		e: d.e, source: source, job: d.result.Job.ID, target: d.created.ID, marker: source.Plan.FreeName(markerName),
		maxBytes: d.e.opts.PieceBytes, maxStatements: d.e.opts.PieceStatements,
	}
	defer func() { d.result.Statements, d.result.Bytes, d.took = l.statements, l.bytes, l.took }()
	if err := l.load(ctx); err != nil {
		return err
	}
	live, err := d.e.liveContent(ctx, d.created.ID)
	if err != nil {
		return err
	}
	if len(live.uncounted) > 0 {
		return errors.Join(live.uncounted...)
	}
	differences := live.compare(source.Plan, l.marker)
	if len(differences) == 0 {
		rows, err := d.e.compareFingerprints(ctx, d.created.ID, live, source)
		if err != nil {
			return err
		}
		d.result.Fingerprints, differences = rows.compared, rows.differences
		d.warnings = append(d.warnings, rows.unread...)
	}
	if len(differences) > 0 {
		return notAsBackedUp(differences)
	}
	return nil
}

// remove deletes the database of this drill.
func (d *drillRun) remove(ctx context.Context) error {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	err := d.e.removeDrill(ctx, d.result.Job, manifest.Restoring{Target: d.created.Database, CreatedAt: d.created.CreatedAt})
	d.result.Removed = err == nil
	return err
}

// removeDrill deletes a database that a drill made: by the id that its creation
// returned, and only if what D1 has under that id has the drill's name and that
// moment of creation.
func (e *Engine) removeDrill(ctx context.Context, job backup.Job, made manifest.Restoring) error {
	live, err := e.opts.D1.Get(ctx, made.Target.ID)
	switch {
	case d1.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case live.ID != made.Target.ID, live.Name != backup.DrillName(job), made.CreatedAt.IsZero(), !live.CreatedAt.Equal(made.CreatedAt):
		return fmt.Errorf("the database %s is not the one that the drill %s made: it is not removed", made.Target.ID, job.ID)
	}
	return e.opts.D1.DeleteDatabase(ctx, made.Target.ID)
}

// conclude puts the outcome on record: as the end of the job, and as a proof of the
// backup.
func (d *drillRun) conclude(ctx context.Context, failure error) {
	status, message := outcome(failure)
	ctx = context.WithoutCancel(ctx)
	at := d.e.now(ctx, d.log)
	state := StateRestored
	if failure != nil {
		state = StatePartial
	}
	if !d.result.Removed {
		// What is left is looked for by its missing end.
		d.log.end(ctx, d.result.Job, d.process.ID, catalog.RunEnd{Status: status, At: at, Message: message})
	} else if err := d.e.endChange(ctx, d.log, manifest.End{
		Job: d.result.Job, Run: d.process, EndedAt: at, Status: string(status), Message: message,
		Restored: &manifest.Restored{
			State: string(state), Compared: failure == nil, Fingerprints: d.result.Fingerprints,
			Statements: d.result.Statements, Bytes: d.result.Bytes, UnavailableSeconds: d.took.Seconds(),
		},
	}); err != nil {
		d.warnings = append(d.warnings, err)
	}
	if failure != nil && fault.KindOf(failure) != fault.Proof {
		return // it says nothing of the backup
	}
	proof := manifest.ProofRecord{
		Manifest: d.result.Entry.Key, RunID: d.process.ID, At: at, Level: manifest.LevelDrill, ETag: d.result.Entry.Manifest().Object.ETag,
		Passed: failure == nil, Detail: message,
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if err := record(ctx, d.e, backup.ProofKey(d.result.Entry.Name, at, d.process.ID), proof); err != nil {
		d.warnings = append(d.warnings, fmt.Errorf("record the proof of %s: %w", d.result.Entry.ID(), err))
	}
}

// removeLeftovers removes the databases of drills that died. One whose lease
// another run holds is its own.
func (e *Engine) removeLeftovers(ctx context.Context, log *journal) ([]backup.Database, error) {
	jobs, err := e.restores(ctx, func(id string) bool { return (backup.Job{ID: id}).IsDrill() })
	if err != nil {
		return nil, err
	}
	var gone []backup.Database
	var errs []error
	for _, h := range jobs {
		if len(h.ends) > 0 || len(h.begins) == 0 || h.begins[0].Restore == nil || e.now(ctx, log).Sub(h.begins[0].Run.StartedAt) < leftoverAge {
			continue
		}
		removed, err := e.removeLeftover(ctx, log, h.begins[0])
		if removed {
			gone = append(gone, h.begins[0].Restore.Target)
		}
		if !errors.Is(err, catalog.ErrHeld) {
			errs = append(errs, err)
		}
	}
	return gone, errors.Join(errs...)
}

// removeLeftover removes what a drill left, and puts its end on record, unless the
// drill has come to one of its own meanwhile.
func (e *Engine) removeLeftover(ctx context.Context, log *journal, begin manifest.Begin) (removed bool, err error) {
	now := e.now(ctx, log)
	remover := e.newRun(begin.Job, e.opts.NewRunID(), now)
	err = e.underLease(ctx, log, begin.Restore.Target, remover, func(ctx context.Context, lease right) error {
		key := backup.EndKey(begin.Job, begin.Run.ID)
		if _, err := e.opts.Store.Stat(ctx, key); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := lease.confirm(ctx); err != nil {
			return err
		}
		if err := e.removeDrill(ctx, begin.Job, *begin.Restore); err != nil {
			return err
		}
		removed = true
		return record(ctx, e, key, manifest.End{
			Job: begin.Job, Run: begin.Run, EndedAt: now, Status: string(catalog.RunInterrupted),
			Message: "it died; its database was removed by a later drill",
		})
	})
	return removed, err
}

// leftoverAge is how old a drill without an end is before it is taken for dead:
// longer than any takes.
const leftoverAge = 6 * time.Hour
