package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// removeAll removes what may go: dailies first, for an archive goes only when none
// of what it holds is left.
func (r *pruneRun) removeAll(ctx context.Context) {
	r.sparePinned(ctx)
	r.removeEach(ctx, ItemDaily, r.removeDaily)
	r.sparePinned(ctx)
	r.removeEach(ctx, ItemWeekly, r.removePair)
	r.removeEach(ctx, ItemUnfinished, r.removePair)
	r.removeEach(ctx, ItemUpload, func(ctx context.Context, item *PruneItem) error { return item.abort(ctx) })
	if ctx.Err() != nil {
		r.fail(ctx, context.Cause(ctx))
		return
	}
	r.result.Outcome = OutcomeDone
	r.cleanRecords(ctx)
}

// sparePinned looks once more for pins, which may have been set since the plan was
// made. Where that cannot be known nothing goes.
func (r *pruneRun) sparePinned(ctx context.Context) {
	kept, err := r.e.readKept(ctx)
	for i := range r.result.Items {
		item := &r.result.Items[i]
		if item.Outcome != ItemDue {
			continue
		}
		for _, key := range r.holdsBackups(item) {
			if err != nil {
				item.settle(ctx, fmt.Errorf("look for pins: %w", err))
				break
			}
			if pin := kept.pinned(key, r.now); pin != nil {
				item.settle(ctx, &sparedError{pinText(*pin)})
				break
			}
		}
	}
}

// holdsBackups are the manifests of the backups that would go with a thing.
func (r *pruneRun) holdsBackups(item *PruneItem) []string {
	if item.Kind == ItemDaily {
		return []string{item.Key}
	}
	var keys []string
	for _, archive := range r.inv.archives {
		if archive.Key != item.Key {
			continue
		}
		for _, member := range archive.Manifest.Members {
			keys = append(keys, member.ManifestKey)
		}
	}
	return keys
}

// removeEach removes the things of a kind that may go, several at once.
func (r *pruneRun) removeEach(ctx context.Context, kind ItemKind, remove func(context.Context, *PruneItem) error) {
	var group errgroup.Group
	group.SetLimit(r.e.opts.Concurrency)
	for i := range r.result.Items {
		item := &r.result.Items[i]
		if item.Kind != kind || item.Outcome != ItemDue {
			continue
		}
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

// removeDaily removes a daily when it is seen that the archive holds it, or that
// the policy does not ask for that.
func (r *pruneRun) removeDaily(ctx context.Context, item *PruneItem) error {
	if len(item.proof) > 0 {
		if err := r.seeInArchive(ctx, item); err != nil {
			return err
		}
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
func (r *pruneRun) seeInArchive(ctx context.Context, item *PruneItem) error {
	var errs []error
	for _, key := range item.proof {
		copied, ok := r.copyIn(key, *item.entry)
		if !ok {
			continue
		}
		err := r.seeCopy(ctx, copied)
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
func (r *pruneRun) copyIn(archiveKey string, entry Entry) (Entry, bool) {
	at := slices.IndexFunc(r.inv.archives, func(a Archive) bool { return a.Key == archiveKey })
	if at < 0 {
		return Entry{}, false
	}
	archive := r.inv.archives[at]
	id := idOf(entry.Key, entry.Manifest)
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
func (r *pruneRun) seeCopy(ctx context.Context, copied Entry) error {
	if r.wasSeen(copied) {
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
func (r *pruneRun) wasSeen(copied Entry) bool {
	needed := manifest.LevelScan // the first that unpacks
	if copied.Manifest.Encrypted() {
		needed = manifest.LevelHash
	}
	records := about(r.inv.proofs[copied.Key], copied.Archived.Archive)
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
