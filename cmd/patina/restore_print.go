package main

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// printRestore says what was brought back, and what is not as the dump has it.
func (a *app) printRestore(r restored, failure error, kinds []fault.Kind) error {
	if r.choice.Key == "" || failure != nil && r.target.kind != targetD1 {
		return nil // there is nothing to tell but the error
	}
	if a.json() && !r.target.stdout() {
		return writeJSON(a.host.out, restoreDocument(r, kinds))
	}
	a.printWarnings(r.d1.Warnings)
	if failure != nil && r.d1.State != engine.StateRestored {
		return nil
	}
	m := r.choice.Manifest()
	a.say(fmt.Sprintf("%s of %s (job %s): %s, %s rows, SHA-256 verified",
		m.Database.Name, moment(m.StartedAt), m.JobID, size(m.Plain.Bytes), rows(m)))
	a.sayTables(r)
	for _, c := range r.changes {
		a.say("not as in the dump: " + changeText(c))
	}
	switch r.target.kind {
	case targetD1:
		a.sayD1(r)
	case targetSQLite:
		a.say(fmt.Sprintf("%s of %s %s %s, which is whole%s", counted(r.sqlite.Rows, "row"), counted(len(r.sqlite.Tables), "table"),
			would(r.dryRun, "loaded into"), r.target.name, compared(r.sqlite.Fingerprints)))
	default:
		a.say(fmt.Sprintf("%s in %d statements %s %s", size(r.sql.Bytes), r.sql.Statements, would(r.dryRun, "written to"), r.target.name))
	}
	for _, other := range r.choice.Others {
		a.say(otherOfDay(other))
	}
	return nil
}

// would puts what is only planned into words.
func would(dryRun bool, done string) string {
	if dryRun {
		return "would be " + done
	}
	return done
}

// sayD1 says what became of a D1 database, and what is left to do.
func (a *app) sayD1(r restored) {
	d := r.d1
	if d.Aside.ID != "" {
		fmt.Fprintf(a.host.err, "%s %s: the backup takes more than one import, and between them it would hold a part of it; --allow-partial says that this is known\n",
			d.Aside.Name, map[bool]string{true: "would not be replaced", false: "was not replaced"}[r.dryRun])
	}
	if r.dryRun {
		if len(d.Replaced.Tables) > 0 {
			printReplacement(a.host.err, d.Replaced, fmt.Sprintf("its %s rows would be lost", humanize.Comma(d.Replaced.Rows())))
			fmt.Fprintln(a.host.err, outlookText(d.Replaced.Outlook))
		}
		a.say("would be restored into " + targetText(d))
		return
	}
	a.say(fmt.Sprintf("restored into %s in %s: %d statements in %s, during %s of which it answered nobody",
		targetText(d), duration(d.EndedAt.Sub(d.StartedAt)), d.Statements, counted(d.Pieces, "import"), duration(d.Unavailable)))
	if !d.Compared {
		a.say("not all of it could be compared with the backup")
	} else if len(r.tables) > 0 {
		a.say("tables, rows and objects that were chosen are those of the backup" + compared(d.Fingerprints) + "; other tables lost no row")
	} else {
		a.say("tables, rows and objects are those of the backup" + compared(d.Fingerprints))
	}
	if d.Created {
		a.say(fmt.Sprintf("to use it, set in wrangler's configuration: database_name = %q, database_id = %q", d.Target.Name, d.Target.ID))
	}
	if d.Bookmark != "" {
		a.say("to take it back: patina undo " + d.Job.ID)
	}
	if d.Bookmark != "" && len(r.tables) > 0 {
		a.say(undoesAll)
	}
	if d.CatalogErr != nil {
		a.explain("it is recorded in the bucket, but the catalogue was not written", d.CatalogErr)
	}
}

// compared says how closely the rows were looked at.
func compared(fingerprints int) string {
	if fingerprints == 0 {
		return "; rows were counted"
	}
	return "; the rows of " + counted(fingerprints, "table") + " were compared by fingerprint"
}

// targetText names the D1 database.
func targetText(d engine.RestoreResult) string {
	text := d.Target.Name
	if d.Created {
		text = "the new database " + text
	}
	if d.Target.ID != "" {
		text += " (" + d.Target.ID + ")"
	}
	if d.Target.Jurisdiction != "" {
		text += " in the jurisdiction " + d.Target.Jurisdiction
	}
	return text
}

// changeText says in words what does not come back as the dump has it.
func changeText(c plan.Change) string {
	of := rowsOf(c.Count, c.Name)
	switch c.Code {
	case plan.ChangeInternal:
		return of + ": left out, for D1 or SQLite makes it itself"
	case plan.ChangePragma:
		return "PRAGMA " + c.Name + ": left out, for it is not content"
	case plan.ChangeSequence:
		return of + ": left out, for no table has AUTOINCREMENT"
	case plan.ChangeVirtual:
		return c.Name + ": a virtual table, made and filled anew"
	case plan.ChangeErrorWord:
		return of + ": the word ERROR, by which D1 wrote a value that is lost, becomes NULL"
	case plan.ChangeRewritten:
		return of + ": written in another way, with the same content"
	case plan.ChangeStaged:
		return of + ": too long for one statement of D1, put together out of pieces"
	}
	return of + ": " + c.Code
}

// rowsOf is a number of rows of a table.
func rowsOf(n int64, table string) string {
	if n == backup.RowsUnknown {
		return "an unknown number of rows of " + table
	}
	return counted(n, "row") + " of " + table
}

type restoreJSON struct {
	Target  string       `json:"target"`
	DryRun  bool         `json:"dryRun"`
	Backup  entryJSON    `json:"backup"`
	Others  []entryJSON  `json:"others"`
	Changes []changeJSON `json:"changes"`
	// Chosen are the tables of --table; none for all.
	Chosen       []string         `json:"chosen,omitempty"`
	Dependencies []dependencyJSON `json:"dependencies"`
	Bytes        int64            `json:"bytes"`
	Statements   int              `json:"statements"`
	// Tables are those of a SQLite database, with their rows.
	Tables []backup.Table `json:"tables,omitempty"`
	// Fingerprints is of how many tables they were held against the backup's.
	Fingerprints int     `json:"fingerprints,omitempty"`
	D1           *d1JSON `json:"d1,omitempty"`

	Faults     []fault.Kind `json:"faults"`
	ExitStatus int          `json:"exitStatus"`
}

// d1JSON is what became of a D1 database.
type d1JSON struct {
	JobID    string          `json:"jobId"`
	Database backup.Database `json:"database"`
	Created  bool            `json:"created"`
	// Aside is the database that was to be replaced, and was not: this one was
	// made instead.
	Aside *backup.Database    `json:"aside,omitempty"`
	State engine.RestoreState `json:"state"`
	// Replaced is what it held before.
	Replaced     []backup.Table  `json:"replaced"`
	SafetyBackup manifest.Safety `json:"safetyBackup,omitzero"`
	// Reindexed are full-text indexes over chosen tables, filled anew, and Stale
	// those that could not be.
	Reindexed []string     `json:"reindexed,omitempty"`
	Stale     []plan.Stale `json:"stale,omitempty"`
	// Lost are indexes and triggers of chosen tables that the backup does not have.
	Lost []backup.Object `json:"lost,omitempty"`
	// PreviousBookmark is the way back.
	PreviousBookmark   string  `json:"previousBookmark,omitempty"`
	Bookmark           string  `json:"bookmark,omitempty"`
	Imports            int     `json:"imports"`
	UnavailableSeconds float64 `json:"unavailableSeconds"`
	// ExpectedSeconds is for how long it was expected to answer nobody; 0 where
	// nothing told.
	ExpectedSeconds float64   `json:"expectedSeconds"`
	Compared        bool      `json:"compared"`
	Differences     []string  `json:"differences"`
	StartedAt       time.Time `json:"startedAt"`
	EndedAt         time.Time `json:"endedAt"`
	Warnings        []string  `json:"warnings"`
}

// changeJSON is something that does not come back as the dump has it.
type changeJSON struct {
	Code  string `json:"code"`
	Name  string `json:"name"`
	Count int64  `json:"count"`
	Text  string `json:"text"`
}

func restoreDocument(r restored, kinds []fault.Kind) restoreJSON {
	doc := restoreJSON{
		Faults: append([]fault.Kind{}, kinds...), ExitStatus: exitStatus(kinds),
		Target: r.target.String(), DryRun: r.dryRun,
		Backup: entryDocument(r.choice.Entry), Others: entryDocuments(r.choice.Others),
		Changes: []changeJSON{}, Bytes: r.sql.Bytes + r.d1.Bytes, Statements: r.sql.Statements + r.d1.Statements + int(r.sqlite.Statements),
		Tables: r.sqlite.Tables, Fingerprints: r.sqlite.Fingerprints + r.d1.Fingerprints,
	}
	doc.Chosen, doc.Dependencies = r.tables, dependencyDocuments(r.dependencies)
	for _, c := range r.changes {
		doc.Changes = append(doc.Changes, changeJSON{c.Code, c.Name, c.Count, changeText(c)})
	}
	if r.target.kind == targetD1 {
		doc.D1 = d1Document(r.d1)
	}
	return doc
}

func d1Document(d engine.RestoreResult) *d1JSON {
	var aside *backup.Database
	if d.Aside.ID != "" {
		aside = &d.Aside
	}
	return &d1JSON{
		Aside: aside,

		JobID: d.Job.ID, Database: d.Target, Created: d.Created, State: d.State,
		Replaced: append([]backup.Table{}, d.Replaced.Tables...), SafetyBackup: d.Replaced.SafetyBackup,
		PreviousBookmark: d.Bookmark, Bookmark: d.After, Imports: d.Pieces, UnavailableSeconds: d.Unavailable.Seconds(),
		ExpectedSeconds: d.Replaced.Outlook.About.Seconds(),
		Reindexed:       d.Reindexed, Stale: d.Stale, Lost: d.Lost,
		Compared: d.Compared, Differences: append([]string{}, d.Differences...),
		StartedAt: d.StartedAt, EndedAt: d.EndedAt, Warnings: oneLines(d.Warnings),
	}
}
