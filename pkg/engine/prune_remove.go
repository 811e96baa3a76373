package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// removeAll removes what may go: week by week the backups, and then the rest.
func (r *pruneRun) removeAll(ctx context.Context) {
	weeks := map[backup.Week][]*PruneItem{}
	var rest []*PruneItem
	for i := range r.result.Items {
		item := &r.result.Items[i]
		week, ours := weekOfKey(item.Key)
		switch {
		case !item.Due():
		case ours && (item.Kind == ItemDaily || item.Kind == ItemWeekly):
			weeks[week] = append(weeks[week], item)
		default:
			rest = append(rest, item)
		}
	}
	for _, week := range slices.SortedFunc(maps.Keys(weeks), backup.Week.Compare) {
		if ctx.Err() == nil {
			r.removeOf(ctx, week, weeks[week])
		}
	}
	r.removeEach(ctx, rest, r.removeDebris)
	if ctx.Err() != nil {
		r.fail(ctx, context.Cause(ctx))
		return
	}
	r.result.Outcome = OutcomeDone
	gone := r.gone()
	r.e.memory.forget(ctx, slices.Collect(maps.Keys(gone)))
	r.cleanRecords(ctx, gone)
}

// removeOf removes backups and archives of a week, as they lie there now: what a
// catalogue remembers is not enough for that.
func (r *pruneRun) removeOf(ctx context.Context, week backup.Week, items []*PruneItem) {
	inv, err := r.e.withoutMemory().takeInventory(ctx, weekPrefixes(week)...)
	r.removeEach(ctx, items, func(ctx context.Context, item *PruneItem) error {
		if err != nil {
			return err
		}
		if item.Kind == ItemWeekly {
			return r.removeArchive(ctx, inv, item)
		}
		return r.removeDaily(ctx, inv, item)
	})
}

// removeEach removes things, several at once.
func (r *pruneRun) removeEach(ctx context.Context, items []*PruneItem, remove func(context.Context, *PruneItem) error) {
	var group errgroup.Group
	group.SetLimit(r.e.opts.Concurrency)
	for _, item := range items {
		group.Go(func() error {
			if ctx.Err() == nil {
				r.observe(item, PhasePublishing)
				item.settle(ctx, remove(ctx, item))
				r.observe(item, PhaseDone)
			}
			return nil // one that stays does not keep the others
		})
	}
	_ = group.Wait() // none fails
}

func (r *pruneRun) observe(item *PruneItem, phase Phase) {
	r.e.opts.Observer.Observe(Event{Database: item.Key, Phase: phase, Bytes: item.Bytes, Total: item.Bytes})
}

// sparedError says that a thing must not go, which is no failure.
type sparedError struct{ why string }

// Error is why.
func (s *sparedError) Error() string { return s.why }

// settle notes what came of removing the item.
func (i *PruneItem) settle(ctx context.Context, err error) {
	var spared *sparedError
	switch {
	case err == nil:
		i.Outcome = ItemDeleted
	case errors.Is(err, store.ErrLocked):
		i.Outcome, i.Why = ItemLater, "the store's rules keep it for now"
	case errors.As(err, &spared):
		i.Outcome, i.Why = ItemSpared, spared.why
	case ctx.Err() != nil:
		// It was left, or half of it: a later run goes on.
	case fault.KindOf(err) == fault.Proof:
		i.Outcome, i.Err = ItemSpared, err
	default:
		i.Outcome, i.Err = ItemFailed, fmt.Errorf("remove %s: %w", i.Key, err)
	}
}

// errGone says that what was to be removed is not what it was: another run is at
// work.
var errGone = &sparedError{"it is not there any more as it was"}

// removeDaily removes a daily when it is seen that the archive holds it, or that
// the policy does not ask for that, and that it was not pinned meanwhile.
func (r *pruneRun) removeDaily(ctx context.Context, inv inventory, item *PruneItem) error {
	at := slices.IndexFunc(inv.entries, func(e Entry) bool { return e.Key == item.Key && (e.Daily || e.DamagedDaily) })
	if at < 0 || inv.entries[at].Brief.Object != item.Object {
		return errGone
	}
	if pin := inv.kept.pinned(item.Key, r.now); pin != nil {
		return &sparedError{pinText(*pin)}
	}
	if len(item.proof) > 0 {
		if err := r.seeInArchive(ctx, inv, inv.entries[at], item.proof); err != nil {
			return err
		}
	}
	return r.removePair(ctx, item)
}

// removeArchive removes an archive, unless something in it was pinned meanwhile,
// or is still there as a daily.
func (r *pruneRun) removeArchive(ctx context.Context, inv inventory, item *PruneItem) error {
	at := slices.IndexFunc(inv.archives, func(a Archive) bool { return a.Key == item.Key && a.Manifest.Object.Key == item.Object })
	if at < 0 {
		return errGone
	}
	for _, member := range inv.archives[at].Manifest.Members {
		if pin := inv.kept.pinned(member.ManifestKey, r.now); pin != nil {
			return &sparedError{member.ManifestKey + ": " + pinText(*pin)}
		}
	}
	for _, entry := range inv.entries {
		if entry.Archived != nil && entry.Archived.Archive == item.Key && (entry.Daily || entry.DamagedDaily) {
			return &sparedError{"a daily that it holds is there: " + entry.Key}
		}
	}
	return r.removePair(ctx, item)
}

// removeDebris removes what a dead run left.
func (r *pruneRun) removeDebris(ctx context.Context, item *PruneItem) error {
	if item.Kind == ItemUpload {
		return item.abort(ctx)
	}
	return r.removePair(ctx, item)
}

// removePair removes the manifest first and the object after it, so that what is
// half removed is no backup. What is left then is announced as going.
func (r *pruneRun) removePair(ctx context.Context, item *PruneItem) error {
	if err := r.right.confirm(ctx); err != nil {
		return err
	}
	for _, key := range []string{item.Key, item.Object} {
		if key == "" {
			continue
		}
		if err := r.e.opts.Store.Delete(ctx, key); err != nil {
			return err
		}
		item.gone = true
	}
	return nil
}

// seeInArchive makes sure that one of the archives that are kept holds the very
// dump. The error is of kind fault.Proof where none does.
func (r *pruneRun) seeInArchive(ctx context.Context, inv inventory, entry Entry, archives []string) error {
	var errs []error
	for _, key := range archives {
		copied, ok := inv.copyIn(key, entry)
		if !ok {
			errs = append(errs, fmt.Errorf("%s is not there any more as it was", key))
			continue
		}
		err := r.seeCopy(ctx, inv, copied)
		if err == nil {
			return nil
		}
		if fault.KindOf(err) != fault.Proof {
			return err // it says nothing of the archive
		}
		errs = append(errs, err)
		r.recordBadCopy(ctx, copied, err)
	}
	return fault.Wrap(fault.Proof, "patina archive", fmt.Errorf("it is kept, for the archive does not hold it: %w", errors.Join(errs...)))
}

// copyIn is the backup as one archive holds it.
func (inv *inventory) copyIn(archiveKey string, entry Entry) (Entry, bool) {
	at := slices.IndexFunc(inv.archives, func(a Archive) bool { return a.Key == archiveKey })
	if at < 0 {
		return Entry{}, false
	}
	archive := inv.archives[at]
	id := entry.backupID()
	for _, member := range archive.Manifest.Members {
		if idOf(member.ManifestKey, member.Backup) == id {
			entry.Daily = false
			entry.Archived = &Archived{Archive: archive.Key, Object: archive.Manifest.Object, Member: member, Stream: archive.Manifest.Stream}
			return entry, true
		}
	}
	return Entry{}, false
}

// seeCopy makes sure of one copy: by a record of a check of the very object that
// lies there, or by reading it.
func (r *pruneRun) seeCopy(ctx context.Context, inv inventory, copied Entry) error {
	if inv.wasSeen(copied) {
		object := copied.Archived.Object
		info, err := r.e.opts.Store.Stat(ctx, object.Key)
		if err == nil && info.ETag == object.ETag && info.Bytes == object.Stored.Bytes {
			return nil
		}
	}
	from := copied.place(KindWeekly)
	return r.e.fetchFrom(ctx, copied, from, func(body io.Reader, from place) error {
		reader, err := r.dumpIn(body, from)
		if err != nil {
			return err
		}
		return copyAll(io.Discard, reader, reader)
	})
}

// dumpIn reads the dump at a place, held against the daily's manifest: as it was
// stored where it is encrypted, for which no key is needed, and else unpacked.
func (r *pruneRun) dumpIn(body io.Reader, from place) (io.ReadCloser, error) {
	if from.member.Backup.Encrypted() && !from.stream {
		return seal.NewReader(body, from.raw(), seal.Identities{})
	}
	return from.unpack(body, seal.Identities{})
}

// wasSeen says whether a record tells that the copy was read in the object that
// its manifest names, and was the dump.
func (inv *inventory) wasSeen(copied Entry) bool {
	needed := manifest.LevelScan // the first that unpacks
	if copied.Manifest().Encrypted() {
		needed = manifest.LevelHash
	}
	records := about(inv.proofs[copied.Key], copied.Archived.Archive)
	return failure(records) == "" && slices.ContainsFunc(records, func(p manifest.ProofRecord) bool {
		return p.Passed && p.Level.Covers(needed) && p.ETag == copied.Archived.Object.ETag
	})
}

// recordBadCopy leaves a record that the archive does not hold the backup, so that
// the next archive takes it again.
func (r *pruneRun) recordBadCopy(ctx context.Context, copied Entry, found error) {
	now := r.e.opts.Now().UTC()
	err := record(ctx, r.e, backup.ArchivedProofKey(copied.Name, now, r.result.Run.ID), manifest.ProofRecord{
		Manifest: copied.Key, RunID: r.result.Run.ID, At: now, Level: manifest.LevelHash, Archive: copied.Archived.Archive,
		ETag: copied.Archived.Object.ETag, Detail: found.Error(),
	})
	if err != nil {
		r.warn(fmt.Errorf("record that the archive's copy of %s is damaged: %w", copied.ID(), err))
	}
}
