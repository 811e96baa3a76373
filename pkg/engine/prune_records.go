package engine

import (
	"context"
	"fmt"
	"path"
	"slices"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

// cleanRecords removes the records about backups of which no copy is left, now that
// some manifests are gone. They live as long as any copy does; where a manifest
// cannot be read, it may tell of one, and all records stay.
func (r *pruneRun) cleanRecords(ctx context.Context, gone map[string]bool) {
	unreadable := len(r.bucket.vanished) > 0 || slices.ContainsFunc(r.bucket.foreign, func(s Stray) bool { return path.Ext(s.Key) == ".json" && subjectOf(s.Key) != "" })
	if unreadable {
		return
	}
	left := r.leftOver(gone)
	var stale []string
	for info, err := range r.e.opts.Store.List(ctx, backup.RecordsPrefix) {
		if err != nil {
			r.warn(fmt.Errorf("list the records: %w", err))
			return
		}
		about, err := backup.ParseRecordKey(info.Key)
		if err == nil && !left[about] && r.now.Sub(info.ModifiedAt) > debrisAge {
			stale = append(stale, info.Key)
		}
	}
	for _, key := range stale {
		if err := r.e.opts.Store.Delete(ctx, key); err != nil {
			r.warn(fmt.Errorf("remove %s: %w", key, err))
			return
		}
		r.result.Records++
	}
}

// leftOver are the manifests of backups and archives of which a copy is left.
func (r *pruneRun) leftOver(gone map[string]bool) map[string]bool {
	left := map[string]bool{}
	for _, d := range r.bucket.dailies {
		left[d.key] = !gone[d.key]
	}
	for _, archive := range r.bucket.archives {
		if gone[archive.ID] {
			continue
		}
		left[archive.ID] = true
		for _, member := range archive.Members {
			left[keyOfPoint(member)] = true
		}
	}
	for _, archive := range r.bucket.replaced {
		left[archive.key] = true
	}
	return left
}

// gone are the keys of the manifests that this run removed.
func (r *pruneRun) gone() map[string]bool {
	gone := map[string]bool{}
	for _, item := range r.result.Items {
		if item.Outcome == ItemDeleted {
			gone[item.Key] = true
		}
	}
	return gone
}
