package catalogtest

import (
	"errors"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func restoreTests() []test {
	return []test{
		{"what another catalogue told is restored as it was", testRestoreAsItWas},
		{"what is there is never taken back", testRestoreTakesNothingBack},
		{"a run that was lost gets the end that it had", testRestoreAnEnd},
		{"a living run is left alone", testRestoreBesideALivingRun},
		{"what cannot be is not restored", testRestoreRefuses},
	}
}

// ended is a job of one run and two rows, as a catalogue tells it.
func ended(t *testing.T, b Bench) catalog.Job {
	t.Helper()
	c := b.Open(t)
	job := night()
	run := runOf(job, "7f3a", 0)
	begin(t, c, job, run)
	for name, status := range map[string]catalog.BackupStatus{"groveauth": catalog.BackupDone, "scout-db": catalog.BackupFailed} {
		row := catalog.Backup{
			JobID: job.ID, RunID: run.ID, Database: name, DatabaseID: "2b4e", Status: status, Attempts: 2,
			StartedAt: tick().Add(time.Second), EndedAt: tick().Add(time.Minute),
		}
		if err := c.SetBackup(t.Context(), row); err != nil {
			t.Fatalf("SetBackup: %v", err)
		}
	}
	end := catalog.RunEnd{Status: catalog.RunPartial, At: tick().Add(time.Hour), Message: "scout-db: timeout"}
	if err := c.EndRun(t.Context(), job.ID, run.ID, end); err != nil {
		t.Fatalf("EndRun: %v", err)
	}
	return jobOf(t, c, job.ID)
}

func testRestoreAsItWas(t *testing.T, b Bench) {
	want := ended(t, b)
	if !want.EndedAt.Equal(tick().Add(time.Hour)) {
		t.Errorf("the job ended at %s, not when its run said", want.EndedAt)
	}
	other := want
	other.ID = "night-restored"
	other.Runs, other.Backups = nil, nil
	for _, run := range want.Runs {
		run.JobID = other.ID
		other.Runs = append(other.Runs, run)
	}
	for _, row := range want.Backups {
		row.JobID = other.ID
		other.Backups = append(other.Backups, row)
	}
	c := b.Open(t)
	for i, wantChange := range []bool{true, false} {
		changed, err := c.Restore(t.Context(), other)
		if err != nil || changed != wantChange {
			t.Errorf("Restore, time %d: %t, %v; want %t", i+1, changed, err, wantChange)
		}
		same(t, "job", jobOf(t, c, other.ID), other)
	}
}

func testRestoreTakesNothingBack(t *testing.T, b Bench) {
	want := ended(t, b)
	told := catalog.Job{Job: want.Job, Kind: want.Kind, StartedAt: want.StartedAt}
	lost := want.Runs[0]
	lost.Status, lost.EndedAt = catalog.RunLost, lost.StartedAt
	told.Runs = []catalog.Run{lost}
	done := want.Backups[0]
	done.Status, done.Error = catalog.BackupFailed, "another story"
	told.Backups = []catalog.Backup{done}
	c := b.Open(t)
	if changed, err := c.Restore(t.Context(), told); err != nil || changed {
		t.Errorf("Restore: %t, %v; want no change", changed, err)
	}
	same(t, "job", jobOf(t, c, want.ID), want)
}

func testRestoreAnEnd(t *testing.T, b Bench) {
	c := b.Open(t)
	job := night()
	run := runOf(job, "7f3a", 0)
	begin(t, c, job, run)
	row := catalog.Backup{JobID: job.ID, RunID: run.ID, Database: "groveauth", Status: catalog.BackupRunning}
	if err := c.SetBackup(t.Context(), row); err != nil {
		t.Fatalf("SetBackup: %v", err)
	}
	b.Advance(t, 2*catalog.DeadAfter)
	row.Status, row.ManifestKey = catalog.BackupDone, "daily/2024-12-08/groveauth.json"
	told := catalog.Job{
		Job: job, Kind: catalog.KindBackup, StartedAt: run.StartedAt,
		Runs: []catalog.Run{{Run: run, Status: catalog.RunSucceeded, EndedAt: run.StartedAt.Add(time.Minute)}}, Backups: []catalog.Backup{row},
	}
	if changed, err := c.Restore(t.Context(), told); err != nil || !changed {
		t.Fatalf("Restore: %t, %v", changed, err)
	}
	got := jobOf(t, c, job.ID)
	if got.Status != catalog.JobSucceeded || got.Runs[0].Status != catalog.RunSucceeded || got.Backups[0] != row {
		t.Errorf("the job is %+v", got)
	}
}

func testRestoreBesideALivingRun(t *testing.T, b Bench) {
	c := b.Open(t)
	job := night()
	living, other := runOf(job, "7f3a", 0), runOf(job, "7f3b", 1)
	begin(t, c, job, living)
	row := catalog.Backup{JobID: job.ID, RunID: living.ID, Database: "groveauth", Status: catalog.BackupRunning}
	if err := c.SetBackup(t.Context(), row); err != nil {
		t.Fatalf("SetBackup: %v", err)
	}
	told := catalog.Job{
		Job: job, Kind: catalog.KindBackup, StartedAt: living.StartedAt,
		Runs: []catalog.Run{
			{Run: living, Status: catalog.RunLost}, {Run: other, Status: catalog.RunFailed, EndedAt: other.StartedAt.Add(time.Minute)},
		},
		Backups: []catalog.Backup{{JobID: job.ID, RunID: other.ID, Database: "groveauth", Status: catalog.BackupFailed}},
	}
	if _, err := c.Restore(t.Context(), told); err != nil {
		t.Fatalf("Restore: %v", err)
	}
	got := jobOf(t, c, job.ID)
	if got.Status != catalog.JobRunning || len(got.Runs) != 2 || got.Runs[0].Status != catalog.RunRunning || got.Backups[0] != row {
		t.Errorf("the job is %+v", got)
	}
}

func testRestoreRefuses(t *testing.T, b Bench) {
	c := b.Open(t)
	job := night()
	run := catalog.Run{Run: runOf(job, "7f3a", 0), Status: catalog.RunSucceeded}
	for name, spoiled := range map[string]struct {
		job  catalog.Job
		want error
	}{
		"no run":         {catalog.Job{Job: job, Kind: catalog.KindBackup}, catalog.ErrNotFound},
		"a running run":  {catalog.Job{Job: job, Runs: []catalog.Run{{Run: run.Run, Status: catalog.RunRunning}}}, catalog.ErrStep},
		"no such status": {catalog.Job{Job: job, Runs: []catalog.Run{{Run: run.Run, Status: "dreaming"}}}, catalog.ErrStep},
		"a row of nobody": {
			catalog.Job{Job: job, Runs: []catalog.Run{run}, Backups: []catalog.Backup{{RunID: "beef", Database: "x", Status: catalog.BackupDone}}},
			catalog.ErrNotFound,
		},
		"a pending row": {
			catalog.Job{Job: job, Runs: []catalog.Run{run}, Backups: []catalog.Backup{{RunID: run.ID, Database: "x", Status: catalog.BackupPending}}},
			catalog.ErrStep,
		},
		"no name": {catalog.Job{Job: backup.Job{}, Runs: []catalog.Run{run}}, nil},
	} {
		_, err := c.Restore(t.Context(), spoiled.job)
		if err == nil || spoiled.want != nil && !errors.Is(err, spoiled.want) {
			t.Errorf("%s: %v, want %v", name, err, spoiled.want)
		}
	}
	if jobs, err := c.Jobs(t.Context(), catalog.JobFilter{}); err != nil || len(jobs) != 0 {
		t.Errorf("what was refused left %d jobs, %v", len(jobs), err)
	}
}
