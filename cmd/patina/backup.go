package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// backupOptions are the flags of "patina backup".
type backupOptions struct {
	trigger  string
	reason   string
	ifDue    bool
	lockWait time.Duration
	dryRun   bool
}

func newBackupCmd(a *app) *cobra.Command {
	var opts backupOptions
	cmd := &cobra.Command{
		Use:   "backup [DB|GLOB...]",
		Short: "Pull dumps of all configured databases, or those named, and publish them",
		Long: `Pull a dump of every configured database, or of those named, check it on the
way, and publish it. A failing database never stops the others.

A scheduled run (--trigger schedule) belongs to its night: it takes what is
missing of that night's backups, and does nothing when none is. All other runs
take backups of their own.`,
		Example: `  patina backup                              every configured database, now
  patina backup groveauth 'tenant-*'         these only
  patina backup --trigger deploy --reason "release 42" groveauth
  patina backup --trigger schedule --if-due  what cron runs`,
		GroupID:           groupDaily,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeDatabases,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.ifDue && !cmd.Flags().Changed("trigger") {
				opts.trigger = string(backup.TriggerSchedule)
			}
			return runBackup(cmd.Context(), a, opts, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.trigger, "trigger", "manual", "who asks: manual, schedule or deploy")
	flags.StringVar(&opts.reason, "reason", "", "`TEXT` that the backup is remembered with")
	flags.BoolVar(&opts.ifDue, "if-due", false, "end at once when this night is done (implies --trigger schedule)")
	flags.DurationVar(&opts.lockWait, "lock-wait", 10*time.Minute, "how long to wait for a database that another run holds")
	flags.BoolVarP(&opts.dryRun, "dry-run", "n", false, "say what would be done, with sizes from D1, and stop")
	a.bindSetting(flags, "concurrency", "backup.concurrency", "how many databases at once")
	a.bindSetting(flags, "compression", "backup.compression", "none, gzip or zstd")
	fixed(cmd, "trigger", "manual", "schedule", "deploy")
	fixed(cmd, "compression", "none", "gzip", "zstd")
	return cmd
}

// fixed completes a flag with its possible values.
func fixed(cmd *cobra.Command, flag string, values ...string) {
	// It fails only for a flag that does not exist, which any test would find.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func runBackup(ctx context.Context, a *app, opts backupOptions, names []string) error {
	trigger, err := backup.ParseTrigger(opts.trigger)
	if err != nil {
		return fault.Wrap(fault.Usage, "patina backup --help", err)
	}
	if opts.ifDue && trigger != backup.TriggerSchedule {
		return fault.New(fault.Usage, "patina backup --help", "--if-due is about the night, and --trigger %s is not", trigger)
	}
	result, closeErr, err := useEngine(ctx, a, needs{store: true, d1: true, catalog: true}, func(eng *engine.Engine) (engine.BackupResult, error) {
		return eng.Backup(ctx, engine.BackupRequest{
			Names: names, Trigger: trigger, Reason: opts.reason,
			IfDue: opts.ifDue, LockWait: opts.lockWait, DryRun: opts.dryRun,
		})
	})
	if err != nil {
		return err
	}
	if closeErr != nil {
		result.Warnings = append(result.Warnings, closeErr)
	}
	return a.printBackup(ctx, result)
}
