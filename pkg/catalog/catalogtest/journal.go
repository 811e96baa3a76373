package catalogtest

import (
	"errors"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func journalTests() []test {
	return []test{
		{"everything written is told", testTellsEverything},
		{"a run begun twice is refused", testBeginTwice},
		{"a second run joins the night", testJoin},
		{"a job runs again after its end", testRunsAgain},
		{"a row is written whole", testRowIsWhole},
		{"what does not exist is not found", testNotFound},
		{"an end told twice keeps its time", testEndTwice},
		{"a call that fails changes nothing", testFailureChangesNothing},
	}
}

func testTellsEverything(t *testing.T, b Bench) {
	c := b.Open(t)
	job, run := night(), runOf(night(), "7f3a", 0)
	job.Reason = "before the move"
	before := now(t, c)
	begin(t, c, job, run)
	row := catalog.Backup{
		JobID: job.ID, RunID: run.ID, Database: "groveauth", DatabaseID: "2b4e", Status: catalog.BackupRunning,
		Attempts: 2, StartedAt: tick().Add(time.Second),
	}
	if err := c.SetBackup(t.Context(), row); err != nil {
		t.Fatalf("SetBackup: %v", err)
	}
	row.Status, row.ManifestKey = catalog.BackupDone, "daily/2024-12-08/groveauth.json"
	row.PlainBytes, row.StoredBytes, row.EndedAt = 1<<40, 1<<39, tick().Add(time.Minute)
	if err := c.SetBackup(t.Context(), row); err != nil {
		t.Fatalf("SetBackup: %v", err)
	}
	b.Advance(t, time.Second)
	ending := catalog.RunEnd{Status: catalog.RunPartial, ExitCode: 3, Message: "scout-db: timeout after 30s"}
	if err := c.EndRun(t.Context(), job.ID, run.ID, ending); err != nil {
		t.Fatalf("EndRun: %v", err)
	}
	after := now(t, c)

	got := jobOf(t, c, job.ID)
	told := got.Runs[0]
	for name, at := range map[string]time.Time{"heartbeat": told.HeartbeatAt, "end of run": told.EndedAt} {
		if at.Before(before.Add(-time.Second)) || at.After(after) {
			t.Errorf("%s is %s, want it between %s and %s", name, at, before, after)
		}
	}
	want := catalog.Job{
		Job: job, Kind: catalog.KindBackup, Status: catalog.JobPartial,
		StartedAt: run.StartedAt, EndedAt: told.EndedAt,
		Runs: []catalog.Run{{
			Run: run, Status: catalog.RunPartial, HeartbeatAt: told.HeartbeatAt, EndedAt: told.EndedAt,
			ExitCode: 3, Message: ending.Message,
		}},
		Backups: []catalog.Backup{row},
	}
	same(t, "job", got, want)
}

func testBeginTwice(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "7f3a", 0))
	err := b.Open(t).BeginRun(t.Context(), night(), runOf(night(), "7f3a", 9))
	if !errors.Is(err, catalog.ErrStep) {
		t.Errorf("BeginRun again: %v, want ErrStep", err)
	}
	other := backup.NewJob(backup.TriggerManual, "", tick(), "7f3a")
	begin(t, c, other, runOf(other, "7f3a", 0)) // a run's id is unique in its job only
}

func testJoin(t *testing.T, b Bench) {
	one, two := b.Open(t), b.Open(t)
	job, joining := night(), night()
	job.Reason, joining.Reason, joining.Trigger = "the first", "the second", backup.TriggerManual
	begin(t, one, job, runOf(job, "aaaa", 0))
	begin(t, two, joining, runOf(job, "bbbb", 60))
	set(t, one, job, "aaaa", catalog.BackupRunning, "groveauth")
	set(t, two, job, "bbbb", catalog.BackupRunning, "scout-db")
	set(t, one, job, "aaaa", catalog.BackupDone, "groveauth")
	end(t, one, job, "aaaa", catalog.RunSucceeded)

	got := jobOf(t, two, job.ID)
	same(t, "job while the second run lives", got.Status, catalog.JobRunning)
	same(t, "its end", got.EndedAt, time.Time{})
	same(t, "its trigger and reason", []string{string(got.Trigger), got.Reason}, []string{"schedule", "the first"})

	set(t, two, job, "bbbb", catalog.BackupDone, "scout-db")
	end(t, two, job, "bbbb", catalog.RunSucceeded)
	got = jobOf(t, one, job.ID)
	same(t, "job at the end", got.Status, catalog.JobSucceeded)
	same(t, "start", got.StartedAt, tick())
	same(t, "end", got.EndedAt, got.Runs[1].EndedAt)
}

func testRunsAgain(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	set(t, c, night(), "aaaa", catalog.BackupRunning, "groveauth", "scout-db")
	set(t, c, night(), "aaaa", catalog.BackupDone, "groveauth")
	set(t, c, night(), "aaaa", catalog.BackupFailed, "scout-db")
	end(t, c, night(), "aaaa", catalog.RunPartial)
	same(t, "job after the first run", jobOf(t, c, night().ID).Status, catalog.JobPartial)

	begin(t, c, night(), runOf(night(), "bbbb", 3600))
	got := jobOf(t, c, night().ID)
	same(t, "job in the second run", got.Status, catalog.JobRunning)
	same(t, "its end", got.EndedAt, time.Time{})
	set(t, c, night(), "bbbb", catalog.BackupRunning, "scout-db")
	set(t, c, night(), "bbbb", catalog.BackupDone, "scout-db")
	end(t, c, night(), "bbbb", catalog.RunSucceeded)
	same(t, "job after the second run", jobOf(t, c, night().ID).Status, catalog.JobSucceeded)
}

func testRowIsWhole(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	begin(t, c, night(), runOf(night(), "bbbb", 1))
	row := rowOf(night(), "aaaa", "groveauth", catalog.BackupFailed)
	row.Error, row.Attempts, row.StartedAt = "no answer", 3, tick()
	if err := c.SetBackup(t.Context(), row); err != nil {
		t.Fatalf("SetBackup: %v", err)
	}
	row = rowOf(night(), "bbbb", "groveauth", catalog.BackupRunning)
	if err := c.SetBackup(t.Context(), row); err != nil {
		t.Fatalf("SetBackup: %v", err)
	}
	same(t, "rows", jobOf(t, c, night().ID).Backups, []catalog.Backup{row})
}

func testNotFound(t *testing.T, b Bench) {
	c, ctx := b.Open(t), t.Context()
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	ending := catalog.RunEnd{Status: catalog.RunSucceeded}
	stranger := backup.NewJob(backup.TriggerManual, "", tick(), "cccc")
	for name, err := range map[string]error{
		"end of an unknown job":       c.EndRun(ctx, stranger.ID, "aaaa", ending),
		"end of an unknown run":       c.EndRun(ctx, night().ID, "bbbb", ending),
		"heartbeat of an unknown job": c.Heartbeat(ctx, stranger.ID, "aaaa"),
		"heartbeat of an unknown run": c.Heartbeat(ctx, night().ID, "bbbb"),
		"row of an unknown job":       c.SetBackup(ctx, rowOf(stranger, "aaaa", "db", catalog.BackupRunning)),
		"row of an unknown run":       c.SetBackup(ctx, rowOf(night(), "bbbb", "db", catalog.BackupRunning)),
	} {
		if !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	jobs, err := c.Jobs(ctx, catalog.JobFilter{ID: stranger.ID})
	if err != nil || len(jobs) != 0 {
		t.Errorf("Jobs of an unknown id = %v, %v; want none", jobs, err)
	}
}

func testEndTwice(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	end(t, c, night(), "aaaa", catalog.RunSucceeded)
	first := jobOf(t, c, night().ID)
	end(t, c, night(), "aaaa", catalog.RunSucceeded)
	same(t, "job after the second end", jobOf(t, c, night().ID), first)
	if err := c.Heartbeat(t.Context(), night().ID, "aaaa"); !errors.Is(err, catalog.ErrStep) {
		t.Errorf("Heartbeat of a run that ended: %v, want ErrStep", err)
	}
	err := c.SetBackup(t.Context(), rowOf(night(), "aaaa", "groveauth", catalog.BackupRunning))
	if !errors.Is(err, catalog.ErrStep) {
		t.Errorf("SetBackup by a run that ended: %v, want ErrStep", err)
	}
}

func testFailureChangesNothing(t *testing.T, b Bench) {
	c, ctx := b.Open(t), t.Context()
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	set(t, c, night(), "aaaa", catalog.BackupRunning, "groveauth")
	set(t, c, night(), "aaaa", catalog.BackupDone, "groveauth")
	end(t, c, night(), "aaaa", catalog.RunSucceeded)
	before := jobOf(t, c, night().ID)
	for name, err := range map[string]error{
		"begin again": c.BeginRun(ctx, night(), runOf(night(), "aaaa", 9)),
		"end other":   c.EndRun(ctx, night().ID, "aaaa", catalog.RunEnd{Status: catalog.RunFailed, ExitCode: 1}),
		"undo a row":  c.SetBackup(ctx, rowOf(night(), "aaaa", "groveauth", catalog.BackupFailed)),
	} {
		if !errors.Is(err, catalog.ErrStep) {
			t.Errorf("%s: %v, want ErrStep", name, err)
		}
	}
	same(t, "job", jobOf(t, c, night().ID), before)
}
