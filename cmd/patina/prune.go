package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/retention"
)

// pruneOptions are the flags of "patina prune".
type pruneOptions struct {
	confirm []string
	trigger string
	reason  string
	dryRun  bool
}

func newPruneCmd(a *app) *cobra.Command {
	var opts pruneOptions
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove what retention lets go",
		Long: `Remove the backups that the configuration's retention lets go, and what runs
that died left unfinished. Each object is told with the reason why it stays or
goes.

A daily goes only after the archive's copy of it was read and found to be the
same dump. The newest good backup of a database always stays, and so does what
cannot be read, what Patina did not write, what is pinned, and all of a database
whose last backup failed, or of which a backup failed a check that nobody
accepted ("patina accept"). Where more than a third of a database's recovery
points would go for good, nothing of it goes: status 6, with the command that
confirms it.`,
		Example: `  patina prune --dry-run
  patina prune
  patina prune --confirm groveauth        more than a third of it may go
  patina prune --trigger schedule         what cron runs`,
		GroupID: groupDaily,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runPrune(cmd.Context(), a, opts) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&opts.confirm, "confirm", nil, "`DB,...` of which more than a third of the recovery points may go")
	flags.StringVar(&opts.trigger, "trigger", "manual", "who asks: manual, schedule or deploy")
	flags.StringVar(&opts.reason, "reason", "", "`TEXT` that the run is remembered with")
	flags.BoolVarP(&opts.dryRun, "dry-run", "n", false, "say what would be removed and why, and stop")
	fixed(cmd, "trigger", "manual", "schedule", "deploy")
	_ = cmd.RegisterFlagCompletionFunc("confirm", a.completeDatabases)
	return cmd
}

func runPrune(ctx context.Context, a *app, opts pruneOptions) error {
	trigger, err := backup.ParseTrigger(opts.trigger)
	if err != nil {
		return fault.Wrap(fault.Usage, "patina prune --help", err)
	}
	result, closeErr, err := useEngine(ctx, a, needs{store: true, catalog: true}, func(eng *engine.Engine) (engine.PruneResult, error) {
		return eng.Prune(ctx, engine.PruneRequest{Trigger: trigger, Reason: opts.reason, Confirmed: opts.confirm, DryRun: opts.dryRun})
	})
	if err != nil {
		return err
	}
	if closeErr != nil {
		result.Warnings = append(result.Warnings, closeErr)
	}
	kinds := bySignal(ctx, result.Kinds())
	if err := a.showPrune(result, opts, kinds); err != nil {
		return err
	}
	return endWith(kinds)
}

func (a *app) showPrune(r engine.PruneResult, opts pruneOptions, kinds []fault.Kind) error {
	if a.json() {
		return writeJSON(a.host.out, pruneDocument(r, kinds))
	}
	if len(r.Items) > 0 && (r.DryRun || a.host.outTerminal && !a.global.quiet) {
		if err := pruneTable(a.host.out, r); err != nil {
			return err
		}
	}
	if r.DryRun || len(kinds) > 0 || a.loud() {
		fmt.Fprintln(a.host.err, pruneSummary(r))
	}
	if r.Err != nil {
		a.explain("what was left is left for the next run", r.Err)
	}
	for _, item := range r.Items {
		if item.Err != nil {
			fmt.Fprintf(a.host.err, "- %s: %s\n", item.Key, oneLine(item.Err))
		}
	}
	printRefusals(a.host.err, r.Refused, opts)
	a.printWarnings(r.Warnings)
	if r.CatalogErr != nil && !r.DryRun {
		a.explain("what was removed is recorded in the bucket, but the catalogue was not written", r.CatalogErr)
	}
	return nil
}

func pruneTable(w io.Writer, r engine.PruneResult) error {
	t := newTable("object", "size", "decision", "reason")
	for _, item := range r.Items {
		t.add(item.Key, size(item.Bytes), string(item.Outcome), item.Why)
	}
	return t.render(w)
}

// pruneSummary is the run in one line.
func pruneSummary(r engine.PruneResult) string {
	var parts []string
	for _, outcome := range []engine.ItemOutcome{
		engine.ItemDeleted, engine.ItemDue, engine.ItemLater, engine.ItemSpared, engine.ItemFailed, engine.ItemKept,
	} {
		if n, bytes := r.Count(outcome); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (%s)", n, outcome, size(bytes)))
		}
	}
	switch {
	case r.Outcome == engine.OutcomeElsewhere:
		return "Another run is pruning"
	case len(parts) == 0 && r.Err == nil:
		return "There is nothing in the bucket"
	case r.DryRun:
		return "Nothing was changed: " + strings.Join(parts, ", ")
	}
	return "Pruned: " + strings.Join(parts, ", ")
}

// printRefusals names the databases of which too much would go, and the command
// that lets it.
func printRefusals(w io.Writer, refused []retention.Refusal, opts pruneOptions) {
	if len(refused) == 0 {
		return
	}
	confirm := slices.Clone(opts.confirm)
	for _, r := range refused {
		fmt.Fprintf(w, "Nothing of %s is removed: %d of its %d recovery points would go for good\n", r.Database, r.Lost, r.Of)
		confirm = append(confirm, r.Database)
	}
	fmt.Fprintln(w, "patina: hint: if that is meant: patina prune --confirm", strings.Join(confirm, ","))
}

type pruneJSON struct {
	JobID      string          `json:"jobId"`
	RunID      backup.RunID    `json:"runId"`
	StartedAt  time.Time       `json:"startedAt"`
	EndedAt    time.Time       `json:"endedAt"`
	DryRun     bool            `json:"dryRun"`
	Result     engine.Outcome  `json:"result"`
	Error      string          `json:"error,omitempty"`
	Objects    []pruneItemJSON `json:"objects"`
	Refused    []refusalJSON   `json:"refused"`
	Records    int             `json:"recordsRemoved"`
	FreedSize  string          `json:"freedSize"`
	FreedBytes int64           `json:"freedBytes"`
	Warnings   []string        `json:"warnings"`
	Catalog    string          `json:"catalogError,omitempty"`
	Faults     []fault.Kind    `json:"faults"`
	ExitStatus int             `json:"exitStatus"`
}

type pruneItemJSON struct {
	Kind     engine.ItemKind    `json:"kind"`
	Key      string             `json:"key"`
	Object   string             `json:"object,omitempty"`
	Database string             `json:"database,omitempty"`
	Bytes    int64              `json:"bytes"`
	Decision engine.ItemOutcome `json:"decision"`
	Reason   string             `json:"reason"`
	Error    string             `json:"error,omitempty"`
}

type refusalJSON struct {
	Database string `json:"database"`
	Lost     int    `json:"lost"`
	Of       int    `json:"of"`
}

func pruneDocument(r engine.PruneResult, kinds []fault.Kind) pruneJSON {
	_, freed := r.Count(engine.ItemDeleted)
	doc := pruneJSON{
		JobID: r.Job.ID, RunID: r.Run.ID, StartedAt: r.StartedAt, EndedAt: r.EndedAt, DryRun: r.DryRun, Result: r.Outcome,
		Objects: []pruneItemJSON{}, Refused: []refusalJSON{}, Records: r.Records, FreedSize: size(freed), FreedBytes: freed,
		Warnings: oneLines(r.Warnings), Faults: append([]fault.Kind{}, kinds...), ExitStatus: exitStatus(kinds),
	}
	if r.Err != nil {
		doc.Error = oneLine(r.Err)
	}
	for _, item := range r.Items {
		object := pruneItemJSON{
			Kind: item.Kind, Key: item.Key, Object: item.Object, Database: item.Database, Bytes: item.Bytes,
			Decision: item.Outcome, Reason: item.Why,
		}
		if item.Err != nil {
			object.Error = oneLine(item.Err)
		}
		doc.Objects = append(doc.Objects, object)
	}
	for _, refused := range r.Refused {
		doc.Refused = append(doc.Refused, refusalJSON{refused.Database, refused.Lost, refused.Of})
	}
	if r.CatalogErr != nil {
		doc.Catalog = oneLine(r.CatalogErr)
	}
	return doc
}
