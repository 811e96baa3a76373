package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

// What this file holds is how a job changes. Both implementations load the
// job, let it change here, and write back what is different, so that the rules
// have one home.

// Begin changes a job by a run that begins now: Journal.BeginRun. The zero Job
// is one that is not in the catalogue yet. Runs that were given up are swept.
func (j *Job) Begin(job backup.Job, run backup.Run, now time.Time) error {
	if _, found := j.run(run.ID); found {
		return fmt.Errorf("%w: run %q of job %q began already", ErrStep, run.ID, job.ID)
	}
	if run.StartedAt.IsZero() {
		run.StartedAt = now
	}
	run.JobID, run.StartedAt = job.ID, Cut(run.StartedAt)
	run.Host, run.Version = Prose(run.Host), Prose(run.Version)
	if j.Status == "" {
		*j = Job{Job: job, Kind: KindOf(job), StartedAt: run.StartedAt}
		j.Reason, j.Night, j.Day = Prose(job.Reason), Cut(job.Night), backup.DayOf(job.Day)
	}
	j.sweep(now)
	if err := j.move(JobRunning); err != nil {
		return err
	}
	if err := CheckRunStep("", RunRunning); err != nil {
		return err
	}
	j.EndedAt = time.Time{}
	j.Runs = append(j.Runs, Run{Run: run, Status: RunRunning, HeartbeatAt: Cut(now)})
	return nil
}

// End changes a job by a run that ends now: Journal.EndRun. What the run left
// pending or running is interrupted. A run that ended so before keeps the time
// of its first end.
func (j *Job) End(id backup.RunID, end RunEnd, now time.Time) error {
	i, found := j.run(id)
	if !found {
		return fmt.Errorf("%w: run %q of job %q", ErrNotFound, id, j.ID)
	}
	run := &j.Runs[i]
	if end.Status == RunRunning || end.Status == RunLost {
		return fmt.Errorf("%w: a run does not end as %q", ErrStep, end.Status)
	}
	if err := CheckRunStep(run.Status, end.Status); err != nil {
		return err
	}
	again := run.Status == end.Status
	run.Status, run.ExitCode, run.Message = end.Status, end.ExitCode, Prose(end.Message)
	if again {
		return nil
	}
	if end.At.IsZero() {
		end.At = now
	}
	run.EndedAt = latest(Cut(end.At), run.StartedAt)
	run.HeartbeatAt = run.EndedAt // the last that was heard of it
	interrupt(j.Backups, *run)
	j.sweep(now)
	if j.alive() {
		return nil
	}
	return j.settle(end.Status)
}

// Restore changes a job by what was learned of it elsewhere: Journal.Restore. The
// zero Job is one that is not in the catalogue yet.
func (j *Job) Restore(from Job, now time.Time) error {
	if j.Status == "" {
		*j = Job{Job: from.Job, Kind: from.Kind, Status: JobRunning, StartedAt: Cut(from.StartedAt)}
		j.Reason, j.Night, j.Day = Prose(from.Reason), Cut(from.Night), backup.DayOf(from.Day)
	}
	for _, run := range from.Runs {
		j.restoreRun(run)
	}
	for _, row := range from.Backups {
		if err := j.restoreRow(row, now); err != nil {
			return err
		}
	}
	if len(j.Runs) == 0 {
		return fmt.Errorf("%w: any run of job %q", ErrNotFound, j.ID)
	}
	slices.SortFunc(j.Runs, func(a, b Run) int { return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID)) })
	slices.SortFunc(j.Backups, func(a, b Backup) int { return cmp.Compare(a.Database, b.Database) })
	for _, run := range j.Runs {
		if run.StartedAt.Before(j.StartedAt) {
			j.StartedAt = run.StartedAt
		}
		if run.Status == RunRunning {
			return nil // it will settle the job, or be found lost
		}
	}
	j.Status, j.EndedAt = Outcome(j.Backups, j.lastWord()), time.Time{}
	for _, run := range j.Runs {
		j.EndedAt = latest(j.EndedAt, run.EndedAt)
	}
	return nil
}

// restoreRun adds a run, or how one ended that was not known to have ended.
func (j *Job) restoreRun(run Run) {
	run.JobID, run.StartedAt = j.ID, Cut(run.StartedAt)
	run.Host, run.Version, run.Message = Prose(run.Host), Prose(run.Version), Prose(run.Message)
	run.EndedAt = latest(Cut(run.EndedAt), run.StartedAt)
	run.HeartbeatAt = run.EndedAt
	i, found := j.run(run.ID)
	switch {
	case !found:
		j.Runs = append(j.Runs, run)
	case run.Status != RunLost && CheckRunStep(j.Runs[i].Status, run.Status) == nil && j.Runs[i].Status != run.Status:
		j.Runs[i] = run
	}
}

// restoreRow adds the row of a database, or moves it on.
func (j *Job) restoreRow(row Backup, now time.Time) error {
	row, err := row.Clean()
	if err != nil {
		return err
	}
	row.JobID = j.ID
	if _, found := j.run(row.RunID); !found {
		return fmt.Errorf("%w: run %q of job %q", ErrNotFound, row.RunID, j.ID)
	}
	i := slices.IndexFunc(j.Backups, func(b Backup) bool { return b.Database == row.Database })
	if i < 0 {
		j.Backups = append(j.Backups, row)
		return nil
	}
	old := j.Backups[i]
	if holder, found := j.run(old.RunID); found && j.Runs[holder].lives(now) && old.Status.Unfinished() {
		return nil
	}
	if old.Status != row.Status && CheckBackupStep(old.Status, row.Status) == nil {
		j.Backups[i] = row
	}
	return nil
}

func (r Run) lives(now time.Time) bool {
	return r.Status == RunRunning && now.Sub(r.HeartbeatAt) <= DeadAfter
}

// settle gives a job on which nobody is at work the status that it earned.
func (j *Job) settle(last RunStatus) error {
	to := Outcome(j.Backups, last)
	if CheckJobStep(j.Status, to) != nil {
		// The job had ended while this run was taken for lost.
		if err := j.move(JobRunning); err != nil {
			return err
		}
	}
	for _, run := range j.Runs {
		j.EndedAt = latest(j.EndedAt, run.EndedAt)
	}
	return j.move(to)
}

func (j *Job) move(to JobStatus) error {
	if err := CheckJobStep(j.Status, to); err != nil {
		return err
	}
	j.Status = to
	return nil
}

// TellLost changes a job from what is stored to what readers are told: runs
// that were not heard of for DeadAfter are lost, and ended when they were last
// heard of; what they left pending or running is interrupted; and a job that
// was running and on which nobody lives has its Outcome, by what the last of
// its runs said that ended by itself.
func (j *Job) TellLost(now time.Time) {
	j.sweep(now)
	if j.alive() || j.Status != JobRunning {
		return
	}
	j.Status = Outcome(j.Backups, j.lastWord())
	for _, run := range j.Runs {
		j.EndedAt = latest(j.EndedAt, run.EndedAt)
	}
}

// lastWord is the status of the run that ended last, not counting those that
// were lost; RunLost where all were. A run that was lost when it had left
// nothing unfinished does not make a job unfinished that another run finished.
func (j *Job) lastWord() RunStatus {
	last := Run{Status: RunLost}
	for _, run := range j.Runs {
		if run.Status != RunLost && !run.EndedAt.Before(last.EndedAt) {
			last = run
		}
	}
	return last.Status
}

// sweep gives up the runs that were not heard of for DeadAfter.
func (j *Job) sweep(now time.Time) {
	for i := range j.Runs {
		run := &j.Runs[i]
		if run.Status == RunRunning && now.Sub(run.HeartbeatAt) > DeadAfter {
			run.Status, run.EndedAt = RunLost, run.HeartbeatAt
		}
		if run.Status == RunLost {
			interrupt(j.Backups, *run)
		}
	}
}

// interrupt tells what an ended run left unfinished. A backup that was running
// ended with its run; one that was pending never began.
func interrupt(backups []Backup, run Run) {
	for i := range backups {
		b := &backups[i]
		if b.RunID != run.ID || !b.Status.Unfinished() {
			continue
		}
		if b.Status == BackupRunning {
			b.EndedAt = run.EndedAt
		}
		b.Status = BackupInterrupted
	}
}

func (j *Job) run(id backup.RunID) (int, bool) {
	i := slices.IndexFunc(j.Runs, func(r Run) bool { return r.ID == id })
	return i, i >= 0
}

func (j *Job) alive() bool {
	return slices.ContainsFunc(j.Runs, func(r Run) bool { return r.Status == RunRunning })
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// CheckSet returns an error wrapping ErrStep if a run of the given status may
// not write a row over one of status from, which is empty where there is none:
// Journal.SetBackup. A run that was given up may, since it may yet live.
func CheckSet(run RunStatus, from BackupStatus, row Backup) error {
	if run != RunRunning && run != RunLost {
		return fmt.Errorf("%w: run %q ended as %q", ErrStep, row.RunID, run)
	}
	if err := CheckBackupStep(from, row.Status); err != nil {
		return fmt.Errorf("database %q: %w", row.Database, err)
	}
	return nil
}
