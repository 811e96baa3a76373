package pgcatalog

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// Jobs returns the newest jobs that the filter asks for: see catalog.Journal.
func (c *Catalog) Jobs(ctx context.Context, filter catalog.JobFilter) ([]catalog.Job, error) {
	const choose = `SELECT id FROM patina.jobs
		WHERE ($1::text = '' OR id = $1) AND ($2::text = '' OR kind = $2)
			AND ($3::timestamptz IS NULL OR started_at >= $3)
		ORDER BY started_at DESC, id DESC LIMIT $4::bigint`
	var jobs []catalog.Job
	var now moment
	err := c.read(ctx, "list jobs", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, choose, catalog.Prose(filter.ID), catalog.Prose(string(filter.Kind)),
			moment(filter.Since), int64(filter.Max()))
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if jobs, err = load(ctx, tx, ids); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	})
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		jobs[i].TellLost(time.Time(now))
	}
	return jobs, nil
}

// load returns the jobs of the given ids as stored, newest first.
func load(ctx context.Context, tx pgx.Tx, ids []string) ([]catalog.Job, error) {
	const (
		jobs = `SELECT id, kind, trigger, reason, night_at, to_char(day, 'YYYY-MM-DD'), status, started_at, ended_at
			FROM patina.jobs WHERE id = ANY ($1::text[]) ORDER BY started_at DESC, id DESC`
		runs = `SELECT job_id, id, host, process, version, status, started_at, heartbeat_at,
				ended_at, exit_code, message
			FROM patina.runs WHERE job_id = ANY ($1::text[]) ORDER BY started_at, id`
		backups = `SELECT job_id, run_id, database_name, database_id, status, attempts, error,
				manifest_key, plain_bytes, stored_bytes, started_at, ended_at
			FROM patina.backups WHERE job_id = ANY ($1::text[]) ORDER BY database_name`
	)
	found, err := collect(ctx, tx, scanJob, jobs, ids)
	if err != nil {
		return nil, err
	}
	at := make(map[string]*catalog.Job, len(found))
	for i := range found {
		at[found[i].ID] = &found[i]
	}
	allRuns, err := collect(ctx, tx, scanRun, runs, ids)
	if err != nil {
		return nil, err
	}
	for _, run := range allRuns {
		at[run.JobID].Runs = append(at[run.JobID].Runs, run)
	}
	allBackups, err := collect(ctx, tx, scanBackup, backups, ids)
	if err != nil {
		return nil, err
	}
	for _, b := range allBackups {
		at[b.JobID].Backups = append(at[b.JobID].Backups, b)
	}
	return found, nil
}

// collect runs a query and scans all of its rows. It never returns nil rows.
func collect[T any](
	ctx context.Context, tx pgx.Tx, scan pgx.RowToFunc[T], query string, args ...any,
) ([]T, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.AppendRows([]T{}, rows, scan)
}

func scanJob(row pgx.CollectableRow) (catalog.Job, error) {
	j := catalog.Job{Runs: []catalog.Run{}, Backups: []catalog.Backup{}}
	err := row.Scan(&j.ID, &j.Kind, &j.Trigger, &j.Reason, (*moment)(&j.Night), (*day)(&j.Day),
		&j.Status, (*moment)(&j.StartedAt), (*moment)(&j.EndedAt))
	return j, err
}

func scanRun(row pgx.CollectableRow) (catalog.Run, error) {
	var r catalog.Run
	err := row.Scan(&r.JobID, &r.ID, &r.Host, &r.Process, &r.Version, &r.Status,
		(*moment)(&r.StartedAt), (*moment)(&r.HeartbeatAt), (*moment)(&r.EndedAt), &r.ExitCode, &r.Message)
	return r, err
}

func scanBackup(row pgx.CollectableRow) (catalog.Backup, error) {
	var b catalog.Backup
	err := row.Scan(&b.JobID, &b.RunID, &b.Database, &b.DatabaseID, &b.Status, &b.Attempts, &b.Error,
		&b.ManifestKey, &b.PlainBytes, &b.StoredBytes, (*moment)(&b.StartedAt), (*moment)(&b.EndedAt))
	return b, err
}

// save writes what is different between a job as loaded and as it is to be, in
// one round trip.
func save(ctx context.Context, tx pgx.Tx, before, after catalog.Job) error {
	const (
		saveJob = `UPDATE patina.jobs SET kind = $2, trigger = $3, reason = $4, night_at = $5, day = $6::date,
				status = $7, started_at = $8, ended_at = $9 WHERE id = $1`
		saveRun = `INSERT INTO patina.runs (
				job_id, id, host, process, version, status, started_at, heartbeat_at, ended_at, exit_code, message)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
			ON CONFLICT (job_id, id) DO UPDATE SET
				status = excluded.status, heartbeat_at = excluded.heartbeat_at, ended_at = excluded.ended_at,
				exit_code = excluded.exit_code, message = excluded.message`
		// A run that was given up may be writing the row right now.
		saveRow = `INSERT INTO patina.backups AS b (
				job_id, run_id, database_name, database_id, status, attempts, error,
				manifest_key, plain_bytes, stored_bytes, started_at, ended_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
			ON CONFLICT (job_id, database_name) DO UPDATE SET
				run_id = excluded.run_id, database_id = excluded.database_id,
				status = excluded.status, attempts = excluded.attempts, error = excluded.error,
				manifest_key = excluded.manifest_key, plain_bytes = excluded.plain_bytes,
				stored_bytes = excluded.stored_bytes, started_at = excluded.started_at,
				ended_at = excluded.ended_at
			WHERE b.status = $13`
	)
	batch := &pgx.Batch{}
	batch.Queue(saveJob, after.ID, string(after.Kind), string(after.Trigger), after.Reason,
		moment(after.Night), day(after.Day), string(after.Status), moment(after.StartedAt), moment(after.EndedAt))
	for _, r := range after.Runs {
		if slices.Contains(before.Runs, r) {
			continue
		}
		batch.Queue(saveRun, r.JobID, string(r.ID), r.Host, int64(r.Process), r.Version, string(r.Status),
			moment(r.StartedAt), moment(r.HeartbeatAt), moment(r.EndedAt), int64(r.ExitCode), r.Message)
	}
	statuses := map[string]catalog.BackupStatus{}
	for _, b := range before.Backups {
		statuses[b.Database] = b.Status
	}
	for _, b := range after.Backups {
		if slices.Contains(before.Backups, b) {
			continue
		}
		batch.Queue(saveRow, b.JobID, string(b.RunID), b.Database, b.DatabaseID, string(b.Status), int64(b.Attempts), b.Error,
			b.ManifestKey, b.PlainBytes, b.StoredBytes, moment(b.StartedAt), moment(b.EndedAt), string(statuses[b.Database]))
	}
	return tx.SendBatch(ctx, batch).Close()
}
