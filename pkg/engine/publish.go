package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// try takes one backup from beginning to end.
func (r *backupRun) try(ctx context.Context, t *task) error {
	r.observe(t, PhaseExporting, 0, -1, "")
	at := r.tryTime(t)
	t.suspect = nil
	if r.job.IsNight() {
		if done, err := r.findNight(ctx, t); done || err != nil {
			return err
		}
	}
	r.locate(ctx, t)
	dumped, err := r.export(ctx, t)
	if err != nil {
		return err
	}
	object, err := r.objectName(ctx, t, at)
	if err != nil {
		return fmt.Errorf("look at the object's key: %w", err)
	}
	keep := r.newSpool()
	defer keep.close()
	p, err := r.pull(ctx, t, dumped, object.Object(r.e.opts.Packing.Extension()), keep)
	if err != nil {
		return err
	}
	m := r.describe(t, dumped, p)
	t.suspect = r.prove(ctx, t, &m, keep)
	r.observe(t, PhasePublishing, p.plain.Bytes, p.plain.Bytes, "")
	if to := r.e.opts.Packing.Recipients; !to.IsZero() {
		if m, err = m.Seal(to); err != nil {
			return err
		}
	}
	ctx, cancel := outlive(ctx, publishGrace)
	defer cancel()
	return r.publish(ctx, t, at, m)
}

// locateTime bounds the question where a database runs: one request that hangs,
// and another.
const locateTime = 90 * time.Second

// locate asks D1 where the database runs, which its listing does not tell. A
// restore into the same region wants to know; a backup is neither given up nor
// held up for it.
func (r *backupRun) locate(ctx context.Context, t *task) {
	if t.database.Region != "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, locateTime)
	defer cancel()
	db, err := r.e.opts.D1.Get(ctx, t.database.ID)
	if err != nil {
		r.e.opts.Log.Info("region is not known", "database", t.database.Name, "error", err)
		return
	}
	t.database = db.Database
}

// tryTime is the time in a try's suffix: when it began, the job in the case of
// its first try, and at least a second after the one before, so that no two
// have the same.
func (r *backupRun) tryTime(t *task) time.Time {
	t.triedAt = r.now().Truncate(time.Millisecond)
	at := t.triedAt.Truncate(time.Second)
	if t.attempts == 1 && !r.job.IsNight() {
		at = r.startedAt.Truncate(time.Second)
	}
	if !at.After(t.suffixAt) {
		at = t.suffixAt.Add(time.Second)
	}
	t.suffixAt = at
	return at
}

func (r *backupRun) describe(t *task, dumped d1.Dump, p pulled) manifest.Backup {
	now := r.now().Truncate(time.Millisecond)
	return manifest.Backup{
		Database: t.database, JobID: r.job.ID, RunID: r.run.ID,
		Trigger: r.job.Trigger, Reason: r.job.Reason, Night: r.job.Night,
		Host: r.e.opts.Host, Tool: r.e.opts.Tool, StartedAt: t.triedAt, EndedAt: now,
		Export: manifest.Export{
			Method: "export", Why: "the database has no virtual tables",
			Bookmark: dumped.Bookmark, Attempts: t.attempts,
		},
		Object: manifest.Object{
			Key: p.receipt.Key, Stored: p.stored, ETag: p.receipt.ETag,
			PartBytes: p.receipt.PartBytes, Parts: p.receipt.Parts,
			Compression: r.e.opts.Packing.Compression,
		},
		// Nothing is withheld from the dump yet, so what D1 sent and what a
		// restore gets are the same bytes, hashed once.
		Plain: p.plain, Source: p.plain,
		Tables: p.scan.Tables, Objects: p.scan.Objects,
		Statements: p.scan.Statements, LongestStatement: p.scan.LongestStatement,
		Fidelity: backup.FidelityUnchecked, Findings: p.scan.Findings,
		Proof: manifest.Proof{Level: "scan", At: now},
	}
}

// publish writes the manifest, which makes the dump a backup, and then looks
// once more whether the object is still the one it describes.
func (r *backupRun) publish(ctx context.Context, t *task, at time.Time, m manifest.Backup) error {
	body, err := manifest.Encode(m)
	if err != nil {
		return err
	}
	own := backup.Name{Day: r.job.Day, Database: t.database.Name, Suffix: backup.NewSuffix(at, r.run.ID)}
	name := own
	if r.job.IsNight() {
		name.Suffix = ""
		// Looking once more before publishing spares a second backup of one
		// night where the store keeps no conditions.
		done, err := r.findNight(ctx, t)
		if err != nil {
			// No manifest was begun, so none can turn up that needs it.
			return r.withdraw(ctx, m, err)
		}
		if done {
			return r.discard(ctx, t, m)
		}
	}
	for {
		_, err := r.e.putDocument(ctx, name.Manifest(), body)
		if err == nil {
			break
		}
		if !errors.Is(err, store.ErrExists) {
			// The manifest may have landed all the same, so the object stays:
			// without a manifest it is debris that the begin record announces.
			return fmt.Errorf("publish %s: %w", name.Manifest(), err)
		}
		settled, err := r.contest(ctx, t, name, m)
		if settled || err != nil {
			return err
		}
		if name == own {
			return fmt.Errorf("publish %s: %w", name.Manifest(), store.ErrExists)
		}
		name = own
	}
	if err := r.confirm(ctx, t, name, m); err != nil {
		return err
	}
	if err := r.recordSuspect(ctx, t, name, m); err != nil {
		r.warn(err)
	}
	t.written = written(name.Manifest(), body)
	r.settle(t, OutcomeDone, name.Manifest(), &m)
	return nil
}

// contest looks at a manifest that was there already. It settles the task if
// that is this very backup, or the same night's by another.
func (r *backupRun) contest(ctx context.Context, t *task, name backup.Name, m manifest.Backup) (bool, error) {
	existing, body, err := r.e.readManifest(ctx, name.Manifest())
	if errors.Is(err, manifest.ErrForeign) || errors.Is(err, manifest.ErrNewer) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if existing.JobID != r.job.ID || t.spoiled[name.Manifest()] {
		return false, nil
	}
	r.found(t, name.Manifest(), existing, body)
	// Not this very backup's object, which discard leaves alone.
	return true, r.discard(ctx, t, m)
}

// discard removes the object of a backup that is not needed, because another
// run's stands for the same night. An object that a manifest names is never
// touched.
func (r *backupRun) discard(ctx context.Context, t *task, m manifest.Backup) error {
	if t.manifest == nil || t.manifest.Object.Key == m.Object.Key {
		return nil
	}
	if err := r.e.opts.Store.Delete(ctx, m.Object.Key); err != nil {
		r.warn(fmt.Errorf("remove the second dump of %s: %w", t.database.Name, err))
	}
	return nil
}

// withdraw removes the object of a try that ends with cause before it began to
// publish, also when ctx has ended.
func (r *backupRun) withdraw(ctx context.Context, m manifest.Backup, cause error) error {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if err := r.e.opts.Store.Delete(ctx, m.Object.Key); err != nil {
		return fmt.Errorf("%w (and its dump %s remains: %w)", cause, m.Object.Key, err)
	}
	return cause
}

// confirm reads the object's identity once more, now that the manifest stands:
// on a store without conditions another writer may have replaced it. If it
// did, the backup is marked as failed for every reader, and taken again.
func (r *backupRun) confirm(ctx context.Context, t *task, name backup.Name, m manifest.Backup) error {
	info, err := r.e.opts.Store.Stat(ctx, m.Object.Key)
	if err == nil && info.ETag == m.Object.ETag && info.Bytes == m.Object.Stored.Bytes {
		return nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		// What cannot be looked at is not known to be wrong.
		r.warn(fmt.Errorf("look at %s once more: %w", m.Object.Key, err))
		return nil
	}
	t.spoiled[name.Manifest()] = true
	detail := fmt.Sprintf("after publishing, %s was not the object that was written", m.Object.Key)
	now := r.now()
	err = record(ctx, r.e, backup.ProofKey(name, now, r.run.ID), manifest.ProofRecord{
		Manifest: name.Manifest(), RunID: r.run.ID, At: now, Level: manifest.LevelIdentity, Detail: detail,
	})
	return errors.Join(errors.New(detail), err)
}

// found settles a task with a manifest that is there: this run's own, whose
// answer was lost, or another's.
func (r *backupRun) found(t *task, key string, m manifest.Backup, body []byte) {
	if m.RunID != r.run.ID {
		r.settle(t, OutcomeAlready, key, &m)
		return
	}
	t.written = written(key, body)
	r.settle(t, OutcomeDone, key, &m)
}

// readManifest reads one manifest, and returns its bytes too.
func (e *Engine) readManifest(ctx context.Context, key string) (manifest.Backup, []byte, error) {
	body, err := e.readDocument(ctx, key)
	if err != nil {
		return manifest.Backup{}, nil, err
	}
	m, err := manifest.Decode[manifest.Backup](body)
	if err != nil {
		return manifest.Backup{}, nil, fmt.Errorf("read %s: %w", key, err)
	}
	return m, body, nil
}
