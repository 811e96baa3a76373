package litecatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// BeginRun records the run and its job: see catalog.Journal.
func (c *Catalog) BeginRun(ctx context.Context, job backup.Job, run backup.Run) error {
	if err := catalog.CheckBegin(job, run); err != nil {
		return fmt.Errorf("begin run: %w", err)
	}
	return c.write(ctx, "begin run", func(ctx context.Context, tx *sql.Tx) error {
		return c.change(ctx, tx, job.ID, func(stored *catalog.Job, now time.Time) error {
			return stored.Begin(job, run, now)
		})
	})
}

// EndRun records how the run ended: see catalog.Journal.
func (c *Catalog) EndRun(ctx context.Context, jobID string, run backup.RunID, end catalog.RunEnd) error {
	return c.write(ctx, "end run", func(ctx context.Context, tx *sql.Tx) error {
		return c.change(ctx, tx, jobID, func(stored *catalog.Job, now time.Time) error {
			if stored.Status == "" {
				return fmt.Errorf("%w: job %q", catalog.ErrNotFound, jobID)
			}
			return stored.End(run, end, now)
		})
	})
}

// Restore writes what was learned elsewhere of a job: see catalog.Journal.
func (c *Catalog) Restore(ctx context.Context, job catalog.Job) (bool, error) {
	if err := catalog.CheckRestore(job); err != nil {
		return false, fmt.Errorf("restore job: %w", err)
	}
	changed := false
	err := c.write(ctx, "restore job", func(ctx context.Context, tx *sql.Tx) error {
		before, err := loadJob(ctx, tx, job.ID)
		if err != nil {
			return err
		}
		after := cloneJob(before)
		if err := after.Restore(job, c.clock()); err != nil {
			return err
		}
		if changed = !reflect.DeepEqual(before, after); !changed {
			return nil
		}
		return save(ctx, tx, before, after)
	})
	return changed && err == nil, err
}

// Heartbeat says that the run lives: see catalog.Journal.
func (c *Catalog) Heartbeat(ctx context.Context, jobID string, run backup.RunID) error {
	const beat = `UPDATE runs SET heartbeat_at = ? WHERE job_id = ? AND id = ? AND status IN (?, ?)`
	return c.write(ctx, "heartbeat", func(ctx context.Context, tx *sql.Tx) error {
		status, err := runStatus(ctx, tx, jobID, run)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, beat,
			moment(c.clock()), jobID, run, catalog.RunRunning, catalog.RunLost)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return fmt.Errorf("%w: run %q ended as %q", catalog.ErrStep, run, status)
	})
}

// SetBackup writes the row of one database: see catalog.Journal.
func (c *Catalog) SetBackup(ctx context.Context, row catalog.Backup) error {
	row, err := row.Clean()
	if err != nil {
		return fmt.Errorf("set backup: %w", err)
	}
	return c.write(ctx, "set backup", func(ctx context.Context, tx *sql.Tx) error {
		run, err := runStatus(ctx, tx, row.JobID, row.RunID)
		if err != nil {
			return err
		}
		from, err := backupStatus(ctx, tx, row.JobID, row.Database)
		if err != nil {
			return err
		}
		if err := catalog.CheckSet(run, from, row); err != nil {
			return err
		}
		return saveBackup(ctx, tx, row)
	})
}

// runStatus is the status of a run, or ErrNotFound.
func runStatus(ctx context.Context, tx *sql.Tx, job string, run backup.RunID) (catalog.RunStatus, error) {
	const query = `SELECT status FROM runs WHERE job_id = ? AND id = ?`
	var status catalog.RunStatus
	err := tx.QueryRowContext(ctx, query, job, run).Scan(&status)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("%w: run %q of job %q", catalog.ErrNotFound, run, job)
	}
	return status, err
}

// backupStatus is the status of a database's row, empty where there is none.
func backupStatus(ctx context.Context, tx *sql.Tx, job, database string) (catalog.BackupStatus, error) {
	const query = `SELECT status FROM backups WHERE job_id = ? AND database_name = ?`
	var status catalog.BackupStatus
	err := tx.QueryRowContext(ctx, query, job, database).Scan(&status)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return status, err
}

// change loads a job, has it changed and writes what is different. The job is
// the zero Job where it does not exist.
func (c *Catalog) change(
	ctx context.Context, tx *sql.Tx, id string, change func(stored *catalog.Job, now time.Time) error,
) error {
	before, err := loadJob(ctx, tx, id)
	if err != nil {
		return err
	}
	after := cloneJob(before)
	if err := change(&after, c.clock()); err != nil {
		return err
	}
	return save(ctx, tx, before, after)
}
