package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// StatusResult is the present state, from the bucket, and from the catalogue
// where that answers.
type StatusResult struct {
	Now time.Time
	// Jobs are the newest jobs, newest first; nil without a catalogue.
	Jobs []catalog.Job
	// Databases are all that are configured, were tried, or have a backup,
	// by name.
	Databases []DatabaseStatus
	// DailyBackups, WeeklyArchives and Bytes are what lies in the bucket.
	DailyBackups, WeeklyArchives int
	Bytes                        int64
	Foreign, Unfinished          []Stray
	NextNightly, NextWeekly      time.Time
	CatalogErr                   error
}

// DatabaseStatus is the present state of one database.
type DatabaseStatus struct {
	Name string
	// Newest is its newest good backup; nil for one that has none.
	Newest *Entry
	// Backups is how many it has, good ones or not, dailies and members of
	// archives alike.
	Backups int
	// LastError is why its last try failed, if it did after Newest.
	LastError string
}

// StatusRequest asks for the present state.
type StatusRequest struct {
	// Configured are the names of the configuration that are no globs: they
	// are told even if nothing was ever tried.
	Configured []string
}

// recentJobs is how many jobs a status looks at.
const recentJobs = 50

// Status tells the present state.
func (e *Engine) Status(ctx context.Context, req StatusRequest) (StatusResult, error) {
	log := e.newJournal()
	inv, err := e.takeInventory(ctx, "")
	if err != nil {
		return StatusResult{}, err
	}
	result := StatusResult{
		Now: e.opts.Now().UTC(), Jobs: log.jobs(ctx, recentJobs),
		DailyBackups: countDailies(inv), WeeklyArchives: len(inv.archives), Bytes: inv.bytes,
		Foreign: inv.foreign, Unfinished: inv.unfinished,
	}
	if result.NextNightly, err = nextTick(e.opts.Nightly, result.Now); err != nil {
		return StatusResult{}, err
	}
	if result.NextWeekly, err = nextTick(e.opts.Weekly, result.Now); err != nil {
		return StatusResult{}, err
	}
	result.Databases = slices.DeleteFunc(databasesOf(req.Configured, inv.entries, result.Jobs), func(db DatabaseStatus) bool {
		return inv.isForgotten(db.Name) && !slices.Contains(req.Configured, db.Name)
	})
	result.CatalogErr = log.Err()
	return result, nil
}

// jobs reads the newest jobs; nil when the catalogue is away.
func (j *journal) jobs(ctx context.Context, limit int) []catalog.Job {
	if !j.usable() {
		return nil
	}
	var jobs []catalog.Job
	_ = j.ask(ctx, "list jobs", func(ctx context.Context) (err error) { // it was noted
		jobs, err = j.catalog.Jobs(ctx, catalog.JobFilter{Kind: catalog.KindBackup, Limit: limit})
		return err
	})
	return jobs
}

func countDailies(inv inventory) int {
	n := 0
	for _, entry := range inv.entries {
		if entry.Daily {
			n++
		}
	}
	return n
}

// databasesOf gathers what is known of each database. Entries and jobs are
// newest first.
func databasesOf(configured []string, entries []Entry, jobs []catalog.Job) []DatabaseStatus {
	byName := map[string]*DatabaseStatus{}
	get := func(name string) *DatabaseStatus {
		if byName[name] == nil {
			byName[name] = &DatabaseStatus{Name: name}
		}
		return byName[name]
	}
	for _, name := range configured {
		get(name)
	}
	for i := range entries {
		db := get(entries[i].Brief.Database)
		db.Backups++
		if db.Newest == nil && entries[i].Good() {
			db.Newest = &entries[i]
		}
	}
	tried := map[string]bool{}
	for _, job := range jobs {
		for _, row := range job.Backups {
			if tried[row.Database] || row.Status == catalog.BackupPending || row.Status == catalog.BackupRunning {
				continue
			}
			tried[row.Database] = true
			get(row.Database).LastError = row.Error
		}
	}
	all := make([]DatabaseStatus, 0, len(byName))
	for _, db := range byName {
		all = append(all, *db)
	}
	slices.SortFunc(all, func(a, b DatabaseStatus) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// LastJob is the newest job that is not running, and the running one.
func (s StatusResult) LastJob() (last, running *catalog.Job) {
	for i := range s.Jobs {
		job := &s.Jobs[i]
		if job.Status == catalog.JobRunning {
			if running == nil {
				running = job
			}
			continue
		}
		return job, running
	}
	return nil, running
}
