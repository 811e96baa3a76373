package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

func newCatalogCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "catalog",
		Short:   "Look after the catalogue, the log of jobs",
		Example: "  patina catalog migrate",
		GroupID: groupSetup,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var opts migrateOptions
	migrate := &cobra.Command{
		Use:   "migrate",
		Short: "Make or update the catalogue's tables",
		Long: `Make or update the catalogue's tables. In Postgres everything lies in the schema
"patina". Patina does this by itself on first use, unless the database holds
other things and no such schema.`,
		Example: "  patina catalog migrate --dry-run\n  patina catalog migrate",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runMigrate(cmd.Context(), a, opts) },
	}
	migrate.Flags().BoolVarP(&opts.dryRun, "dry-run", "n", false, "say what would be applied, and stop")
	cmd.AddCommand(migrate, newRebuildCmd(a), newAdoptCmd(a))
	return cmd
}

func newRebuildCmd(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Fill the catalogue from the bucket",
		Long: `Write every job, run and backup that the bucket tells of into the catalogue: when
it was lost, or was away for longer than the two weeks that the next backup makes
up for by itself. What the catalogue knows already is left as it is, so this may
be run at any time, and again.`,
		Example: "  patina catalog rebuild --dry-run\n  patina catalog rebuild",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRebuild(cmd.Context(), a, dryRun) },
	}
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "say what the bucket tells of, and stop")
	return cmd
}

func runRebuild(ctx context.Context, a *app, dryRun bool) error {
	result, err := withEngine(ctx, a, needs{store: true, catalog: true}, func(eng *engine.Engine) (engine.RebuildResult, error) {
		return eng.Rebuild(ctx, engine.RebuildRequest{DryRun: dryRun})
	})
	if err != nil {
		return err
	}
	var kinds []fault.Kind
	if len(result.Unreadable) > 0 {
		kinds = []fault.Kind{fault.Partial}
	}
	if err := a.showRebuild(result, kinds); err != nil {
		return err
	}
	return endWith(kinds)
}

func (a *app) showRebuild(r engine.RebuildResult, kinds []fault.Kind) error {
	if a.json() {
		return writeJSON(a.host.out, rebuildDocument(r, kinds))
	}
	for _, d := range r.Unreadable {
		fmt.Fprintf(a.host.err, "patina: error: %s: %s; what it tells is not in the catalogue\n", d.Key, d.Why)
	}
	told := fmt.Sprintf("the bucket tells of %d jobs, %d runs and %d backups", r.Jobs, r.Runs, r.Backups)
	if r.DryRun {
		_, err := fmt.Fprintln(a.host.out, told+"; nothing was written")
		return err
	}
	_, err := fmt.Fprintf(a.host.out, "%s; of %d jobs the catalogue did not know all\n", told, r.Changed)
	return err
}

type rebuildJSON struct {
	DryRun     bool         `json:"dryRun"`
	Jobs       int          `json:"jobs"`
	Runs       int          `json:"runs"`
	Backups    int          `json:"backups"`
	Changed    int          `json:"changed"`
	Unreadable []unreadJSON `json:"unreadable"`
	Faults     []fault.Kind `json:"faults"`
	ExitStatus int          `json:"exitStatus"`
}

type unreadJSON struct {
	Key string `json:"key"`
	Why string `json:"why"`
}

func rebuildDocument(r engine.RebuildResult, kinds []fault.Kind) rebuildJSON {
	doc := rebuildJSON{
		DryRun: r.DryRun, Jobs: r.Jobs, Runs: r.Runs, Backups: r.Backups, Changed: r.Changed, Unreadable: []unreadJSON{},
		Faults: append([]fault.Kind{}, kinds...), ExitStatus: exitStatus(kinds),
	}
	for _, d := range r.Unreadable {
		doc.Unreadable = append(doc.Unreadable, unreadJSON{d.Key, d.Why})
	}
	return doc
}

// migrateOptions are the flags of "patina catalog migrate".
type migrateOptions struct {
	dryRun bool
}

func runMigrate(ctx context.Context, a *app, opts migrateOptions) error {
	steps, err := a.migrateCatalog(ctx, opts.dryRun)
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.host.out, map[string]any{"dryRun": opts.dryRun, "migrations": append([]string{}, steps...)})
	}
	if len(steps) == 0 {
		_, err := fmt.Fprintln(a.host.out, "the catalogue is up to date")
		return err
	}
	done := "applied"
	if opts.dryRun {
		done = "would apply"
	}
	for _, step := range steps {
		fmt.Fprintln(a.host.out, done, step)
	}
	return nil
}
