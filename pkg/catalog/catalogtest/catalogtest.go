// Package catalogtest is the suite of tests that every catalogue must pass. It
// checks the duties written at catalog.Catalog, with several handles on one
// catalogue as several hosts or processes have them.
//
// It sleeps nowhere: a bench lets time pass by the catalogue's clock. It knows
// no implementation; what only one of them can do wrong is tested beside it.
package catalogtest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// Bench is one fresh and empty catalogue.
type Bench struct {
	// Open must return one more handle on the catalogue. The bench closes it
	// when the test ends; closing it earlier must do no harm.
	Open func(t testing.TB) catalog.Catalog
	// Advance must let time pass by the catalogue's clock, or move every time
	// that this clock wrote into the past, which is the same.
	Advance func(t testing.TB, by time.Duration)
}

// Run runs the suite. newBench must give a catalogue of its own to each call;
// the tests run in parallel.
func Run(t *testing.T, newBench func(t *testing.T) Bench) {
	t.Helper()
	topics := map[string][]test{
		"journal":     journalTests(),
		"states":      stateTests(),
		"jobs":        jobTests(),
		"lost":        lostTests(),
		"leases":      leaseTests(),
		"concurrency": concurrencyTests(),
		"values":      valueTests(),
		"handle":      handleTests(),
		"restore":     restoreTests(),
		"documents":   documentTests(),
	}
	for topic, tests := range topics {
		if len(tests) == 0 {
			t.Errorf("no tests about %s", topic)
		}
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			for _, test := range tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					test.run(t, newBench(t))
				})
			}
		})
	}
}

// test is one case: what must hold, and how it is tried.
type test struct {
	name string
	run  func(t *testing.T, b Bench)
}

// tick is the night of most tests.
func tick() time.Time { return time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC) }

// night is the job of most tests.
func night() backup.Job { return backup.NightJob(tick()) }

// runOf is a run of a job, begun some seconds after the night.
func runOf(job backup.Job, id backup.RunID, seconds int) backup.Run {
	return backup.Run{
		ID: id, JobID: job.ID, Host: "host-" + string(id), Process: 4711, Version: "1.2.3",
		StartedAt: tick().Add(time.Duration(seconds) * time.Second),
	}
}

// rowOf is the row of a database that a run is at work on.
func rowOf(job backup.Job, run backup.RunID, database string, status catalog.BackupStatus) catalog.Backup {
	return catalog.Backup{JobID: job.ID, RunID: run, Database: database, Status: status}
}

// begin begins a run and fails the test if that fails.
func begin(t *testing.T, c catalog.Catalog, job backup.Job, run backup.Run) {
	t.Helper()
	if err := c.BeginRun(t.Context(), job, run); err != nil {
		t.Fatalf("begin run %s: %v", run.ID, err)
	}
}

// end ends a run and fails the test if that fails.
func end(t *testing.T, c catalog.Catalog, job backup.Job, run backup.RunID, status catalog.RunStatus) {
	t.Helper()
	if err := c.EndRun(t.Context(), job.ID, run, catalog.RunEnd{Status: status}); err != nil {
		t.Fatalf("end run %s: %v", run, err)
	}
}

// set writes rows of one status and fails the test if that fails.
func set(
	t *testing.T, c catalog.Catalog, job backup.Job, run backup.RunID, status catalog.BackupStatus, databases ...string,
) {
	t.Helper()
	for _, database := range databases {
		if err := c.SetBackup(t.Context(), rowOf(job, run, database, status)); err != nil {
			t.Fatalf("set %s to %s: %v", database, status, err)
		}
	}
}

// jobOf is the one job of an id.
func jobOf(t *testing.T, c catalog.Catalog, id string) catalog.Job {
	t.Helper()
	jobs, err := c.Jobs(t.Context(), catalog.JobFilter{ID: id})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("Jobs of %s = %d jobs, %v; want 1", id, len(jobs), err)
	}
	return jobs[0]
}

// now is the catalogue's time.
func now(t *testing.T, c catalog.Catalog) time.Time {
	t.Helper()
	at, err := c.Now(t.Context())
	if err != nil {
		t.Fatalf("Now: %v", err)
	}
	return at
}

// same fails the test if two values differ.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// runStatuses and backupStatuses are the statuses of a job by name.
func runStatuses(job catalog.Job) map[backup.RunID]catalog.RunStatus {
	all := map[backup.RunID]catalog.RunStatus{}
	for _, run := range job.Runs {
		all[run.ID] = run.Status
	}
	return all
}

func backupStatuses(job catalog.Job) map[string]catalog.BackupStatus {
	all := map[string]catalog.BackupStatus{}
	for _, b := range job.Backups {
		all[b.Database] = b.Status
	}
	return all
}
