package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/fault"
)

func newCompletionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the completion script of a shell",
		Long: `Print the script that makes TAB complete commands, flags, database names and
dates in bash, zsh, fish or PowerShell.`,
		Example: `  patina completion bash > /etc/bash_completion.d/patina
  patina completion zsh > "${fpath[1]}/_patina"
  patina completion fish > ~/.config/fish/completions/patina.fish`,
		GroupID:   groupSetup,
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      exactly("SHELL"),
		RunE:      func(cmd *cobra.Command, args []string) error { return runCompletion(a, cmd.Root(), args[0]) },
	}
}

func runCompletion(a *app, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(a.host.out, true)
	case "zsh":
		return root.GenZshCompletion(a.host.out)
	case "fish":
		return root.GenFishCompletion(a.host.out, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(a.host.out)
	}
	return fault.New(fault.Usage, "patina completion --help", "unknown shell %q: want bash, zsh, fish or powershell", shell)
}

// completionTime bounds what TAB may wait for.
const completionTime = 250 * time.Millisecond

// completeDatabases offers the names of databases. It reads what is at hand
// quickly, and offers nothing where that fails: TAB must never print an error.
func (a *app) completeDatabases(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	return a.knownDatabases(ctx), cobra.ShellCompDirectiveNoFileComp
}

// completeDateThenDatabase offers what a date may be for the first argument, and
// databases for the second.
func (a *app) completeDateThenDatabase(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return a.dates(cmd), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	case 1:
		return a.completeDatabases(cmd, nil, typed)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// maxDates is how many days are offered at most, the newest.
const maxDates = 60

// dates are what a date may be.
func (a *app) dates(cmd *cobra.Command) []string {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	dates := []string{"latest"}
	eng, done, err := a.engine(ctx, needs{store: true})
	if err != nil {
		return dates
	}
	defer func() { _ = done() }() // nothing was written through it
	days := eng.Days(ctx)
	for _, day := range days[:min(len(days), maxDates)] {
		dates = append(dates, day.Format(time.DateOnly))
	}
	return dates
}
