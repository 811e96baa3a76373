package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
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
	replace  bool
	dryRun   bool
}

func newRestoreCmd(a *app) *cobra.Command {
	var opts restoreOptions
	cmd := &cobra.Command{
		Use:   "restore DATE DB --to TARGET",
		Short: "Bring a database back",
		Long: `Bring the backup of a database back. DATE is 2024-12-08 (the newest good backup
of that day), 2024-12-08T10:15 (the newest of that day up to that minute, UTC) or
latest. The backup is fetched and held against its manifest to the last byte
before anything is touched.

TARGET is one of

  sql:FILE     SQL that wrangler d1 execute --file and sqlite3 load, in an order
               that loads, with rows that are too long for D1 taken apart; - is
               stdout

What does not come back exactly as the dump has it is told.`,
		Example: `  patina restore latest groveauth --to sql:groveauth.sql
  patina restore 2024-12-08 groveauth --to sql:- | sqlite3 groveauth.db`,
		GroupID:           groupDaily,
		Args:              exactly("DATE", "DB"),
		ValidArgsFunction: a.completeDateThenDatabase,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRestore(cmd.Context(), a, opts, args[0], args[1])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.to, "to", "", "where to: `TARGET` as above")
	flags.StringVar(&opts.identity, "identity", "", "open an encrypted dump with the private key in `FILE` (age or SSH)")
	flags.StringVar(&opts.jobID, "job", "", "the backup of this job `ID`, good or not")
	flags.BoolVar(&opts.replace, "replace", false, "replace what is there")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "fetch and check the backup, say what would be done, and do nothing")
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions(
		[]string{"sql:\tSQL that wrangler and sqlite3 load"}, cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// restoreTarget is where a backup is brought back to.
type restoreTarget struct {
	kind, name string
}

// The kinds of targets.
const targetSQL = "sql"

func (t restoreTarget) String() string { return t.kind + ":" + t.name }

func parseTarget(text string) (restoreTarget, error) {
	kind, name, found := strings.Cut(text, ":")
	if !found || name == "" || kind != targetSQL {
		return restoreTarget{}, fault.New(fault.Usage, "patina restore --help", "--to %q: want sql:FILE", text)
	}
	return restoreTarget{kind, name}, nil
}

// folder is where temporary files lie that are as large as the target.
func (t restoreTarget) folder() string {
	if t.name == "-" {
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
	if err := target.free(opts.replace); err != nil {
		return err
	}
	result, err := withEngine(ctx, a, needs{store: true, identity: opts.identity}, func(eng *engine.Engine) (restored, error) {
		return a.restore(ctx, eng, opts, target, func() (engine.Choice, error) {
			return eng.Choose(ctx, date, database, opts.jobID)
		})
	})
	if err != nil {
		return err
	}
	return a.printRestore(result)
}

// free refuses a file that is there and is not to be replaced, before anything
// is fetched.
func (t restoreTarget) free(replace bool) error {
	if t.name == "-" {
		return nil
	}
	return freeFile(t.name, replace, "--replace")
}

// restored is what was brought back.
type restored struct {
	target  restoreTarget
	choice  engine.Choice
	changes []plan.Change
	dryRun  bool
	sql     engine.SQLResult
}

func (a *app) restore(ctx context.Context, eng *engine.Engine, opts restoreOptions, target restoreTarget, choose func() (engine.Choice, error)) (result restored, err error) {
	result = restored{target: target, dryRun: opts.dryRun}
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
	write := func(w io.Writer) (err error) {
		result.sql, err = eng.WriteSQL(ctx, source, w)
		return err
	}
	switch {
	case opts.dryRun:
		err = write(io.Discard)
	case target.name == "-":
		err = write(a.host.out)
	default:
		err = writeFile(target.name, opts.replace, write)
	}
	result.changes = source.Plan.Changes()
	return result, err
}

// printRestore says what was brought back, and what is not as the dump has it.
func (a *app) printRestore(r restored) error {
	if a.json() && r.target.name != "-" {
		return writeJSON(a.host.out, restoreDocument(r))
	}
	m := r.choice.Manifest
	a.say(fmt.Sprintf("%s of %s (job %s): %s, %s rows, SHA-256 verified",
		m.Database.Name, moment(m.StartedAt), m.JobID, size(m.Plain.Bytes), rows(m)))
	for _, c := range r.changes {
		a.say("not as in the dump: " + changeText(c))
	}
	verb := "written to"
	if r.dryRun {
		verb = "would be written to"
	}
	a.say(fmt.Sprintf("%s in %d statements %s %s", size(r.sql.Bytes), r.sql.Statements, verb, r.target.name))
	for _, other := range r.choice.Others {
		a.say(otherOfDay(other))
	}
	return nil
}

// changeText says in words what does not come back as the dump has it.
func changeText(c plan.Change) string {
	of := rowsOf(c.Count, c.Name)
	switch c.Code {
	case plan.ChangeInternal:
		return of + ": left out, for D1 or SQLite makes it itself"
	case plan.ChangePragma:
		return "PRAGMA " + c.Name + ": left out, for it is not content"
	case plan.ChangeSequence:
		return of + ": left out, for no table has AUTOINCREMENT"
	case plan.ChangeVirtual:
		return c.Name + ": a virtual table, made and filled anew"
	case plan.ChangeErrorWord:
		return of + ": the word ERROR, by which D1 wrote a value that is lost, becomes NULL"
	case plan.ChangeRewritten:
		return of + ": written in another way, with the same content"
	case plan.ChangeStaged:
		return of + ": too long for one statement of D1, put together out of pieces"
	}
	return of + ": " + c.Code
}

// rowsOf is a number of rows of a table.
func rowsOf(n int64, table string) string {
	if n == 1 {
		return "1 row of " + table
	}
	return fmt.Sprintf("%s rows of %s", humanize.Comma(n), table)
}

type restoreJSON struct {
	Target     string       `json:"target"`
	DryRun     bool         `json:"dryRun"`
	Backup     entryJSON    `json:"backup"`
	Others     []entryJSON  `json:"others"`
	Changes    []changeJSON `json:"changes"`
	Bytes      int64        `json:"bytes"`
	Statements int          `json:"statements"`
}

// changeJSON is something that does not come back as the dump has it.
type changeJSON struct {
	Code  string `json:"code"`
	Name  string `json:"name"`
	Count int64  `json:"count"`
	Text  string `json:"text"`
}

func restoreDocument(r restored) restoreJSON {
	doc := restoreJSON{
		Target: r.target.String(), DryRun: r.dryRun,
		Backup: entryDocument(r.choice.Entry), Others: entryDocuments(r.choice.Others),
		Changes: []changeJSON{}, Bytes: r.sql.Bytes, Statements: r.sql.Statements,
	}
	for _, c := range r.changes {
		doc.Changes = append(doc.Changes, changeJSON{c.Code, c.Name, c.Count, changeText(c)})
	}
	return doc
}
