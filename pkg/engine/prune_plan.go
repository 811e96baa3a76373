package engine

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/retention"
	"github.com/AutumnsGrove/patina/pkg/store"
)

const (
	// debrisAge is how old what a run left must be at least, and runAge when a
	// run without an end record is taken for dead (design section 5).
	debrisAge = time.Hour
	runAge    = 48 * time.Hour
	// uploadAge is how old an open upload must be at least.
	uploadAge = 24 * time.Hour
)

// plan looks at all that lies in the bucket, and decides what becomes of it.
func (r *pruneRun) plan(ctx context.Context) error {
	var err error
	if r.bucket, err = r.e.takeSurvey(ctx); err != nil {
		return err
	}
	state, err := r.state(ctx)
	if err != nil {
		return err
	}
	plan := retention.Decide(state)
	r.result.Refused = plan.Refused
	r.result.Items = make([]PruneItem, 0, len(plan.Decisions)+len(r.bucket.replaced)+len(r.bucket.foreign))
	r.addDailies(plan)
	r.addArchives(plan)
	if err := r.addDebris(ctx); err != nil {
		return err
	}
	for _, stray := range r.bucket.foreign {
		r.add(PruneItem{Kind: ItemForeign, Key: stray.Key, Bytes: stray.Bytes, Why: stray.Why, Outcome: ItemKept})
	}
	return nil
}

func (r *pruneRun) add(item PruneItem) { r.result.Items = append(r.result.Items, item) }

// outcomeOf is what a plan says, before anything is done.
func outcomeOf(keep bool) ItemOutcome {
	if keep {
		return ItemKept
	}
	return ItemDue
}

// state is what the policy is given.
func (r *pruneRun) state(ctx context.Context) (retention.State, error) {
	s := retention.State{
		Now: r.now, Backups: r.bucket.points, Archives: r.bucket.archives, Policy: r.policy, Confirmed: map[string]bool{},
	}
	for _, name := range r.req.Confirmed {
		s.Confirmed[name] = true
	}
	for name := range r.bucket.newest {
		if r.e.opts.Retention(name).KeepsNothing() {
			return s, fault.New(fault.Usage, "patina config check", "the retention of %s would keep nothing", name)
		}
	}
	for i := range s.Backups {
		if pin := r.bucket.kept.pinned(keyOfPoint(s.Backups[i].ID), r.now); pin != nil {
			s.Backups[i].Keep = pinText(*pin)
		}
	}
	var err error
	s.Hold, err = r.holds(ctx)
	return s, err
}

// pinText says in words that something is pinned.
func pinText(pin manifest.Pin) string {
	text := "it is pinned"
	if !pin.Until.IsZero() {
		text += " until " + pin.Until.UTC().Format(time.RFC3339)
	}
	if pin.Reason != "" {
		text += ": " + pin.Reason
	}
	return text
}

// policy is how much is kept of a database: of one that was retired nothing but
// its newest good backup, and what is pinned.
func (r *pruneRun) policy(database string) retention.Policy {
	if r.bucket.isForgotten(database) {
		return retention.Policy{KeepAtLeast: 1}
	}
	return r.e.opts.Retention(database)
}

// holds says, by database, why nothing of it may go: a backup of it is not good,
// and nobody accepted that; its last run failed; or what came of it is not known.
func (r *pruneRun) holds(ctx context.Context) (map[string]string, error) {
	holds := map[string]string{}
	ends, open, unreadable, err := r.lastRuns(ctx)
	if err != nil {
		return nil, err
	}
	for name, newest := range r.bucket.newest {
		switch {
		case r.bucket.kept.unclear != "":
			holds[name] = "it is not known what " + r.bucket.kept.unclear + " pins"
		case r.bucket.isForgotten(name):
		case newest.open != "":
			holds[name] = newest.open
		case unreadable != "":
			holds[name] = "what came of the runs is not known: " + unreadable
		default:
			if why := heldBy(name, newest.good, ends, open); why != "" {
				holds[name] = why
			}
		}
	}
	return holds, nil
}

// lastRuns reads the records of all backups that began since the oldest of the
// databases' newest good backups: those that ended, by that time, and those that
// did not. The third result says that some cannot be read.
func (r *pruneRun) lastRuns(ctx context.Context) ([]manifest.End, []manifest.Begin, string, error) {
	since := r.now
	for name, newest := range r.bucket.newest {
		if newest.good.Before(since) && !r.bucket.isForgotten(name) {
			since = newest.good
		}
	}
	// A night's records lie under its tick's day, which may be the day before.
	since = backup.DayOf(since).AddDate(0, 0, -1)
	infos := slices.DeleteFunc(slices.Clone(r.bucket.runs), func(info store.Info) bool {
		name, isEnd, err := backup.ParseRunKey(info.Key)
		job := backup.Job{ID: name.JobID}
		return err != nil || name.Day.Before(since) || catalog.KindOf(job) != catalog.KindBackup || !isEnd && r.bucket.ended[runOf(name)]
	})
	jobs, unreadable, err := r.e.histories(ctx, infos)
	if err != nil {
		return nil, nil, "", err
	}
	var ends []manifest.End
	var open []manifest.Begin
	for _, h := range jobs {
		ends, open = append(ends, h.ends...), append(open, h.begins...)
	}
	slices.SortFunc(ends, func(a, b manifest.End) int { return a.EndedAt.Compare(b.EndedAt) })
	if len(unreadable) > 0 {
		return ends, open, unreadable[0].Key + ": " + unreadable[0].Why, nil
	}
	return ends, open, "", nil
}

// heldBy says why nothing may go of a database whose newest good backup began at
// a time: a run after it failed, or has not ended.
func heldBy(name string, began time.Time, ends []manifest.End, open []manifest.Begin) string {
	why := ""
	for _, end := range ends {
		for _, result := range end.Results {
			if result.Database == name && end.EndedAt.After(began) {
				why = failedResult(end, result, why)
			}
		}
	}
	if why != "" {
		return why
	}
	for _, begin := range open {
		about := slices.ContainsFunc(begin.Databases, func(d backup.Database) bool { return d.Name == name })
		if about && begin.Run.StartedAt.After(began) {
			return fmt.Sprintf("run %s of %s began at %s and has not ended", begin.Run.ID, begin.Job.ID, begin.Run.StartedAt.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// failedResult says that a database's last run failed; before is what was said of
// the run before it.
func failedResult(end manifest.End, result manifest.Result, before string) string {
	switch Outcome(result.Status) {
	case OutcomeDone, OutcomeAlready:
		return ""
	case OutcomeElsewhere, OutcomeHeld, OutcomePlanned:
		return before // it says nothing of the database
	}
	text := fmt.Sprintf("the last backup of the database, at %s, was not taken", end.EndedAt.UTC().Format(time.RFC3339))
	if result.Error != "" {
		text += ": " + strings.Join(strings.Fields(result.Error), " ")
	}
	return text
}

// addDailies adds what the plan says of dailies, which it does in the order of the
// points.
func (r *pruneRun) addDailies(plan retention.Plan) {
	for i, d := range r.bucket.dailies {
		decision := plan.Decisions[i]
		r.add(PruneItem{
			Kind: ItemDaily, Key: d.key, Object: d.object, Bytes: d.bytes, Database: r.bucket.points[d.point].Database,
			Why: decision.Why, Outcome: outcomeOf(decision.Keep), proof: decision.Proof,
		})
	}
}

func (r *pruneRun) addArchives(plan retention.Plan) {
	for _, decision := range plan.Decisions[len(r.bucket.dailies):] {
		archive, why := r.bucket.weeklies[decision.ID], decision.Why
		if archive.failed != "" {
			why += ": " + archive.failed
		}
		r.add(PruneItem{
			Kind: ItemWeekly, Key: archive.key, Object: archive.object, Bytes: archive.bytes, Why: why, Outcome: outcomeOf(decision.Keep),
		})
	}
	for _, archive := range r.bucket.replaced {
		r.add(PruneItem{
			Kind: ItemWeekly, Key: archive.key, Object: archive.object, Bytes: archive.bytes,
			Why: "it was damaged, and another part replaces it", Outcome: ItemKept,
		})
	}
}

// addDebris adds what runs left unfinished, in objects and in uploads.
func (r *pruneRun) addDebris(ctx context.Context) error {
	living := r.livingRuns(ctx)
	for _, stray := range r.bucket.unfinished {
		why := r.whyNotDebris(stray, living)
		item := PruneItem{Kind: ItemUnfinished, Key: stray.Key, Bytes: stray.Bytes, Why: why, Outcome: outcomeOf(why != "")}
		if why == "" {
			item.Why = stray.Why
		}
		r.add(item)
	}
	sweeper, ok := r.e.opts.Store.(store.Sweeper)
	if !ok {
		return nil
	}
	a := &announcements{e: r.e, days: map[string]dayRuns{}}
	for upload, err := range sweeper.Uploads(ctx, "") {
		if err != nil {
			return err
		}
		why, err := r.whyNotAbort(ctx, upload, a, living)
		if err != nil {
			return err
		}
		item := PruneItem{Kind: ItemUpload, Key: upload.Key, Why: why, Outcome: outcomeOf(why != ""), abort: upload.Abort}
		if why == "" {
			item.Why = "its run is over, and never finished it"
		}
		r.add(item)
	}
	return nil
}

// livingRuns are the runs that hold a lease.
func (r *pruneRun) livingRuns(ctx context.Context) map[runKey]bool {
	living := map[runKey]bool{}
	for _, lease := range r.log.holders(ctx) {
		living[runKey{lease.Owner.JobID, backup.RunID(lease.Owner.RunID)}] = true
	}
	return living
}

// whyNotDebris says why an object without a manifest must stay; empty where it is
// debris.
func (r *pruneRun) whyNotDebris(stray Stray, living map[runKey]bool) string {
	switch {
	case stray.unsure:
		return "a record of that day cannot be read, and may announce it"
	case r.mayBeNamed(stray.Key):
		return "a manifest cannot be read that may name it"
	case r.now.Sub(stray.ModifiedAt) < debrisAge:
		return fmt.Sprintf("it is not yet older than %s", debrisAge)
	}
	return r.mayLive(stray.by, living)
}

// mayLive says which of the runs may still be at work; empty for none.
func (r *pruneRun) mayLive(runs []manifest.Begin, living map[runKey]bool) string {
	for _, begin := range runs {
		key := runKey{begin.Job.ID, begin.Run.ID}
		if !r.bucket.ended[key] && (living[key] || r.now.Sub(begin.Run.StartedAt) < runAge) {
			return fmt.Sprintf("run %s of %s, which announced it, may still be at work", begin.Run.ID, begin.Job.ID)
		}
	}
	return ""
}

// mayBeNamed says whether a manifest that cannot be read, or that went while the
// bucket was read, may name an object: one of the same database and day, or of the
// same week.
func (r *pruneRun) mayBeNamed(key string) bool {
	of := subjectOf(key)
	foreign := slices.ContainsFunc(r.bucket.foreign, func(stray Stray) bool {
		return path.Ext(stray.Key) == ".json" && subjectOf(stray.Key) == of
	})
	return foreign || slices.ContainsFunc(r.bucket.vanished, func(i store.Info) bool { return subjectOf(i.Key) == of })
}

// subjectOf is the database and the day, or the week, that a key is about; empty
// for a key that is none of ours.
func subjectOf(key string) string {
	if name, _, err := backup.ParseName(key); err == nil {
		name.Suffix = ""
		return name.String()
	}
	if name, _, err := backup.ParseArchiveName(key); err == nil {
		return backup.WeekPrefix(name.Week)
	}
	return ""
}

// whyNotAbort says why an open upload must stay; empty where it may go.
func (r *pruneRun) whyNotAbort(ctx context.Context, upload store.Upload, a *announcements, living map[runKey]bool) (string, error) {
	if r.now.Sub(upload.StartedAt) < uploadAge {
		return fmt.Sprintf("it is not yet older than %s", uploadAge), nil
	}
	days := recordDays(store.Info{Key: upload.Key, ModifiedAt: upload.StartedAt})
	if days == nil {
		if strings.HasPrefix(upload.Key, backup.RecordPrefix(backup.RecordCapability)) {
			return "", nil // a trial of what the store can do
		}
		return "its key is none of patina's", nil
	}
	stray, ours, err := a.judge(ctx, store.Info{Key: upload.Key}, days)
	switch {
	case err != nil:
		return "", err
	case stray.unsure:
		return "a record of that day cannot be read, and may announce it", nil
	case !ours:
		return "no run announced it", nil
	}
	return r.mayLive(stray.by, living), nil
}
