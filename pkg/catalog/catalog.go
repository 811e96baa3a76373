// Package catalog is the contract of the job catalogue: who works on what, who
// worked on it when, and how it ended.
//
// Its rules: the catalogue is a log and a meeting place, never the truth about
// what can be restored, which is the bucket's alone; states move only by the
// one table in states.go; leases live by the catalogue's own clock; every time
// is UTC and cut to microseconds; every call is bounded by a few seconds, so
// that a catalogue that hangs cannot hold up a backup. A run whose process died
// is told as lost, not as running for ever.
//
// The package holds no implementation: see pgcatalog (Postgres, shared by
// several hosts) and litecatalog (an embedded SQLite file, one host). It knows
// neither the store nor D1.
package catalog

import (
	"context"
	"errors"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

var (
	// ErrUnavailable says that the catalogue could not be reached, or did not
	// answer in time. The work may go on without it.
	ErrUnavailable = errors.New("catalogue unavailable")
	// ErrHeld says that every lease asked for is held by others. The error
	// that wraps it is a *HeldError.
	ErrHeld = errors.New("held by another run")
	// ErrLost says that a lease is no longer its owner's.
	ErrLost = errors.New("lease lost")
	// ErrStep says that a state may not move as asked.
	ErrStep = errors.New("state may not move so")
	// ErrNotFound says that there is no such job, run or backup.
	ErrNotFound = errors.New("not in the catalogue")
	// ErrSchema says that the database holds no catalogue, a newer one, or
	// something else where the catalogue should be.
	ErrSchema = errors.New("catalogue schema")
)

// Catalog is a job catalogue. Its methods may be called from many goroutines
// and from several processes at once. A call that fails changed nothing, but
// for one case: an ErrUnavailable may hide a change whose answer was lost. A
// call whose caller cancelled it returns context.Canceled and no error of this
// package. Times are kept as Cut leaves them, messages as Prose does, and names
// (ids, databases, leases) as they are or not at all: see CheckName.
type Catalog interface {
	Journal
	Leases
	Documents
	// Now is the time by the catalogue's clock.
	Now(ctx context.Context) (time.Time, error)
	// Close frees everything. It does not end runs or release leases.
	Close() error
}

// Journal records jobs, their runs, and what became of each database.
type Journal interface {
	// BeginRun must record the run as running, and its job as running if it
	// is not. A job that exists already is joined; its trigger and reason
	// stay as they were. The same run begun twice is an error wrapping
	// ErrStep. Runs of the job that were not heard of for DeadAfter are
	// written as lost, with what follows from that at Jobs. A run without a
	// StartedAt begins now by the catalogue's clock.
	BeginRun(ctx context.Context, job backup.Job, run backup.Run) error

	// Heartbeat says that the run lives. It must be called at least every
	// HeartbeatEvery. A run that ended is an error wrapping ErrStep; one that
	// was written as lost may go on beating, but stays lost until it ends.
	Heartbeat(ctx context.Context, jobID string, run backup.RunID) error

	// EndRun must record how the run ended, and when: by its own account, or
	// else by the catalogue's clock, but never before it began. It is a sign of
	// life. Rows of the run that are pending or running
	// become interrupted, and runs not heard of for DeadAfter lost. When no
	// other run of the job is alive, the job takes its Outcome. The same end
	// told again changes nothing but exit code and message; RunRunning and
	// RunLost are no ends, and are errors wrapping ErrStep.
	EndRun(ctx context.Context, jobID string, run backup.RunID, end RunEnd) error

	// SetBackup must write the row of one database in a job, creating it if
	// missing: every field, so that what is left empty is emptied. A status
	// that may not follow the present one (states.go), or a run that ended,
	// is an error wrapping ErrStep; a job or run that is not there is
	// ErrNotFound.
	SetBackup(ctx context.Context, row Backup) error

	// Restore must write into the catalogue what was learned elsewhere of a job:
	// its runs, and the rows of its databases. It never takes back what is
	// there: a run that ended stays as it is, one that lives is left alone with
	// its rows, and a row moves only as states.go allows. A run that is not
	// known to have ended is given as RunLost. The job takes its Outcome where
	// no run of it lives. It says whether anything was changed; the same told
	// again changes nothing. A row of a run that is in neither is ErrNotFound.
	Restore(ctx context.Context, job Job) (bool, error)

	// Jobs must return the jobs that the filter asks for, newest first by
	// StartedAt and then id, with their runs by StartedAt and their backups by
	// name; an empty list where there are none. A run whose heartbeat is older
	// than DeadAfter by the catalogue's clock is returned as RunLost, ended
	// when it was last heard of; its pending and running backups as
	// BackupInterrupted; and a running job on which no run lives with its
	// Outcome, by what the last run said that ended by itself, and so as
	// JobInterrupted where all were lost. Telling so writes nothing.
	Jobs(ctx context.Context, filter JobFilter) ([]Job, error)
}

// HeartbeatEvery is how often a living run must be heard of; DeadAfter is when
// it is given up.
const (
	HeartbeatEvery = 20 * time.Second
	DeadAfter      = 90 * time.Second
)

// RunEnd is how a run ended.
type RunEnd struct {
	Status RunStatus
	// At is when it ended; zero means now, by the catalogue's clock.
	At time.Time
	// ExitCode is what the process is about to return.
	ExitCode int
	// Message is the run's first error, in words; may be empty.
	Message string
}

// JobFilter chooses jobs. Its zero value asks for the newest 20 of all kinds.
type JobFilter struct {
	// ID asks for one job.
	ID string
	// Kind asks for the jobs of one kind; empty means all.
	Kind Kind
	// Since asks for jobs begun at or after a time.
	Since time.Time
	// Limit is the greatest number of jobs; 0 means 20.
	Limit int
}

// Kind is what a job does.
type Kind string

// The kinds of jobs: those that take backups, those that archive a week, those
// that adopt what another program left, those that remove what retention lets go,
// those that bring a database back, drills among them, and those that prove
// backups.
const (
	KindBackup  Kind = "backup"
	KindArchive Kind = "archive"
	KindAdopt   Kind = "adopt"
	KindPrune   Kind = "prune"
	KindRestore Kind = "restore"
	KindVerify  Kind = "verify"
)

// KindOf is what a job does, which its id tells.
func KindOf(job backup.Job) Kind {
	switch {
	case job.IsArchive():
		return KindArchive
	case job.IsAdoption():
		return KindAdopt
	case job.IsPrune():
		return KindPrune
	case job.IsRestore(), job.IsDrill():
		return KindRestore
	case job.IsVerification():
		return KindVerify
	}
	return KindBackup
}

// Job is a job with everything the catalogue knows of it.
type Job struct {
	backup.Job
	Kind   Kind      `json:"kind"`
	Status JobStatus `json:"status"`
	// StartedAt is when the first run began. EndedAt is when the last one
	// ended, and zero while one lives.
	StartedAt time.Time `json:"startedAt"`
	EndedAt   time.Time `json:"endedAt,omitzero"`
	Runs      []Run     `json:"runs"`
	Backups   []Backup  `json:"backups"`
}

// Run is a run as recorded.
type Run struct {
	backup.Run
	Status      RunStatus `json:"status"`
	HeartbeatAt time.Time `json:"heartbeatAt"`
	EndedAt     time.Time `json:"endedAt,omitzero"`
	ExitCode    int       `json:"exitCode"`
	Message     string    `json:"message,omitempty"`
}

// Backup is the row of one database in one job.
type Backup struct {
	JobID    string       `json:"jobId"`
	RunID    backup.RunID `json:"runId"`
	Database string       `json:"database"`
	// DatabaseID may be empty where the database was never found.
	DatabaseID string       `json:"databaseId,omitempty"`
	Status     BackupStatus `json:"status"`
	// Attempts counts the tries so far.
	Attempts int `json:"attempts"`
	// Error is why it failed, in words; empty otherwise.
	Error string `json:"error,omitempty"`
	// ManifestKey names the published manifest; empty until then.
	ManifestKey string `json:"manifestKey,omitempty"`
	// PlainBytes and StoredBytes are the sizes of the dump before and after
	// compression; 0 until known.
	PlainBytes  int64     `json:"plainBytes"`
	StoredBytes int64     `json:"storedBytes"`
	StartedAt   time.Time `json:"startedAt,omitzero"`
	EndedAt     time.Time `json:"endedAt,omitzero"`
}
