package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
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
	cmd.AddCommand(migrate)
	return cmd
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
