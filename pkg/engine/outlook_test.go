package engine_test

import (
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
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
	r := newRestoreBench(t, func(*sandbox.Options) {}, nil)
	size := r.source.Plan.Summary.Bytes
	outlook := func() engine.Outlook {
		t.Helper()
		result, err := r.e.Restore(t.Context(), engine.RestoreRequest{Source: r.source, Target: "old", Replace: true, DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		return result.Replaced.Outlook
	}
	if got := outlook(); got != (engine.Outlook{}) {
		t.Errorf("without any restore: %v", got)
	}
	r.measured("0001", size*200, time.Hour)
	r.measured("0002", size/200, time.Second)
	if got := outlook(); got != (engine.Outlook{}) {
		t.Errorf("by those that are too far off: %v", got)
	}
	r.measured("0003", size*10, 100*time.Second)
	r.measured("0004", size/2, 30*time.Second)
	if got := outlook(); got.About != time.Minute || got.By == "" {
		t.Errorf("by one of half the size that took 30 s: %v", got)
	}
}
