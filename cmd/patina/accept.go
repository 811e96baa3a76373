package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/engine"
)

func newAcceptCmd(a *app) *cobra.Command {
	var opts pinOptions
	cmd := &cobra.Command{
		Use:   "accept DATE [DB]",
		Short: "Acknowledge that a backup failed a check",
		Long: `Acknowledge what a check found of backups, so that it no longer keeps their
databases from being pruned. DATE is 2024-12-08 (that day's backups that are not
good), 2024-12-08T10:15 (those of that day up to that minute, UTC) or latest, for
all of them. Without DB it is about all databases.

The backups are no better for it: they are still passed over by "latest", and kept
as long as retention says. A check that fails later has to be accepted anew.`,
		Example:           "  patina accept 2024-12-08 groveauth --reason 'the disk was replaced'",
		GroupID:           groupDaily,
		Args:              dateThenDatabase,
		ValidArgsFunction: a.completeDateThenDatabase,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAccept(cmd.Context(), a, opts, args)
		},
	}
	opts.addFlags(cmd)
	return cmd
}

func runAccept(ctx context.Context, a *app, opts pinOptions, args []string) error {
	asked, err := opts.request(args)
	if err != nil {
		return err
	}
	req := engine.AcceptRequest{Date: asked.Date, Database: asked.Database, Reason: asked.Reason, DryRun: asked.DryRun}
	result, err := withEngine(ctx, a, needs{store: true}, func(e *engine.Engine) (engine.AcceptResult, error) { return e.Accept(ctx, req) })
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.host.out, acceptJSON{
			DryRun: result.DryRun, Accepted: entryDocuments(result.Accepted), Before: entryDocuments(result.Before),
		})
	}
	would := "is"
	if result.DryRun {
		would = "would be"
	}
	for _, entry := range result.Accepted {
		a.say(fmt.Sprintf("%s %s accepted: %s", entry.ID(), would, entry.Failed))
	}
	for _, entry := range result.Before {
		a.say(fmt.Sprintf("%s was accepted before", entry.ID()))
	}
	return nil
}

type acceptJSON struct {
	DryRun   bool        `json:"dryRun"`
	Accepted []entryJSON `json:"accepted"`
	Before   []entryJSON `json:"before"`
}
