package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// pinOptions are the flags of "patina pin" and "patina unpin".
type pinOptions struct {
	until  string
	reason string
	dryRun bool
}

func newPinCmd(a *app) *cobra.Command {
	var opts pinOptions
	cmd := &cobra.Command{
		Use:   "pin DATE [DB]",
		Short: "Keep backups from being pruned",
		Long: `Keep backups from being removed by "patina prune", whether they lie in a daily or
in an archive. DATE is 2024-12-08 (all backups of that day), 2024-12-08T10:15 (the
newest good one of each database of that day up to that minute, UTC) or latest.
Without DB it is about all databases.

A pin holds until "patina unpin", or until --until. An archive stays whole while
any backup in it is pinned.`,
		Example: `  patina pin 2024-12-08 groveauth --reason 'before the migration'
  patina pin latest --until 2025-06-30`,
		GroupID:           groupDaily,
		Args:              dateThenDatabase,
		ValidArgsFunction: a.completeDateThenDatabase,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPin(cmd.Context(), a, opts, args, (*engine.Engine).Pin, "pinned")
		},
	}
	cmd.Flags().StringVar(&opts.until, "until", "", "end by itself at this `DATE`, such as 2025-06-30 or 2025-06-30T12:00 (UTC)")
	opts.addFlags(cmd)
	return cmd
}

func newUnpinCmd(a *app) *cobra.Command {
	var opts pinOptions
	cmd := &cobra.Command{
		Use:   "unpin DATE [DB]",
		Short: "Let pinned backups go when retention does",
		Long: `End the pins of backups. DATE and DB are as in "patina pin". What was pinned is
removed by the next "patina prune" if retention lets it go.`,
		Example:           "  patina unpin 2024-12-08 groveauth",
		GroupID:           groupDaily,
		Args:              dateThenDatabase,
		ValidArgsFunction: a.completeDateThenDatabase,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPin(cmd.Context(), a, opts, args, (*engine.Engine).Unpin, "unpinned")
		},
	}
	opts.addFlags(cmd)
	return cmd
}

func (o *pinOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.reason, "reason", "", "`TEXT` that it is remembered with")
	cmd.Flags().BoolVarP(&o.dryRun, "dry-run", "n", false, "say what would be done, and stop")
}

func (o *pinOptions) request(args []string) (engine.PinRequest, error) {
	date, err := engine.ParseDate(args[0])
	if err != nil {
		return engine.PinRequest{}, err
	}
	req := engine.PinRequest{Date: date, Reason: o.reason, DryRun: o.dryRun}
	if len(args) > 1 {
		req.Database = args[1]
	}
	if o.until == "" {
		return req, nil
	}
	until, err := engine.ParseDate(o.until)
	if err != nil || until.Latest {
		return req, fault.New(fault.Usage, "patina pin --help", "--until %q: want a date such as 2025-06-30 or 2025-06-30T12:00 (UTC)", o.until)
	}
	req.Until = until.Start()
	return req, nil
}

func runPin(
	ctx context.Context, a *app, opts pinOptions, args []string,
	change func(*engine.Engine, context.Context, engine.PinRequest) (engine.PinResult, error), done string,
) error {
	req, err := opts.request(args)
	if err != nil {
		return err
	}
	result, err := withEngine(ctx, a, needs{store: true}, func(e *engine.Engine) (engine.PinResult, error) { return change(e, ctx, req) })
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.host.out, pinDocument{
			DryRun: result.DryRun, Changed: entryDocuments(result.Changed), Unchanged: entryDocuments(result.Unchanged),
		})
	}
	would := ""
	if result.DryRun {
		would = "would be "
	}
	for _, entry := range result.Changed {
		a.say(fmt.Sprintf("%s %s%s%s", entry.ID(), would, done, pinWords(entry.Pin)))
	}
	for _, entry := range result.Unchanged {
		a.say(fmt.Sprintf("%s was %s before", entry.ID(), done))
	}
	return nil
}

type pinDocument struct {
	DryRun    bool        `json:"dryRun"`
	Changed   []entryJSON `json:"changed"`
	Unchanged []entryJSON `json:"unchanged"`
}

// pinWords tells until when a pin holds, and why.
func pinWords(pin *manifest.Pin) string {
	if pin == nil {
		return ""
	}
	var words []string
	if !pin.Until.IsZero() {
		words = append(words, " until "+moment(pin.Until))
	}
	if pin.Reason != "" {
		words = append(words, ": "+pin.Reason)
	}
	return strings.Join(words, "")
}

type pinJSON struct {
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason,omitempty"`
	Host   string    `json:"host"`
}

func pinDocumentOf(pin *manifest.Pin) *pinJSON {
	if pin == nil {
		return nil
	}
	return &pinJSON{At: pin.At, Until: pin.Until, Reason: pin.Reason, Host: pin.Host}
}

// anyPinned says whether a listing has something to tell of pins.
func anyPinned(entries []engine.Entry) bool {
	return slices.ContainsFunc(entries, func(e engine.Entry) bool { return e.Pin != nil })
}

// pinCell is a pin in a table.
func pinCell(e engine.Entry) string {
	switch {
	case e.Pin == nil:
		return ""
	case e.Pin.Until.IsZero():
		return "pinned"
	}
	return "until " + e.Pin.Until.UTC().Format(time.DateOnly)
}
