package catalogtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func jobTests() []test {
	return []test{
		{"an empty catalogue tells none", testNoJobs},
		{"newest first, within a limit", testOrderAndLimit},
		{"filters hold together", testFilters},
		{"runs by start, backups by name", testOrderWithinJob},
		{"jobs are not mixed up", testNotMixed},
		{"archives are jobs of their own kind", testArchiveJobs},
	}
}

func testNoJobs(t *testing.T, b Bench) {
	jobs, err := b.Open(t).Jobs(t.Context(), catalog.JobFilter{})
	if err != nil || jobs == nil || len(jobs) != 0 {
		t.Errorf("Jobs = %#v, %v; want an empty list", jobs, err)
	}
}

// manyJobs begins and ends n manual jobs, a minute apart, the last first.
func manyJobs(t *testing.T, c catalog.Catalog, n int) []string {
	t.Helper()
	ids := make([]string, n)
	for i := range n {
		run := backup.RunID(fmt.Sprintf("%04x", i))
		job := backup.NewJob(backup.TriggerManual, "", tick().Add(-time.Duration(i)*time.Minute), run)
		begin(t, c, job, runOf(job, run, -60*i))
		end(t, c, job, run, catalog.RunSucceeded)
		ids[i] = job.ID
	}
	return ids
}

func idsOf(t *testing.T, c catalog.Catalog, filter catalog.JobFilter) []string {
	t.Helper()
	jobs, err := c.Jobs(t.Context(), filter)
	if err != nil {
		t.Fatalf("Jobs %+v: %v", filter, err)
	}
	ids := []string{}
	for _, job := range jobs {
		ids = append(ids, job.ID)
	}
	return ids
}

func testOrderAndLimit(t *testing.T, b Bench) {
	c := b.Open(t)
	ids := manyJobs(t, c, catalog.DefaultLimit+3)
	same(t, "default limit", idsOf(t, c, catalog.JobFilter{}), ids[:catalog.DefaultLimit])
	same(t, "limit 3", idsOf(t, c, catalog.JobFilter{Limit: 3}), ids[:3])
	same(t, "limit 1000", idsOf(t, c, catalog.JobFilter{Limit: 1000}), ids)

	// Begun in the same microsecond: by id, the same each time.
	var twins []string
	for _, run := range []backup.RunID{"Zzzz", "aaaa", "zzzz"} {
		job := backup.Job{ID: "later-" + string(run), Trigger: backup.TriggerManual, Day: tick()}
		begin(t, c, job, runOf(job, "aaaa", 3600))
		twins = append([]string{job.ID}, twins...)
	}
	same(t, "jobs begun together", idsOf(t, c, catalog.JobFilter{Limit: 3}), twins)
}

func testFilters(t *testing.T, b Bench) {
	c := b.Open(t)
	ids := manyJobs(t, c, 5)
	at := func(minutes int) time.Time { return tick().Add(time.Duration(minutes) * time.Minute) }
	for name, tt := range map[string]struct {
		filter catalog.JobFilter
		want   []string
	}{
		"id":                 {catalog.JobFilter{ID: ids[2]}, ids[2:3]},
		"unknown id":         {catalog.JobFilter{ID: "night"}, []string{}},
		"kind":               {catalog.JobFilter{Kind: catalog.KindBackup}, ids},
		"other kind":         {catalog.JobFilter{Kind: "restore"}, []string{}},
		"since, the border":  {catalog.JobFilter{Since: at(-2)}, ids[:3]},
		"since, just after":  {catalog.JobFilter{Since: at(-2).Add(time.Microsecond)}, ids[:2]},
		"since and limit":    {catalog.JobFilter{Since: at(-2), Limit: 1}, ids[:1]},
		"since and id":       {catalog.JobFilter{Since: at(-2), ID: ids[4]}, []string{}},
		"since in the east":  {catalog.JobFilter{Since: at(-2).In(time.FixedZone("", 9*3600))}, ids[:3]},
		"everything at once": {catalog.JobFilter{ID: ids[1], Kind: catalog.KindBackup, Since: at(-3), Limit: 9}, ids[1:2]},
	} {
		same(t, name, idsOf(t, c, tt.filter), tt.want)
	}
}

func testOrderWithinJob(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "cccc", 20))
	begin(t, c, night(), runOf(night(), "bbbb", 10))
	begin(t, c, night(), runOf(night(), "aaaa", 20))
	set(t, c, night(), "aaaa", catalog.BackupPending, "zebra", "Zebra", "apple", "_x", "ähre")
	got := jobOf(t, c, night().ID)
	var runs, databases []string
	for _, run := range got.Runs {
		runs = append(runs, string(run.ID))
	}
	for _, row := range got.Backups {
		databases = append(databases, row.Database)
	}
	same(t, "runs", runs, []string{"bbbb", "aaaa", "cccc"})
	same(t, "databases", databases, []string{"Zebra", "_x", "apple", "zebra", "ähre"})
	same(t, "start of the job", got.StartedAt, tick().Add(20*time.Second))
}

func testNotMixed(t *testing.T, b Bench) {
	c := b.Open(t)
	manual := backup.NewJob(backup.TriggerDeploy, "", tick(), "aaaa")
	for _, job := range []backup.Job{night(), manual} {
		begin(t, c, job, runOf(job, "aaaa", 0))
		set(t, c, job, "aaaa", catalog.BackupRunning, "groveauth")
	}
	set(t, c, manual, "aaaa", catalog.BackupFailed, "groveauth")
	end(t, c, manual, "aaaa", catalog.RunFailed)
	jobs, err := c.Jobs(t.Context(), catalog.JobFilter{})
	if err != nil || len(jobs) != 2 {
		t.Fatalf("Jobs = %d, %v; want 2", len(jobs), err)
	}
	for _, job := range jobs {
		if len(job.Runs) != 1 || len(job.Backups) != 1 {
			t.Fatalf("%s: %d runs and %d backups, want 1 and 1", job.ID, len(job.Runs), len(job.Backups))
		}
		want := catalog.BackupRunning
		if job.ID == manual.ID {
			want = catalog.BackupFailed
		}
		same(t, job.ID, job.Backups[0].Status, want)
	}
}

func testArchiveJobs(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	week := backup.WeekOf(tick())
	job := backup.ArchiveJob(week, backup.TriggerSchedule, "by cron", tick().Add(time.Hour), "bbbb")
	begin(t, c, job, runOf(job, "bbbb", 3600))
	same(t, "archives", idsOf(t, c, catalog.JobFilter{Kind: catalog.KindArchive}), []string{job.ID})
	same(t, "backups", idsOf(t, c, catalog.JobFilter{Kind: catalog.KindBackup}), []string{night().ID})
	end(t, c, job, "bbbb", catalog.RunPartial)
	got := jobOf(t, c, job.ID)
	same(t, "the job", got.Job, job)
	same(t, "its status", got.Status, catalog.JobPartial)
	owner := catalog.Owner{JobID: job.ID, RunID: "bbbb", Host: "host"}
	lease, err := c.Acquire(t.Context(), []string{catalog.WeekLease(week)}, owner, time.Minute)
	if err != nil || lease.Name != "week:2024-W49" {
		t.Errorf("the lease on the week is %+v, %v", lease, err)
	}
}
