package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// RestoreRequest asks for a backup in a D1 database.
type RestoreRequest struct {
	// Source is what to bring back.
	Source *Source
	// Target is the name of the database.
	Target string
	// Create refuses a database that exists.
	Create bool
	// Location is where a new database should be, as D1 calls its places; empty
	// leaves it to D1.
	Location string
	// Replace takes away what the database holds.
	Replace bool
	// NoSafetyBackup goes on without a backup of what is replaced, where none
	// can be had.
	NoSafetyBackup bool
	// AllowPartial replaces in more than one import, between which the database
	// holds a part only. Without it a backup that takes more than one is restored
	// into a new database beside it.
	AllowPartial bool
	// Confirm is asked before anything is replaced; its error ends the restore.
	Confirm func(Replacement) error
	Reason  string
	// DryRun finds out what would be done.
	DryRun bool
}

// Replacement is what a restore is about to take away.
type Replacement struct {
	Database backup.Database
	// Tables are those that are there now, with their rows.
	Tables []backup.Table
	// Chosen are the tables that are restored; none for all.
	Chosen []string
	// SafetyBackup is the backup that was taken of them.
	SafetyBackup manifest.Safety
	// Bookmark is the Time Travel point to go back to; empty where there is none.
	Bookmark string
	// Outlook is for how long the database will answer nobody.
	Outlook Outlook
}

// Rows is how many there are in all, as far as they could be counted.
func (r Replacement) Rows() int64 { return content{tables: r.Tables}.rows() }

// RestoreState is what became of the database.
type RestoreState string

// The states after a restore.
const (
	// StateUntouched is a database to which nothing was done.
	StateUntouched RestoreState = "untouched"
	// StateRestored is one that holds what the backup holds.
	StateRestored RestoreState = "restored"
	// StateReturned is one that was brought back to what it was before.
	StateReturned RestoreState = "returned"
	// StatePartial is one that holds something else: see the error.
	StatePartial RestoreState = "partial"
)

// RestoreResult is what was done.
type RestoreResult struct {
	Job                backup.Job
	Run                backup.Run
	StartedAt, EndedAt time.Time
	Target             backup.Database
	Created            bool
	// Aside is the database that was to be replaced, where the backup was
	// restored into a new one instead.
	Aside    backup.Database
	Replaced Replacement
	State    RestoreState
	// Bookmark is the Time Travel point before the restore, and After the one
	// behind it, as far as they are known.
	Bookmark, After string
	// Pieces, Statements and Bytes were imported; Unavailable is how long the
	// database answered nobody.
	Pieces, Statements int
	Bytes              int64
	Unavailable        time.Duration
	// Compared is set once the result was held against the backup, and
	// Differences are what was found to differ; Fingerprints is of how many
	// tables they were compared.
	Compared     bool
	Differences  []string
	Fingerprints int
	Changes      []plan.Change
	// Reindexed are full-text indexes of the database over chosen tables, which
	// were filled anew, and Stale those that could not be.
	Reindexed []string
	Stale     []plan.Stale
	// Lost are the indexes and triggers of chosen tables that the backup does not
	// have.
	Lost []backup.Object
	// Warnings are what went wrong without costing the restore.
	Warnings   []error
	CatalogErr error
	DryRun     bool
}

// restoreRun is one process that restores.
type restoreRun struct {
	e      *Engine
	req    RestoreRequest
	log    *journal
	right  right
	loader *loader
	// live is what the database holds before, and left says in words what of it a
	// dead restore left; may be empty.
	live content
	left string
	// before makes room for chosen tables.
	before []string
	// size is how much SQL is imported, and outlook how long that may take.
	size    extent
	outlook Outlook
	result  RestoreResult
}

// Restore brings a backup back into a D1 database. When it returns an error, the
// result's State says what became of the database: it may be restored all the same,
// and not proven.
func (e *Engine) Restore(ctx context.Context, req RestoreRequest) (RestoreResult, error) {
	log := e.newJournal()
	now := e.now(ctx, log)
	id := e.opts.NewRunID()
	job := backup.RestoreJob(req.Reason, now, id)
	r := &restoreRun{e: e, req: req, log: log}
	r.result = RestoreResult{
		Job: job, Run: e.newRun(job, id, now), StartedAt: now, State: StateUntouched, DryRun: req.DryRun,
	}
	err := r.run(ctx)
	r.result.Changes = req.Source.Plan.Changes()
	r.result.EndedAt, r.result.CatalogErr = e.now(context.WithoutCancel(ctx), log), log.Err()
	return r.result, err
}

func (r *restoreRun) run(ctx context.Context) error {
	found, err := r.find(ctx)
	if err != nil {
		return err
	}
	if r.size, err = r.req.Source.extent(ctx); err != nil {
		return err
	}
	r.outlook = r.e.outlook(ctx, r.size.bytes)
	if found == nil {
		if err := r.exchange(); err != nil {
			return err
		}
		return r.intoNew(ctx)
	}
	r.result.Target = found.Database
	if r.live, err = r.e.liveContent(ctx, found.ID); err != nil {
		return fmt.Errorf("look at what %s holds; it was not touched: %w", r.req.Target, err)
	}
	r.result.Warnings = append(r.result.Warnings, r.live.uncounted...)
	if err := r.lookForTheDead(ctx); err != nil {
		return err
	}
	// The backup has a lease of its own on the database: it comes before the
	// restore's.
	err = r.prepare(ctx)
	if errors.Is(err, errTooLarge) {
		return r.aside(ctx)
	}
	if err != nil || r.req.DryRun {
		return err
	}
	return r.underLease(ctx, func(ctx context.Context) error {
		if r.nothingLost() {
			return r.intoEmpty(ctx)
		}
		return r.replace(ctx)
	})
}

// lookForTheDead looks at a database that is not empty for what a restore left
// that died, while nobody else may be at work on it.
func (r *restoreRun) lookForTheDead(ctx context.Context) error {
	if r.live.empty() || r.req.DryRun {
		return nil
	}
	return r.underLease(ctx, r.afterTheDead)
}

// underLease works while the database is this run's.
func (r *restoreRun) underLease(ctx context.Context, work func(context.Context) error) error {
	return r.e.underLease(ctx, r.log, r.result.Target, r.result.Run, func(ctx context.Context, lease right) error {
		r.right = lease
		return work(ctx)
	})
}

// find looks for the database, and refuses what is not asked for.
func (r *restoreRun) find(ctx context.Context) (*d1.Database, error) {
	found, err := r.e.lookFor(ctx, r.req.Target)
	switch {
	case err != nil:
		return nil, err
	case found != nil && r.req.Create:
		return nil, fault.New(fault.Refused, "name another database, or leave out --create",
			"the database %s exists (%s)", found.Name, found.ID)
	case found == nil && r.req.Replace && !r.req.Create:
		return nil, fault.New(fault.Failed, "leave out --replace, and it is created",
			"there is no database %s to be replaced", r.req.Target)
	}
	return found, nil
}

// prepare refuses what is not asked for, and takes the safety backup.
func (r *restoreRun) prepare(ctx context.Context) error {
	if r.tables() != nil {
		return r.prepareTables(ctx)
	}
	if r.live.empty() {
		return nil
	}
	r.result.Replaced = Replacement{Database: r.result.Target, Tables: r.live.tables, Outlook: r.outlook}
	if !r.req.Replace {
		return fault.New(fault.Refused, "--replace, or --to another database",
			"the database %s holds %d tables with %d rows, which would be lost%s", r.req.Target, len(r.live.tables), r.live.rows(), r.left)
	}
	if err := r.fits(); err != nil || r.req.DryRun || r.req.NoSafetyBackup {
		return err
	}
	return r.safetyBackup(ctx)
}

// intoNew creates the database, in the jurisdiction of the original, and loads
// it.
func (r *restoreRun) intoNew(ctx context.Context) error {
	original := r.req.Source.Entry.Manifest().Database
	jurisdiction := original.Jurisdiction
	r.result.Target = backup.Database{Name: r.req.Target, Jurisdiction: jurisdiction}
	if r.req.DryRun {
		r.result.Created = true
		return nil
	}
	created, err := r.e.opts.D1.CreateDatabase(ctx, d1.CreateRequest{
		Name: r.req.Target, Location: cmp.Or(r.req.Location, locationOf(original)), Jurisdiction: jurisdiction,
	})
	if err != nil {
		return fmt.Errorf("create the database %s: %w", r.req.Target, err)
	}
	r.result.Target, r.result.Created = created.Database, true
	if created.Jurisdiction != jurisdiction {
		return fault.New(fault.Refused, "delete it, and restore with the D1 of that jurisdiction",
			"the new database %s (%s) is in the jurisdiction %q, and the original was in %q: nothing was loaded",
			created.Name, created.ID, created.Jurisdiction, jurisdiction)
	}
	return r.underLease(ctx, r.intoEmpty)
}

// locationOf is the hint for where a database should be that is to be like the
// given one. A jurisdiction says it already.
func locationOf(db backup.Database) string {
	if db.Jurisdiction != "" {
		return ""
	}
	return strings.ToLower(db.Region)
}

// intoEmpty loads a database from which nothing is taken.
func (r *restoreRun) intoEmpty(ctx context.Context) error {
	if err := r.pointOfEmpty(ctx); err != nil {
		return err
	}
	if err := r.announce(ctx); err != nil {
		return err
	}
	return r.load(ctx, nil)
}

// pointOfEmpty is pointBefore for them. One that holds nothing at all needs no way
// back.
func (r *restoreRun) pointOfEmpty(ctx context.Context) (err error) {
	if !r.live.empty() {
		return r.pointBefore(ctx, nil)
	}
	r.result.Bookmark, err = r.e.opts.D1.Bookmark(ctx, r.result.Target.ID, time.Time{})
	if err != nil && ctx.Err() == nil {
		r.result.Warnings = append(r.result.Warnings, fmt.Errorf("no bookmark could be had, so that this cannot be undone: %w", err))
		return nil
	}
	return err
}

// replace loads a database and takes away what it holds. The order is what keeps
// the way back open: a backup, a bookmark, what will be lost, a yes, and the
// bookmark again, which is on record before the first statement.
func (r *restoreRun) replace(ctx context.Context) error {
	if err := r.pointBefore(ctx, r.req.Confirm); err != nil {
		return err
	}
	r.result.Replaced.Bookmark = r.result.Bookmark
	if err := r.announce(ctx); err != nil {
		return err
	}
	return r.load(ctx, r.makeRoom())
}

// OneImport says whether a backup of that many bytes is restored by a single
// import. How many statements it takes does not matter then: rows are packed.
func OneImport(bytes int64) bool { return bytes <= maxPieceBytes }

// errTooLarge says that a replacement would take more than one import, between
// which the database would hold a part only.
var errTooLarge = errors.New("the backup takes more than one import")

// fits is errTooLarge where that is so and is not allowed.
func (r *restoreRun) fits() error {
	if r.req.AllowPartial || !r.inPieces() {
		return nil
	}
	return errTooLarge
}

// inPieces says whether it takes more than one import.
func (r *restoreRun) inPieces() bool {
	return r.size.bytes > r.e.opts.PieceBytes || r.size.statements > int64(r.e.opts.PieceStatements)
}

// aside restores into a new database beside the one that was to be replaced, which
// is not touched.
func (r *restoreRun) aside(ctx context.Context) error {
	r.result.Aside = r.result.Target
	r.req.Target = fmt.Sprintf("%s-restored-%s", r.req.Target, r.result.Run.ID)
	r.live, r.result.Replaced = content{}, Replacement{}
	if err := r.exchange(); err != nil {
		return err
	}
	return r.intoNew(ctx)
}

// safetyBackup takes a backup of what is replaced.
func (r *restoreRun) safetyBackup(ctx context.Context) (err error) {
	r.result.Replaced.SafetyBackup, err = r.e.safetyBackup(ctx, r.result.Target, r.result.Job)
	return err
}

// pointBefore finds the Time Travel point to go back to.
func (r *restoreRun) pointBefore(ctx context.Context, confirm func(Replacement) error) error {
	lost := r.result.Replaced
	lost.Database = r.result.Target
	bookmark, warning, err := r.e.pointBefore(ctx, lost, confirm)
	if warning != nil {
		r.result.Warnings = append(r.result.Warnings, warning)
	}
	r.result.Bookmark = bookmark
	return err
}

// announce writes the begin record with the way back. Where it cannot be
// written, nothing is touched.
func (r *restoreRun) announce(ctx context.Context) error {
	if err := r.lookAgain(ctx); err != nil {
		return err
	}
	return r.e.announceChange(ctx, r.log, r.right, manifest.Begin{Job: r.result.Job, Run: r.result.Run, Restore: &manifest.Restoring{
		Target: r.result.Target, Created: r.result.Created, Bookmark: r.result.Bookmark,
		SafetyBackup: r.result.Replaced.SafetyBackup, Backup: r.req.Source.Entry.Key, Marker: r.marker(),
		Tables: r.tables(),
	}})
}

// marker is a table's name that neither the backup nor the database has: what an
// earlier restore left there says nothing of this one.
func (r *restoreRun) marker() string {
	base := markerName
	for _, o := range r.live.objects {
		if strings.HasPrefix(strings.ToLower(o.Name), markerName) {
			base = markerName + "_" + string(r.result.Run.ID)
		}
	}
	return r.req.Source.Plan.FreeName(base)
}

// load imports the backup, holds the result against it, and says how it ended.
func (r *restoreRun) load(ctx context.Context, before []string) error {
	stop := r.log.keepAlive(ctx, r.result.Job, r.result.Run.ID)
	r.loader = &loader{
		e: r.e, source: r.req.Source, job: r.result.Job.ID, target: r.result.Target.ID, marker: r.marker(), before: before,
		maxBytes: r.e.opts.PieceBytes, maxStatements: r.e.opts.PieceStatements, outlook: r.outlook,
	}
	err := r.explained(r.loader.load(ctx))
	if err == nil {
		err = r.check(ctx)
	}
	if err != nil && r.result.State != StateRestored {
		err = r.takeBack(ctx, err)
	}
	r.result.Pieces, r.result.Statements, r.result.Bytes = r.loader.pieces, r.loader.statements, r.loader.bytes
	r.result.Unavailable = r.loader.took
	stop()
	r.conclude(ctx, err)
	return err
}

// conclude says how the run ended, in the bucket and in the catalogue.
func (r *restoreRun) conclude(ctx context.Context, failure error) {
	status, message := outcome(failure)
	if failure != nil && (fault.KindOf(failure) == fault.Interrupted || errors.Is(failure, context.Canceled)) {
		status = catalog.RunInterrupted
	}
	err := r.e.endChange(ctx, r.log, manifest.End{
		Job: r.result.Job, Run: r.result.Run, EndedAt: r.e.now(context.WithoutCancel(ctx), r.log), Status: string(status), Message: message,
		Restored: &manifest.Restored{
			State: string(r.result.State), Bookmark: r.result.After, Compared: r.result.Compared, Differences: r.result.Differences, Fingerprints: r.result.Fingerprints,
			Statements: r.result.Statements, Bytes: r.result.Bytes, UnavailableSeconds: r.result.Unavailable.Seconds(),
		},
	})
	if err != nil {
		r.result.Warnings = append(r.result.Warnings, err)
	}
}
