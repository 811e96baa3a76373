package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/AutumnsGrove/patina/pkg/fault"
)

// globalOptions are the flags of every command.
type globalOptions struct {
	config    string
	output    string
	quiet     bool
	verbose   bool
	logFormat string
	noColor   bool
	noInput   bool
}

// run is the whole program: it returns the exit status.
func run(ctx context.Context, args []string, h host) int {
	a := &app{host: h}
	// cobra keeps what completes flags, and what that refers to, for as long as
	// the process lives: of a process that runs many commands, all of their output.
	defer func() { *a = app{} }()
	root := newRootCmd(a) //nolint:contextcheck // each command gets ctx from ExecuteContext
	root.SetArgs(args)
	root.SetIn(h.in)
	root.SetOut(h.out)
	root.SetErr(h.err)
	err := withSignal(ctx, root.ExecuteContext(ctx))
	kinds := kindsOf(ctx, err)
	a.printError(err, kinds)
	return exitStatus(kinds)
}

func newRootCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "patina",
		Short: "Back up Cloudflare D1 databases, and bring them back",
		Long: `Patina pulls a dump of every Cloudflare D1 database each night, checks it on the
way, and publishes it to R2, any S3 store, or a folder.

Try it on this machine, without an account:  patina demo`,
		SuggestionsMinimumDistance: 2,
		SilenceErrors:              true,
		SilenceUsage:               true,
		Args:                       knownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	bindGlobals(cmd.PersistentFlags(), &a.global)
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.checkGlobals(cmd) }
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fault.Wrap(fault.Usage, c.CommandPath()+" --help", err)
	})
	cmd.AddGroup(
		&cobra.Group{ID: groupDaily, Title: "Every day:"},
		&cobra.Group{ID: groupSetup, Title: "Set-up:"},
		&cobra.Group{ID: groupTry, Title: "To try things:"},
	)
	cmd.SetHelpCommandGroupID(groupSetup)
	cmd.CompletionOptions.DisableDefaultCmd = true
	for _, sub := range []*cobra.Command{
		newBackupCmd(a), newArchiveCmd(a), newPruneCmd(a), newListCmd(a), newDiffCmd(a), newDownloadCmd(a), newRestoreCmd(a), newRewindCmd(a), newUndoCmd(a), newVerifyCmd(a), newPinCmd(a), newUnpinCmd(a), newAcceptCmd(a), newForgetCmd(a), newStatusCmd(a), newInfoCmd(a),
		newConfigCmd(a), newCatalogCmd(a), newCompletionCmd(a), newVersionCmd(a),
		newDemoCmd(a), newSandboxCmd(a),
	} {
		cmd.AddCommand(sub)
	}
	usageErrors(cmd)
	cmd.SetHelpTemplate(cmd.HelpTemplate() + "\n" + exitHelp())
	return cmd
}

// knownCommand refuses a first word that is no command, and offers the one that
// may have been meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fault.Wrap(fault.Usage, cmd.CommandPath()+" "+near[0], err)
	}
	return err
}

// exactly wants one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return fmt.Errorf("want %s, got %s", listed(names), counted(len(args), "argument"))
	}
}

// dateThenDatabase wants a date, and perhaps a database.
func dateThenDatabase(_ *cobra.Command, args []string) error {
	if len(args) == 1 || len(args) == 2 {
		return nil
	}
	return fmt.Errorf("want DATE, and DB for one database only, got %s", counted(len(args), "argument"))
}

// atMost wants no more arguments than it names.
func atMost(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) <= len(names) {
			return nil
		}
		return fmt.Errorf("want at most %s, got %s", listed(names), counted(len(args), "argument"))
	}
}

// listed are names as a sentence has them.
func listed(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// The groups of the help text.
const (
	groupDaily = "daily"
	groupSetup = "setup"
	groupTry   = "try"
)

func bindGlobals(flags *pflag.FlagSet, g *globalOptions) {
	flags.StringVar(&g.config, "config", "", "configuration `FILE` (default: $PATINA_CONFIG, ./.patina.yaml, ~/.config/patina/patina.yaml, /etc/patina/patina.yaml)")
	flags.StringVarP(&g.output, "output", "o", "table", "what results look like: table or json (one document on stdout)")
	flags.BoolVarP(&g.quiet, "quiet", "q", false, "print errors only")
	flags.BoolVarP(&g.verbose, "verbose", "v", false, "log what is done, on stderr")
	flags.StringVar(&g.logFormat, "log-format", "text", "what logs look like: text or json")
	flags.BoolVar(&g.noInput, "no-input", false, "never ask: what needs a yes is refused without --yes")
	flags.BoolVar(&g.noColor, "no-color", false, "no colours (also: NO_COLOR)")
}

func (a *app) checkGlobals(cmd *cobra.Command) error {
	if err := a.checkOutput(cmd); err != nil {
		return err
	}
	if a.global.logFormat != "text" && a.global.logFormat != "json" {
		return fault.New(fault.Usage, "", "--log-format %q: want text or json", a.global.logFormat)
	}
	if a.global.quiet && a.global.verbose {
		return fault.New(fault.Usage, "", "--quiet and --verbose contradict each other")
	}
	return nil
}

// usageErrors makes wrong arguments of every command faults of usage, with
// the way to the command's help.
func usageErrors(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return fault.Wrap(fault.Usage, c.CommandPath()+" --help", err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageErrors(sub)
	}
}

// printError says on stderr what went wrong and what to do next.
func (a *app) printError(err error, kinds []fault.Kind) {
	var printed *kindsError
	if err == nil || errors.As(err, &printed) {
		return
	}
	if a.global.output == "json" {
		a.printErrorJSON(err, kinds)
		return
	}
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		fmt.Fprintln(a.host.err, "patina: error:", line)
	}
	for _, hint := range fault.Hints(err) {
		fmt.Fprintln(a.host.err, "patina: hint:", hint)
	}
}

func (a *app) printErrorJSON(err error, kinds []fault.Kind) {
	type document struct {
		Message    string       `json:"message"`
		Faults     []fault.Kind `json:"faults"`
		ExitStatus int          `json:"exitStatus"`
		Hints      []string     `json:"hints"`
	}
	hints := fault.Hints(err)
	if hints == nil {
		hints = []string{}
	}
	_ = writeJSON(a.host.err, map[string]document{"error": {
		Message: err.Error(), Faults: kinds, ExitStatus: exitStatus(kinds), Hints: hints,
	}})
}

// writeJSON writes one document.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
