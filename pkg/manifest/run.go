package manifest

import (
	"errors"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// Begin is what a run sets out to do, written before its first other write.
type Begin struct {
	Job backup.Job `json:"job"`
	Run backup.Run `json:"run"`
	// Writes are the keys that this run may write, as patterns in the sense
	// of Go's path.Match. An object without a manifest that no begin record
	// announces is foreign, and is never removed.
	Writes []string `json:"writes"`
	// Deletes are the keys that this run may remove. One that is gone is no
	// damage, and one that is left without its manifest may go later.
	Deletes []string `json:"deletes,omitempty"`
	// Databases are those that the run is about.
	Databases []backup.Database `json:"databases,omitempty"`
	// Restore is what a restore or rewind is about to do to a database, and the
	// way back; nil for other runs.
	Restore *Restoring `json:"restore,omitempty"`
}

// Restoring is a database that is about to be changed.
type Restoring struct {
	Target backup.Database `json:"target"`
	// Created says that the run made the database, so that nothing of others
	// can be lost in it.
	Created bool `json:"created,omitempty"`
	// CreatedAt is when D1 says that it was made; a drill's database is removed
	// by it.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// Bookmark is the Time Travel point before the change, and SafetyBackup a
	// backup of it; one of them may be empty.
	Bookmark     string `json:"bookmark,omitempty"`
	SafetyBackup Safety `json:"safetyBackup,omitzero"`
	// Backup is the manifest of what is brought back; empty for a rewind, which
	// goes to the Time Travel point To.
	Backup string `json:"backup,omitempty"`
	To     string `json:"to,omitempty"`
	// Marker is the table in which each piece of a load leaves its number.
	Marker string `json:"marker,omitempty"`
	// Tables are those that are restored; none for all. The way back is that of
	// the whole database all the same.
	Tables []string `json:"tables,omitempty"`
}

func (Begin) format() Format { return FormatBegin }

func (b Begin) filled() Begin {
	b.Writes = filledList(b.Writes)
	return b
}

func (b Begin) check() error { return checkRun(b.Job, b.Run) }

// End is what a run did, written after its last other write.
type End struct {
	Job     backup.Job `json:"job"`
	Run     backup.Run `json:"run"`
	EndedAt time.Time  `json:"endedAt"`
	// Status is the run's, in the catalogue's words.
	Status string `json:"status"`
	// Message is the run's first error, in words.
	Message string `json:"message,omitempty"`
	// Only is what the run was limited to on its command line; without it the
	// run was about every configured database.
	Only    []string `json:"only,omitempty"`
	Results []Result `json:"results"`
	// Archive is the manifest of the archive that this run wrote; nil where it
	// wrote none.
	Archive *Written `json:"archive,omitempty"`
	// Deleted is what this run removed.
	Deleted []Deleted `json:"deleted,omitempty"`
	// Restored is what a restore or rewind did to a database; nil for other
	// runs.
	Restored *Restored `json:"restored,omitempty"`
}

// Safety is a backup that was taken before something was replaced.
type Safety struct {
	Manifest string `json:"manifest"`
	JobID    string `json:"jobId"`
}

// IsZero says whether there is none.
func (s Safety) IsZero() bool { return s == Safety{} }

// Restored is what became of a database.
type Restored struct {
	// State is "restored", "returned" (to what it was), "untouched" or
	// "partial".
	State string `json:"state"`
	// Bookmark is the Time Travel point after the change; may be empty.
	Bookmark string `json:"bookmark,omitempty"`
	// Compared says that the result was held against the backup; Differences
	// are what was found.
	Compared    bool     `json:"compared"`
	Differences []string `json:"differences,omitempty"`
	// Fingerprints is of how many tables they were held against the backup's.
	Fingerprints int   `json:"fingerprints,omitempty"`
	Statements   int   `json:"statements,omitempty"`
	Bytes        int64 `json:"bytes,omitempty"`
	// UnavailableSeconds is how long the database answered nobody.
	UnavailableSeconds float64 `json:"unavailableSeconds,omitempty"`
}

func (End) format() Format { return FormatEnd }

func (e End) filled() End {
	e.Results = filledList(e.Results)
	return e
}

func (e End) check() error { return checkRun(e.Job, e.Run) }

// Manifests are all manifests that the run wrote.
func (e End) Manifests() []Written {
	var all []Written
	if e.Archive != nil {
		all = append(all, *e.Archive)
	}
	for _, result := range e.Results {
		if result.Manifest != nil {
			all = append(all, *result.Manifest)
		}
	}
	return all
}

// Result is what became of one database in a run.
type Result struct {
	Database   string `json:"database"`
	DatabaseID string `json:"databaseId,omitempty"`
	// Status is the row's, in the catalogue's words.
	Status   string `json:"status"`
	Error    string `json:"error,omitempty"`
	Attempts int    `json:"attempts"`
	// ManifestKey names the database's backup in this job, and RunID the run
	// that took it; empty where there is none.
	ManifestKey string       `json:"manifestKey,omitempty"`
	RunID       backup.RunID `json:"runId,omitempty"`
	// PlainBytes and StoredBytes are that backup's sizes.
	PlainBytes  int64     `json:"plainBytes,omitempty"`
	StoredBytes int64     `json:"storedBytes,omitempty"`
	StartedAt   time.Time `json:"startedAt,omitzero"`
	EndedAt     time.Time `json:"endedAt,omitzero"`
	// Manifest is the one this run wrote; nil where it wrote none.
	Manifest *Written `json:"manifest,omitempty"`
}

// Written is a document that a run wrote.
type Written struct {
	Key string `json:"key"`
	seal.Sum
}

// Deleted is what a run removed.
type Deleted struct {
	// Key is that of the manifest, or of the object that had none. Object is
	// what the manifest named.
	Key    string `json:"key"`
	Object string `json:"object,omitempty"`
	// Bytes is the length of the object.
	Bytes int64 `json:"bytes"`
	// Why says in words why it could go.
	Why string `json:"why"`
}

// Capability is what a store was seen to do, so that it is tried only once.
type Capability struct {
	Host string `json:"host"`
	Tool string `json:"tool"`
	// At is when it was tried.
	At time.Time `json:"at"`
	// SingleConditional and MultipartConditional say for which ways of
	// writing the second writer of one key was refused.
	SingleConditional    bool `json:"singleConditional"`
	MultipartConditional bool `json:"multipartConditional"`
}

func (Capability) format() Format { return FormatCapability }

func (c Capability) check() error {
	if c.At.IsZero() {
		return errors.New("at is missing")
	}
	return nil
}

func checkRun(job backup.Job, run backup.Run) error {
	if job.ID == "" || run.ID == "" || run.JobID != job.ID {
		return errors.New("job or run is missing, or they do not belong together")
	}
	return nil
}
