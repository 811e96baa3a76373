package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// This file is what all runs have in common that change a database: restores,
// rewinds and drills.

// lookFor finds a database by its name; nil where the account has none.
func (e *Engine) lookFor(ctx context.Context, name string) (*d1.Database, error) {
	all, err := e.opts.D1.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for the database %s: %w", name, err)
	}
	for _, db := range all {
		if db.Name == name {
			return &db, nil
		}
	}
	return nil, nil
}

// databaseNamed is the database of a name.
func (e *Engine) databaseNamed(ctx context.Context, name string) (d1.Database, error) {
	found, err := e.lookFor(ctx, name)
	if err != nil {
		return d1.Database{}, err
	}
	if found == nil {
		return d1.Database{}, fault.New(fault.Failed, "", "there is no database %s in the account", name)
	}
	return *found, nil
}

// underLease works while a database is the run's.
func (e *Engine) underLease(ctx context.Context, log *journal, db backup.Database, run backup.Run, work func(context.Context, right) error) error {
	lease, err := e.takeRight(ctx, log, catalog.DatabaseLease(db.ID), run)
	if err != nil {
		return fault.Wrap(fault.Held, "patina status", err)
	}
	defer func() { lease.release(ctx) }()
	ctx, stop := lease.keep(ctx)
	defer stop()
	return work(ctx, lease)
}

// safetyBackup takes a backup of what a job is about to replace.
func (e *Engine) safetyBackup(ctx context.Context, db backup.Database, job backup.Job) (manifest.Safety, error) {
	safety, err := e.backupOne(ctx, db, "before "+job.ID)
	if err != nil {
		return manifest.Safety{}, fault.Wrap(fault.Refused, "--no-safety-backup goes on without one, with a bookmark alone",
			fmt.Errorf("no safety backup of %s could be taken, and nothing was touched: %w", db.Name, err))
	}
	return safety, nil
}

// backupOne takes a backup of one database now.
func (e *Engine) backupOne(ctx context.Context, db backup.Database, reason string) (manifest.Safety, error) {
	result, err := e.Backup(ctx, BackupRequest{Names: []string{db.Name}, Trigger: backup.TriggerSafety, Reason: reason})
	if err != nil {
		return manifest.Safety{}, err
	}
	for _, d := range result.Databases {
		if d.Outcome == OutcomeDone && d.Database.ID == db.ID {
			return manifest.Safety{Manifest: d.ManifestKey, JobID: result.Job.ID}, nil
		}
		err = errors.Join(err, d.Err)
	}
	return manifest.Safety{}, cmp.Or(err, errors.New("the backup was not done"))
}

// pointBefore finds the Time Travel point to go back to from a change, has a
// person agree to what is lost, if asked to, and reads the point again: it moves
// with what others write meanwhile. The warning says that it could not be had; the
// error is also that of who did not agree.
func (e *Engine) pointBefore(ctx context.Context, lost Replacement, confirm func(Replacement) error) (bookmark string, warning, err error) {
	lost.Bookmark, warning, err = e.bookmarkOf(ctx, lost)
	if err != nil || confirm == nil {
		return lost.Bookmark, warning, err
	}
	if err := confirm(lost); err != nil {
		return lost.Bookmark, warning, err
	}
	bookmark, warning, err = e.bookmarkOf(ctx, lost)
	if err == nil && bookmark != lost.Bookmark {
		e.opts.Log.Info("the bookmark moved since the plan was shown", "database", lost.Database.Name, "from", lost.Bookmark, "to", bookmark)
	}
	return bookmark, warning, err
}

// bookmarkOf reads the point at which a database is. Where it cannot be had, the
// safety backup is the way back, or the point that was read before, which is the
// newer of the two; without that backup nothing is touched.
func (e *Engine) bookmarkOf(ctx context.Context, lost Replacement) (bookmark string, warning, err error) {
	bookmark, err = e.opts.D1.Bookmark(ctx, lost.Database.ID, time.Time{})
	switch {
	case err == nil:
		return bookmark, nil, nil
	case lost.SafetyBackup.IsZero():
		return "", nil, fault.Wrap(fault.Refused, "",
			fmt.Errorf("neither a safety backup nor a bookmark of %s could be had, and nothing was touched: %w", lost.Database.Name, err))
	case lost.Bookmark != "":
		return lost.Bookmark, fmt.Errorf("the bookmark could not be read again: the way back is the one that was shown: %w", err), nil
	}
	return "", fmt.Errorf("no bookmark could be had: the way back is the safety backup %s: %w", lost.SafetyBackup.Manifest, err), nil
}

// announceChange writes the begin record with the way back. Where it cannot be
// written, nothing is touched.
func (e *Engine) announceChange(ctx context.Context, log *journal, lease right, begin manifest.Begin) error {
	if err := lease.confirm(ctx); err != nil {
		return fault.Wrap(fault.Held, "patina status", err)
	}
	if err := record(ctx, e, backup.BeginKey(begin.Job, begin.Run.ID), begin); err != nil {
		return fault.Wrap(fault.Refused, "", fmt.Errorf("the begin record, by which this could be undone, cannot be written, and nothing was touched: %w", err))
	}
	log.begin(ctx, begin.Job, begin.Run)
	return nil
}

// endChange says how a run ended, in the bucket and in the catalogue, whatever
// became of ctx. The error is of the bucket; the catalogue's is the journal's. Each
// has a time of its own: a bucket that does not answer must not look like a
// catalogue that does not.
func (e *Engine) endChange(ctx context.Context, log *journal, end manifest.End) error {
	writing, cancel := afterwards(ctx)
	defer cancel()
	err := record(writing, e, backup.EndKey(end.Job, end.Run.ID), end)
	telling, cancel := afterwards(ctx)
	defer cancel()
	log.end(telling, end.Job, end.Run.ID, catalog.RunEnd{Status: catalog.RunStatus(end.Status), At: end.EndedAt, Message: end.Message})
	if err != nil {
		return fmt.Errorf("write the end record: %w", err)
	}
	return nil
}

// outcome is how a run ended, in the catalogue's words.
func outcome(failure error) (status catalog.RunStatus, message string) {
	if failure == nil {
		return catalog.RunSucceeded, ""
	}
	return catalog.RunFailed, failure.Error()
}
