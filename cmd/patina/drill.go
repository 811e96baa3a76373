package main

import (
	"context"
	"fmt"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// runDrill restores backups into databases that are thrown away.
func runDrill(ctx context.Context, a *app, opts verifyOptions, req engine.VerifyRequest) error {
	if req.All || req.Sample > 0 || opts.importable {
		return fault.New(fault.Usage, "patina verify --help", "--drill tries the newest backups, or those named: it goes with none of --all, --sample and --importable")
	}
	result, closeErr, err := useEngine(ctx, a, needs{store: true, d1: true, catalog: true, identity: opts.identity}, func(eng *engine.Engine) (engine.DrillResult, error) {
		return eng.Drill(ctx, req)
	})
	if err != nil {
		return err
	}
	if closeErr != nil {
		result.Warnings = append(result.Warnings, closeErr)
	}
	kinds := bySignal(ctx, result.Kinds())
	if err := a.showDrill(result, kinds); err != nil {
		return err
	}
	return endWith(kinds)
}

func (a *app) showDrill(r engine.DrillResult, kinds []fault.Kind) error {
	if a.json() {
		return writeJSON(a.host.out, drillDocument(r, kinds))
	}
	for _, db := range r.Leftovers {
		a.say(fmt.Sprintf("removed %s (%s), which a drill left that died", db.Name, db.ID))
	}
	for _, d := range r.Drills {
		switch {
		case r.DryRun:
			a.say(d.Entry.ID() + " would be restored into a new D1 database, compared, and that database deleted")
		case d.Err != nil:
			a.explain(d.Entry.ID()+" was not brought back", d.Err)
		default:
			a.say(fmt.Sprintf("%s was brought back in %s: %d statements, %s; tables, rows and objects are those of the backup%s",
				d.Entry.ID(), duration(d.Recovery), d.Statements, size(d.Bytes), compared(d.Fingerprints)))
		}
	}
	a.printWarnings(r.Warnings)
	if r.CatalogErr != nil && !r.DryRun {
		a.explain("it is recorded in the bucket, but the catalogue was not written", r.CatalogErr)
	}
	return nil
}

type drillJSON struct {
	DryRun     bool              `json:"dryRun"`
	Drills     []drilledJSON     `json:"drills"`
	Leftovers  []backup.Database `json:"leftoversRemoved"`
	Warnings   []string          `json:"warnings"`
	Faults     []fault.Kind      `json:"faults"`
	ExitStatus int               `json:"exitStatus"`
}

type drilledJSON struct {
	Backup          entryJSON       `json:"backup"`
	JobID           string          `json:"jobId,omitempty"`
	Database        backup.Database `json:"database,omitzero"`
	Passed          bool            `json:"passed"`
	Level           manifest.Level  `json:"level,omitempty"`
	RecoverySeconds float64         `json:"recoverySeconds"`
	Statements      int             `json:"statements"`
	Bytes           int64           `json:"bytes"`
	Fingerprints    int             `json:"fingerprints"`
	Removed         bool            `json:"removed"`
	Error           string          `json:"error,omitempty"`
}

func drillDocument(r engine.DrillResult, kinds []fault.Kind) drillJSON {
	doc := drillJSON{
		DryRun: r.DryRun, Drills: []drilledJSON{}, Leftovers: append([]backup.Database{}, r.Leftovers...),
		Warnings: oneLines(r.Warnings), Faults: append([]fault.Kind{}, kinds...), ExitStatus: exitStatus(kinds),
	}
	for _, d := range r.Drills {
		one := drilledJSON{
			Backup: entryDocument(d.Entry), JobID: d.Job.ID, Database: d.Database, RecoverySeconds: d.Recovery.Seconds(),
			Statements: d.Statements, Bytes: d.Bytes, Fingerprints: d.Fingerprints, Removed: d.Removed, Passed: d.Err == nil && !r.DryRun,
		}
		if d.Err != nil {
			one.Error = oneLine(d.Err)
		} else if !r.DryRun {
			one.Level = manifest.LevelDrill
		}
		doc.Drills = append(doc.Drills, one)
	}
	return doc
}
