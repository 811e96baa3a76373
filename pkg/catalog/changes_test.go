package catalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

var tick = time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC)

// jobWith is a job at work, with runs that were heard of some time ago.
func jobWith(ago map[backup.RunID]time.Duration, backups ...catalog.Backup) catalog.Job {
	job := catalog.Job{Job: backup.NightJob(tick), Kind: catalog.KindBackup, Status: catalog.JobRunning}
	for _, id := range []backup.RunID{"aaaa", "bbbb"} {
		if since, found := ago[id]; found {
			job.Runs = append(job.Runs, catalog.Run{
				Run: backup.Run{ID: id, JobID: job.ID}, Status: catalog.RunRunning, HeartbeatAt: tick.Add(-since),
			})
		}
	}
	job.Backups = backups
	return job
}

func TestTellLost(t *testing.T) {
	t.Parallel()
	const late = catalog.DeadAfter
	for name, tt := range map[string]struct {
		ago       map[backup.RunID]time.Duration
		job       catalog.JobStatus
		runs      []catalog.RunStatus
		endedAgo  time.Duration
		ofTheLost catalog.BackupStatus
	}{
		"just in time": {
			map[backup.RunID]time.Duration{"aaaa": late},
			catalog.JobRunning,
			[]catalog.RunStatus{catalog.RunRunning},
			0, catalog.BackupRunning,
		},
		"lost": {
			map[backup.RunID]time.Duration{"aaaa": late + time.Microsecond},
			catalog.JobInterrupted,
			[]catalog.RunStatus{catalog.RunLost},
			late + time.Microsecond, catalog.BackupInterrupted,
		},
		"one of two": {
			map[backup.RunID]time.Duration{"aaaa": 2 * late, "bbbb": 0},
			catalog.JobRunning,
			[]catalog.RunStatus{catalog.RunLost, catalog.RunRunning},
			0, catalog.BackupInterrupted,
		},
		"both": {
			map[backup.RunID]time.Duration{"aaaa": 2 * late, "bbbb": 3 * late},
			catalog.JobInterrupted,
			[]catalog.RunStatus{catalog.RunLost, catalog.RunLost},
			2 * late, catalog.BackupInterrupted,
		},
		"a clock set back": {
			map[backup.RunID]time.Duration{"aaaa": -time.Hour},
			catalog.JobRunning,
			[]catalog.RunStatus{catalog.RunRunning},
			0, catalog.BackupRunning,
		},
	} {
		job := jobWith(tt.ago, catalog.Backup{RunID: "aaaa", Database: "groveauth", Status: catalog.BackupRunning})
		job.TellLost(tick)
		var runs []catalog.RunStatus
		for _, run := range job.Runs {
			runs = append(runs, run.Status)
		}
		var ended time.Time
		if tt.endedAgo != 0 {
			ended = tick.Add(-tt.endedAgo)
		}
		got := []any{job.Status, runs, job.EndedAt, job.Backups[0].Status}
		if diff := cmp.Diff([]any{tt.job, tt.runs, ended, tt.ofTheLost}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestALostRunThatLeftNothingUndone dies after it published all it took, while
// another run finishes the job: that job is finished.
func TestALostRunThatLeftNothingUndone(t *testing.T) {
	t.Parallel()
	for left, want := range map[catalog.BackupStatus]catalog.JobStatus{
		catalog.BackupDone:    catalog.JobSucceeded,
		catalog.BackupRunning: catalog.JobInterrupted,
	} {
		job := jobWith(map[backup.RunID]time.Duration{"aaaa": 0, "bbbb": 0},
			catalog.Backup{RunID: "aaaa", Database: "groveauth", Status: left},
			catalog.Backup{RunID: "bbbb", Database: "scout-db", Status: catalog.BackupDone})
		if err := job.End("bbbb", catalog.RunEnd{Status: catalog.RunSucceeded}, tick.Add(time.Second)); err != nil {
			t.Fatalf("End: %v", err)
		}
		if job.Status != catalog.JobRunning {
			t.Errorf("while the other run may live, the job is %s", job.Status)
		}
		job.TellLost(tick.Add(time.Hour))
		if job.Status != want || !job.EndedAt.Equal(tick.Add(time.Second)) {
			t.Errorf("the lost run left a database %s: the job is %s, ended %s; want %s", left, job.Status, job.EndedAt, want)
		}
	}
}

func TestEndedJobStaysAsItIs(t *testing.T) {
	t.Parallel()
	job := jobWith(map[backup.RunID]time.Duration{"aaaa": 0})
	if err := job.End("aaaa", catalog.RunEnd{Status: catalog.RunSucceeded}, tick); err != nil {
		t.Fatalf("End: %v", err)
	}
	want := job
	job.TellLost(tick.Add(1000 * time.Hour))
	if diff := cmp.Diff(want, job); diff != "" {
		t.Errorf("an ended job is told differently later (-want +got):\n%s", diff)
	}
}

func TestEndNeverBeforeStart(t *testing.T) {
	t.Parallel()
	var job catalog.Job
	// The run's clock is an hour ahead of the catalogue's.
	run := backup.Run{ID: "aaaa", StartedAt: tick.Add(time.Hour)}
	if err := job.Begin(backup.NightJob(tick), run, tick); err != nil {
		t.Fatalf("Begin: %v", err)
	}
	if err := job.End("aaaa", catalog.RunEnd{Status: catalog.RunSucceeded}, tick.Add(time.Minute)); err != nil {
		t.Fatalf("End: %v", err)
	}
	if job.EndedAt.Before(job.StartedAt) {
		t.Errorf("the job began at %s and ended at %s", job.StartedAt, job.EndedAt)
	}
}

func TestCheckSet(t *testing.T) {
	t.Parallel()
	row := catalog.Backup{RunID: "aaaa", Database: "groveauth", Status: catalog.BackupDone}
	for run, want := range map[catalog.RunStatus]error{
		catalog.RunRunning: nil, catalog.RunLost: nil, catalog.RunSucceeded: catalog.ErrStep,
		catalog.RunPartial: catalog.ErrStep, catalog.RunFailed: catalog.ErrStep, catalog.RunInterrupted: catalog.ErrStep,
	} {
		if err := catalog.CheckSet(run, catalog.BackupRunning, row); !errors.Is(err, want) {
			t.Errorf("by a run that is %s: %v, want %v", run, err, want)
		}
	}
}
