package catalog

import (
	"fmt"
	"slices"
)

// JobStatus is the state of a job.
type JobStatus string

// The states of a job. A job that ended may run again: the next run of the
// same night joins it and finishes what is missing.
const (
	JobRunning     JobStatus = "running"
	JobSucceeded   JobStatus = "succeeded"
	JobPartial     JobStatus = "partial"
	JobFailed      JobStatus = "failed"
	JobInterrupted JobStatus = "interrupted"
)

// RunStatus is the state of a run.
type RunStatus string

// The states of a run. RunLost is never written by the run itself: it is what
// readers are told of one that was not heard of for DeadAfter.
const (
	RunRunning     RunStatus = "running"
	RunSucceeded   RunStatus = "succeeded"
	RunPartial     RunStatus = "partial"
	RunFailed      RunStatus = "failed"
	RunInterrupted RunStatus = "interrupted"
	RunLost        RunStatus = "lost"
)

// BackupStatus is the state of one database in a job.
type BackupStatus string

// The states of one database in a job. BackupDone is a published backup, good
// or suspect: which of the two is told by its manifest.
const (
	BackupPending     BackupStatus = "pending"
	BackupRunning     BackupStatus = "running"
	BackupDone        BackupStatus = "done"
	BackupFailed      BackupStatus = "failed"
	BackupInterrupted BackupStatus = "interrupted"
)

// jobSteps, runSteps and backupSteps are the whole truth about how states may
// move. The empty state is that of a row that does not exist yet. A state may
// always stay as it is, so that a row can be filled in.
var (
	jobSteps = map[JobStatus][]JobStatus{
		"":             {JobRunning},
		JobRunning:     {JobSucceeded, JobPartial, JobFailed, JobInterrupted},
		JobSucceeded:   {JobRunning},
		JobPartial:     {JobRunning},
		JobFailed:      {JobRunning},
		JobInterrupted: {JobRunning},
	}
	runSteps = map[RunStatus][]RunStatus{
		"":         {RunRunning},
		RunRunning: {RunSucceeded, RunPartial, RunFailed, RunInterrupted, RunLost},
		// A run that was given up may turn out to live (a suspended
		// machine), and then still ends in its own words.
		RunLost:        {RunSucceeded, RunPartial, RunFailed, RunInterrupted},
		RunSucceeded:   nil,
		RunPartial:     nil,
		RunFailed:      nil,
		RunInterrupted: nil,
	}
	backupSteps = map[BackupStatus][]BackupStatus{
		"":                {BackupPending, BackupRunning, BackupDone, BackupFailed, BackupInterrupted},
		BackupPending:     {BackupRunning, BackupDone, BackupFailed, BackupInterrupted},
		BackupRunning:     {BackupDone, BackupFailed, BackupInterrupted},
		BackupFailed:      {BackupRunning, BackupDone, BackupInterrupted},
		BackupInterrupted: {BackupRunning, BackupDone, BackupFailed},
		BackupDone:        nil,
	}
)

// CheckJobStep returns an error wrapping ErrStep if a job may not move so.
func CheckJobStep(from, to JobStatus) error { return checkStep(jobSteps, "job", from, to) }

// CheckRunStep returns an error wrapping ErrStep if a run may not move so.
func CheckRunStep(from, to RunStatus) error { return checkStep(runSteps, "run", from, to) }

// CheckBackupStep returns an error wrapping ErrStep if a database's row may
// not move so.
func CheckBackupStep(from, to BackupStatus) error {
	return checkStep(backupSteps, "backup", from, to)
}

func checkStep[S ~string](steps map[S][]S, what string, from, to S) error {
	if _, known := steps[to]; from == to && known && from != "" {
		return nil
	}
	if slices.Contains(steps[from], to) {
		return nil
	}
	return fmt.Errorf("%w: %s from %q to %q", ErrStep, what, from, to)
}
