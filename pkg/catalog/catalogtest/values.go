package catalogtest

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func valueTests() []test {
	return []test{
		{"times are cut to microseconds", testTimes},
		{"zero times stay zero", testZeroTimes},
		{"numbers keep their size", testNumbers},
		{"odd names come back as they are", testOddNames},
		{"strange prose does not cost a row", testStrangeProse},
		{"names that cannot be kept are refused", testBadNames},
	}
}

func testTimes(t *testing.T, b Bench) {
	c := b.Open(t)
	east := time.FixedZone("east", 9*3600+1800)
	at := time.Date(2024, 12, 8, 12, 34, 56, 123_456_999, east)
	want := time.Date(2024, 12, 8, 3, 4, 56, 123_456_000, time.UTC)
	job := night()
	job.Night = at
	run := runOf(job, "aaaa", 0)
	run.StartedAt = at
	begin(t, c, job, run)
	row := rowOf(job, "aaaa", "groveauth", catalog.BackupRunning)
	row.StartedAt, row.EndedAt = at, at
	if err := c.SetBackup(t.Context(), row); err != nil {
		t.Fatalf("SetBackup: %v", err)
	}
	got := jobOf(t, c, job.ID)
	lease := acquire(t, c, "aaaa", "db:1")
	for name, told := range map[string]time.Time{
		"night": got.Night, "start of job": got.StartedAt, "start of run": got.Runs[0].StartedAt,
		"start of row": got.Backups[0].StartedAt, "end of row": got.Backups[0].EndedAt,
	} {
		if told != want { // the zone counts here
			t.Errorf("%s = %v, want %v", name, told, want)
		}
	}
	for name, told := range map[string]time.Time{
		"now": now(t, c), "heartbeat": got.Runs[0].HeartbeatAt,
		"acquired": lease.AcquiredAt, "expires": lease.ExpiresAt,
	} {
		if told.Location() != time.UTC || told.Nanosecond()%1000 != 0 || told.IsZero() {
			t.Errorf("%s = %v, want UTC and microseconds", name, told)
		}
	}
	same(t, "day", got.Day, backup.DayOf(want))
}

func testZeroTimes(t *testing.T, b Bench) {
	c := b.Open(t)
	job := backup.NewJob(backup.TriggerManual, "", tick(), "aaaa")
	run := runOf(job, "aaaa", 0)
	run.StartedAt, run.JobID = time.Time{}, ""
	before := now(t, c)
	begin(t, c, job, run)
	set(t, c, job, "aaaa", catalog.BackupPending, "groveauth")
	got := jobOf(t, c, job.ID)
	for name, at := range map[string]time.Time{
		"night": got.Night, "end of job": got.EndedAt, "end of run": got.Runs[0].EndedAt,
		"start of row": got.Backups[0].StartedAt, "end of row": got.Backups[0].EndedAt,
	} {
		if !at.IsZero() {
			t.Errorf("%s = %v, want zero", name, at)
		}
	}
	if started := got.Runs[0].StartedAt; started.Before(before) || started.After(now(t, c)) {
		t.Errorf("a run that does not say when it began began at %v, want about %v", started, before)
	}
	same(t, "job of the run", got.Runs[0].JobID, job.ID)
}

func testNumbers(t *testing.T, b Bench) {
	c := b.Open(t)
	run := runOf(night(), "aaaa", 0)
	run.Process = math.MaxInt32
	begin(t, c, night(), run)
	row := rowOf(night(), "aaaa", "groveauth", catalog.BackupRunning)
	row.PlainBytes, row.StoredBytes, row.Attempts = math.MaxInt64, math.MaxInt64-1, math.MaxInt32
	if err := c.SetBackup(t.Context(), row); err != nil {
		t.Fatalf("SetBackup: %v", err)
	}
	got := jobOf(t, c, night().ID)
	same(t, "row", got.Backups, []catalog.Backup{row})
	same(t, "process", got.Runs[0].Process, math.MaxInt32)
}

func testOddNames(t *testing.T, b Bench) {
	c := b.Open(t)
	names := []string{
		"groveauth", "Groveauth", " groveauth", "groveauth ", "'; DROP TABLE jobs; --", `"`, `\`, "%", "_", "$1", "?1",
		"grüße", "gru\u0308ße", "日本", "🌳", "a\nb", "a\tb", "\u200b", "\ufffd", "\ufeff", strings.Repeat("x", 1000),
	}
	job := night()
	job.ID, job.Reason = "nächt 🌙 '1'", "weil's nötig ist; \"jetzt\" \\ \n 日本"
	begin(t, c, job, runOf(job, "läuf", 0))
	set(t, c, job, "läuf", catalog.BackupRunning, names...)
	got := jobOf(t, c, job.ID)
	same(t, "reason", got.Reason, job.Reason)
	same(t, "number of rows", len(got.Backups), len(names))
	statuses := backupStatuses(got)
	for _, name := range names {
		if statuses[name] != catalog.BackupRunning {
			t.Errorf("database %q is %q", name, statuses[name])
		}
		if lease := acquire(t, c, "aaaa", "db:"+name); lease.Name != "db:"+name {
			t.Errorf("lease of %q is named %q", name, lease.Name)
		}
	}
}

func testStrangeProse(t *testing.T, b Bench) {
	c := b.Open(t)
	strange, clean := "<html>\x00\xff\xfe ü", "<html>\ufffd\ufffd ü"
	job, run := night(), runOf(night(), "aaaa", 0)
	job.Reason, run.Host, run.Version = strange, strange, strange
	begin(t, c, job, run)
	row := rowOf(job, "aaaa", "groveauth", catalog.BackupFailed)
	row.Error = strange + strings.Repeat("x", 1<<20)
	if err := c.SetBackup(t.Context(), row); err != nil {
		t.Fatalf("SetBackup: %v", err)
	}
	ending := catalog.RunEnd{Status: catalog.RunFailed, Message: strange}
	if err := c.EndRun(t.Context(), job.ID, "aaaa", ending); err != nil {
		t.Fatalf("EndRun: %v", err)
	}
	owner := ownerOf("aaaa")
	owner.Host = strange
	lease, err := c.Acquire(t.Context(), []string{"db:1"}, owner, ttl)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	got := jobOf(t, c, job.ID)
	for name, told := range map[string]string{
		"reason": got.Reason, "host": got.Runs[0].Host, "version": got.Runs[0].Version,
		"message": got.Runs[0].Message, "owner": lease.Owner.Host,
	} {
		same(t, name, told, clean)
	}
	same(t, "error", got.Backups[0].Error, clean+strings.Repeat("x", 1<<20))
}

func testBadNames(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	for _, bad := range []string{"", "a\x00b", "\xff", strings.Repeat("x", 2000)} {
		job := night()
		job.ID = bad
		_, leaseErr := c.Acquire(t.Context(), []string{bad}, ownerOf("aaaa"), ttl)
		for name, err := range map[string]error{
			"job":      c.BeginRun(t.Context(), job, runOf(job, "aaaa", 0)),
			"run":      c.BeginRun(t.Context(), night(), runOf(night(), backup.RunID(bad), 0)),
			"database": c.SetBackup(t.Context(), rowOf(night(), "aaaa", bad, catalog.BackupRunning)),
			"lease":    leaseErr,
		} {
			if err == nil || errors.Is(err, catalog.ErrUnavailable) {
				t.Errorf("%s named %q: %v, want a refusal", name, bad, err)
			}
		}
	}
	if err := c.BeginRun(t.Context(), night(), runOf(backup.Job{ID: "other"}, "bbbb", 0)); err == nil {
		t.Error("a run of another job was begun")
	}
}
