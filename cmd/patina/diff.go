package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/diff"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// diffOptions are the flags of "patina diff".
type diffOptions struct {
	identity string
	tables   []string
	examples int
}

func newDiffCmd(a *app) *cobra.Command {
	var opts diffOptions
	cmd := &cobra.Command{
		Use:   "diff OLD NEW DB",
		Short: "Compare two backups of a database, or a backup with what is live",
		Long: `Tell how a database differs between OLD and NEW: what was added to its schema,
removed from it or changed in it, and which rows of its tables, by their keys.

A side is a DATE as for download (2024-12-08, 2024-12-08T10:15 in UTC, or latest),
live, or sqlite:FILE, a SQLite database, which is only read. Live is an export of
the database, which answers nobody while it is made; nothing of it is published.

Values are compared exactly, their types too. The rows of a table without a primary
key are told apart by their rowids, which D1's export does not keep: there, many
rows may seem to differ. Virtual tables are compared by their schema only.

Values are shown as SQL has them, long ones shortened.`,
		Example: `  patina diff 2024-12-07 2024-12-08 groveauth
  patina diff latest live groveauth --table users --examples 10
  patina diff latest sqlite:groveauth.db groveauth -o json`,
		GroupID:           groupDaily,
		Args:              exactly("OLD", "NEW", "DB"),
		ValidArgsFunction: a.completeSides,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDiff(cmd.Context(), a, opts, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.identity, "identity", "", "open encrypted dumps with the private key in `FILE` (age or SSH)")
	flags.StringArrayVarP(&opts.tables, "table", "t", nil, "compare this `TABLE` only; may be given several times")
	flags.IntVar(&opts.examples, "examples", 3, "show up to `N` rows of each kind of difference for a table")
	return cmd
}

// completeSides offers what a side may be, and then databases.
func (a *app) completeSides(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(args) < 2 && strings.HasPrefix(typed, "sqlite:"):
		return nil, cobra.ShellCompDirectiveDefault
	case len(args) < 2:
		directive := cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		if strings.HasPrefix("sqlite:", typed) {
			directive |= cobra.ShellCompDirectiveNoSpace // the file comes next
		}
		return append(a.dates(cmd), "live", "sqlite:"), directive
	case len(args) == 2:
		return a.completeDatabases(cmd, nil, typed)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func runDiff(ctx context.Context, a *app, opts diffOptions, args []string) error {
	req := engine.DiffRequest{Database: args[2], Tables: opts.tables, Examples: opts.examples}
	var err error
	if req.Old, err = engine.ParseSide(args[0]); err != nil {
		return err
	}
	if req.New, err = engine.ParseSide(args[1]); err != nil {
		return err
	}
	if opts.examples < 0 {
		return fault.New(fault.Usage, "patina diff --help", "--examples %d: want a number from 0", opts.examples)
	}
	live := req.Old.Live || req.New.Live
	result, err := withEngine(ctx, a, needs{store: true, d1: live, catalog: live, identity: opts.identity}, func(eng *engine.Engine) (engine.DiffResult, error) {
		return eng.Diff(ctx, req)
	})
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.host.out, diffDocument(req, result))
	}
	return printDiff(a.host.out, req, result)
}

// signs are what lines of differences begin with.
func sign(kind diff.Kind) string {
	switch kind {
	case diff.Added:
		return "+"
	case diff.Removed:
		return "-"
	}
	return "~"
}

func printDiff(w io.Writer, req engine.DiffRequest, r engine.DiffResult) error {
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", sideText(req.Old, r.Old), sideText(req.New, r.New))
	for _, o := range r.Schema {
		fmt.Fprintf(&b, "%s %s %s\n", sign(o.Kind), o.Type, visible(o.Name))
		if o.Kind == diff.Changed {
			fmt.Fprintf(&b, "    - %s\n    + %s\n", visible(o.Old), visible(o.New))
		}
	}
	var matched int64
	for _, t := range r.Tables {
		matched += t.Matched
		printTable(&b, t)
	}
	if r.Same() {
		fmt.Fprintf(&b, "no difference in %s with %s\n", counted(len(r.Tables), "table"), counted(matched, "row"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printTable(b *strings.Builder, t diff.Table) {
	if !t.Same() {
		fmt.Fprintf(b, "table %s: %s added, %s removed, %s changed%s\n", visible(t.Name),
			humanize.Comma(t.Added), humanize.Comma(t.Removed), humanize.Comma(t.Changed), byText(t.By))
	}
	if len(t.OldOnly)+len(t.NewOnly) > 0 {
		fmt.Fprintf(b, "table %s: not compared, for one side lacks them: %s\n", visible(t.Name), visible(strings.Join(append(t.OldOnly, t.NewOnly...), ", ")))
	}
	for _, row := range t.Examples {
		fmt.Fprintf(b, "  %s %s", sign(row.Kind), cellsText(row.Key))
		for i, c := range row.Changes {
			old, new := literals(c.Old, c.New)
			fmt.Fprintf(b, "%s %s %s -> %s", map[bool]string{true: ":", false: ","}[i == 0], visible(c.Column), old, new)
		}
		b.WriteString("\n")
	}
}

// byText says what told the rows apart, where that matters.
func byText(by diff.By) string {
	switch by {
	case diff.ByRowID:
		return " (by rowid, which D1's export does not keep)"
	case diff.ByContent:
		return " (by content, for no key is on both sides)"
	}
	return ""
}

func cellsText(cells []diff.Cell) string {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = visible(c.Column) + "=" + literal(c.Value, 0)
	}
	return strings.Join(texts, " ")
}

func sideText(side engine.Side, entry *engine.Entry) string {
	if entry == nil {
		return side.String()
	}
	m := entry.Manifest()
	return fmt.Sprintf("%s of %s (job %s)", m.Database.Name, moment(m.StartedAt), m.JobID)
}
