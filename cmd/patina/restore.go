package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// restoreOptions are the flags of "patina restore".
type restoreOptions struct {
	to       string
	jobID    string
	identity string
	yes      bool
	// guide asks for the steps, and for nothing to be done.
	guide bool
	// tables are those that alone are brought back; empty for all.
	tables []string
	// request is what is asked of D1; Replace and DryRun are of use for files
	// too.
	request engine.RestoreRequest
}

func newRestoreCmd(a *app) *cobra.Command {
	var opts restoreOptions
	cmd := &cobra.Command{
		Use:   "restore DATE DB --to TARGET | --guide",
		Short: "Bring a database back",
		Long: `Bring the backup of a database back. DATE is 2024-12-08 (the newest good backup
of that day), 2024-12-08T10:15 (the newest of that day up to that minute, UTC) or
latest. The backup is fetched and held against its manifest to the last byte
before anything is touched.

TARGET is one of

  d1:NAME      a D1 database, which is created in the jurisdiction of the original
               unless it is there and empty; with --replace one that is not empty
  sqlite:FILE  a new SQLite database, which gets its name once it is found whole, its
               foreign keys point at rows, and its rows are those of the backup
  sql:FILE     SQL that wrangler d1 execute --file and sqlite3 load, in an order
               that loads, with rows that are too long for D1 taken apart; - is
               stdout

With --replace a backup of what is there is taken first, the Time Travel bookmark
is put on record, what will be lost is shown, and the name of the database must be
typed, or --yes given. A restore that fails takes the database back to what it
was. "patina undo" takes one back that succeeded. A backup that takes more than one
import (200 MB or 50,000 statements) is restored into a new database beside it, with
status 6, unless --allow-partial says that it may hold a part meanwhile.

After a restore tables, rows and objects are held against the backup. What does
not come back exactly as the dump has it is told.` + tablesHelp + `

With --guide nothing is done: the steps are printed by which a person brings this
very backup back, with Patina, with wrangler or by Time Travel, verifies it and
undoes it; with -o markdown as a document for a runbook.`,
		Example: `  patina restore latest groveauth --to d1:groveauth-restored
  patina restore 2024-12-08 groveauth --to d1:groveauth --replace
  patina restore latest groveauth --table users,sessions --to d1:groveauth --replace
  patina restore latest groveauth --to sqlite:groveauth.db
  patina restore latest groveauth --to sql:groveauth.sql
  patina restore 2024-12-08 groveauth --to sql:- | sqlite3 groveauth.db
  patina restore latest groveauth --guide -o markdown > runbook.md`,
		GroupID:           groupDaily,
		Args:              exactly("DATE", "DB"),
		ValidArgsFunction: a.completeDateThenDatabase,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.guide {
				return runGuide(cmd.Context(), a, opts, args[0], args[1])
			}
			return runRestore(cmd.Context(), a, opts, args[0], args[1])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.to, "to", "", "where to: `TARGET` as above")
	flags.StringVar(&opts.identity, "identity", "", "open an encrypted dump with the private key in `FILE` (age or SSH)")
	flags.StringVar(&opts.jobID, "job", "", "the backup of this job `ID`, good or not")
	req := &opts.request
	flags.BoolVar(&req.Replace, "replace", false, "replace what is there")
	flags.BoolVar(&req.Create, "create", false, "refuse a D1 database that exists")
	flags.StringVar(&req.Location, "location", "", "where a new D1 database should be: `PLACE` wnam, enam, weur, eeur, apac or oc (default: that of the original)")
	flags.BoolVar(&opts.yes, "yes", false, "do not ask before replacing")
	flags.BoolVar(&req.NoSafetyBackup, "no-safety-backup", false, "replace without a backup of what is there, with the bookmark alone")
	flags.BoolVar(&req.AllowPartial, "allow-partial", false, "replace in several imports, between which the database holds a part")
	flags.StringVar(&req.Reason, "reason", "", "`TEXT` that it is remembered with")
	flags.BoolVarP(&req.DryRun, "dry-run", "n", false, "fetch and check the backup, say what would be done, and do nothing")
	flags.BoolVar(&opts.guide, "guide", false, "print the steps to bring it back, to verify it and to undo it, and do nothing")
	opts.bindTables(a, cmd)
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]string{
		"d1:\ta D1 database, new or empty, or with --replace",
		"sqlite:\ta SQLite database file",
		"sql:\tSQL that wrangler and sqlite3 load",
	}, cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp))
	fixed(cmd, "location", "wnam", "enam", "weur", "eeur", "apac", "oc")
	return cmd
}

// restoreTarget is where a backup is brought back to.
type restoreTarget struct {
	kind, name string
}

// The kinds of targets.
const (
	targetD1     = "d1"
	targetSQLite = "sqlite"
	targetSQL    = "sql"
)

func (t restoreTarget) String() string { return t.kind + ":" + t.name }

func parseTarget(text string) (restoreTarget, error) {
	if text == "" {
		return restoreTarget{}, fault.New(fault.Usage, "patina restore --help", "want --to d1:NAME, --to sqlite:FILE or --to sql:FILE")
	}
	kind, name, found := strings.Cut(text, ":")
	if !found || name == "" || !slices.Contains([]string{targetD1, targetSQLite, targetSQL}, kind) {
		return restoreTarget{}, fault.New(fault.Usage, "patina restore --help", "--to %q: want d1:NAME, sqlite:FILE or sql:FILE", text)
	}
	return restoreTarget{kind, name}, nil
}

// folder is where temporary files lie that are as large as the target.
func (t restoreTarget) folder() string {
	if t.kind == targetD1 || t.stdout() {
		return ""
	}
	return filepath.Dir(t.name)
}

func runRestore(ctx context.Context, a *app, opts restoreOptions, dateText, database string) error {
	date, err := engine.ParseDate(dateText)
	if err != nil {
		return err
	}
	target, err := parseTarget(opts.to)
	if err != nil {
		return err
	}
	if err := target.free(opts.request.Replace); err != nil {
		return err
	}
	progress := a.newProgress()
	toD1 := target.kind == targetD1
	eng, closeEngine, err := a.engine(ctx, needs{store: true, d1: toD1, catalog: toD1, identity: opts.identity, observer: progress})
	if err != nil {
		return err
	}
	result, err := a.restore(ctx, eng, opts, target, progress, func() (engine.Choice, error) {
		return eng.Choose(ctx, date, database, opts.jobID)
	})
	progress.stop()
	if closeErr := closeEngine(); closeErr != nil {
		result.d1.Warnings = append(result.d1.Warnings, closeErr)
	}
	kinds := result.kinds()
	if err != nil {
		kinds = kindsOf(ctx, err)
	}
	if printErr := a.printRestore(result, err, kinds); printErr != nil {
		return errors.Join(err, printErr)
	}
	if err != nil {
		return err
	}
	return endWith(kinds)
}

// kinds are the faults of a restore that went well.
func (r restored) kinds() []fault.Kind {
	var kinds []fault.Kind
	if r.d1.Aside.ID != "" {
		kinds = append(kinds, fault.Refused)
	}
	if r.d1.CatalogErr != nil && !r.dryRun {
		kinds = append(kinds, fault.Uncatalogued)
	}
	return kinds
}

// free refuses a file that is there and is not to be replaced, before anything
// is fetched.
func (t restoreTarget) free(replace bool) error {
	if t.kind == targetD1 || t.stdout() {
		return nil
	}
	if err := freeFile(t.name, replace, "--replace"); err != nil || t.kind == targetSQL {
		return err
	}
	return freeOfJournals(t.name)
}

// stdout says whether it is stdout.
func (t restoreTarget) stdout() bool { return t.kind == targetSQL && t.name == "-" }

// restored is what was brought back.
type restored struct {
	target  restoreTarget
	choice  engine.Choice
	changes []plan.Change
	dryRun  bool
	// tables are those that were chosen; none for all.
	tables       []string
	dependencies []plan.Dependency
	sql          engine.SQLResult
	sqlite       engine.LoadResult
	d1           engine.RestoreResult
}

func (a *app) restore(ctx context.Context, eng *engine.Engine, opts restoreOptions, target restoreTarget, p *progress, choose func() (engine.Choice, error)) (result restored, err error) {
	result = restored{target: target, dryRun: opts.request.DryRun}
	if result.choice, err = choose(); err != nil {
		return result, err
	}
	if result.choice.Entry, err = eng.Open(ctx, result.choice.Entry); err != nil {
		return result, err
	}
	source, err := eng.Prepare(ctx, result.choice.Entry, target.folder())
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if err := result.chooseTables(source, opts.tables); err != nil {
		return result, err
	}
	switch target.kind {
	case targetD1:
		result.d1, err = a.restoreD1(ctx, eng, opts, target, p, source)
	case targetSQLite:
		result.sqlite, err = restoreSQLite(ctx, eng, opts, target, source)
	default:
		result.sql, err = a.restoreSQL(ctx, eng, opts, target, source)
	}
	result.changes = source.Plan.Changes()
	return result, err
}

func (a *app) restoreD1(ctx context.Context, eng *engine.Engine, opts restoreOptions, target restoreTarget, p *progress, source *engine.Source) (engine.RestoreResult, error) {
	req := opts.request
	req.Source, req.Target = source, target.name
	ask := a.confirmation(opts.yes, p.pause)
	req.Confirm = func(r engine.Replacement) error {
		what := fmt.Sprintf("its %s rows are replaced by the %s of %s", humanize.Comma(r.Rows()), rows(source.Entry.Manifest()), source.Entry.ID())
		return ask(r, what, outlookText(r.Outlook))
	}
	return eng.Restore(ctx, req)
}

func (a *app) restoreSQL(ctx context.Context, eng *engine.Engine, opts restoreOptions, target restoreTarget, source *engine.Source) (result engine.SQLResult, err error) {
	write := func(w io.Writer) (err error) {
		result, err = eng.WriteSQL(ctx, source, w)
		return err
	}
	switch {
	case opts.request.DryRun:
		err = write(io.Discard)
	case target.stdout():
		err = write(a.host.out)
	default:
		err = writeFile(target.name, opts.request.Replace, write)
	}
	return result, err
}
