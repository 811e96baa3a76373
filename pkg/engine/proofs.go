package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// proofs are records of checks by the key of the manifest that they are about,
// oldest first.
type proofs map[string][]manifest.ProofRecord

// proofsIn reads proofs that were listed. One that cannot be read says nothing.
func (e *Engine) proofsIn(ctx context.Context, infos []store.Info) (proofs, error) {
	bodies, err := e.readDocuments(ctx, infos)
	if err != nil {
		return nil, err
	}
	known := proofs{}
	for _, body := range bodies {
		if proof, err := manifest.Decode[manifest.ProofRecord](body); err == nil {
			known[proof.Manifest] = append(known[proof.Manifest], proof)
		}
	}
	for _, records := range known {
		slices.SortStableFunc(records, func(a, b manifest.ProofRecord) int { return a.At.Compare(b.At) })
	}
	return known, nil
}

// failedDailies tells, by the key of the manifest, which dailies of a day did not
// pass a check that was made after they were published, and why. Records of other
// days, of which there are ever more, are not read.
func (e *Engine) failedDailies(ctx context.Context, day time.Time) (map[string]string, error) {
	var infos []store.Info
	for info, err := range e.opts.Store.List(ctx, backup.RecordPrefix(backup.RecordProof)) {
		if err != nil {
			return nil, fmt.Errorf("list the bucket: %w", err)
		}
		if backup.IsProofOfDay(info.Key, day) {
			infos = append(infos, info)
		}
	}
	known, err := e.proofsIn(ctx, infos)
	failed := map[string]string{}
	for key, records := range known {
		if why := failure(about(records, "")); why != "" {
			failed[key] = why
		}
	}
	return failed, err
}

// failure is why something did not pass a check, by the records of it; empty
// where it did. A check that was not passed counts until one that proves as much
// was passed.
func failure(records []manifest.ProofRecord) string {
	var failed []manifest.ProofRecord
	for _, record := range records {
		if record.Passed {
			failed = slices.DeleteFunc(failed, func(f manifest.ProofRecord) bool { return record.Level.Covers(f.Level) })
			continue
		}
		failed = append(failed, record)
	}
	if len(failed) == 0 {
		return ""
	}
	last := failed[len(failed)-1]
	return cmp.Or(last.Detail, "a "+string(last.Level)+" proof failed")
}

// judgeArchives marks the archives that did not pass a later check.
func (inv *inventory) judgeArchives() {
	for i := range inv.archives {
		if archive := &inv.archives[i]; archive.Failed == "" {
			archive.Failed = failure(inv.proofs[archive.Key])
		}
	}
}

// judgeEntries marks the entries that did not pass a later check, and tells what
// they have passed. What is found of the stored bytes is about one copy of the
// backup only, what is found of the dump about all. Pinned is what is at a time.
func (inv *inventory) judgeEntries(now time.Time) {
	for i := range inv.entries {
		entry := &inv.entries[i]
		entry.judge(inv.proofs[entry.Key])
		entry.Pin = inv.kept.pinned(entry.Key, now)
	}
}

func (e *Entry) judge(records []manifest.ProofRecord) {
	e.Proof = strongest(e.Brief.Proof, records)
	ofDump := failure(slices.DeleteFunc(slices.Clone(records), manifest.ProofRecord.OfStoredBytes))
	ofDaily := failure(about(records, ""))
	readable := e.Archived != nil && e.Archived.Failed == ""
	switch {
	case ofDump != "":
		e.Failed = ofDump
	case e.Daily && ofDaily != "" && readable:
		e.Daily, e.DamagedDaily = false, true
	case e.Daily:
		e.Failed = ofDaily
	case !readable:
		e.Failed = e.Archived.Failed
	}
}

// about are the records of one copy's stored bytes: the daily's, or that of the
// archive named.
func about(records []manifest.ProofRecord, archive string) []manifest.ProofRecord {
	var some []manifest.ProofRecord
	for _, record := range records {
		if record.Archive == archive {
			some = append(some, record)
		}
	}
	return some
}

// strongest is the highest level that was passed, with its newest time.
func strongest(first manifest.Proof, records []manifest.ProofRecord) manifest.Proof {
	for _, record := range records {
		if record.Passed && record.Level.Covers(first.Level) {
			first = manifest.Proof{Level: record.Level, At: record.At}
		}
	}
	return first
}
