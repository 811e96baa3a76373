package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// history is what the bucket tells of one job.
type history struct {
	begins []manifest.Begin
	ends   []manifest.End
	// published are the dailies and the members of archives of this job.
	published []published
}

// published is a backup and where its manifest lies or lay.
type published struct {
	key      string
	day      time.Time
	manifest manifest.Backup
}

// histories reads records of runs, and gathers them by job. The second result
// names those that cannot be read.
func (e *Engine) histories(ctx context.Context, infos []store.Info) (map[string]*history, []Damage, error) {
	bodies, err := e.readDocuments(ctx, infos)
	if err != nil {
		return nil, nil, err
	}
	jobs, unreadable := map[string]*history{}, []Damage(nil)
	for i, info := range infos {
		if bodies[i] == nil {
			continue // it is gone
		}
		if err := addRecord(jobs, info.Key, bodies[i]); err != nil {
			unreadable = append(unreadable, Damage{Key: info.Key, Why: err.Error()})
		}
	}
	return jobs, unreadable, nil
}

func addRecord(jobs map[string]*history, key string, body []byte) error {
	_, isEnd, err := backup.ParseRunKey(key)
	if err != nil {
		return err
	}
	if isEnd {
		end, err := manifest.Decode[manifest.End](body)
		if err == nil {
			h := historyOf(jobs, end.Job.ID)
			h.ends = append(h.ends, end)
		}
		return err
	}
	begin, err := manifest.Decode[manifest.Begin](body)
	if err == nil {
		h := historyOf(jobs, begin.Job.ID)
		h.begins = append(h.begins, begin)
	}
	return err
}

func historyOf(jobs map[string]*history, id string) *history {
	if jobs[id] == nil {
		jobs[id] = &history{}
	}
	return jobs[id]
}

// job is the job as a catalogue would tell it.
func (h *history) job() catalog.Job {
	runs := h.runs()
	identity := h.identity()
	job := catalog.Job{Job: identity, Kind: catalog.KindOf(identity)}
	job.Runs = slices.SortedFunc(maps.Values(runs), func(a, b catalog.Run) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	job.StartedAt = job.Runs[0].StartedAt
	rows := h.rows(runs)
	job.Backups = slices.SortedFunc(maps.Values(rows), func(a, b catalog.Backup) int { return strings.Compare(a.Database, b.Database) })
	return job
}

// identity is what all runs of the job agree on, as the first of them told it.
func (h *history) identity() backup.Job {
	first, at := backup.Job{}, time.Time{}
	consider := func(job backup.Job, started time.Time) {
		if at.IsZero() || started.Before(at) {
			first, at = job, started
		}
	}
	for _, begin := range h.begins {
		consider(begin.Job, begin.Run.StartedAt)
	}
	for _, end := range h.ends {
		consider(end.Job, end.Run.StartedAt)
	}
	if !at.IsZero() {
		return first
	}
	m := h.published[0].manifest
	return backup.Job{ID: m.JobID, Trigger: m.Trigger, Reason: m.Reason, Night: m.Night, Day: h.published[0].day}
}

// runs are the job's, by id. One without an end record was lost when it was last
// heard of: when it began, or published its last backup.
func (h *history) runs() map[backup.RunID]catalog.Run {
	runs := map[backup.RunID]catalog.Run{}
	for _, end := range h.ends {
		runs[end.Run.ID] = catalog.Run{Run: end.Run, Status: runStatusOf(end), EndedAt: end.EndedAt, Message: end.Message}
	}
	lost := map[backup.RunID]catalog.Run{}
	for _, begin := range h.begins {
		lost[begin.Run.ID] = catalog.Run{Run: begin.Run, Status: catalog.RunLost, EndedAt: begin.Run.StartedAt}
	}
	for _, p := range h.published {
		run, known := lost[p.manifest.RunID]
		if !known {
			run = catalog.Run{Run: runOfManifest(p.manifest), Status: catalog.RunLost}
		}
		if p.manifest.EndedAt.After(run.EndedAt) {
			run.EndedAt = p.manifest.EndedAt
		}
		lost[p.manifest.RunID] = run
	}
	for id, run := range lost {
		if _, ended := runs[id]; !ended {
			runs[id] = run
		}
	}
	return runs
}

// runOfManifest is a run of which nothing but a backup is left: it could write
// no record.
func runOfManifest(m manifest.Backup) backup.Run {
	_, version, _ := strings.Cut(m.Tool, " ")
	return backup.Run{ID: m.RunID, JobID: m.JobID, Host: m.Host, Version: version, StartedAt: m.StartedAt}
}

// runStatusOf is how a run ended. A run that left something to another host is
// recorded as partial, so that nobody takes the night for finished; it itself
// succeeded.
func runStatusOf(end manifest.End) catalog.RunStatus {
	status := catalog.RunStatus(end.Status)
	if status != catalog.RunPartial || end.Message != "" {
		return status
	}
	left := false
	for _, result := range end.Results {
		left = left || result.Status == string(OutcomeElsewhere)
	}
	if left {
		return catalog.RunSucceeded
	}
	return status
}

// rows are those of the job's databases, by name: what each run said, in the
// order in which they ended, as far as a state may move so; and what is
// published, though its run could not say so.
func (h *history) rows(runs map[backup.RunID]catalog.Run) map[string]catalog.Backup {
	rows := map[string]catalog.Backup{}
	set := func(row catalog.Backup) {
		old, known := rows[row.Database]
		if !known || old.Status != row.Status && catalog.CheckBackupStep(old.Status, row.Status) == nil {
			rows[row.Database] = row
		}
	}
	ends := slices.SortedFunc(slices.Values(h.ends), func(a, b manifest.End) int { return a.EndedAt.Compare(b.EndedAt) })
	for _, end := range ends {
		for _, result := range end.Results {
			if row, ok := rowOf(end, result, runs); ok {
				set(row)
			}
		}
	}
	for _, p := range h.published {
		m := p.manifest
		set(catalog.Backup{
			JobID: m.JobID, RunID: m.RunID, Database: m.Database.Name, DatabaseID: m.Database.ID, Status: catalog.BackupDone,
			Attempts: m.Export.Attempts, ManifestKey: p.key, PlainBytes: m.Plain.Bytes, StoredBytes: m.Object.Stored.Bytes,
			StartedAt: m.StartedAt, EndedAt: m.EndedAt,
		})
	}
	return rows
}

// rowOf is the catalogue's row that a result tells of; false for one that
// another host wrote.
func rowOf(end manifest.End, result manifest.Result, runs map[backup.RunID]catalog.Run) (catalog.Backup, bool) {
	row := catalog.Backup{
		JobID: end.Job.ID, RunID: cmp.Or(result.RunID, end.Run.ID), Database: result.Database, DatabaseID: result.DatabaseID,
		Attempts: result.Attempts, Error: result.Error, ManifestKey: result.ManifestKey,
		PlainBytes: result.PlainBytes, StoredBytes: result.StoredBytes, StartedAt: result.StartedAt, EndedAt: result.EndedAt,
	}
	if _, known := runs[row.RunID]; !known {
		row.RunID = end.Run.ID
	}
	switch Outcome(result.Status) {
	case OutcomeElsewhere:
		return catalog.Backup{}, false
	case OutcomeDone, OutcomeAlready:
		row.Status = catalog.BackupDone
	case OutcomeInterrupted, OutcomePlanned:
		row.Status = catalog.BackupInterrupted
	case OutcomeFailed, OutcomeHeld:
		row.Status = catalog.BackupFailed
	default:
		row.Status = catalog.BackupFailed
	}
	return row, true
}

// runRecords lists the begin and end records.
func (e *Engine) runRecords(ctx context.Context) ([]store.Info, error) {
	var infos []store.Info
	for info, err := range e.opts.Store.List(ctx, backup.JobsPrefix) {
		if err != nil {
			return nil, fmt.Errorf("list the records of runs: %w", err)
		}
		infos = append(infos, info)
	}
	return infos, nil
}
