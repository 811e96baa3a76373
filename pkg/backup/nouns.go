package backup

import (
	"fmt"
	"strings"
	"time"
)

// Database names one D1 database as the API tells it.
type Database struct {
	// ID is the UUID that D1 gave the database. It outlives a rename.
	ID string `json:"id"`
	// Name is what operators call it: letters, digits, hyphen, underscore.
	Name string `json:"name"`
	// Jurisdiction is "eu", "fedramp", "us", or empty where none was chosen.
	Jurisdiction string `json:"jurisdiction,omitempty"`
	// Region is where the primary runs, such as "WEUR", where D1 tells it.
	Region string `json:"region,omitempty"`
}

// Trigger says who asked for a backup.
type Trigger string

// The triggers, in the words of the command line.
const (
	TriggerManual   Trigger = "manual"
	TriggerSchedule Trigger = "schedule"
	TriggerDeploy   Trigger = "deploy"
	// TriggerSafety is a restore or a rewind, which backs up what it is about to
	// replace. That may be what somebody wants to get away from: no date means
	// such a backup while there is another.
	TriggerSafety Trigger = "safety"
)

// ParseTrigger reads a trigger as it is typed at --trigger.
func ParseTrigger(s string) (Trigger, error) {
	switch t := Trigger(s); t {
	case TriggerManual, TriggerSchedule, TriggerDeploy:
		return t, nil
	}
	return "", fmt.Errorf("unknown trigger %q: want manual, schedule or deploy", s)
}

// Fidelity says how far a dump is known to equal the database.
type Fidelity string

// The labels of fidelity, from design section 5. FidelityUnchecked is what a
// dump has that was complete but not held against the live database.
const (
	FidelityExact     Fidelity = "exact"
	FidelityRepaired  Fidelity = "repaired"
	FidelityLossy     Fidelity = "lossy"
	FidelityMoved     Fidelity = "moved"
	FidelityUnchecked Fidelity = "unchecked"
)

// Finding is one kind of trouble seen in a dump, with where it was seen first
// and how often.
type Finding struct {
	// Code is stable and meant for scripts, such as "integer_past_2_53".
	Code string `json:"code"`
	// Table is empty for findings that belong to no table.
	Table string `json:"table,omitempty"`
	// Count is the number of values (or statements) concerned.
	Count int64 `json:"count"`
	// FirstRow is the 1-based row of the table, in dump order, of the first
	// one; 0 where a row has no meaning.
	FirstRow int64 `json:"firstRow,omitempty"`
	// FirstOffset is the 0-based byte of the dump at which the first one's
	// statement begins.
	FirstOffset int64 `json:"firstOffset"`
}

// RowsUnknown stands for the number of rows of a live table that could not be
// counted.
const RowsUnknown = -1

// Table is a table of a dump, or of a live database, with the number of its rows.
type Table struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	// Fingerprint tells its rows from others; empty where none was taken. See
	// package fingerprint.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// Counts are tables without their fingerprints, which only some sources know.
func Counts(tables []Table) []Table {
	counts := make([]Table, len(tables))
	for i, t := range tables {
		counts[i] = Table{Name: t.Name, Rows: t.Rows}
	}
	return counts
}

// Object is what a dump holds beside tables: an index, a trigger or a view.
type Object struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

// Job is one piece of work that was asked for: a night, a manual backup, a
// backup before a deploy. Several runs may share it.
type Job struct {
	// ID is "night-20241208T0300Z" for a night,
	// "archive-2024-W49-20241208T040001Z-7f3a" for the archiving of a week, and
	// "manual-20241208T101502Z-7f3a", with the trigger's name, for other
	// backups. It holds no dot.
	ID      string  `json:"id"`
	Trigger Trigger `json:"trigger"`
	// Reason is what the operator gave at --reason; may be empty.
	Reason string `json:"reason,omitempty"`
	// Night is the tick of the nightly schedule this job is for; zero for
	// manual and deploy jobs.
	Night time.Time `json:"night,omitzero"`
	// Day is the folder's date (UTC, at midnight): the night's, or that of
	// the start.
	Day time.Time `json:"day"`
}

// NightJob is the job of the night whose tick is given.
func NightJob(tick time.Time) Job {
	tick = tick.UTC()
	return Job{
		ID:      "night-" + tick.Format("20060102T1504Z"),
		Trigger: TriggerSchedule,
		Night:   tick,
		Day:     DayOf(tick),
	}
}

// The words that the ids of jobs other than backups begin with.
const (
	archiveWord      = "archive"
	adoptionWord     = "adopt"
	verificationWord = "verify"
	pruningWord      = "prune"
	restoringWord    = "restore"
	rewindingWord    = "rewind"
	drillWord        = "drill"
)

// NewJob is a job of its own, begun at the given time by the given run.
func NewJob(trigger Trigger, reason string, at time.Time, run RunID) Job {
	return ownJob(string(trigger), trigger, reason, at, run)
}

// ArchiveJob is the job of archiving a week, begun at the given time by the given
// run.
func ArchiveJob(week Week, trigger Trigger, reason string, at time.Time, run RunID) Job {
	return ownJob(archiveWord+"-"+week.String(), trigger, reason, at, run)
}

// AdoptionJob is the job of adopting what another program left, begun at the
// given time by the given run.
func AdoptionJob(at time.Time, run RunID) Job {
	return ownJob(adoptionWord, TriggerManual, "dumps of another program", at, run)
}

// VerificationJob is the job of proving backups again, begun at the given time
// by the given run.
func VerificationJob(at time.Time, run RunID) Job {
	return ownJob(verificationWord, TriggerManual, "", at, run)
}

// PruneJob is the job of removing what retention lets go, begun at the given time
// by the given run.
func PruneJob(trigger Trigger, reason string, at time.Time, run RunID) Job {
	return ownJob(pruningWord, trigger, reason, at, run)
}

// RestoreJob is the job of bringing a backup back, begun at the given time by the
// given run.
func RestoreJob(reason string, at time.Time, run RunID) Job {
	return ownJob(restoringWord, TriggerManual, reason, at, run)
}

// RewindJob is the job of taking a database back in time, begun at the given time
// by the given run.
func RewindJob(reason string, at time.Time, run RunID) Job {
	return ownJob(rewindingWord, TriggerManual, reason, at, run)
}

// DrillJob is the job of trying a backup in a database that is thrown away, begun
// at the given time by the given run.
func DrillJob(at time.Time, run RunID) Job {
	return ownJob(drillWord, TriggerManual, "", at, run)
}

// drillPrefix begins the names of databases that drills make.
const drillPrefix = "patina-drill-"

// DrillName is the name of the database that a drill makes.
func DrillName(job Job) string { return drillPrefix + job.ID }

// IsDrillName says whether a database's name is one that only drills give: such a
// database is never backed up by a glob.
func IsDrillName(name string) bool { return strings.HasPrefix(name, drillPrefix) }

// ownJob is a job that no other run joins: time and run are in its id.
func ownJob(what string, trigger Trigger, reason string, at time.Time, run RunID) Job {
	at = at.UTC()
	return Job{
		ID:      fmt.Sprintf("%s-%s-%s", what, at.Format("20060102T150405Z"), run),
		Trigger: trigger,
		Reason:  reason,
		Day:     DayOf(at),
	}
}

// IsArchive says whether the job is the archiving of a week.
func (j Job) IsArchive() bool { return strings.HasPrefix(j.ID, archiveWord+"-") }

// IsAdoption says whether the job is the adoption of what another program left.
func (j Job) IsAdoption() bool { return strings.HasPrefix(j.ID, adoptionWord+"-") }

// IsPrune says whether the job is the removing of what retention lets go.
func (j Job) IsPrune() bool { return strings.HasPrefix(j.ID, pruningWord+"-") }

// IsRestore says whether the job is the bringing back of a backup, or the taking
// back of a database in time.
func (j Job) IsRestore() bool {
	return strings.HasPrefix(j.ID, restoringWord+"-") || strings.HasPrefix(j.ID, rewindingWord+"-")
}

// IsDrill says whether the job is the trying of a backup.
func (j Job) IsDrill() bool { return strings.HasPrefix(j.ID, drillWord+"-") }

// IsVerification says whether the job is the proving of backups.
func (j Job) IsVerification() bool { return strings.HasPrefix(j.ID, verificationWord+"-") }

// IsNight says whether the job is a night that several hosts may share.
func (j Job) IsNight() bool { return !j.Night.IsZero() }

// Proving says how much of a backup is proven when it is taken. Every dump is
// scanned on its way.
type Proving string

// What is proven.
const (
	// ProveAuto loads dumps of a size that costs little, and scans the rest.
	ProveAuto Proving = "auto"
	// ProveScan loads none, and ProveLoad all.
	ProveScan Proving = "scan"
	ProveLoad Proving = "load"
)

// ParseProving reads a Proving.
func ParseProving(s string) (Proving, error) {
	switch p := Proving(s); p {
	case ProveAuto, ProveScan, ProveLoad:
		return p, nil
	}
	return "", fmt.Errorf("%q: want auto, scan or load", s)
}

// RunID tells the runs of one job apart, and jobs and records of the same second,
// in whose names it stands: four hexadecimal digits or more. It is unique among
// those only.
type RunID string

// Run is one process at work on a job.
type Run struct {
	ID      RunID  `json:"id"`
	JobID   string `json:"jobId"`
	Host    string `json:"host"`
	Process int    `json:"process"`
	// Version is Patina's own, as `patina version` prints it.
	Version   string    `json:"version"`
	StartedAt time.Time `json:"startedAt"`
}

// DayOf is the UTC day of a time, at midnight.
func DayOf(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
