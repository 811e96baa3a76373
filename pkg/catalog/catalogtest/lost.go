package catalogtest

import (
	"errors"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func lostTests() []test {
	return []test{
		{"a run that died is told as lost", testToldAsLost},
		{"a heartbeat keeps a run alive", testHeartbeat},
		{"a living run keeps the job running", testOneOfTwoLost},
		{"the next run sweeps and finishes", testSweepAtBegin},
		{"the end of a run sweeps", testSweepAtEnd},
		{"a run given up may still end", testLostRunEnds},
	}
}

// justDead is a little more than it takes for a run to be given up.
const justDead = catalog.DeadAfter + time.Second

func testToldAsLost(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	set(t, c, night(), "aaaa", catalog.BackupRunning, "running", "done")
	set(t, c, night(), "aaaa", catalog.BackupDone, "done")
	set(t, c, night(), "aaaa", catalog.BackupPending, "pending")
	b.Advance(t, catalog.DeadAfter-10*time.Second)
	same(t, "job of a run that is late", jobOf(t, c, night().ID).Status, catalog.JobRunning)
	b.Advance(t, 11*time.Second)

	got := jobOf(t, b.Open(t), night().ID)
	same(t, "job", got.Status, catalog.JobInterrupted)
	same(t, "run", got.Runs[0].Status, catalog.RunLost)
	heard := got.Runs[0].HeartbeatAt
	same(t, "end of the run", got.Runs[0].EndedAt, heard)
	same(t, "end of the job", got.EndedAt, heard)
	same(t, "rows", backupStatuses(got), map[string]catalog.BackupStatus{
		"running": catalog.BackupInterrupted, "pending": catalog.BackupInterrupted, "done": catalog.BackupDone,
	})
	for _, row := range got.Backups {
		if row.Database == "running" {
			same(t, "end of the row", row.EndedAt, heard)
		}
	}
}

func testHeartbeat(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	for range 4 {
		b.Advance(t, catalog.DeadAfter-10*time.Second)
		if err := c.Heartbeat(t.Context(), night().ID, "aaaa"); err != nil {
			t.Fatalf("Heartbeat: %v", err)
		}
	}
	same(t, "job", jobOf(t, c, night().ID).Status, catalog.JobRunning)

	// Nobody swept it: heard of again, it lives again.
	b.Advance(t, justDead)
	same(t, "job unheard of", jobOf(t, c, night().ID).Status, catalog.JobInterrupted)
	if err := c.Heartbeat(t.Context(), night().ID, "aaaa"); err != nil {
		t.Fatalf("Heartbeat: %v", err)
	}
	same(t, "job heard of again", jobOf(t, c, night().ID).Status, catalog.JobRunning)
}

func testOneOfTwoLost(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	set(t, c, night(), "aaaa", catalog.BackupRunning, "groveauth")
	b.Advance(t, justDead)
	begin(t, c, night(), runOf(night(), "bbbb", 1))
	got := jobOf(t, c, night().ID)
	same(t, "job", got.Status, catalog.JobRunning)
	same(t, "end", got.EndedAt, time.Time{})
	same(t, "runs", runStatuses(got), map[backup.RunID]catalog.RunStatus{
		"aaaa": catalog.RunLost, "bbbb": catalog.RunRunning,
	})
}

func testSweepAtBegin(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	set(t, c, night(), "aaaa", catalog.BackupRunning, "groveauth")
	b.Advance(t, justDead)
	begin(t, c, night(), runOf(night(), "bbbb", 1))

	// Swept means written: heard of again, it is lost all the same.
	if err := c.Heartbeat(t.Context(), night().ID, "aaaa"); err != nil {
		t.Fatalf("Heartbeat of a run that was given up: %v", err)
	}
	got := jobOf(t, c, night().ID)
	same(t, "run", runStatuses(got)["aaaa"], catalog.RunLost)
	same(t, "rows", backupStatuses(got), map[string]catalog.BackupStatus{"groveauth": catalog.BackupInterrupted})

	set(t, c, night(), "bbbb", catalog.BackupRunning, "groveauth")
	set(t, c, night(), "bbbb", catalog.BackupDone, "groveauth")
	end(t, c, night(), "bbbb", catalog.RunSucceeded)
	same(t, "job", jobOf(t, c, night().ID).Status, catalog.JobSucceeded)
}

func testSweepAtEnd(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	begin(t, c, night(), runOf(night(), "bbbb", 1))
	set(t, c, night(), "aaaa", catalog.BackupRunning, "groveauth")
	set(t, c, night(), "bbbb", catalog.BackupRunning, "scout-db")
	set(t, c, night(), "bbbb", catalog.BackupDone, "scout-db")
	b.Advance(t, justDead)
	end(t, c, night(), "bbbb", catalog.RunSucceeded) // it was late itself, but it ends

	got := jobOf(t, c, night().ID)
	same(t, "runs", runStatuses(got), map[backup.RunID]catalog.RunStatus{
		"aaaa": catalog.RunLost, "bbbb": catalog.RunSucceeded,
	})
	same(t, "rows", backupStatuses(got), map[string]catalog.BackupStatus{
		"groveauth": catalog.BackupInterrupted, "scout-db": catalog.BackupDone,
	})
	same(t, "job", got.Status, catalog.JobInterrupted)
	same(t, "end", got.EndedAt, got.Runs[1].EndedAt)
}

func testLostRunEnds(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	set(t, c, night(), "aaaa", catalog.BackupRunning, "groveauth")
	b.Advance(t, justDead)
	begin(t, c, night(), runOf(night(), "bbbb", 1))
	end(t, c, night(), "bbbb", catalog.RunSucceeded)
	same(t, "job without the run", jobOf(t, c, night().ID).Status, catalog.JobInterrupted)

	b.Advance(t, time.Second)
	set(t, c, night(), "aaaa", catalog.BackupDone, "groveauth")
	end(t, c, night(), "aaaa", catalog.RunSucceeded)
	got := jobOf(t, c, night().ID)
	same(t, "job", got.Status, catalog.JobSucceeded)
	same(t, "end", got.EndedAt, got.Runs[0].EndedAt)
	same(t, "runs", runStatuses(got), map[backup.RunID]catalog.RunStatus{
		"aaaa": catalog.RunSucceeded, "bbbb": catalog.RunSucceeded,
	})
	err := c.EndRun(t.Context(), night().ID, "aaaa", catalog.RunEnd{Status: catalog.RunFailed})
	if !errors.Is(err, catalog.ErrStep) {
		t.Errorf("a second end: %v, want ErrStep", err)
	}
}
