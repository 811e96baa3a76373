package engine_test

import (
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// measured leaves the record of a restore that loaded so much in so long.
func (b *bench) measured(run backup.RunID, bytes int64, took time.Duration) {
	b.t.Helper()
	at := b.begin.Add(-time.Hour)
	job := backup.RestoreJob("", at, run)
	body, err := manifest.Encode(manifest.End{
		Job: job, Run: backup.Run{ID: run, JobID: job.ID, Host: "host-1", StartedAt: at}, EndedAt: at, Status: "succeeded",
		Restored: &manifest.Restored{State: "restored", Bytes: bytes, UnavailableSeconds: took.Seconds()},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.put(backup.EndKey(job, run), string(body))
}

// What is replaced answers nobody for as long as the restore nearest in size
// tells; one that is a hundred times larger or smaller tells nothing.
func TestTheOutlookIsThatOfTheNearestRestore(t *testing.T) {
	t.Parallel()
	restoring(t, nil, nil, func(r *restoreBench) {
		size, _, err := r.source.Plan.Measure(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		wantOutlook := func(why string, want time.Duration) {
			r.t.Helper()
			result, err := r.e.Restore(r.t.Context(), engine.RestoreRequest{Source: r.source, Target: "old", Replace: true, DryRun: true})
			got := result.Replaced.Outlook
			if err != nil || got.About != want || (got.By != "") != (want != 0) {
				r.t.Errorf("%s: %v, %v", why, got, err)
			}
		}
		wantOutlook("without any restore", 0)
		r.measured("0001", size*200, time.Hour)
		r.measured("0002", size/200, time.Second)
		wantOutlook("by those that are too far off", 0)
		r.measured("0003", size*10, 100*time.Second)
		r.measured("0004", size/2, 30*time.Second)
		wantOutlook("by one of half the size that took 30 s", time.Minute)
	})
}
