package pgcatalog

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// BeginRun records the run and its job: see catalog.Journal.
func (c *Catalog) BeginRun(ctx context.Context, job backup.Job, run backup.Run) error {
	if err := catalog.CheckBegin(job, run); err != nil {
		return fmt.Errorf("begin run: %w", err)
	}
	return c.write(ctx, "begin run", onceOnly, func(ctx context.Context, tx pgx.Tx) error {
		if err := insertJob(ctx, tx, job.ID); err != nil {
			return err
		}
		return change(ctx, tx, job.ID, func(stored *catalog.Job, now time.Time) error {
			return stored.Begin(job, run, now)
		})
	})
}

// EndRun records how the run ended: see catalog.Journal.
func (c *Catalog) EndRun(ctx context.Context, jobID string, run backup.RunID, end catalog.RunEnd) error {
	if err := knowable(jobID, run); err != nil {
		return fmt.Errorf("end run: %w", err)
	}
	return c.write(ctx, "end run", idempotent, func(ctx context.Context, tx pgx.Tx) error {
		return change(ctx, tx, jobID, func(stored *catalog.Job, now time.Time) error {
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
	err := c.write(ctx, "restore job", idempotent, func(ctx context.Context, tx pgx.Tx) error {
		if err := insertJob(ctx, tx, job.ID); err != nil {
			return err
		}
		return change(ctx, tx, job.ID, func(stored *catalog.Job, now time.Time) error {
			before := clone(*stored)
			err := stored.Restore(job, now)
			changed = !reflect.DeepEqual(before, *stored)
			return err
		})
	})
	return changed && err == nil, err
}

// Heartbeat says that the run lives: see catalog.Journal.
func (c *Catalog) Heartbeat(ctx context.Context, jobID string, run backup.RunID) error {
	const beat = `UPDATE patina.runs SET heartbeat_at = clock_timestamp()
		WHERE job_id = $1 AND id = $2 AND status IN ($3, $4)`
	if err := knowable(jobID, run); err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	return c.write(ctx, "heartbeat", idempotent, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, beat, jobID, string(run), string(catalog.RunRunning), string(catalog.RunLost))
		if err != nil || tag.RowsAffected() > 0 {
			return err
		}
		status, err := runStatus(ctx, tx, jobID, run)
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: run %q ended as %q", catalog.ErrStep, run, status)
	})
}

// SetBackup writes the row of one database: see catalog.Journal.
func (c *Catalog) SetBackup(ctx context.Context, row catalog.Backup) error {
	// The row is made empty if it is missing, so that there is one to lock
	// and two writers of a new row wait for each other.
	const (
		make = `INSERT INTO patina.backups (
				job_id, run_id, database_name, database_id, status, attempts, error,
				manifest_key, plain_bytes, stored_bytes)
			VALUES ($1, $2, $3, '', '', 0, '', '', 0, 0)
			ON CONFLICT (job_id, database_name) DO NOTHING`
		lock = `SELECT status FROM patina.backups WHERE job_id = $1 AND database_name = $2 FOR UPDATE`
		fill = `UPDATE patina.backups SET run_id = $3, database_id = $4, status = $5, attempts = $6,
				error = $7, manifest_key = $8, plain_bytes = $9, stored_bytes = $10,
				started_at = $11, ended_at = $12
			WHERE job_id = $1 AND database_name = $2`
	)
	row, err := row.Clean()
	if err == nil {
		err = knowable(row.JobID, row.RunID)
	}
	if err != nil {
		return fmt.Errorf("set backup: %w", err)
	}
	return c.write(ctx, "set backup", idempotent, func(ctx context.Context, tx pgx.Tx) error {
		run, err := runStatus(ctx, tx, row.JobID, row.RunID)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, make, row.JobID, string(row.RunID), row.Database); err != nil {
			return err
		}
		var from string
		if err := tx.QueryRow(ctx, lock, row.JobID, row.Database).Scan(&from); err != nil {
			return err
		}
		if err := catalog.CheckSet(run, catalog.BackupStatus(from), row); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, fill, row.JobID, row.Database, string(row.RunID), row.DatabaseID,
			string(row.Status), int64(row.Attempts), row.Error, row.ManifestKey, row.PlainBytes, row.StoredBytes,
			moment(row.StartedAt), moment(row.EndedAt))
		return err
	})
}

// knowable returns ErrNotFound for names that no catalogue can hold, and that
// Postgres would not even take as a question.
func knowable(job string, run backup.RunID) error {
	if catalog.CheckName("", job) != nil || catalog.CheckName("", string(run)) != nil {
		return fmt.Errorf("%w: run %q of job %q", catalog.ErrNotFound, run, job)
	}
	return nil
}

// runStatus is the status of a run, or ErrNotFound. The run cannot end before
// the transaction does.
func runStatus(ctx context.Context, tx pgx.Tx, job string, run backup.RunID) (catalog.RunStatus, error) {
	const query = `SELECT status FROM patina.runs WHERE job_id = $1 AND id = $2 FOR SHARE`
	var status string
	err := tx.QueryRow(ctx, query, job, string(run)).Scan(&status)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("%w: run %q of job %q", catalog.ErrNotFound, run, job)
	}
	return catalog.RunStatus(status), err
}

// insertJob makes an empty row for the job if there is none, so that there is
// one to lock and two runs that begin a job at once wait for each other.
func insertJob(ctx context.Context, tx pgx.Tx, id string) error {
	const query = `INSERT INTO patina.jobs (id, kind, trigger, reason, day, status, started_at)
		VALUES ($1, '', '', '', 'epoch', '', clock_timestamp()) ON CONFLICT (id) DO NOTHING`
	_, err := tx.Exec(ctx, query, id)
	return err
}

// change locks and loads a job, has it changed and writes what is different. A
// job whose status is empty was made by insertJob just now, and is the zero Job.
func change(
	ctx context.Context, tx pgx.Tx, id string, change func(stored *catalog.Job, now time.Time) error,
) error {
	const lock = `SELECT status, clock_timestamp() FROM patina.jobs WHERE id = $1 FOR UPDATE`
	var status string
	var now moment
	err := tx.QueryRow(ctx, lock, id).Scan(&status, &now)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%w: job %q", catalog.ErrNotFound, id)
	}
	if err != nil {
		return err
	}
	var before catalog.Job
	if status != "" {
		jobs, err := load(ctx, tx, []string{id})
		if err != nil {
			return err
		}
		before = jobs[0]
	}
	after := clone(before)
	if err := change(&after, time.Time(now)); err != nil {
		return err
	}
	return save(ctx, tx, before, after)
}

func clone(j catalog.Job) catalog.Job {
	j.Runs, j.Backups = slices.Clone(j.Runs), slices.Clone(j.Backups)
	return j
}
