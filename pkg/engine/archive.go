package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// ArchiveRequest asks for the archives of weeks.
type ArchiveRequest struct {
	// Week asks for one week. Its zero value asks for the week that ends with
	// the latest tick of the weekly schedule, and for all before it of which
	// dailies are in no archive.
	Week    backup.Week
	Trigger backup.Trigger
	Reason  string
	// Wait is how long a night that still runs is waited for, and another run
	// at work on the same week, where there is a catalogue to tell.
	Wait time.Duration
	// DryRun plans and changes nothing.
	DryRun bool
}

// ArchiveResult is what an archive run did.
type ArchiveResult struct {
	StartedAt, EndedAt time.Time
	// Weeks are those of which something was left to do, oldest first.
	Weeks  []WeekResult
	DryRun bool
	// CatalogErr is why the catalogue does not know of all this; nil when it
	// does.
	CatalogErr error
	// Warnings are things that went wrong without costing an archive.
	Warnings []error
}

// WeekResult is what became of one week. Each is a job of its own.
type WeekResult struct {
	Week backup.Week
	Job  backup.Job
	Run  backup.Run
	// Outcome is one of OutcomePlanned (of a dry run), OutcomeDone,
	// OutcomeAlready (another run archived the same meanwhile),
	// OutcomeElsewhere, OutcomeHeld, OutcomeFailed and OutcomeInterrupted.
	Outcome Outcome
	// Err is why there is no archive; nil otherwise.
	Err error
	// ManifestKey and Manifest are the archive's, whoever wrote it; empty and
	// nil where there is none.
	ManifestKey string
	Manifest    *manifest.Archive
	// Dailies are those that were to be archived.
	Dailies []Entry
	// Damaged are those of them that were not what their manifests say. They are
	// kept, and left out of the archive, unless another daily is the same.
	Damaged []Damage
	// Gaps are what a complete week would have and the archives have not.
	Gaps []manifest.Gap
	Took time.Duration
}

// ok says whether nothing is left to do for the week.
func (w WeekResult) ok() bool {
	switch w.Outcome {
	case OutcomeDone, OutcomeAlready, OutcomeElsewhere, OutcomePlanned:
		return true
	}
	return false
}

// PlainBytes is the size of all dailies that were to be archived, unpacked.
func (w WeekResult) PlainBytes() int64 {
	var n int64
	for _, d := range w.Dailies {
		n += d.Manifest().Plain.Bytes
	}
	return n
}

// Kinds are the faults of the run, for its exit status: none when all is well.
func (r ArchiveResult) Kinds() []fault.Kind {
	var kinds []fault.Kind
	failed, done := 0, 0
	for _, w := range r.Weeks {
		if len(w.Damaged) > 0 {
			kinds = append(kinds, fault.Proof)
		}
		switch {
		case w.ok():
			done++
		case w.Outcome == OutcomeInterrupted:
			kinds = append(kinds, fault.Interrupted)
		case w.Outcome == OutcomeHeld:
			kinds = append(kinds, fault.Held)
		case fault.KindOf(w.Err) == fault.Proof:
			kinds = append(kinds, fault.Proof)
		default:
			failed++
		}
	}
	if failed > 0 {
		kinds = append(kinds, failedOrPartial(done))
	}
	if r.CatalogErr != nil && len(r.Weeks) > 0 && !r.DryRun {
		kinds = append(kinds, fault.Uncatalogued)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// archiveRun is one process at work on the archives of several weeks.
type archiveRun struct {
	e   *Engine
	req ArchiveRequest
	log *journal
	// ahead is by how much the clock that decides is ahead of this host's.
	ahead    time.Duration
	warnings []error
}

func (r *archiveRun) now() time.Time { return r.e.opts.Now().Add(r.ahead).UTC() }

func (r *archiveRun) warn(err error) { r.warnings = append(r.warnings, err) }

// Archive collects the dailies of weeks into archives. The error is of what kept
// it from starting; what became of each week is in the result.
func (e *Engine) Archive(ctx context.Context, req ArchiveRequest) (ArchiveResult, error) {
	log := e.newJournal()
	now := e.now(ctx, log)
	r := &archiveRun{e: e, req: req, log: log, ahead: now.Sub(e.opts.Now())}
	result := ArchiveResult{StartedAt: now, DryRun: req.DryRun}
	due, err := r.due(now)
	if err != nil {
		return ArchiveResult{}, err
	}
	if !req.DryRun {
		if err := r.waitForNights(ctx, due); err != nil {
			return ArchiveResult{}, err
		}
	}
	weeks, err := r.weeks(ctx, due)
	if err != nil {
		return ArchiveResult{}, err
	}
	for _, week := range weeks {
		for more := true; more; {
			var w WeekResult
			var did bool
			if w, did, more = r.week(ctx, week); did {
				result.Weeks = append(result.Weeks, w)
			}
		}
	}
	result.EndedAt, result.CatalogErr, result.Warnings = r.now(), log.Err(), r.warnings
	if len(result.Weeks) == 0 {
		// Nothing was to be written, so nothing is missing from the catalogue.
		result.CatalogErr = nil
	}
	return result, nil
}

// due is the last week to be archived.
func (r *archiveRun) due(now time.Time) (backup.Week, error) {
	if r.req.Week != (backup.Week{}) {
		if !r.req.Week.Monday().Before(now) {
			return backup.Week{}, fault.New(fault.Usage, "", "%s has not begun yet", r.req.Week)
		}
		return r.req.Week, nil
	}
	week, err := weekDue(r.e.opts.Weekly, now)
	return week, fault.Wrap(fault.Usage, "patina config show", err)
}

// weekDue is the week that the latest tick of the weekly schedule is about: the
// one that ends that day, where the tick is on a Sunday, else the last one that
// is over.
func weekDue(weekly string, now time.Time) (backup.Week, error) {
	tick, err := nightOf(weekly, now)
	if err != nil {
		return backup.Week{}, err
	}
	week := backup.WeekOf(tick)
	if tick.Weekday() != time.Sunday {
		week = backup.WeekOf(week.Monday().AddDate(0, 0, -1))
	}
	return week, nil
}

// nightPoll is how often a night that still runs is looked at again.
const nightPoll = time.Second

// waitForNights waits until no night of a week is at work any more. A wait that
// ends without that is a warning only: what comes late makes a second part.
func (r *archiveRun) waitForNights(ctx context.Context, week backup.Week) error {
	began := r.now()
	told := ""
	for {
		running := r.nightsAtWork(ctx, week)
		if running == "" {
			return nil
		}
		if waited := r.now().Sub(began); waited >= r.req.Wait {
			r.warn(fmt.Errorf("waited %s for %s, which still runs: what it takes from now on comes into a second part", waited.Round(time.Second), running))
			return nil
		}
		if running != told {
			r.e.opts.Log.Info("waiting for a night to end", "week", week.String(), "night", running)
			told = running
		}
		r.observe(week, PhaseWaiting, 0, -1, "waiting for "+running)
		if !pause(ctx, nightPoll) {
			return context.Cause(ctx)
		}
	}
}

// nightsAtWork names a night of a week that is being taken; empty where there is
// none, or no catalogue to tell.
func (r *archiveRun) nightsAtWork(ctx context.Context, week backup.Week) string {
	if !r.log.usable() {
		return ""
	}
	const many = 100 // more than a day's, backups before deploys among them
	jobs, err := r.log.catalog.Jobs(ctx, catalog.JobFilter{Kind: catalog.KindBackup, Since: week.Monday(), Limit: many})
	r.log.note("list jobs", err)
	for _, job := range jobs {
		if job.Status == catalog.JobRunning && job.IsNight() && backup.WeekOf(job.Night) == week && slices.ContainsFunc(job.Runs, r.lives) {
			return job.ID
		}
	}
	return ""
}

// lives says whether a run is still at work. Of a process of this host that is
// seen at once, of others when they were not heard of for a while.
func (r *archiveRun) lives(run catalog.Run) bool {
	return run.Status == catalog.RunRunning && (run.Host != r.e.opts.Host || r.e.opts.Alive(run.Process))
}

func (r *archiveRun) observe(week backup.Week, phase Phase, bytes, total int64, detail string) {
	r.e.opts.Observer.Observe(Event{Database: week.String(), Phase: phase, Attempt: 1, Bytes: bytes, Total: total, Detail: detail})
}

// weeks are those of which something is to be archived, oldest first.
func (r *archiveRun) weeks(ctx context.Context, due backup.Week) ([]backup.Week, error) {
	prefixes := []string{backup.DailyPrefix, backup.WeeklyPrefix}
	asked := r.req.Week != (backup.Week{})
	if asked {
		prefixes = weekPrefixes(due)
	}
	inv, err := r.e.takeInventory(ctx, prefixes...)
	if err != nil {
		return nil, err
	}
	var weeks []backup.Week
	for _, entry := range inv.entries {
		week := backup.WeekOf(entry.Name.Day)
		if entry.unarchived() && !due.Before(week) && !slices.Contains(weeks, week) {
			weeks = append(weeks, week)
		}
	}
	if asked && len(inv.entries) == 0 {
		return nil, fault.New(fault.Failed, "patina list", "there is no backup of %s", due)
	}
	slices.SortFunc(weeks, backup.Week.Compare)
	return weeks, nil
}

// weekPrefixes are what the keys of a week's dailies and archives begin with.
func weekPrefixes(week backup.Week) []string {
	var prefixes []string
	for _, day := range week.Days() {
		prefixes = append(prefixes, backup.DayPrefix(day))
	}
	return append(prefixes, backup.WeekPrefix(week))
}

// unarchived says whether the backup is a daily that no archive holds, or none
// that can be read.
func (e Entry) unarchived() bool {
	return e.Daily && (e.Archived == nil || e.Archived.Failed != "")
}
