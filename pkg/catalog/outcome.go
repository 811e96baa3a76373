package catalog

// Outcome is the status that a job takes when no run of it lives any more. Its
// backups are those of the job as they are then, and last is how the run ended
// that ended last. The first rule that fits holds:
//
//  1. The last run was interrupted or lost, or a database is interrupted or
//     was left pending or running: interrupted.
//  2. There are no backups: what the last run said.
//  3. All are done: succeeded, but partial if the last run did not say so
//     itself, since it knows of failures that belong to no database.
//  4. None is done: failed.
//  5. Otherwise: partial.
func Outcome(backups []Backup, last RunStatus) JobStatus {
	done, failed := 0, 0
	for _, b := range backups {
		switch b.Status {
		case BackupDone:
			done++
		case BackupFailed:
			failed++
		case BackupPending, BackupRunning, BackupInterrupted:
		}
	}
	switch {
	case last == RunInterrupted, last == RunLost, done+failed < len(backups):
		return JobInterrupted
	case len(backups) == 0:
		return JobStatus(last)
	case failed == 0 && last == RunSucceeded:
		return JobSucceeded
	case done == 0:
		return JobFailed
	}
	return JobPartial
}

// Unfinished says whether the run that a backup belongs to still has to do
// something about it.
func (s BackupStatus) Unfinished() bool { return s == BackupPending || s == BackupRunning }
