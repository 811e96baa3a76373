package catalogtest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func stateTests() []test {
	return []test{
		{"backups move by the table", testBackupSteps},
		{"runs move by the table", testRunSteps},
		{"jobs take the outcome", testOutcomes},
		{"a run leaves nothing running", testLeavesNothingRunning},
		{"unknown states are refused", testUnknownStates},
	}
}

// pathsTo are ways, by the table, to every state of a backup.
func pathsTo() map[catalog.BackupStatus][]catalog.BackupStatus {
	return map[catalog.BackupStatus][]catalog.BackupStatus{
		"":                        {},
		catalog.BackupPending:     {catalog.BackupPending},
		catalog.BackupRunning:     {catalog.BackupRunning},
		catalog.BackupDone:        {catalog.BackupRunning, catalog.BackupDone},
		catalog.BackupFailed:      {catalog.BackupFailed},
		catalog.BackupInterrupted: {catalog.BackupInterrupted},
	}
}

func testBackupSteps(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	for from, path := range pathsTo() {
		for to := range pathsTo() {
			if to == "" {
				continue
			}
			database := fmt.Sprintf("from-%s-to-%s", from, to)
			for _, step := range path {
				set(t, c, night(), "aaaa", step, database)
			}
			err := c.SetBackup(t.Context(), rowOf(night(), "aaaa", database, to))
			want := catalog.CheckBackupStep(from, to)
			if errors.Is(err, catalog.ErrStep) != (want != nil) || (want == nil && err != nil) {
				t.Errorf("from %q to %q: %v, want %v", from, to, err, want)
			}
		}
	}
}

func testRunSteps(t *testing.T, b Bench) {
	c := b.Open(t)
	states := []catalog.RunStatus{
		catalog.RunRunning, catalog.RunSucceeded, catalog.RunPartial, catalog.RunFailed,
		catalog.RunInterrupted, catalog.RunLost,
	}
	for i, from := range states {
		for j, to := range states {
			job := backup.NewJob(backup.TriggerManual, "", tick(), backup.RunID(fmt.Sprintf("%02d%02d", i, j)))
			begin(t, c, job, runOf(job, "aaaa", 0))
			switch from {
			case catalog.RunRunning:
			case catalog.RunLost:
				b.Advance(t, 2*catalog.DeadAfter)
				begin(t, c, job, runOf(job, "bbbb", 1)) // sweeps
			default:
				end(t, c, job, "aaaa", from)
			}
			err := c.EndRun(t.Context(), job.ID, "aaaa", catalog.RunEnd{Status: to})
			allowed := catalog.CheckRunStep(from, to) == nil
			// Nobody says of himself that he runs or is lost.
			allowed = allowed && to != catalog.RunRunning && to != catalog.RunLost
			if (err == nil) != allowed || (err != nil && !errors.Is(err, catalog.ErrStep)) {
				t.Errorf("from %q to %q: %v, allowed is %t", from, to, err, allowed)
			}
			want := from
			if allowed {
				want = to
			}
			if got := runStatuses(jobOf(t, c, job.ID))["aaaa"]; got != want {
				t.Errorf("from %q to %q: is %q, want %q", from, to, got, want)
			}
		}
	}
}

func testOutcomes(t *testing.T, b Bench) {
	const (
		done, failed, interrupted = catalog.BackupDone, catalog.BackupFailed, catalog.BackupInterrupted
		running, pending          = catalog.BackupRunning, catalog.BackupPending
	)
	c := b.Open(t)
	for i, tt := range []struct {
		rows []catalog.BackupStatus
		end  catalog.RunStatus
		want catalog.JobStatus
	}{
		{nil, catalog.RunSucceeded, catalog.JobSucceeded},
		{nil, catalog.RunPartial, catalog.JobPartial},
		{nil, catalog.RunFailed, catalog.JobFailed},
		{nil, catalog.RunInterrupted, catalog.JobInterrupted},
		{[]catalog.BackupStatus{done, done}, catalog.RunSucceeded, catalog.JobSucceeded},
		{[]catalog.BackupStatus{done, done}, catalog.RunPartial, catalog.JobPartial},
		{[]catalog.BackupStatus{done, done}, catalog.RunInterrupted, catalog.JobInterrupted},
		{[]catalog.BackupStatus{done, failed}, catalog.RunPartial, catalog.JobPartial},
		{[]catalog.BackupStatus{failed, failed}, catalog.RunFailed, catalog.JobFailed},
		{[]catalog.BackupStatus{done, interrupted}, catalog.RunPartial, catalog.JobInterrupted},
		{[]catalog.BackupStatus{failed, running}, catalog.RunFailed, catalog.JobInterrupted},
		{[]catalog.BackupStatus{done, pending}, catalog.RunSucceeded, catalog.JobInterrupted},
	} {
		job := backup.NewJob(backup.TriggerManual, "", tick(), backup.RunID(fmt.Sprintf("%04d", i)))
		begin(t, c, job, runOf(job, "aaaa", 0))
		for n, status := range tt.rows {
			for _, step := range pathsTo()[status] {
				set(t, c, job, "aaaa", step, fmt.Sprintf("db-%d", n))
			}
		}
		end(t, c, job, "aaaa", tt.end)
		if got := jobOf(t, c, job.ID).Status; got != tt.want {
			t.Errorf("rows %v and a run that %s: job %s, want %s", tt.rows, tt.end, got, tt.want)
		}
	}
}

func testLeavesNothingRunning(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	begin(t, c, night(), runOf(night(), "bbbb", 1))
	set(t, c, night(), "aaaa", catalog.BackupRunning, "running")
	set(t, c, night(), "aaaa", catalog.BackupPending, "pending")
	set(t, c, night(), "aaaa", catalog.BackupFailed, "failed")
	set(t, c, night(), "bbbb", catalog.BackupRunning, "others")
	end(t, c, night(), "aaaa", catalog.RunInterrupted)
	got := jobOf(t, c, night().ID)
	same(t, "rows", backupStatuses(got), map[string]catalog.BackupStatus{
		"running": catalog.BackupInterrupted, "pending": catalog.BackupInterrupted,
		"failed": catalog.BackupFailed, "others": catalog.BackupRunning,
	})
	same(t, "job", got.Status, catalog.JobRunning)
}

func testUnknownStates(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	for name, err := range map[string]error{
		"backup": c.SetBackup(t.Context(), rowOf(night(), "aaaa", "db", "finished")),
		"none":   c.SetBackup(t.Context(), rowOf(night(), "aaaa", "db", "")),
		"run":    c.EndRun(t.Context(), night().ID, "aaaa", catalog.RunEnd{Status: "finished"}),
		"empty":  c.EndRun(t.Context(), night().ID, "aaaa", catalog.RunEnd{}),
	} {
		if !errors.Is(err, catalog.ErrStep) {
			t.Errorf("%s: %v, want ErrStep", name, err)
		}
	}
}
