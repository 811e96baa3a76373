package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/engine"
)

func newStatusCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the current state: last job, next run, storage, age per database",
		Example: `  patina status
  patina status -o json`,
		GroupID: groupDaily,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), a) },
	}
}

func runStatus(ctx context.Context, a *app) error {
	eng, closeEngine, err := a.engine(ctx, needs{store: true, catalog: true})
	if err != nil {
		return err
	}
	cfg, err := a.config()
	if err != nil {
		return err
	}
	result, err := eng.Status(ctx, engine.StatusRequest{Configured: configuredNames(cfg)})
	if closeErr := closeEngine(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.host.out, statusDocument(result))
	}
	return a.printStatus(result)
}

func (a *app) printStatus(s engine.StatusResult) error {
	last, running := s.LastJob()
	out := a.host.out
	fmt.Fprintf(out, "Status:   %s\n", currentStatus(last, running))
	if running != nil {
		fmt.Fprintf(out, "Running:  %s since %s\n", running.ID, moment(running.StartedAt))
	}
	fmt.Fprintf(out, "Last job: %s\n", describeJob(last))
	fmt.Fprintf(out, "Next:     %s nightly, %s weekly\n", moment(s.NextNightly), moment(s.NextWeekly))
	fmt.Fprintf(out, "Storage:  %d daily backups, %d weekly archives, %s\n", s.DailyBackups, s.WeeklyArchives, size(s.Bytes))
	if n := len(s.Foreign); n > 0 {
		fmt.Fprintf(out, "Foreign:  %d objects that Patina did not write, such as %s; they are kept\n", n, s.Foreign[0].Key)
	}
	if n := len(s.Unfinished); n > 0 {
		fmt.Fprintf(out, "Unfinished: %d objects of backups under way, or never finished\n", n)
	}
	if s.CatalogErr != nil {
		a.say("patina: warning: the catalogue does not answer: " + oneLine(s.CatalogErr))
	}
	if len(s.Databases) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	t := newTable("database", "last good backup", "age", "proven", "size", "backups", "last error")
	for _, d := range s.Databases {
		row := []string{d.Name, "never backed up", "", "", "", fmt.Sprint(d.Backups), d.LastError}
		if d.Newest != nil {
			m := d.Newest.Manifest()
			row[1], row[2], row[4] = moment(m.StartedAt), ageOf(s.Now.Sub(m.StartedAt)), size(m.Plain.Bytes)
			row[3] = proof(*d.Newest, s.Now)
		}
		t.add(row...)
	}
	return t.render(out)
}

// currentStatus is the present state in one word.
func currentStatus(last, running *catalog.Job) string {
	switch {
	case running != nil:
		return string(catalog.JobRunning)
	case last == nil:
		return "idle"
	default:
		return string(last.Status)
	}
}

func describeJob(job *catalog.Job) string {
	if job == nil {
		return "none known"
	}
	ok, failed, bytes := tally(job)
	text := fmt.Sprintf("%s %s, %d successful, %d failed, %s", job.ID, job.Status, ok, failed, size(bytes))
	if !job.EndedAt.IsZero() {
		text += ", took " + duration(job.EndedAt.Sub(job.StartedAt))
	}
	return text
}

func tally(job *catalog.Job) (ok, failed int, bytes int64) {
	for _, row := range job.Backups {
		if row.Status == catalog.BackupDone {
			ok++
			bytes += row.PlainBytes
			continue
		}
		failed++
	}
	return ok, failed, bytes
}

// ageOf is a time span in the unit that matters.
func ageOf(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

type statusJSON struct {
	CurrentStatus string           `json:"currentStatus"`
	Running       *jobJSON         `json:"running,omitempty"`
	LastBackup    *jobJSON         `json:"lastBackup"`
	NextScheduled time.Time        `json:"nextScheduled"`
	NextWeekly    time.Time        `json:"nextWeekly"`
	Storage       storageJSON      `json:"storage"`
	Databases     []dbStatusJSON   `json:"databases"`
	Foreign       []strayJSON      `json:"foreign"`
	Unfinished    []strayJSON      `json:"unfinished"`
	CatalogError  string           `json:"catalogError,omitempty"`
	Jobs          []jobSummaryJSON `json:"jobs"`
}

type storageJSON struct {
	DailyBackups   int    `json:"dailyBackups"`
	WeeklyArchives int    `json:"weeklyArchives"`
	TotalSize      string `json:"totalSize"`
	TotalBytes     int64  `json:"totalBytes"`
	ForeignObjects int    `json:"foreignObjects"`
}

type jobJSON struct {
	JobID      string    `json:"jobId"`
	Date       time.Time `json:"date"`
	Status     string    `json:"status"`
	Trigger    string    `json:"trigger"`
	Successful int       `json:"successful"`
	Failed     int       `json:"failed"`
	TotalSize  string    `json:"totalSize"`
	TotalBytes int64     `json:"totalBytes"`
	Duration   string    `json:"duration"`
}

type jobSummaryJSON struct {
	JobID     string           `json:"jobId"`
	Status    string           `json:"status"`
	StartedAt time.Time        `json:"startedAt"`
	Runs      []catalog.Run    `json:"runs"`
	Backups   []catalog.Backup `json:"backups"`
}

type dbStatusJSON struct {
	Name        string     `json:"name"`
	LastBackup  *entryJSON `json:"lastBackup"`
	AgeSeconds  *int64     `json:"ageSeconds"`
	Backups     int        `json:"backups"`
	LastError   string     `json:"lastError,omitempty"`
	NeverBacked bool       `json:"neverBackedUp"`
}

func statusDocument(s engine.StatusResult) statusJSON {
	last, running := s.LastJob()
	doc := statusJSON{
		CurrentStatus: currentStatus(last, running),
		Running:       jobDocument(running),
		LastBackup:    jobDocument(last),
		NextScheduled: s.NextNightly, NextWeekly: s.NextWeekly,
		Storage: storageJSON{
			DailyBackups: s.DailyBackups, WeeklyArchives: s.WeeklyArchives,
			TotalSize: size(s.Bytes), TotalBytes: s.Bytes, ForeignObjects: len(s.Foreign),
		},
		Databases: []dbStatusJSON{}, Foreign: strays(s.Foreign), Unfinished: strays(s.Unfinished),
		Jobs: []jobSummaryJSON{},
	}
	if s.CatalogErr != nil {
		doc.CatalogError = oneLine(s.CatalogErr)
	}
	for _, d := range s.Databases {
		doc.Databases = append(doc.Databases, dbStatusDocument(d, s.Now))
	}
	for _, j := range s.Jobs {
		doc.Jobs = append(doc.Jobs, jobSummaryJSON{
			JobID: j.ID, Status: string(j.Status), StartedAt: j.StartedAt, Runs: j.Runs, Backups: j.Backups,
		})
	}
	return doc
}

func jobDocument(job *catalog.Job) *jobJSON {
	if job == nil {
		return nil
	}
	ok, failed, bytes := tally(job)
	doc := &jobJSON{
		JobID: job.ID, Date: job.StartedAt, Status: string(job.Status), Trigger: string(job.Trigger),
		Successful: ok, Failed: failed, TotalSize: size(bytes), TotalBytes: bytes,
	}
	if !job.EndedAt.IsZero() {
		doc.Duration = duration(job.EndedAt.Sub(job.StartedAt))
	}
	return doc
}

func dbStatusDocument(d engine.DatabaseStatus, now time.Time) dbStatusJSON {
	doc := dbStatusJSON{Name: d.Name, Backups: d.Backups, LastError: d.LastError, NeverBacked: d.Newest == nil}
	if d.Newest != nil {
		entry := entryDocument(*d.Newest)
		seconds := int64(now.Sub(d.Newest.Brief.StartedAt).Seconds())
		doc.LastBackup, doc.AgeSeconds = &entry, &seconds
	}
	return doc
}
