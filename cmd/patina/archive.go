package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// archiveOptions are the flags of "patina archive".
type archiveOptions struct {
	week    string
	trigger string
	reason  string
	prune   bool
	dryRun  bool
}

// nightWait is how long a night that still runs is waited for.
const nightWait = 2 * time.Hour

func newArchiveCmd(a *app) *cobra.Command {
	var opts archiveOptions
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "Collect the dailies of a week into one archive",
		Long: `Collect every daily backup of a week into one .tar.gz, which tar unpacks and of
which any one dump can be read without the rest. Dailies are kept.

Without --week it takes the week that ends with the latest tick of
schedule.weekly, and makes up for those before it that were missed. A week that
is archived is left alone; what came late makes a second part. A day without a
backup is recorded in the archive, and no failure. A daily that is damaged is
named, left out and kept, and ends with status 4.

A night that still runs is waited for, 2 hours at most. With --prune, what
retention lets go is removed afterwards: see "patina prune --help".`,
		Example: `  patina archive
  patina archive --week 2024-W49 --dry-run
  patina archive --prune --trigger schedule    what cron runs`,
		GroupID: groupDaily,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runArchive(cmd.Context(), a, opts) },
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.week, "week", "", "this `WEEK` only, such as 2024-W49")
	flags.StringVar(&opts.trigger, "trigger", "manual", "who asks: manual, schedule or deploy")
	flags.StringVar(&opts.reason, "reason", "", "`TEXT` that the archive is remembered with")
	flags.BoolVar(&opts.prune, "prune", false, "then remove what retention lets go")
	flags.BoolVarP(&opts.dryRun, "dry-run", "n", false, "say what would be archived, and stop")
	fixed(cmd, "trigger", "manual", "schedule", "deploy")
	return cmd
}

func (o archiveOptions) request() (engine.ArchiveRequest, error) {
	const help = "patina archive --help"
	req := engine.ArchiveRequest{Reason: o.reason, Wait: nightWait, DryRun: o.dryRun}
	var err error
	if req.Trigger, err = backup.ParseTrigger(o.trigger); err != nil {
		return req, fault.Wrap(fault.Usage, help, err)
	}
	if o.week == "" {
		return req, nil
	}
	if req.Week, err = backup.ParseWeek(o.week); err != nil {
		return req, fault.Wrap(fault.Usage, help, fmt.Errorf("--week: %w", err))
	}
	return req, nil
}

func runArchive(ctx context.Context, a *app, opts archiveOptions) error {
	req, err := opts.request()
	if err != nil {
		return err
	}
	var pruned *engine.PruneResult
	var pruneErr error
	result, closeErr, err := useEngine(ctx, a, needs{store: true, catalog: true}, func(eng *engine.Engine) (engine.ArchiveResult, error) {
		result, err := eng.Archive(ctx, req)
		if err == nil && opts.prune && ctx.Err() == nil {
			pruned, pruneErr = prune(ctx, eng, engine.PruneRequest{Trigger: req.Trigger, Reason: req.Reason, DryRun: req.DryRun})
		}
		return result, err
	})
	if err != nil {
		return err
	}
	if pruneErr != nil && len(result.Weeks) == 0 {
		return pruneErr
	}
	if closeErr != nil {
		result.Warnings = append(result.Warnings, closeErr)
	}
	return a.printArchive(ctx, result, pruned, pruneErr)
}

func prune(ctx context.Context, eng *engine.Engine, req engine.PruneRequest) (*engine.PruneResult, error) {
	result, err := eng.Prune(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("prune: %w", err)
	}
	return &result, nil
}

// printArchive shows what an archive run did, and what was pruned after it, and
// returns the error that carries its exit status, if it has one.
func (a *app) printArchive(ctx context.Context, r engine.ArchiveResult, pruned *engine.PruneResult, pruneErr error) error {
	kinds := bySignal(ctx, r.Kinds())
	if pruned != nil {
		kinds = mergeKinds(kinds, bySignal(ctx, pruned.Kinds()))
	}
	kinds = mergeKinds(kinds, kindsOf(ctx, pruneErr))
	if a.json() {
		doc := archiveDocument(r, kinds)
		if pruned != nil {
			doc.Prune = new(pruneDocument(*pruned, kinds))
		}
		if pruneErr != nil {
			doc.PruneError = oneLine(pruneErr)
		}
		if err := writeJSON(a.host.out, doc); err != nil {
			return err
		}
		return endWith(kinds)
	}
	if err := a.showArchive(r, kinds); err != nil {
		return err
	}
	if pruned != nil {
		if err := a.showPrune(*pruned, pruneOptions{}, kinds); err != nil {
			return err
		}
	}
	if pruneErr != nil {
		a.explain("the archives are as told, and nothing was pruned", pruneErr)
	}
	return endWith(kinds)
}

// mergeKinds joins the faults of two steps of one command.
func mergeKinds(a, b []fault.Kind) []fault.Kind {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func (a *app) showArchive(r engine.ArchiveResult, kinds []fault.Kind) error {
	if r.DryRun || a.host.outTerminal && !a.global.quiet && len(r.Weeks) > 0 {
		if err := a.archiveTable(r); err != nil {
			return err
		}
	}
	if len(r.Weeks) == 0 && !r.DryRun && a.loud() {
		fmt.Fprintln(a.host.err, "Nothing is left to archive: every daily of the weeks that are over is in an archive")
	}
	if len(kinds) > 0 || a.loud() || r.DryRun {
		for _, w := range r.Weeks {
			printWeek(a.host.err, w)
		}
	}
	a.printWarnings(r.Warnings)
	if r.CatalogErr != nil {
		a.explain("every archive is safe in the bucket, but the catalogue was not written", r.CatalogErr)
	}
	return nil
}

func (a *app) archiveTable(r engine.ArchiveResult) error {
	t := newTable("week", "result", "dailies", "size", "stored", "gaps", "took", "archive")
	for _, w := range r.Weeks {
		row := []string{w.Week.String(), string(w.Outcome), strconv.Itoa(len(w.Dailies)), size(w.PlainBytes()), "", strconv.Itoa(len(w.Gaps)), "", ""}
		if w.Manifest != nil {
			row[4], row[7] = size(w.Manifest.Object.Stored.Bytes), w.Manifest.Object.Key
		}
		if w.Outcome == engine.OutcomeDone {
			row[6] = duration(w.Took)
		}
		t.add(row...)
	}
	if err := t.render(a.host.out); err != nil || !r.DryRun {
		return err
	}
	_, err := fmt.Fprintf(a.host.out, "%d weeks would be archived; nothing was changed\n", len(r.Weeks))
	return err
}

// gapLines bounds how many gaps of one week are printed. All are in the
// archive's manifest, and in -o json.
const gapLines = 12

// printWeek names what went wrong, and what is missing.
func printWeek(w io.Writer, r engine.WeekResult) {
	switch {
	case r.Err != nil:
		fmt.Fprintf(w, "%s is not archived: %s\n", r.Week, oneLine(r.Err))
		for _, hint := range fault.Hints(r.Err) {
			fmt.Fprintln(w, "patina: hint:", hint)
		}
	case r.Manifest != nil:
		fmt.Fprintf(w, "%s: %d backups are in %s\n", r.Week, len(r.Manifest.Members), r.Manifest.Object.Key)
	case r.Outcome == engine.OutcomeElsewhere:
		fmt.Fprintf(w, "%s is in the hands of another run\n", r.Week)
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(w, "- %s is damaged: %s\n", d.Key, d.Why)
	}
	for i, gap := range r.Gaps {
		if i == gapLines {
			fmt.Fprintf(w, "- and %d more days without a backup\n", len(r.Gaps)-i)
			break
		}
		fmt.Fprintf(w, "- no backup of %s on %s: %s\n", gap.Database, gap.Day, gap.Why)
	}
}

type archiveJSON struct {
	StartedAt time.Time  `json:"startedAt"`
	EndedAt   time.Time  `json:"endedAt"`
	Duration  string     `json:"duration"`
	DryRun    bool       `json:"dryRun"`
	Weeks     []weekJSON `json:"weeks"`
	Warnings  []string   `json:"warnings"`
	Catalog   string     `json:"catalogError,omitempty"`
	// Prune is what was pruned afterwards; missing where nothing was to be.
	Prune      *pruneJSON   `json:"prune,omitempty"`
	PruneError string       `json:"pruneError,omitempty"`
	Faults     []fault.Kind `json:"faults"`
	ExitStatus int          `json:"exitStatus"`
}

type weekJSON struct {
	Week        backup.Week    `json:"week"`
	JobID       string         `json:"jobId"`
	RunID       backup.RunID   `json:"runId"`
	Result      engine.Outcome `json:"result"`
	Error       string         `json:"error,omitempty"`
	Part        int            `json:"part,omitempty"`
	Manifest    string         `json:"manifest,omitempty"`
	Object      string         `json:"object,omitempty"`
	StoredBytes int64          `json:"storedBytes,omitempty"`
	TotalSize   string         `json:"totalSize"`
	TotalBytes  int64          `json:"totalBytes"`
	// Dailies are the keys of the manifests of what was to be archived.
	Dailies  []string       `json:"dailies"`
	Damaged  []damageJSON   `json:"damaged"`
	Gaps     []manifest.Gap `json:"gaps"`
	Duration string         `json:"duration"`
}

func archiveDocument(r engine.ArchiveResult, kinds []fault.Kind) archiveJSON {
	doc := archiveJSON{
		StartedAt: r.StartedAt, EndedAt: r.EndedAt, Duration: duration(r.EndedAt.Sub(r.StartedAt)), DryRun: r.DryRun,
		Weeks: []weekJSON{}, Warnings: oneLines(r.Warnings), Faults: append([]fault.Kind{}, kinds...), ExitStatus: exitStatus(kinds),
	}
	for _, w := range r.Weeks {
		doc.Weeks = append(doc.Weeks, weekDocument(w))
	}
	if r.CatalogErr != nil {
		doc.Catalog = oneLine(r.CatalogErr)
	}
	return doc
}

func weekDocument(w engine.WeekResult) weekJSON {
	doc := weekJSON{
		Week: w.Week, JobID: w.Job.ID, RunID: w.Run.ID, Result: w.Outcome, Manifest: w.ManifestKey,
		TotalSize: size(w.PlainBytes()), TotalBytes: w.PlainBytes(),
		Dailies: []string{}, Damaged: []damageJSON{}, Gaps: append([]manifest.Gap{}, w.Gaps...), Duration: duration(w.Took),
	}
	if w.Err != nil {
		doc.Error = oneLine(w.Err)
	}
	if m := w.Manifest; m != nil {
		doc.Part, doc.Object, doc.StoredBytes = m.Part, m.Object.Key, m.Object.Stored.Bytes
	}
	for _, d := range w.Dailies {
		doc.Dailies = append(doc.Dailies, d.Key)
	}
	for _, d := range w.Damaged {
		doc.Damaged = append(doc.Damaged, damageJSON{d.Key, d.Why})
	}
	return doc
}
