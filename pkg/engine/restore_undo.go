package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// takeBack brings the database back after a failure, if it is known that nobody
// else wrote to it since, and says in the error what became of it.
func (r *restoreRun) takeBack(ctx context.Context, failure error) error {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	in, err := r.somethingIn(ctx)
	switch {
	case err != nil:
		r.result.State = StatePartial
		return fault.Wrap(fault.Failed, r.undoHint(), fmt.Errorf("%w; what %s holds now could not be seen: %w", failure, r.req.Target, err))
	case !in:
		return fmt.Errorf("%w; the database %s holds what it held before", failure, r.req.Target)
	case r.result.Bookmark == "":
		r.result.State = StatePartial
		return fault.Wrap(fault.Failed, r.restoreSafety(), fmt.Errorf("%w; %s holds a part of the backup, and there is no bookmark to go back to", failure, r.req.Target))
	}
	if err := r.travelBack(ctx); err != nil {
		r.result.State = StatePartial
		return fault.Wrap(fault.Failed, r.undoHint(), fmt.Errorf("%w; and %s was not taken back: %w", failure, r.req.Target, err))
	}
	r.result.State = StateReturned
	return fmt.Errorf("%w; the database %s was taken back to what it held before", failure, r.req.Target)
}

// travelBack takes the database to the bookmark. It is tried again where a look
// shows that it was not done, as long as the database is this run's alone.
func (r *restoreRun) travelBack(ctx context.Context) error {
	for n := 1; ; n++ {
		if err := r.alone(ctx); err != nil {
			return err
		}
		_, err := r.e.opts.D1.TimeTravel(ctx, r.result.Target.ID, r.result.Bookmark)
		if err == nil || r.back(ctx) {
			return nil
		}
		if d1.ClassOf(err) != d1.ClassRetry || n == tries || !pause(ctx, r.e.opts.Pause(n)) {
			return err
		}
	}
}

// somethingIn says whether any piece got in.
func (r *restoreRun) somethingIn(ctx context.Context) (bool, error) {
	if !r.loader.tried || r.loader.pieces > 0 {
		return r.loader.tried, nil
	}
	last, err := r.e.lastPiece(ctx, r.result.Target.ID, r.loader.marker)
	return last > 0, err
}

// back says whether the database is seen to be as before, whatever the answer to
// the call that takes it back was: the marker is in every piece, and in no state
// before.
func (r *restoreRun) back(ctx context.Context) bool {
	last, err := r.e.lastPiece(ctx, r.result.Target.ID, r.loader.marker)
	return err == nil && last < 0
}

// alone is an error where somebody else may have written to the database since
// the last piece. A database that this run made is nobody else's yet.
func (r *restoreRun) alone(ctx context.Context) error {
	if r.result.Created {
		return nil
	}
	if r.loader.last == "" {
		return fmt.Errorf("it is not known whether others wrote to it since")
	}
	now, err := r.e.opts.D1.Bookmark(ctx, r.result.Target.ID, time.Time{})
	if err != nil {
		return err
	}
	if now != r.loader.last && now != r.result.After {
		return fmt.Errorf("its bookmark moved since: others may have written to it")
	}
	return nil
}

// undoHint is both ways on: back, or the backup again.
func (r *restoreRun) undoHint() string {
	return "patina undo " + r.result.Job.ID + " takes it back, and what was written since is lost; " + restoreCommand(r.req.Source.Entry, r.req.Target) + r.tableFlags() + " brings the backup"
}

// restoreSafety is the command that brings the safety backup back.
func (r *restoreRun) restoreSafety() string {
	return withoutBookmark(r.result.Replaced.SafetyBackup, r.req.Target)
}

func restoreCommand(entry Entry, target string) string {
	return fmt.Sprintf("patina restore %s %s --job %s --to d1:%s --replace",
		entry.Name.Day.Format(time.DateOnly), entry.Brief.Database, entry.Brief.JobID, target)
}

// withoutBookmark is the way back from a restore that had no bookmark: the safety
// backup, which it had then, unless the database held nothing.
func withoutBookmark(safety manifest.Safety, target string) string {
	if safety.IsZero() {
		return "delete the database " + target + ", which held nothing before, and restore again"
	}
	return safetyCommand(safety, target)
}

// safetyCommand brings a safety backup back.
func safetyCommand(safety manifest.Safety, target string) string {
	name, _, err := backup.ParseName(safety.Manifest)
	if err != nil {
		return "patina list --database " + target
	}
	return fmt.Sprintf("patina restore %s %s --job %s --to d1:%s --replace", name.Day.Format(time.DateOnly), name.Database, safety.JobID, target)
}

// afterTheDead looks whether an earlier restore of the database died, and brings
// back a database that it made and did not fill.
func (r *restoreRun) afterTheDead(ctx context.Context) error {
	dead, err := r.e.deadRestore(ctx, r.result.Target.ID)
	if dead == nil || err != nil {
		return err
	}
	last, err := r.e.lastPiece(ctx, r.result.Target.ID, dead.Restore.Marker)
	if err != nil {
		return err
	}
	said := "an earlier restore of " + r.req.Target + ", " + dead.Job.ID + ", died: "
	switch {
	case last < 0 && dead.Restore.Created:
		r.left = "; they are what " + dead.Job.ID + " restored, which died before it could say so"
		return nil
	case last < 0:
		r.warn(said + "what the database holds is untouched by it, or all of its backup")
		return nil
	case dead.Restore.Bookmark == "":
		return fault.New(fault.Refused, withoutBookmark(dead.Restore.SafetyBackup, r.req.Target), "%sthe database holds %d pieces of it", said, last)
	case !dead.Restore.Created:
		return fault.New(fault.Refused, "patina undo "+dead.Job.ID, "%sthe database holds %d pieces of it", said, last)
	}
	if _, err := r.e.opts.D1.TimeTravel(ctx, r.result.Target.ID, dead.Restore.Bookmark); err != nil {
		return fmt.Errorf("%sbring back the empty database: %w", said, err)
	}
	r.warn(said + "the database, which it had made, was emptied")
	r.live, err = r.e.liveContent(ctx, r.result.Target.ID)
	return err
}

func (r *restoreRun) warn(text string) {
	r.result.Warnings = append(r.result.Warnings, fmt.Errorf("%s", text))
}

// deadRestore is the begin record of the newest restore of a database, if it has
// no end; nil otherwise. Who holds the database's lease knows that it is dead.
func (e *Engine) deadRestore(ctx context.Context, id string) (*manifest.Begin, error) {
	jobs, err := e.restores(ctx, func(id string) bool { return (backup.Job{ID: id}).IsRestore() })
	if err != nil {
		return nil, err
	}
	var newest *history
	for _, h := range jobs {
		if len(h.begins) == 0 || h.begins[0].Restore == nil || h.begins[0].Restore.Target.ID != id {
			continue
		}
		if newest == nil || h.begins[0].Run.StartedAt.After(newest.begins[0].Run.StartedAt) {
			newest = h
		}
	}
	if newest == nil || len(newest.ends) > 0 {
		return nil, nil
	}
	return &newest.begins[0], nil
}

// restores are the records of restores, rewinds and drills, by job.
func (e *Engine) restores(ctx context.Context, wanted func(jobID string) bool) (map[string]*history, error) {
	infos, err := e.runRecords(ctx)
	if err != nil {
		return nil, err
	}
	var chosen []store.Info
	for _, info := range infos {
		name, _, err := backup.ParseRunKey(info.Key)
		job := backup.Job{ID: name.JobID}
		if err == nil && (job.IsRestore() || job.IsDrill()) && wanted(name.JobID) {
			chosen = append(chosen, info)
		}
	}
	jobs, damaged, err := e.histories(ctx, chosen)
	if err != nil {
		return nil, err
	}
	if len(damaged) > 0 {
		keys := make([]string, len(damaged))
		for i, d := range damaged {
			keys[i] = d.Key
		}
		e.opts.Log.Warn("records of restores that cannot be read", "keys", strings.Join(keys, ", "))
	}
	return jobs, nil
}
