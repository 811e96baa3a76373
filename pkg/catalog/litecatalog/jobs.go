package litecatalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// Jobs returns the newest jobs that the filter asks for: see catalog.Journal.
func (c *Catalog) Jobs(ctx context.Context, filter catalog.JobFilter) ([]catalog.Job, error) {
	const choose = `SELECT id FROM jobs
		WHERE (?1 = '' OR id = ?1) AND (?2 = '' OR kind = ?2) AND (?3 IS NULL OR started_at >= ?3)
		ORDER BY started_at DESC, id DESC LIMIT ?4`
	var jobs []catalog.Job
	err := c.read(ctx, "list jobs", func(ctx context.Context, tx *sql.Tx) error {
		ids, err := collect(ctx, tx, func(rows *sql.Rows) (id string, err error) {
			return id, rows.Scan(&id)
		}, choose, filter.ID, filter.Kind, moment(filter.Since), filter.Max())
		if err != nil {
			return err
		}
		jobs, err = load(ctx, tx, ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	now := c.clock()
	for i := range jobs {
		jobs[i].TellLost(now)
	}
	return jobs, nil
}

// loadJob is one job as stored, or the zero Job.
func loadJob(ctx context.Context, tx *sql.Tx, id string) (catalog.Job, error) {
	jobs, err := load(ctx, tx, []string{id})
	if err != nil || len(jobs) == 0 {
		return catalog.Job{}, err
	}
	return jobs[0], nil
}

// load returns the jobs of the given ids as stored, newest first.
func load(ctx context.Context, tx *sql.Tx, ids []string) ([]catalog.Job, error) {
	const (
		ofIDs = ` IN (SELECT value FROM json_each(?)) `
		jobs  = `SELECT id, kind, trigger, reason, night_at, day, status, started_at, ended_at
			FROM jobs WHERE id` + ofIDs + `ORDER BY started_at DESC, id DESC`
		runs = `SELECT job_id, id, host, process, version, status, started_at, heartbeat_at,
				ended_at, exit_code, message
			FROM runs WHERE job_id` + ofIDs + `ORDER BY started_at, id`
		backups = `SELECT job_id, run_id, database_name, database_id, status, attempts, error,
				manifest_key, plain_bytes, stored_bytes, started_at, ended_at
			FROM backups WHERE job_id` + ofIDs + `ORDER BY database_name`
	)
	wanted, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	found, err := collect(ctx, tx, scanJob, jobs, string(wanted))
	if err != nil {
		return nil, err
	}
	at := make(map[string]*catalog.Job, len(found))
	for i := range found {
		at[found[i].ID] = &found[i]
	}
	allRuns, err := collect(ctx, tx, scanRun, runs, string(wanted))
	if err != nil {
		return nil, err
	}
	for _, run := range allRuns {
		at[run.JobID].Runs = append(at[run.JobID].Runs, run)
	}
	allBackups, err := collect(ctx, tx, scanBackup, backups, string(wanted))
	if err != nil {
		return nil, err
	}
	for _, b := range allBackups {
		at[b.JobID].Backups = append(at[b.JobID].Backups, b)
	}
	return found, nil
}

// collect runs a query and scans all of its rows. It never returns nil.
func collect[T any](
	ctx context.Context, tx *sql.Tx, scan func(*sql.Rows) (T, error), query string, args ...any,
) ([]T, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells what Close would
	all := []T{}
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

func scanJob(rows *sql.Rows) (catalog.Job, error) {
	j := catalog.Job{Runs: []catalog.Run{}, Backups: []catalog.Backup{}}
	err := rows.Scan(&j.ID, &j.Kind, &j.Trigger, &j.Reason, (*moment)(&j.Night), (*day)(&j.Day),
		&j.Status, (*moment)(&j.StartedAt), (*moment)(&j.EndedAt))
	return j, err
}

func scanRun(rows *sql.Rows) (catalog.Run, error) {
	var r catalog.Run
	err := rows.Scan(&r.JobID, &r.ID, &r.Host, &r.Process, &r.Version, &r.Status,
		(*moment)(&r.StartedAt), (*moment)(&r.HeartbeatAt), (*moment)(&r.EndedAt), &r.ExitCode, &r.Message)
	return r, err
}

func scanBackup(rows *sql.Rows) (catalog.Backup, error) {
	var b catalog.Backup
	err := rows.Scan(&b.JobID, &b.RunID, &b.Database, &b.DatabaseID, &b.Status, &b.Attempts, &b.Error,
		&b.ManifestKey, &b.PlainBytes, &b.StoredBytes, (*moment)(&b.StartedAt), (*moment)(&b.EndedAt))
	return b, err
}

// cloneJob is a copy whose runs and backups can be changed alone.
func cloneJob(j catalog.Job) catalog.Job {
	j.Runs, j.Backups = slices.Clone(j.Runs), slices.Clone(j.Backups)
	return j
}

// save writes what is different between a job as loaded and as it is to be.
func save(ctx context.Context, tx *sql.Tx, before, after catalog.Job) error {
	if err := saveJob(ctx, tx, before, after); err != nil {
		return err
	}
	for _, run := range after.Runs {
		if slices.Contains(before.Runs, run) {
			continue
		}
		if err := saveRun(ctx, tx, run); err != nil {
			return err
		}
	}
	for _, b := range after.Backups {
		if slices.Contains(before.Backups, b) {
			continue
		}
		if err := saveBackup(ctx, tx, b); err != nil {
			return err
		}
	}
	return nil
}

// saveBackup writes the row of one database, whether it is there or not.
func saveBackup(ctx context.Context, tx *sql.Tx, b catalog.Backup) error {
	const write = `INSERT INTO backups (
			job_id, run_id, database_name, database_id, status, attempts, error,
			manifest_key, plain_bytes, stored_bytes, started_at, ended_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (job_id, database_name) DO UPDATE SET
			run_id = excluded.run_id, database_id = excluded.database_id,
			status = excluded.status, attempts = excluded.attempts, error = excluded.error,
			manifest_key = excluded.manifest_key, plain_bytes = excluded.plain_bytes,
			stored_bytes = excluded.stored_bytes, started_at = excluded.started_at,
			ended_at = excluded.ended_at`
	_, err := tx.ExecContext(ctx, write,
		b.JobID, b.RunID, b.Database, b.DatabaseID, b.Status, b.Attempts, b.Error,
		b.ManifestKey, b.PlainBytes, b.StoredBytes, moment(b.StartedAt), moment(b.EndedAt))
	return err
}

func saveJob(ctx context.Context, tx *sql.Tx, before, after catalog.Job) error {
	const insert = `INSERT INTO jobs (id, kind, trigger, reason, night_at, day, status, started_at, ended_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	const update = `UPDATE jobs SET status = ?, started_at = ?, ended_at = ? WHERE id = ?`
	var err error
	if before.Status == "" {
		_, err = tx.ExecContext(ctx, insert, after.ID, after.Kind, after.Trigger, after.Reason,
			moment(after.Night), day(after.Day), after.Status, moment(after.StartedAt), moment(after.EndedAt))
		return err
	}
	_, err = tx.ExecContext(ctx, update, after.Status, moment(after.StartedAt), moment(after.EndedAt), after.ID)
	return err
}

func saveRun(ctx context.Context, tx *sql.Tx, r catalog.Run) error {
	const write = `INSERT INTO runs (
			job_id, id, host, process, version, status, started_at, heartbeat_at, ended_at, exit_code, message)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (job_id, id) DO UPDATE SET
			status = excluded.status, heartbeat_at = excluded.heartbeat_at, ended_at = excluded.ended_at,
			exit_code = excluded.exit_code, message = excluded.message`
	_, err := tx.ExecContext(ctx, write, r.JobID, r.ID, r.Host, r.Process, r.Version, r.Status,
		moment(r.StartedAt), moment(r.HeartbeatAt), moment(r.EndedAt), r.ExitCode, r.Message)
	return err
}
