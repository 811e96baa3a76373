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
	if r.inv, err = r.e.takeInventory(ctx, ""); err != nil {
		return err
	}
	state, err := r.state(ctx)
	if err != nil {
		return err
	}
	plan := retention.Decide(state)
	r.result.Refused = plan.Refused
	r.addBackups(plan)
	r.addArchives(plan)
	if err := r.addDebris(ctx); err != nil {
		return err
	}
	for _, stray := range r.inv.foreign {
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
	s := retention.State{Now: r.now, Hold: map[string]string{}, Confirmed: map[string]bool{}, Policy: r.policy}
	for _, name := range r.req.Confirmed {
		s.Confirmed[name] = true
	}
	// Oldest first, for people; the policy does not mind.
	slices.Reverse(r.inv.entries)
	for _, entry := range r.inv.entries {
		r.sharing[entry.Key]++
	}
	for _, entry := range r.inv.entries {
		if r.e.opts.Retention(entry.Manifest.Database.Name).KeepsNothing() {
			return s, fault.New(fault.Usage, "patina config check", "the retention of %s would keep nothing", entry.Manifest.Database.Name)
		}
		s.Backups = append(s.Backups, r.recoveryPoint(entry))
	}
	for _, archive := range r.inv.archives {
		a := retention.Archive{ID: archive.Key, Week: archive.Name.Week, Unreadable: archive.Failed != ""}
		for _, member := range archive.Manifest.Members {
			a.Members = append(a.Members, r.pointID(idOf(member.ManifestKey, member.Backup)))
		}
		s.Archives = append(s.Archives, a)
	}
	var err error
	s.Hold, err = r.holds(ctx)
	return s, err
}

// pointID names a backup to the policy, wherever it lies: by the common part of its
// keys, and by its run too where backups of several runs have them.
func (r *pruneRun) pointID(id backupID) string {
	stem := strings.TrimSuffix(id.manifestKey, ".json")
	if r.sharing[id.manifestKey] < 2 {
		return stem
	}
	return fmt.Sprintf("%s of run %s of %s", stem, id.runID, id.jobID)
}

func (r *pruneRun) recoveryPoint(entry Entry) retention.Backup {
	b := retention.Backup{
		ID: r.pointID(idOf(entry.Key, entry.Manifest)), Database: entry.Manifest.Database.Name,
		Day: entry.Name.Day, Taken: entry.Manifest.StartedAt,
		Good: entry.Good(), Daily: entry.Daily || entry.DamagedDaily,
	}
	if entry.Name.Day.After(b.Taken) {
		b.Taken = entry.Name.Day // a night's tick may lie just ahead of its start
	}
	if pin := r.inv.kept.pinned(entry.Key, r.now); pin != nil {
		b.Keep = pinText(*pin)
	}
	if entry.Archived == nil && r.inv.lacking[entry.Key] != "" {
		b.Good = false
	}
	return b
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
	if r.inv.isForgotten(database) {
		return retention.Policy{KeepAtLeast: 1}
	}
	return r.e.opts.Retention(database)
}

// holds says, by database, why nothing of it may go: its newest backup is not
// good, its last run failed, or what came of it is not known.
func (r *pruneRun) holds(ctx context.Context) (map[string]string, error) {
	holds, newest := map[string]string{}, map[string]time.Time{}
	for _, entry := range slices.Backward(r.inv.entries) {
		name := entry.Manifest.Database.Name
		if _, seen := newest[name]; seen || r.inv.isForgotten(name) {
			continue
		}
		if !entry.Good() && holds[name] == "" {
			holds[name] = "the newest backup of the database is not good: " + entry.Failed
		}
		if entry.Good() {
			newest[name] = entry.Manifest.StartedAt
		}
	}
	ends, open, unreadable, err := r.runsSince(ctx, newest)
	if err != nil {
		return nil, err
	}
	for name, began := range newest {
		switch {
		case r.inv.kept.unclear != "":
			holds[name] = "it is not known what " + r.inv.kept.unclear + " pins"
		case holds[name] != "":
		case unreadable != "":
			holds[name] = "what came of the runs is not known: " + unreadable
		default:
			if why := heldBy(name, began, ends, open); why != "" {
				holds[name] = why
			}
		}
	}
	return holds, nil
}

// runsSince reads the records of all backups that began since the oldest of the
// databases' newest backups: those that ended, by that time, and those that did
// not. The third result says that some cannot be read.
func (r *pruneRun) runsSince(ctx context.Context, newest map[string]time.Time) ([]manifest.End, []manifest.Begin, string, error) {
	since := r.now
	for _, began := range newest {
		if began.Before(since) {
			since = began
		}
	}
	// A night's records lie under its tick's day, which may be the day before.
	since = backup.DayOf(since).AddDate(0, 0, -1)
	ended := r.endedRuns()
	infos := slices.DeleteFunc(slices.Clone(r.inv.runs), func(info store.Info) bool {
		name, isEnd, err := backup.ParseRunKey(info.Key)
		job := backup.Job{ID: name.JobID}
		return err != nil || name.Day.Before(since) || catalog.KindOf(job) != catalog.KindBackup || !isEnd && ended[runOf(name)]
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

// runKey tells runs apart.
type runKey struct {
	job string
	run backup.RunID
}

func runOf(name backup.RunName) runKey { return runKey{name.JobID, name.RunID} }

// endedRuns are those of which an end record was listed.
func (r *pruneRun) endedRuns() map[runKey]bool {
	ended := map[runKey]bool{}
	for _, info := range r.inv.runs {
		if name, isEnd, err := backup.ParseRunKey(info.Key); err == nil && isEnd {
			ended[runOf(name)] = true
		}
	}
	return ended
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

// addBackups adds what the plan says of dailies, and that members of archives stay
// or go with these.
func (r *pruneRun) addBackups(plan retention.Plan) {
	decided := map[string]retention.Decision{}
	for _, decision := range plan.Decisions {
		if !decision.Archive {
			decided[decision.ID] = decision
		}
	}
	for i := range r.inv.entries {
		entry := &r.inv.entries[i]
		decision, isDaily := decided[r.pointID(idOf(entry.Key, entry.Manifest))]
		if !isDaily {
			continue
		}
		object := entry.Manifest.Object
		r.add(PruneItem{
			Kind: ItemDaily, Key: entry.Key, Object: object.Key, Bytes: object.Stored.Bytes, Database: entry.Manifest.Database.Name,
			Why: decision.Why, Outcome: outcomeOf(decision.Keep), entry: entry, proof: decision.Proof,
		})
	}
}

func (r *pruneRun) addArchives(plan retention.Plan) {
	archives := map[string]Archive{}
	for _, archive := range r.inv.archives {
		archives[archive.Key] = archive
	}
	for _, decision := range plan.Decisions {
		if !decision.Archive {
			continue
		}
		object := archives[decision.ID].Manifest.Object
		why := decision.Why
		if failed := archives[decision.ID].Failed; failed != "" {
			why += ": " + failed
		}
		r.add(PruneItem{
			Kind: ItemWeekly, Key: decision.ID, Object: object.Key, Bytes: object.Stored.Bytes,
			Why: why, Outcome: outcomeOf(decision.Keep),
		})
	}
	for _, archive := range r.inv.replaced {
		object := archive.Manifest.Object
		r.add(PruneItem{
			Kind: ItemWeekly, Key: archive.Key, Object: object.Key, Bytes: object.Stored.Bytes,
			Why: "it was damaged, and another part replaces it", Outcome: ItemKept,
		})
	}
}

// addDebris adds what runs left unfinished, in objects and in uploads.
func (r *pruneRun) addDebris(ctx context.Context) error {
	living := r.livingRuns(ctx)
	for _, stray := range r.inv.unfinished {
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
	ended := r.endedRuns()
	for _, begin := range runs {
		key := runKey{begin.Job.ID, begin.Run.ID}
		if !ended[key] && (living[key] || r.now.Sub(begin.Run.StartedAt) < runAge) {
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
	foreign := slices.ContainsFunc(r.inv.foreign, func(stray Stray) bool {
		return path.Ext(stray.Key) == ".json" && subjectOf(stray.Key) == of
	})
	return foreign || slices.ContainsFunc(r.inv.vanished, func(i store.Info) bool { return subjectOf(i.Key) == of })
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
