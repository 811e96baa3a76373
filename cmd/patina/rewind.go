package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// rewindOptions are the flags that rewind and undo share, and those of rewind.
type rewindOptions struct {
	at       string
	yes      bool
	noSafety bool
	req      engine.RewindRequest
}

func newRewindCmd(a *app) *cobra.Command {
	var opts rewindOptions
	cmd := &cobra.Command{
		Use:   "rewind DB --at TIME | --bookmark BOOKMARK",
		Short: "Take a database back in time, in place",
		Long: `Take a database back to what it was, in place, by D1's Time Travel: the quickest
way back from what went wrong lately. What was written since is lost, in all
tables. Time Travel reaches back 30 days on a paid plan and 7 on a free one.

Before anything is touched a backup is taken, the bookmark of the present state is
put on record, and what will be lost is shown; then the name of the database must
be typed, or --yes given. "patina undo" takes the rewind back.`,
		Example: `  patina rewind groveauth --at 2024-12-08T10:15:00Z
  patina rewind groveauth --at 2024-12-08T10:15 --dry-run
  patina rewind groveauth --bookmark 00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683`,
		GroupID:           groupDaily,
		Args:              exactly("DB"),
		ValidArgsFunction: a.completeDatabases,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.req.Database = args[0]
			if err := opts.aim(); err != nil {
				return err
			}
			return runRewind(cmd.Context(), a, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.at, "at", "", "to what it was at `TIME`, such as 2024-12-08T10:15:00Z (UTC)")
	flags.StringVar(&opts.req.Bookmark, "bookmark", "", "to what it was at this Time Travel `BOOKMARK`")
	opts.bind(cmd)
	return cmd
}

func newUndoCmd(a *app) *cobra.Command {
	var opts rewindOptions
	cmd := &cobra.Command{
		Use:   "undo JOB",
		Short: "Take a restore or rewind back",
		Long: `Take a database back to what it was before a restore or rewind, whose job id it
printed: by D1's Time Travel, to the bookmark that was put on record before the
first change. It works from any host, and also where the restore was killed. What
was written since is lost, in all tables.

It is a rewind and keeps its rules: a backup first, then what will be lost, and a
yes.`,
		Example: `  patina undo restore-20241208T101502Z-7f3a09c2`,
		GroupID: groupDaily,
		Args:    exactly("JOB"),

		ValidArgsFunction: a.completeRestores,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.req.Job = args[0]
			return runRewind(cmd.Context(), a, opts)
		},
	}
	opts.bind(cmd)
	return cmd
}

// completeRestores offers the restores and rewinds on record, the newest first.
func (a *app) completeRestores(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	if len(args) > 0 {
		return nil, directive
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	eng, closeEngine, err := a.engine(ctx, needs{store: true})
	if err != nil {
		return nil, directive
	}
	defer func() { _ = closeEngine() }() // nothing was written through it
	ids, err := eng.RestoreJobs(ctx)
	if err != nil {
		return nil, directive
	}
	return ids, directive
}

// bind adds the flags that rewind and undo share.
func (o *rewindOptions) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.yes, "yes", false, "do not ask")
	flags.BoolVar(&o.noSafety, "no-safety-backup", false, "go on without a backup of what is lost, with the bookmark alone")
	flags.StringVar(&o.req.Reason, "reason", "", "`TEXT` that it is remembered with")
	flags.BoolVarP(&o.req.DryRun, "dry-run", "n", false, "say what would be done, and stop")
}

// aim reads the time.
func (o *rewindOptions) aim() error {
	if (o.at == "") == (o.req.Bookmark == "") {
		return fault.New(fault.Usage, "patina rewind --help", "want --at or --bookmark, one of them")
	}
	if o.at == "" {
		return nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if at, err := time.Parse(form, o.at); err == nil {
			o.req.At = at.UTC()
			return nil
		}
	}
	return fault.New(fault.Usage, "patina rewind --help", "bad time %q: want such as 2024-12-08T10:15:00Z", o.at)
}

func runRewind(ctx context.Context, a *app, opts rewindOptions) error {
	req := opts.req
	req.NoSafetyBackup = opts.noSafety
	progress := a.newProgress()
	ask := a.confirmation(opts.yes, progress.pause)
	req.Confirm = func(r engine.Rewinding) error { return ask(r.Replacement, rewindText(r, a.host.now(), false)) }
	eng, closeEngine, err := a.engine(ctx, needs{store: true, d1: true, catalog: true, observer: progress})
	if err != nil {
		return err
	}
	result, err := eng.Rewind(ctx, req)
	progress.stop()
	if closeErr := closeEngine(); closeErr != nil {
		result.Warnings = append(result.Warnings, closeErr)
	}
	kinds := kindsOf(ctx, err)
	if err == nil && result.CatalogErr != nil && !result.DryRun {
		kinds = []fault.Kind{fault.Uncatalogued}
	}
	if printErr := a.printRewind(result, err, kinds); printErr != nil {
		return errors.Join(err, printErr)
	}
	if err != nil {
		return err
	}
	return endWith(kinds)
}

// rewindText says what a rewind does, and how long ago that was.
func rewindText(r engine.Rewinding, now time.Time, dryRun bool) string {
	goes, lost := "goes", "is lost"
	if dryRun {
		goes, lost = "would go", "would be lost"
	}
	to := "the bookmark " + r.To
	if !r.Since.IsZero() {
		to = fmt.Sprintf("%s (%s, bookmark %s)", r.Since.UTC().Format("2006-01-02 15:04:05 UTC"), humanize.RelTime(r.Since, now, "ago", "ahead"), r.To)
	}
	if r.Undone != nil {
		to += ", before " + r.Undone.Job.ID
	}
	return fmt.Sprintf("%s back to %s; what was written since %s, in all tables. It holds now:", goes, to, lost)
}

func (a *app) printRewind(r engine.RewindResult, failure error, kinds []fault.Kind) error {
	if a.json() {
		if failure != nil && r.Database.ID == "" {
			return nil // there is nothing to tell but the error
		}
		return writeJSON(a.host.out, rewindDocument(r, kinds))
	}
	switch {
	case r.DryRun && failure == nil:
		printReplacement(a.host.err, r.Replacement, rewindText(r.Rewinding, a.host.now(), true))
	case r.State == engine.StateRestored:
		a.say(fmt.Sprintf("%s is back at %s (job %s)", r.Database.Name, r.To, r.Job.ID))
		a.say(fmt.Sprintf("to take it back: patina undo %s", r.Job.ID))
	}
	a.printWarnings(r.Warnings)
	if r.CatalogErr != nil && !r.DryRun {
		a.explain("it is recorded in the bucket, but the catalogue was not written", r.CatalogErr)
	}
	return nil
}

type rewindJSON struct {
	JobID        string              `json:"jobId"`
	Database     backup.Database     `json:"database"`
	DryRun       bool                `json:"dryRun"`
	State        engine.RestoreState `json:"state"`
	To           string              `json:"to"`
	Since        time.Time           `json:"since,omitzero"`
	Undone       string              `json:"undone,omitempty"`
	Tables       []backup.Table      `json:"tables"`
	SafetyBackup manifest.Safety     `json:"safetyBackup,omitzero"`
	// PreviousBookmark is the way back.
	PreviousBookmark string    `json:"previousBookmark,omitempty"`
	Bookmark         string    `json:"bookmark,omitempty"`
	StartedAt        time.Time `json:"startedAt"`
	EndedAt          time.Time `json:"endedAt"`
	Warnings         []string  `json:"warnings"`

	Faults     []fault.Kind `json:"faults"`
	ExitStatus int          `json:"exitStatus"`
}

func rewindDocument(r engine.RewindResult, kinds []fault.Kind) rewindJSON {
	doc := rewindJSON{
		Faults: append([]fault.Kind{}, kinds...), ExitStatus: exitStatus(kinds),
		JobID: r.Job.ID, Database: r.Database, DryRun: r.DryRun, State: r.State, To: r.To, Since: r.Since,
		Tables: append([]backup.Table{}, r.Tables...), SafetyBackup: r.SafetyBackup,
		PreviousBookmark: r.Bookmark, Bookmark: r.Now,
		StartedAt: r.StartedAt, EndedAt: r.EndedAt, Warnings: oneLines(r.Warnings),
	}
	if r.Undone != nil {
		doc.Undone = r.Undone.Job.ID
	}
	return doc
}
