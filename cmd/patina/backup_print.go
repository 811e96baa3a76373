package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// printBackup shows what a backup run did, and returns the error that carries
// its exit status, if it has one.
func (a *app) printBackup(ctx context.Context, r engine.BackupResult) error {
	kinds := bySignal(ctx, r.Kinds())
	if err := a.showBackup(r, kinds); err != nil {
		return err
	}
	return endWith(kinds)
}

func (a *app) showBackup(r engine.BackupResult, kinds []fault.Kind) error {
	if a.json() {
		return writeJSON(a.host.out, backupDocument(r, kinds))
	}
	if r.DryRun {
		return a.printPlan(r)
	}
	if a.host.outTerminal && !a.global.quiet && !r.Idle {
		if err := a.backupTable(r); err != nil {
			return err
		}
	}
	if r.Idle && a.host.errTerminal && !a.global.quiet {
		fmt.Fprintf(a.host.err, "%s is done: every database has its backup\n", r.Job.ID)
	}
	if len(kinds) > 0 || a.loud() && !r.Idle {
		printSummary(a.host.err, r)
	}
	a.printWarnings(r.Warnings)
	if r.CatalogErr != nil {
		a.explain(uncatalogued(r), r.CatalogErr)
	}
	return nil
}

// explain names an error that a command outlived, with its hints.
func (a *app) explain(what string, err error) {
	fmt.Fprintf(a.host.err, "patina: error: %s: %s\n", what, oneLine(err))
	for _, hint := range fault.Hints(err) {
		fmt.Fprintln(a.host.err, "patina: hint:", hint)
	}
}

// uncatalogued says that the catalogue was not written, and that this is all
// that went wrong where it is.
func uncatalogued(r engine.BackupResult) string {
	if r.Successful() < len(r.Databases) {
		return "the catalogue was not written"
	}
	return "every backup is safe in the bucket, but the catalogue was not written"
}

// loud says whether a person watches who was not told to be spared.
func (a *app) loud() bool { return a.host.errTerminal && !a.global.quiet }

func (a *app) printWarnings(warnings []error) {
	if a.global.quiet {
		return
	}
	for _, w := range warnings {
		fmt.Fprintln(a.host.err, "patina: warning:", oneLine(w))
	}
}

// printSummary names each failure with its cause.
func printSummary(w io.Writer, r engine.BackupResult) {
	elsewhere := r.Elsewhere()
	fmt.Fprintf(w, "Databases: %d/%d successful", r.Successful()-elsewhere, len(r.Databases))
	if elsewhere > 0 {
		fmt.Fprintf(w, ", %d in the hands of another run of this night", elsewhere)
	}
	fmt.Fprintln(w)
	for _, d := range r.Databases {
		if d.Err != nil {
			fmt.Fprintf(w, "- %s: %s\n", d.Database.Name, oneLine(d.Err))
		}
		if d.Suspect != nil {
			fmt.Fprintf(w, "- %s: published, but not to be relied on: %s\n", d.Database.Name, oneLine(d.Suspect))
		}
	}
	for _, hint := range nextSteps(r) {
		fmt.Fprintf(w, "patina: hint: %s\n", hint)
	}
}

// nextSteps are the hints of the first failure, since failures of one run mostly
// have one cause, or else the command that takes what is missing.
func nextSteps(r engine.BackupResult) []string {
	var missing []string
	for _, d := range r.Databases {
		if d.Err == nil {
			continue
		}
		if hints := fault.Hints(d.Err); len(hints) > 0 && len(missing) == 0 {
			return hints
		}
		missing = append(missing, d.Database.Name)
	}
	switch {
	case len(missing) == 0:
		return nil
	case r.Job.IsNight():
		return []string{"patina backup --trigger schedule"}
	default:
		return []string{"patina backup " + strings.Join(missing, " ")}
	}
}

func (a *app) backupTable(r engine.BackupResult) error {
	t := newTable("database", "result", "size", "stored", "rows", "took", "backup")
	for _, d := range r.Databases {
		row := []string{d.Database.Name, string(d.Outcome), "", "", "", "", ""}
		if m := d.Manifest; m != nil {
			row[2], row[3] = size(m.Plain.Bytes), size(m.Object.Stored.Bytes)
			row[4] = rows(*m)
			row[6] = m.Object.Key
		}
		if d.Outcome == engine.OutcomeDone {
			row[5] = duration(d.Took)
		}
		t.add(row...)
	}
	return t.render(a.host.out)
}

func (a *app) printPlan(r engine.BackupResult) error {
	t := newTable("database", "would be", "size in D1", "job")
	var total int64
	for _, d := range r.Databases {
		what := "backed up"
		switch {
		case d.Outcome == engine.OutcomeAlready:
			what = "left: has its backup"
		case d.Err != nil:
			what = "failing: " + oneLine(d.Err)
		}
		t.add(d.Database.Name, what, size(d.LiveBytes), r.Job.ID)
		total += d.LiveBytes
	}
	if err := t.render(a.host.out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.host.out, "%d databases, %s in D1; nothing was changed\n", len(r.Databases), size(total))
	return err
}

type backupJSON struct {
	JobID      string         `json:"jobId"`
	RunID      backup.RunID   `json:"runId"`
	Trigger    backup.Trigger `json:"trigger"`
	Reason     string         `json:"reason,omitempty"`
	Night      *time.Time     `json:"night,omitempty"`
	Status     string         `json:"status"`
	DryRun     bool           `json:"dryRun"`
	Idle       bool           `json:"idle"`
	StartedAt  time.Time      `json:"startedAt"`
	EndedAt    time.Time      `json:"endedAt"`
	Duration   string         `json:"duration"`
	Successful int            `json:"successful"`
	Failed     int            `json:"failed"`
	TotalSize  string         `json:"totalSize"`
	TotalBytes int64          `json:"totalBytes"`
	Databases  []databaseJSON `json:"databases"`
	Warnings   []string       `json:"warnings"`
	Catalog    string         `json:"catalogError,omitempty"`
	Faults     []fault.Kind   `json:"faults"`
	ExitStatus int            `json:"exitStatus"`
}

type databaseJSON struct {
	Name        string          `json:"name"`
	ID          string          `json:"id,omitempty"`
	Result      engine.Outcome  `json:"result"`
	Attempts    int             `json:"attempts"`
	Error       string          `json:"error,omitempty"`
	LiveBytes   int64           `json:"liveBytes,omitempty"`
	PlainBytes  int64           `json:"plainBytes,omitempty"`
	StoredBytes int64           `json:"storedBytes,omitempty"`
	Manifest    string          `json:"manifest,omitempty"`
	Object      string          `json:"object,omitempty"`
	Encrypted   bool            `json:"encrypted,omitempty"`
	Fidelity    backup.Fidelity `json:"fidelity,omitempty"`
	Proof       manifest.Level  `json:"proof,omitempty"`
	Suspect     string          `json:"suspect,omitempty"`
	Duration    string          `json:"duration,omitempty"`
	contentJSON
}

func backupDocument(r engine.BackupResult, kinds []fault.Kind) backupJSON {
	plain, _ := r.Bytes()
	doc := backupJSON{
		JobID: r.Job.ID, RunID: r.Run.ID, Trigger: r.Job.Trigger, Reason: r.Job.Reason,
		Status: string(r.Status), DryRun: r.DryRun, Idle: r.Idle,
		StartedAt: r.StartedAt, EndedAt: r.EndedAt, Duration: duration(r.EndedAt.Sub(r.StartedAt)),
		Successful: r.Successful(), Failed: len(r.Databases) - r.Successful(),
		TotalSize: size(plain), TotalBytes: plain,
		Databases: []databaseJSON{}, Warnings: oneLines(r.Warnings),
		Faults: append([]fault.Kind{}, kinds...), ExitStatus: exitStatus(kinds),
	}
	if r.Job.IsNight() {
		doc.Night = &r.Job.Night
	}
	if r.CatalogErr != nil {
		doc.Catalog = oneLine(r.CatalogErr)
	}
	for _, d := range r.Databases {
		doc.Databases = append(doc.Databases, databaseDocument(d))
	}
	return doc
}

func databaseDocument(d engine.DatabaseResult) databaseJSON {
	doc := databaseJSON{
		Name: d.Database.Name, ID: d.Database.ID, Result: d.Outcome, Attempts: d.Attempts,
		LiveBytes: d.LiveBytes, Manifest: d.ManifestKey,
	}
	if d.Err != nil {
		doc.Error = oneLine(d.Err)
	}
	if d.Suspect != nil {
		doc.Suspect = oneLine(d.Suspect)
	}
	if m := d.Manifest; m != nil {
		doc.PlainBytes, doc.StoredBytes = m.Plain.Bytes, m.Object.Stored.Bytes
		doc.Object, doc.Encrypted = m.Object.Key, m.Encrypted()
		doc.Fidelity, doc.Proof, doc.contentJSON = m.Fidelity, m.Proof.Level, contentDocument(*m)
		doc.Duration = duration(d.Took)
	}
	return doc
}
