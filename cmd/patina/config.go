package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/config"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

func newConfigCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check the configuration, or show it",
		Example: "  patina config check\n  patina config show",
		GroupID: groupSetup,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "check",
			Short: "Check the configuration: every key, every secret, every permission of a file",
			Long: `Check the configuration without touching the network: unknown keys, bad values,
secrets that cannot be read, and files that others may read. Warnings are told and
fail nothing: a single recipient of encrypted dumps, an identity on the host that
takes them.`,
			Example: "  patina config check\n  patina config check --config /etc/patina/patina.yaml -o json",
			Args:    cobra.NoArgs,
			RunE:    func(cmd *cobra.Command, _ []string) error { return runConfigCheck(cmd.Context(), a) },
		},
		&cobra.Command{
			Use:     "show",
			Short:   "Show every value and where it came from, secrets masked",
			Example: "  patina config show\n  patina config show -o json",
			Args:    cobra.NoArgs,
			RunE:    func(*cobra.Command, []string) error { return runConfigShow(a) },
		},
	)
	return cmd
}

func runConfigShow(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.host.out, map[string]any{"file": cfg.File, "settings": cfg.Effective()})
	}
	t := newTable("key", "value", "from")
	for _, s := range cfg.Effective() {
		t.add(s.Key, s.Value, s.Origin)
	}
	return t.render(a.host.out)
}

func runConfigCheck(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	if err := cfg.CheckComplete(ctx); err != nil {
		return err
	}
	problems := cfg.Check()
	doc := checkDocument(cfg, problems)
	if a.json() {
		if err := writeJSON(a.host.out, doc); err != nil {
			return err
		}
		if !doc.OK {
			return &kindsError{[]fault.Kind{fault.Usage}}
		}
		return nil
	}
	var errs []error
	for _, p := range problems {
		if p.Severity == config.SeverityWarning {
			a.say(fmt.Sprintf("patina: warning: %s: %s: %s", p.Origin, p.Key, p.Text))
			continue
		}
		errs = append(errs, fault.New(fault.Usage, p.Hint, "%s: %s: %s", p.Origin, p.Key, p.Text))
	}
	if len(errs) > 0 {
		return fault.Wrap(fault.Usage, "", errors.Join(errs...))
	}
	_, err = fmt.Fprintf(a.host.out, "%s is in order\n", cfg.File)
	return err
}

type checkJSON struct {
	File     string           `json:"file"`
	OK       bool             `json:"ok"`
	Problems []config.Problem `json:"problems"`
}

func checkDocument(cfg *config.Config, problems []config.Problem) checkJSON {
	failing := slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Severity == config.SeverityError })
	return checkJSON{File: cfg.File, OK: !failing, Problems: append([]config.Problem{}, problems...)}
}
