package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// RebuildRequest asks for the catalogue to be filled from the bucket.
type RebuildRequest struct {
	// DryRun reads the bucket, and writes nothing.
	DryRun bool
}

// RebuildResult is what the bucket told.
type RebuildResult struct {
	// Jobs, Runs and Backups count what the bucket tells of, and Changed the
	// jobs of which the catalogue did not know all; 0 on a dry run.
	Jobs, Runs, Backups, Changed int
	// Unreadable are records that could not be read: what they told is not in
	// the catalogue.
	Unreadable []Damage
	DryRun     bool
}

// Rebuild writes into the catalogue every job, run and row that the bucket tells
// of. What the catalogue knows already is not taken back, so it may be run at
// any time, and again.
func (e *Engine) Rebuild(ctx context.Context, req RebuildRequest) (RebuildResult, error) {
	if e.opts.Catalog == nil && !req.DryRun {
		err := cmp.Or(e.opts.CatalogErr, errors.New("no catalogue is configured"))
		return RebuildResult{}, fault.Wrap(fault.Failed, "", fmt.Errorf("open the catalogue: %w", err))
	}
	infos, err := e.runRecords(ctx)
	if err != nil {
		return RebuildResult{}, err
	}
	jobs, unreadable, err := e.histories(ctx, infos)
	if err != nil {
		return RebuildResult{}, err
	}
	inv, err := e.takeInventory(ctx, backup.DailyPrefix, backup.WeeklyPrefix)
	if err != nil {
		return RebuildResult{}, err
	}
	for _, entry := range inv.entries {
		h := historyOf(jobs, entry.Brief.JobID)
		h.published = append(h.published, published{entry.Key, entry.Name.Day, entry.Manifest()})
	}
	result := RebuildResult{Unreadable: unreadable, DryRun: req.DryRun}
	for i, id := range slices.Sorted(maps.Keys(jobs)) {
		e.opts.Observer.Observe(Event{Database: id, Phase: PhasePublishing, Bytes: int64(i), Total: int64(len(jobs))})
		if err := e.restoreJob(ctx, jobs[id].job(), &result); err != nil {
			return result, err
		}
		e.opts.Observer.Observe(Event{Database: id, Phase: PhaseDone})
	}
	return result, nil
}

func (e *Engine) restoreJob(ctx context.Context, job catalog.Job, result *RebuildResult) error {
	result.Jobs++
	result.Runs += len(job.Runs)
	result.Backups += len(job.Backups)
	if result.DryRun {
		return nil
	}
	changed, err := e.opts.Catalog.Restore(ctx, job)
	if err != nil {
		return fmt.Errorf("write job %s into the catalogue: %w", job.ID, err)
	}
	if changed {
		result.Changed++
	}
	return nil
}

const (
	// catchUpDays is how far back a run looks for what the catalogue missed.
	// What is older is brought in by "catalog rebuild".
	catchUpDays = 14
	// catchUpTime bounds it: a run is done when its backups are.
	catchUpTime = 20 * time.Second
	// manyJobs is more than there are in that time.
	manyJobs = 10_000
)

// catchUp brings into the catalogue the ends of runs that it does not know of,
// because it was away when they ended. It costs one listing and one query where
// nothing is missing, and never fails a run.
func (r *backupRun) catchUp(ctx context.Context) {
	if !r.log.usable() || r.req.DryRun {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	if err := r.bringIn(ctx); err != nil {
		r.warn(fmt.Errorf("bring into the catalogue what it missed: %w", err))
	}
}

func (r *backupRun) bringIn(ctx context.Context) error {
	since := backup.DayOf(r.now().AddDate(0, 0, -catchUpDays))
	known, err := r.e.opts.Catalog.Jobs(ctx, catalog.JobFilter{Since: since.AddDate(0, 0, -1), Limit: manyJobs})
	if err != nil {
		return err
	}
	infos, err := r.e.runRecords(ctx)
	if err != nil {
		return err
	}
	missed := missedJobs(infos, known, since)
	infos = slices.DeleteFunc(infos, func(info store.Info) bool {
		name, _, err := backup.ParseRunKey(info.Key)
		return err != nil || !missed[name.JobID]
	})
	jobs, _, err := r.e.histories(ctx, infos)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(jobs)) {
		if _, err := r.e.opts.Catalog.Restore(ctx, jobs[id].job()); err != nil {
			return fmt.Errorf("job %s: %w", id, err)
		}
	}
	return nil
}

// missedJobs are the jobs with an end record since a day of which the catalogue
// does not know the end.
func missedJobs(infos []store.Info, known []catalog.Job, since time.Time) map[string]bool {
	ended := map[runKey]bool{}
	for _, job := range known {
		for _, run := range job.Runs {
			ended[runKey{job.ID, run.ID}] = run.Status != catalog.RunRunning && run.Status != catalog.RunLost
		}
	}
	missed := map[string]bool{}
	for _, info := range infos {
		name, isEnd, err := backup.ParseRunKey(info.Key)
		if err == nil && isEnd && !name.Day.Before(since) && !ended[runOf(name)] {
			missed[name.JobID] = true
		}
	}
	return missed
}
