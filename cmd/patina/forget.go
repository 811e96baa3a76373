package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

func newForgetCmd(a *app) *cobra.Command {
	var req engine.ForgetRequest
	cmd := &cobra.Command{
		Use:   "forget DB",
		Short: "Retire a database that is no more",
		Long: `Retire a database that the account no longer has: "patina status" tells of it no
more, and "patina prune" keeps nothing of it but its newest good backup and what
is pinned. Nothing is removed now. A backup that is taken of a database of that
name later takes it back.

It is refused while the account has the database, or the configuration names it.`,
		Example:           "  patina forget old-tenant --reason 'contract ended'",
		GroupID:           groupDaily,
		Args:              exactly("DB"),
		ValidArgsFunction: a.completeDatabases,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Database = args[0]
			return runForget(cmd.Context(), a, req)
		},
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "`TEXT` that it is remembered with")
	cmd.Flags().BoolVarP(&req.DryRun, "dry-run", "n", false, "say what would be done, and stop")
	return cmd
}

func runForget(ctx context.Context, a *app, req engine.ForgetRequest) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	if slices.Contains(configuredNames(cfg), req.Database) {
		return fault.New(fault.Refused, "take it out of the list databases", "%s names %s", cfg.File, req.Database)
	}
	result, err := withEngine(ctx, a, needs{store: true, d1: true}, func(e *engine.Engine) (engine.ForgetResult, error) { return e.Forget(ctx, req) })
	if err != nil {
		return err
	}
	if a.json() {
		doc := forgetJSON{Database: result.Database, DryRun: result.DryRun, Backups: result.Backups, Since: result.Since}
		if result.Newest != nil {
			newest := entryDocument(*result.Newest)
			doc.Newest = &newest
		}
		return writeJSON(a.host.out, doc)
	}
	a.say(forgetSummary(result))
	return nil
}

type forgetJSON struct {
	Database string     `json:"database"`
	DryRun   bool       `json:"dryRun"`
	Backups  int        `json:"backups"`
	Newest   *entryJSON `json:"newest,omitempty"`
	// Since is when it was forgotten before.
	Since time.Time `json:"since,omitzero"`
}

// forgetSummary is the outcome in a sentence.
func forgetSummary(r engine.ForgetResult) string {
	switch {
	case !r.Since.IsZero():
		return fmt.Sprintf("%s is forgotten since %s", r.Database, moment(r.Since))
	case r.DryRun:
		return fmt.Sprintf("%s would be forgotten: pruning would keep the newest of its %d backups%s", r.Database, r.Backups, newestWords(r))
	}
	return fmt.Sprintf("%s is forgotten: pruning will keep the newest of its %d backups%s", r.Database, r.Backups, newestWords(r))
}

func newestWords(r engine.ForgetResult) string {
	if r.Newest == nil {
		return ""
	}
	return ", of " + moment(r.Newest.Brief.StartedAt)
}
