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
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// archiveTries is how often a week is tried, not counting what is begun again
// without a damaged daily.
const archiveTries = 3

// weekRun is one process at work on the archive of one week.
type weekRun struct {
	*archiveRun
	job        backup.Job
	run        backup.Run
	startedAt  time.Time
	plan       weekPlan
	conditions store.Conditions
	// name is the part that is going to be published.
	name backup.ArchiveName
	// attempts counts the objects that were begun.
	attempts int
	// right is the one to the week.
	right   right
	written *manifest.Written
	// suspects are dailies whose own bytes the archive did not need.
	suspects []*badDaily
	result   WeekResult
}

func (w *weekRun) id() backup.RunID { return w.run.ID }

// week archives one week. Did is false where nothing was left to do, and more is
// true where a further part is to be made.
func (r *archiveRun) week(ctx context.Context, week backup.Week) (result WeekResult, did, more bool) {
	w := r.newWeekRun(week)
	if !w.claim(ctx) {
		return w.result, true, false
	}
	defer func() { w.right.release(ctx) }()
	ctx, stop := w.right.keep(ctx)
	defer stop()
	var err error
	if w.plan, err = w.archiveRun.plan(ctx, week); err != nil {
		w.fail(ctx, err)
		return w.result, true, false
	}
	w.name = w.plan.name
	w.result.Dailies, w.result.Gaps = w.plan.dailies, w.plan.gaps(w.startedAt)
	if len(w.plan.dailies) == 0 {
		return w.result, false, false
	}
	if !r.req.DryRun {
		w.work(ctx)
	}
	w.result.Took = w.now().Sub(w.startedAt)
	return w.result, true, w.plan.more && w.result.Manifest != nil
}

func (r *archiveRun) newWeekRun(week backup.Week) *weekRun {
	now := r.now()
	id := r.e.opts.NewRunID()
	w := &weekRun{archiveRun: r, startedAt: now, job: backup.ArchiveJob(week, r.req.Trigger, r.req.Reason, now, id)}
	w.run = r.e.newRun(w.job, id, now)
	w.result = WeekResult{Week: week, Job: w.job, Run: w.run, Outcome: OutcomePlanned}
	return w
}

// claim takes the lease on the week. A scheduled run leaves a week to whoever
// has it; others wait. The result is false when there is nothing to do.
func (w *weekRun) claim(ctx context.Context) bool {
	if w.req.DryRun {
		return true
	}
	for {
		var err error
		if w.right, err = w.e.takeRight(ctx, w.log, catalog.WeekLease(w.result.Week), w.run); err == nil {
			return true
		}
		if w.req.Trigger == backup.TriggerSchedule {
			w.result.Outcome = OutcomeElsewhere
			return false
		}
		if waited := w.now().Sub(w.startedAt); waited >= w.req.Wait {
			w.result.Outcome = OutcomeHeld
			w.result.Err = fault.Wrap(fault.Held, "patina status", fmt.Errorf("waited %s: %w", waited.Round(time.Second), err))
			return false
		}
		w.observe(w.result.Week, PhaseWaiting, 0, -1, "waiting: "+err.Error())
		if !pause(ctx, lockPoll) {
			w.fail(ctx, context.Cause(ctx))
			return false
		}
	}
}

// work announces the run, writes and publishes the archive, and says how it
// ended.
func (w *weekRun) work(ctx context.Context) {
	w.log.begin(ctx, w.job, w.run)
	stop := w.log.keepAlive(ctx, w.job, w.run.ID)
	if err := w.announce(ctx); err != nil {
		w.fail(ctx, err)
	} else {
		w.conditions = w.e.conditions(ctx, w)
		w.tries(ctx)
	}
	stop()
	w.conclude(ctx)
}

// announce writes the begin record. An archive can wait for a store that does
// not take it, and what nobody announced could never be removed.
func (w *weekRun) announce(ctx context.Context) error {
	begin := manifest.Begin{Job: w.job, Run: w.run, Writes: w.writes()}
	if err := record(ctx, w.e, backup.BeginKey(w.job, w.run.ID), begin); err != nil {
		return fmt.Errorf("write the begin record: %w", err)
	}
	return nil
}

// tries archives the week, again without each daily that turns out to be
// damaged, and again after a failure that another try may cure.
func (w *weekRun) tries(ctx context.Context) {
	dailies := slices.Clone(w.plan.dailies)
	for failed := 0; ; {
		if len(dailies) == 0 {
			w.fail(ctx, fault.New(fault.Proof, "", "nothing is left to archive: every daily is damaged or gone"))
			return
		}
		w.attempts++
		err := w.attempt(ctx, dailies)
		w.report(ctx)
		var bad *badDaily
		switch {
		case err == nil:
			return
		case ctx.Err() != nil:
			w.fail(ctx, context.Cause(ctx))
			return
		case errors.As(err, &bad):
			dailies = slices.DeleteFunc(dailies, func(e Entry) bool { return e.Key == bad.entry.Key })
			w.leaveOut(ctx, bad)
			continue
		}
		failed++
		w.e.opts.Log.Info("archive failed", "week", w.result.Week.String(), "attempt", w.attempts, "error", err)
		if failed >= archiveTries || !retryable(err) || !pause(ctx, w.e.opts.Pause(failed)) {
			w.fail(ctx, err)
			return
		}
	}
}

// leaveOut goes on without a daily that is not what its manifest says. One that is
// gone, manifest and all, was removed by a run that prunes.
func (w *weekRun) leaveOut(ctx context.Context, bad *badDaily) {
	if bad.gone {
		w.e.opts.Log.Info("daily was removed meanwhile", "manifest", bad.entry.Key)
		w.plan.known = slices.DeleteFunc(w.plan.known, func(e Entry) bool { return e.Key == bad.entry.Key })
	} else {
		w.plan.damaged[bad.entry.Key] = bad.err.Error()
		w.recordDamage(ctx, bad)
	}
	w.result.Gaps = w.plan.gaps(w.startedAt)
}

// report tells of dailies that are damaged, and which the archive holds all the
// same.
func (w *weekRun) report(ctx context.Context) {
	for _, bad := range w.suspects {
		switch {
		case bad.unread:
			w.warn(fmt.Errorf("read %s: %w", bad.entry.ID(), bad.err))
		case !bad.gone:
			w.recordDamage(ctx, bad)
		}
	}
	w.suspects = nil
}

// recordDamage leaves a record, once, that a daily is not what its manifest says.
func (w *weekRun) recordDamage(ctx context.Context, bad *badDaily) {
	if slices.ContainsFunc(w.result.Damaged, func(d Damage) bool { return d.Key == bad.entry.Key }) {
		return
	}
	w.result.Damaged = append(w.result.Damaged, Damage{Key: bad.entry.Key, Why: bad.err.Error()})
	now := w.now()
	err := record(ctx, w.e, backup.ProofKey(bad.entry.Name, now, w.run.ID), manifest.ProofRecord{
		Manifest: bad.entry.Key, RunID: w.run.ID, At: now, Level: manifest.LevelHash, Detail: bad.err.Error(),
	})
	if err != nil {
		w.warn(fmt.Errorf("record that %s is damaged: %w", bad.entry.ID(), err))
	}
}

// attempt writes the archive once, and publishes it.
func (w *weekRun) attempt(ctx context.Context, dailies []Entry) error {
	key, err := w.objectName(ctx)
	if err != nil {
		return fmt.Errorf("look at the object's key: %w", err)
	}
	contents, receipt, err := w.write(ctx, key, dailies)
	if err != nil {
		return err
	}
	w.observe(w.result.Week, PhasePublishing, 0, -1, "")
	if err := w.right.confirm(ctx); err != nil {
		return err
	}
	return w.publish(ctx, manifest.Archive{
		Week: w.name.Week, Part: w.name.Part, Replaces: w.plan.replaces,
		JobID: w.job.ID, RunID: w.run.ID, Trigger: w.job.Trigger, Reason: w.job.Reason,
		Host: w.e.opts.Host, Tool: w.e.opts.Tool,
		StartedAt: w.startedAt.Truncate(time.Millisecond), EndedAt: w.now().Truncate(time.Millisecond),
		Object: manifest.ArchiveObject{
			Key: receipt.Key, Stored: contents.Stored, ETag: receipt.ETag, PartBytes: receipt.PartBytes, Parts: receipt.Parts,
		},
		Members: contents.Members, Gaps: w.result.Gaps,
	})
}

// publish writes the manifest, which makes the object an archive, and then looks
// once more whether the object is still the one it describes.
func (w *weekRun) publish(ctx context.Context, m manifest.Archive) error {
	for {
		m.Part = w.name.Part
		body, err := manifest.Encode(m)
		if err != nil {
			return err
		}
		_, err = w.e.putDocument(ctx, w.name.Manifest(), body)
		if err == nil {
			return w.confirm(ctx, m, body)
		}
		if !errors.Is(err, store.ErrExists) {
			// The manifest may have landed all the same, so the object stays:
			// without a manifest it is debris that the begin record announces.
			return fmt.Errorf("publish %s: %w", w.name.Manifest(), err)
		}
		settled, err := w.contest(ctx, m)
		if settled || err != nil {
			return err
		}
		next, err := w.e.nextPart(ctx, w.name.Week)
		if err != nil {
			return err
		}
		w.name.Part = max(next.Part, w.name.Part+1)
	}
}

// contest looks at a manifest that was there already. It settles the week if
// that is this very archive, or one by another run that holds the same.
func (w *weekRun) contest(ctx context.Context, m manifest.Archive) (bool, error) {
	body, err := w.e.readDocument(ctx, w.name.Manifest())
	if err != nil {
		return false, err
	}
	existing, err := manifest.Decode[manifest.Archive](body)
	if err != nil {
		// Of a newer version, or none of ours: it keeps its part.
		w.e.opts.Log.Warn("manifest is not readable", "key", w.name.Manifest(), "error", err)
		return false, nil
	}
	own := existing.RunID == m.RunID && existing.JobID == m.JobID
	if own && existing.Object == m.Object {
		return true, w.confirm(ctx, m, body)
	}
	if slices.Contains(w.plan.replaces, w.name.Part) || !holdsAll(existing, m) || !w.stands(ctx, existing.Object) {
		return false, nil
	}
	w.settle(OutcomeAlready, w.name.Manifest(), existing)
	if own { // of an attempt whose answer was lost
		w.written = written(w.name.Manifest(), body)
		w.result.Outcome = OutcomeDone
	}
	if existing.Object.Key == m.Object.Key {
		return true, nil
	}
	if err := w.e.opts.Store.Delete(ctx, m.Object.Key); err != nil {
		w.warn(fmt.Errorf("remove the second archive of %s: %w", w.name.Week, err))
	}
	return true, nil
}

// stands says whether an archive's object is seen to be what its manifest says.
func (w *weekRun) stands(ctx context.Context, object manifest.ArchiveObject) bool {
	info, err := w.e.opts.Store.Stat(ctx, object.Key)
	return err == nil && info.ETag == object.ETag && info.Bytes == object.Stored.Bytes
}

// holdsAll says whether an archive holds every backup that another one does.
func holdsAll(existing, other manifest.Archive) bool {
	held := make(map[backupID]bool, len(existing.Members))
	for _, m := range existing.Members {
		held[idOf(m.ManifestKey, m.Backup)] = true
	}
	return !slices.ContainsFunc(other.Members, func(m manifest.Member) bool { return !held[idOf(m.ManifestKey, m.Backup)] })
}

// confirm reads the object's identity once more, now that the manifest stands.
// If another writer has replaced the object, the archive is marked as failed for
// every reader, and the next attempt replaces it.
func (w *weekRun) confirm(ctx context.Context, m manifest.Archive, body []byte) error {
	info, err := w.e.opts.Store.Stat(ctx, m.Object.Key)
	if err == nil && info.ETag == m.Object.ETag && info.Bytes == m.Object.Stored.Bytes {
		w.written = written(w.name.Manifest(), body)
		w.settle(OutcomeDone, w.name.Manifest(), m)
		return nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		// What cannot be looked at is not known to be wrong.
		w.warn(fmt.Errorf("look at %s once more: %w", m.Object.Key, err))
		w.written = written(w.name.Manifest(), body)
		w.settle(OutcomeDone, w.name.Manifest(), m)
		return nil
	}
	detail := fmt.Sprintf("after publishing, %s was not the object that was written", m.Object.Key)
	now := w.now()
	err = record(ctx, w.e, backup.ArchiveProofKey(w.name, now, w.run.ID), manifest.ProofRecord{
		Manifest: w.name.Manifest(), RunID: w.run.ID, At: now, Level: manifest.LevelIdentity, Detail: detail,
	})
	w.plan.replaces = append(w.plan.replaces, w.name.Part)
	w.name.Part++
	return errors.Join(errors.New(detail), err)
}

// settle ends the week well.
func (w *weekRun) settle(outcome Outcome, key string, m manifest.Archive) {
	w.result.Outcome, w.result.Err = outcome, nil
	w.result.ManifestKey, w.result.Manifest = key, &m
}

// fail ends the week badly.
func (w *weekRun) fail(ctx context.Context, err error) {
	w.result.Outcome, w.result.Err = OutcomeFailed, err
	switch {
	case errors.Is(context.Cause(ctx), errLeaseLost):
		w.result.Outcome, w.result.Err = OutcomeHeld, fault.Wrap(fault.Held, "patina status", errLeaseLost)
	case errors.Is(ctx.Err(), context.Canceled):
		w.result.Outcome, w.result.Err = OutcomeInterrupted, errInterrupted
	}
}

// conclude says how the run ended, in the bucket and in the catalogue.
func (w *weekRun) conclude(ctx context.Context) {
	after, cancel := afterwards(ctx)
	defer cancel()
	status, message := w.status(), ""
	if w.result.Err != nil {
		message = w.result.Err.Error()
	}
	ended := w.now()
	end := manifest.End{Job: w.job, Run: w.run, EndedAt: ended, Status: string(status), Message: message, Archive: w.written}
	if err := record(after, w.e, backup.EndKey(w.job, w.run.ID), end); err != nil {
		w.warn(fmt.Errorf("write the end record: %w", err))
	}
	w.log.end(after, w.job, w.run.ID, catalog.RunEnd{Status: status, At: ended, Message: message})
	phase, bytes := PhaseDone, int64(0)
	if w.result.Err != nil {
		phase = PhaseFailed
	} else if w.result.Manifest != nil {
		bytes = w.result.Manifest.Object.Stored.Bytes
	}
	w.observe(w.result.Week, phase, bytes, bytes, message)
}

func (w *weekRun) status() catalog.RunStatus {
	switch {
	case w.result.Outcome == OutcomeInterrupted:
		return catalog.RunInterrupted
	case w.result.Err != nil:
		return catalog.RunFailed
	case len(w.result.Damaged) > 0:
		return catalog.RunPartial
	}
	return catalog.RunSucceeded
}

// isFree says whether nothing lies under a key.
func (e *Engine) isFree(ctx context.Context, key string) (bool, error) {
	_, err := e.opts.Store.Stat(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// badDaily says that a daily cannot be archived, because it is not what its
// manifest says, or because it is gone.
type badDaily struct {
	entry Entry
	err   error
	gone  bool
	// unread says that it could not be read, which tells nothing of it.
	unread bool
}

// Error names the daily.
func (b *badDaily) Error() string { return b.entry.ID() + ": " + b.err.Error() }

// Unwrap is what was found.
func (b *badDaily) Unwrap() error { return b.err }

// isDamage says whether an error is of what is stored, and not of reading it.
func isDamage(err error) bool {
	return errors.Is(err, seal.ErrDamaged) || fault.KindOf(err) == fault.Proof
}
