package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// timeTravelReach is how far back Time Travel goes at most: 30 days on a paid
// plan, 7 on a free one (https://developers.cloudflare.com/d1/reference/time-travel/).
const timeTravelReach = 30 * 24 * time.Hour

// RewindRequest asks for a database as it was.
type RewindRequest struct {
	// Database is its name.
	Database string
	// At is the time to go back to, or else Bookmark the point.
	At       time.Time
	Bookmark string
	// Job, where it is named, is the restore or rewind to be taken back; then
	// the rest is its record's.
	Job string
	// NoSafetyBackup goes on without a backup of what is lost.
	NoSafetyBackup bool
	// Confirm is asked before anything is lost; its error ends the rewind.
	Confirm func(Rewinding) error
	Reason  string
	DryRun  bool
}

// Rewinding is what a rewind is about to do.
type Rewinding struct {
	Replacement
	// To is the Time Travel point to go to, and Since when that was, zero where
	// it is not known: what was written since is lost.
	To    string
	Since time.Time
	// Undone is the restore or rewind that is taken back; nil for a rewind.
	Undone *manifest.Begin
}

// RewindResult is what was done.
type RewindResult struct {
	Job                backup.Job
	Run                backup.Run
	StartedAt, EndedAt time.Time
	Rewinding
	State RestoreState
	// Now is the bookmark after it; Previous, by which it is undone, is that of
	// the Replacement.
	Now        string
	Warnings   []error
	CatalogErr error
	DryRun     bool
}

// rewindRun is one process that takes a database back in time.
type rewindRun struct {
	e      *Engine
	req    RewindRequest
	log    *journal
	result RewindResult
}

// Rewind takes a database back to what it was, in place, by D1's Time Travel:
// to a time, to a bookmark, or to what it was before a restore or rewind. When it
// returns an error, the result's State says what became of the database.
func (e *Engine) Rewind(ctx context.Context, req RewindRequest) (RewindResult, error) {
	log := e.newJournal()
	now := e.now(ctx, log)
	id := e.opts.NewRunID()
	job := backup.RewindJob(req.Reason, now, id)
	r := &rewindRun{e: e, req: req, log: log}
	r.result = RewindResult{Job: job, Run: e.newRun(job, id, now), StartedAt: now, State: StateUntouched, DryRun: req.DryRun}
	err := r.run(ctx)
	r.result.EndedAt, r.result.CatalogErr = e.now(context.WithoutCancel(ctx), log), log.Err()
	return r.result, err
}

func (r *rewindRun) run(ctx context.Context) error {
	if err := r.aim(ctx); err != nil {
		return err
	}
	if err := r.reach(ctx); err != nil {
		return err
	}
	live, err := r.e.liveContent(ctx, r.result.Database.ID)
	if err != nil && !r.req.NoSafetyBackup {
		return fault.Wrap(fault.Refused, "--no-safety-backup goes on without a look and a backup",
			fmt.Errorf("look at what %s holds; it was not touched: %w", r.result.Database.Name, err))
	}
	r.result.Tables, r.result.Warnings = live.tables, append(r.result.Warnings, live.uncounted...)
	if r.req.DryRun {
		return nil
	}
	if err := r.safetyBackup(ctx); err != nil {
		return err
	}
	return r.e.underLease(ctx, r.log, r.result.Database, r.result.Run, func(ctx context.Context, lease right) error {
		if err := r.ready(ctx, lease); err != nil {
			return err
		}
		return r.travel(ctx)
	})
}

// aim finds the database, and the point to go back to.
func (r *rewindRun) aim(ctx context.Context) error {
	if r.req.Job != "" {
		return r.aimBeforeJob(ctx)
	}
	db, err := r.e.databaseNamed(ctx, r.req.Database)
	if err != nil {
		return err
	}
	r.result.Database = db.Database
	r.result.To, r.result.Since = r.req.Bookmark, r.req.At
	return nil
}

// RestoreJobs are the ids of the restores and rewinds on record, the newest first.
// It reads keys only.
func (e *Engine) RestoreJobs(ctx context.Context) ([]string, error) {
	infos, err := e.runRecords(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, info := range infos {
		name, isEnd, err := backup.ParseRunKey(info.Key)
		if err == nil && !isEnd && (backup.Job{ID: name.JobID}).IsRestore() {
			ids = append(ids, name.JobID)
		}
	}
	slices.SortStableFunc(ids, func(a, b string) int {
		_, a, _ = strings.Cut(a, "-") // without what it was, the time comes first
		_, b, _ = strings.Cut(b, "-")
		return strings.Compare(b, a)
	})
	return ids, nil
}

// noSuchRestore is the error for a job that is not on record. It names the newest
// ones that are.
func (e *Engine) noSuchRestore(ctx context.Context, job string) error {
	const shown = 3
	ids, err := e.RestoreJobs(ctx)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return fault.New(fault.Failed, "", "there is no record of a restore or rewind %s, nor of any other", job)
	}
	return fault.New(fault.Failed, "patina undo "+ids[0], "there is no record of a restore or rewind %s; the newest are %s",
		job, strings.Join(ids[:min(len(ids), shown)], ", "))
}

// aimBeforeJob takes from the record of a restore what it was about to change.
func (r *rewindRun) aimBeforeJob(ctx context.Context) error {
	jobs, err := r.e.restores(ctx, func(id string) bool { return id == r.req.Job && (backup.Job{ID: id}).IsRestore() })
	if err != nil {
		return err
	}
	h := jobs[r.req.Job]
	if h == nil || len(h.begins) == 0 || h.begins[0].Restore == nil {
		return r.e.noSuchRestore(ctx, r.req.Job)
	}
	begin := h.begins[0]
	r.result.Undone = &begin
	r.result.Database, r.result.To, r.result.Since = begin.Restore.Target, begin.Restore.Bookmark, begin.Run.StartedAt
	if r.result.To == "" {
		return fault.New(fault.Refused, withoutBookmark(begin.Restore.SafetyBackup, begin.Restore.Target.Name),
			"%s has no bookmark on record", r.req.Job)
	}
	db, err := r.e.opts.D1.Get(ctx, begin.Restore.Target.ID)
	if err != nil {
		return fmt.Errorf("look for the database of %s: %w", r.req.Job, err)
	}
	r.result.Database = db.Database
	return nil
}

// reach refuses a point that Time Travel does not reach, and finds the bookmark
// of a time.
func (r *rewindRun) reach(ctx context.Context) error {
	ago := r.result.StartedAt.Sub(r.result.Since)
	switch {
	case r.result.Since.IsZero():
		return nil
	case ago < 0:
		return fault.New(fault.Usage, "", "%s is in the future", r.result.Since.Format(time.RFC3339))
	case ago > timeTravelReach:
		return fault.New(fault.Refused, r.otherWay(), "%s is %d days ago, and Time Travel goes back 30 days at most (7 on a free plan)",
			r.result.Since.Format(time.RFC3339), int(ago.Hours()/24))
	case r.result.To != "":
		return nil
	}
	bookmark, err := r.e.opts.D1.Bookmark(ctx, r.result.Database.ID, r.result.Since)
	if err != nil {
		return fault.Wrap(fault.Failed, r.otherWay(), fmt.Errorf("find the bookmark of %s: %w", r.result.Since.Format(time.RFC3339), err))
	}
	r.result.To = bookmark
	return nil
}

// otherWay is the command that brings back what Time Travel does not.
func (r *rewindRun) otherWay() string {
	if r.result.Undone != nil {
		return safetyCommand(r.result.Undone.Restore.SafetyBackup, r.result.Database.Name)
	}
	return fmt.Sprintf("patina restore %s %s --to d1:%s --replace", r.result.Since.UTC().Format("2006-01-02T15:04"), r.result.Database.Name, r.result.Database.Name)
}

func (r *rewindRun) safetyBackup(ctx context.Context) error {
	if r.req.NoSafetyBackup {
		return nil
	}
	safety, err := r.e.safetyBackup(ctx, r.result.Database, r.result.Job)
	r.result.SafetyBackup = safety
	return err
}

// ready finds the way back, asks, and puts it on record.
func (r *rewindRun) ready(ctx context.Context, lease right) error {
	bookmark, warning, err := r.e.pointBefore(ctx, r.result.Replacement, r.confirmation())
	if warning != nil {
		r.result.Warnings = append(r.result.Warnings, warning)
	}
	r.result.Bookmark = bookmark
	if err != nil {
		return err
	}
	return r.e.announceChange(ctx, r.log, lease, manifest.Begin{Job: r.result.Job, Run: r.result.Run, Restore: &manifest.Restoring{
		Target: r.result.Database, Bookmark: r.result.Bookmark, SafetyBackup: r.result.SafetyBackup, To: r.result.To,
	}})
}

// confirmation asks about the rewind of which the replacement is a part; nil where
// nobody is asked.
func (r *rewindRun) confirmation() func(Replacement) error {
	if r.req.Confirm == nil {
		return nil
	}
	return func(lost Replacement) error {
		rewinding := r.result.Rewinding
		rewinding.Replacement = lost
		return r.req.Confirm(rewinding)
	}
}

// travel takes the database back, and says how it ended.
func (r *rewindRun) travel(ctx context.Context) error {
	travelled, err := r.e.opts.D1.TimeTravel(ctx, r.result.Database.ID, r.result.To)
	if err != nil {
		err = r.look(ctx, err)
		r.conclude(ctx, err)
		return err
	}
	r.result.State, r.result.Now = StateRestored, travelled.Bookmark
	if travelled.PreviousBookmark != "" {
		r.result.Bookmark = travelled.PreviousBookmark
	}
	r.conclude(ctx, nil)
	return nil
}

// look finds out whether a call whose answer was lost was carried out.
func (r *rewindRun) look(ctx context.Context, failure error) error {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	now, err := r.e.opts.D1.Bookmark(ctx, r.result.Database.ID, time.Time{})
	if err == nil && now == r.result.Bookmark {
		return fmt.Errorf("%w; the database %s was not touched", failure, r.result.Database.Name)
	}
	r.result.State = StatePartial
	hint := "patina undo " + r.result.Job.ID + " brings back what it held before"
	if r.result.Bookmark == "" {
		hint = safetyCommand(r.result.SafetyBackup, r.result.Database.Name)
	}
	return fault.Wrap(fault.Failed, hint,
		errors.Join(fmt.Errorf("%w; %s may have been taken back to %s", failure, r.result.Database.Name, r.result.To), err))
}

// conclude says how the run ended, in the bucket and in the catalogue.
func (r *rewindRun) conclude(ctx context.Context, failure error) {
	status, message := outcome(failure)
	err := r.e.endChange(ctx, r.log, manifest.End{
		Job: r.result.Job, Run: r.result.Run, EndedAt: r.e.now(context.WithoutCancel(ctx), r.log), Status: string(status), Message: message,
		Restored: &manifest.Restored{State: string(r.result.State), Bookmark: r.result.Now},
	})
	if err != nil {
		r.result.Warnings = append(r.result.Warnings, err)
	}
}
