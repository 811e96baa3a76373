package catalog

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

// What this file holds is done to every value on its way into a catalogue, so
// that both implementations give back the same.

// maxName keeps names within what an index of every database takes.
const maxName = 1024

// Cut is a time as a catalogue keeps it: UTC, and cut, not rounded, to
// microseconds. The zero time stays zero.
func Cut(t time.Time) time.Time {
	return t.UTC().Truncate(time.Microsecond)
}

// Prose is a message as a catalogue keeps it: bytes that are not UTF-8, and
// NUL, which Postgres cannot store, become U+FFFD. A strange message must not
// cost a row.
func Prose(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}

// CheckName returns an error if a name (an id, a key, a lease) could not be
// kept as it is; unlike prose, a name must not be changed. The what is said in
// front.
func CheckName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s is empty", what)
	case len(name) > maxName:
		return fmt.Errorf("%s is longer than %d bytes", what, maxName)
	case !utf8.ValidString(name), strings.ContainsRune(name, 0):
		return fmt.Errorf("%s %q is not text", what, name)
	}
	return nil
}

// CheckBegin returns an error if a run cannot be begun for want of a name.
func CheckBegin(job backup.Job, run backup.Run) error {
	if err := CheckName("job id", job.ID); err != nil {
		return err
	}
	if run.JobID != "" && run.JobID != job.ID {
		return fmt.Errorf("run %q is of job %q, not of %q", run.ID, run.JobID, job.ID)
	}
	return CheckName("run id", string(run.ID))
}

// CheckRestore returns an error if what was learned of a job cannot be kept.
func CheckRestore(job Job) error {
	for _, run := range job.Runs {
		if err := CheckBegin(job.Job, run.Run); err != nil {
			return err
		}
		if run.Status == RunRunning {
			return fmt.Errorf("%w: run %q is restored as %q", ErrStep, run.ID, run.Status)
		}
		if err := CheckRunStep(RunRunning, run.Status); err != nil {
			return err
		}
	}
	for _, row := range job.Backups {
		if row.Status.Unfinished() {
			return fmt.Errorf("%w: database %q is restored as %q", ErrStep, row.Database, row.Status)
		}
		if err := CheckBackupStep("", row.Status); err != nil {
			return err
		}
	}
	return nil
}

// Clean is a row as a catalogue keeps it, or an error if it cannot be kept.
func (b Backup) Clean() (Backup, error) {
	if err := CheckName("database name", b.Database); err != nil {
		return Backup{}, err
	}
	b.Error, b.DatabaseID, b.ManifestKey = Prose(b.Error), Prose(b.DatabaseID), Prose(b.ManifestKey)
	b.StartedAt, b.EndedAt = Cut(b.StartedAt), Cut(b.EndedAt)
	return b, nil
}

// CheckAcquire returns an error if no lease can be taken so.
func CheckAcquire(names []string, ttl time.Duration) error {
	if len(names) == 0 {
		return fmt.Errorf("no lease was asked for")
	}
	for _, name := range names {
		if err := CheckName("lease name", name); err != nil {
			return err
		}
	}
	return CheckTTL(ttl)
}

// CheckTTL returns an error if a lease cannot be held for so long.
func CheckTTL(ttl time.Duration) error {
	if ttl < time.Microsecond {
		return fmt.Errorf("a lease cannot be held for %s", ttl)
	}
	return nil
}

// DefaultLimit is how many jobs are told where JobFilter does not say.
const DefaultLimit = 20

// Max is the greatest number of jobs that the filter asks for.
func (f JobFilter) Max() int {
	if f.Limit <= 0 {
		return DefaultLimit
	}
	return f.Limit
}
