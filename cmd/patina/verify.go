package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// verifyOptions are the flags of "patina verify".
type verifyOptions struct {
	level    string
	all      bool
	sample   string
	identity string
	drill    bool
	dryRun   bool
	// importable asks for what plain wrangler would make of the dumps.
	importable bool
}

func newVerifyCmd(a *app) *cobra.Command {
	var opts verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [DATE] [DB]",
		Short: "Read backups again from the store, and prove that they are what was written",
		Long: `Read backups again from the store and hold them against their manifests: the
newest of each database, or those of a day, of a database, or all. What was
proven is recorded beside the manifest, and "patina list" shows it.

  hash  every stored byte is read; length and SHA-256 are compared
  scan  it is also unpacked, and the SQL read: every statement is whole, and
        tables, rows and objects are those of the manifest
  load  it is also loaded into a SQLite engine, in memory or a private file: the
        database is whole, its foreign keys point at rows, its rows are those of
        the manifest (by number, and by fingerprint where it has them), and the
        assertions of the configuration ("checks") hold

With --drill the newest backup of each database, or those named, are restored
into D1 databases that are made for it, one after another, held against the backup
and deleted again; it tells how long that took. It needs D1 and its quota.

An encrypted backup that no identity here opens is proven up to hash. A damaged
one is named and ends with status 4; the others are still checked. With --all,
the manifests that runs say they wrote are checked too.

With --importable it is told of each dump whether "wrangler d1 execute --file"
would load it as it is, and if not, why. That changes no status: Patina's own
restore loads it in any case.`,
		Example: `  patina verify
  patina verify groveauth
  patina verify 2024-12-08 --level hash
  patina verify latest groveauth --level load
  patina verify latest groveauth --drill
  patina verify --sample 10%      a tenth, those whose proof is the oldest
  patina verify --importable groveauth
  patina verify --all -o json`,
		GroupID:           groupDaily,
		Args:              atMost("DATE", "DB"),
		ValidArgsFunction: a.completeDateThenDatabase,
		RunE:              func(cmd *cobra.Command, args []string) error { return runVerify(cmd.Context(), a, opts, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.level, "level", string(manifest.LevelScan), "how much is checked: hash, scan or load")
	flags.BoolVar(&opts.all, "all", false, "every backup, in archives too")
	flags.StringVar(&opts.sample, "sample", "", "`N%` of all backups, those first whose proof is the oldest")
	flags.BoolVar(&opts.drill, "drill", false, "restore into a D1 database that is made for it and thrown away")
	flags.StringVar(&opts.identity, "identity", "", "open encrypted dumps with the private key in `FILE` (age or SSH)")
	flags.BoolVar(&opts.importable, "importable", false, "tell whether plain wrangler would load the dumps as they are")
	flags.BoolVarP(&opts.dryRun, "dry-run", "n", false, "say what would be read, and stop")
	fixed(cmd, "level", string(manifest.LevelHash), string(manifest.LevelScan), string(manifest.LevelLoad))
	return cmd
}

func (o verifyOptions) request(args []string) (engine.VerifyRequest, error) {
	const help = "patina verify --help"
	req := engine.VerifyRequest{All: o.all, Level: manifest.Level(o.level), Importable: o.importable, DryRun: o.dryRun}
	switch req.Level {
	case manifest.LevelHash, manifest.LevelScan, manifest.LevelLoad:
	default:
		return req, fault.New(fault.Usage, help, "--level %q: want hash, scan or load", o.level)
	}
	if o.importable && req.Level != manifest.LevelScan {
		return req, fault.New(fault.Usage, help, "--importable reads the SQL: want --level scan")
	}
	if o.sample != "" {
		percent, err := strconv.ParseFloat(strings.TrimSuffix(o.sample, "%"), 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return req, fault.New(fault.Usage, help, "--sample %q: want a share such as 10%%", o.sample)
		}
		req.Sample = percent
	}
	if o.all && o.sample != "" || (o.all || o.sample != "") && len(args) > 0 {
		return req, fault.New(fault.Usage, help, "a DATE, --all and --sample exclude each other")
	}
	return o.place(req, args)
}

// place reads DATE and DB, each of which may be left out: a lone argument that
// is no date names a database.
func (o verifyOptions) place(req engine.VerifyRequest, args []string) (engine.VerifyRequest, error) {
	if len(args) == 0 {
		return req, nil
	}
	date, err := engine.ParseDate(args[0])
	switch {
	case err == nil && len(args) == 1:
		req.Date = date
	case err == nil:
		req.Date, req.Database = date, args[1]
	case len(args) == 1 && !startsLikeADate(args[0]):
		req.Database = args[0]
	default:
		return req, err
	}
	return req, nil
}

// startsLikeADate tells a mistyped date from a database's name.
func startsLikeADate(s string) bool {
	year, _, cut := strings.Cut(s, "-")
	return cut && len(year) == len("2024") && strings.Trim(year, "0123456789") == ""
}

func runVerify(ctx context.Context, a *app, opts verifyOptions, args []string) error {
	req, err := opts.request(args)
	if err != nil {
		return err
	}
	if opts.drill {
		return runDrill(ctx, a, opts, req)
	}
	result, err := withEngine(ctx, a, needs{store: true, memory: true, identity: opts.identity}, func(eng *engine.Engine) (engine.VerifyResult, error) {
		return eng.Verify(ctx, req)
	})
	if err != nil {
		return err
	}
	kinds := result.Kinds()
	if err := a.showVerify(result, kinds, opts.importable); err != nil {
		return err
	}
	return endWith(kinds)
}

func (a *app) showVerify(r engine.VerifyResult, kinds []fault.Kind, importable bool) error {
	if a.json() {
		return writeJSON(a.host.out, verifyDocument(r, kinds))
	}
	if r.DryRun {
		return a.printReading(r)
	}
	if (a.host.outTerminal || importable) && !a.global.quiet {
		if err := a.verifyTable(r, importable); err != nil {
			return err
		}
	}
	if len(kinds) > 0 || a.loud() {
		printVerified(a.host.err, r)
	}
	a.printWarnings(r.Warnings)
	return nil
}

func (a *app) verifyTable(r engine.VerifyResult, importable bool) error {
	columns := []string{"taken", "database", "kind", "size", "proven", "last proof", "object"}
	if importable {
		columns = append(columns, "importable")
	}
	t := newTable(columns...)
	for _, v := range r.Verified {
		m := v.Entry.Manifest()
		proven := string(v.Level)
		if v.Err != nil {
			proven = "failed"
		}
		last := fmt.Sprintf("%s %s", v.Entry.Proof.Level, moment(v.Entry.Proof.At))
		cells := []string{moment(m.StartedAt), m.Database.Name, string(v.Kind), size(v.Bytes), proven, last, v.Key}
		if importable {
			cells = append(cells, importableCell(v.Import))
		}
		t.add(cells...)
	}
	return t.render(a.host.out)
}

// printReading shows what a verification would read.
func (a *app) printReading(r engine.VerifyResult) error {
	if err := a.verifyTable(r, false); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.host.out, "%d copies, %s would be read; nothing was\n", len(r.Verified), size(r.Bytes()))
	return err
}

// printVerified names each failure with its cause.
func printVerified(w io.Writer, r engine.VerifyResult) {
	fmt.Fprintf(w, "Proven: %d of %d copies, %s, in %s\n", r.Passed(), len(r.Verified), size(r.Bytes()), duration(r.EndedAt.Sub(r.StartedAt)))
	for _, v := range r.Verified {
		switch {
		case v.Err != nil:
			fmt.Fprintf(w, "- %s\n", oneLine(v.Err))
		case v.Why != "":
			fmt.Fprintf(w, "- %s: up to %s only: %s\n", v.Key, v.Level, v.Why)
		}
		printObstacles(w, v)
	}
	for _, d := range r.Documents {
		fmt.Fprintf(w, "- %s: %s\n", d.Key, d.Why)
	}
}

type verifyJSON struct {
	JobID      string         `json:"jobId"`
	StartedAt  time.Time      `json:"startedAt"`
	EndedAt    time.Time      `json:"endedAt,omitzero"`
	DryRun     bool           `json:"dryRun"`
	Passed     int            `json:"passed"`
	Failed     int            `json:"failed"`
	Copies     []verifiedJSON `json:"copies"`
	Manifests  []damageJSON   `json:"damagedManifests"`
	Warnings   []string       `json:"warnings"`
	Faults     []fault.Kind   `json:"faults"`
	ExitStatus int            `json:"exitStatus"`
}

type verifiedJSON struct {
	Backup entryJSON      `json:"backup"`
	Kind   engine.Kind    `json:"kind"`
	Object string         `json:"object"`
	Bytes  int64          `json:"bytes"`
	Level  manifest.Level `json:"level,omitempty"`
	Passed bool           `json:"passed"`
	Why    string         `json:"why,omitempty"`
	Error  string         `json:"error,omitempty"`
	importableJSON
}

type damageJSON struct {
	Manifest string `json:"manifest"`
	Why      string `json:"why"`
}

func verifyDocument(r engine.VerifyResult, kinds []fault.Kind) verifyJSON {
	doc := verifyJSON{
		JobID: r.Job.ID, StartedAt: r.StartedAt, EndedAt: r.EndedAt, DryRun: r.DryRun,
		Passed: r.Passed(), Failed: len(r.Verified) - r.Passed(),
		Copies: []verifiedJSON{}, Manifests: []damageJSON{}, Warnings: oneLines(r.Warnings),
		Faults: append([]fault.Kind{}, kinds...), ExitStatus: exitStatus(kinds),
	}
	if r.DryRun {
		doc.Failed = 0
	}
	for _, v := range r.Verified {
		one := verifiedJSON{
			Backup: entryDocument(v.Entry), Kind: v.Kind, Object: v.Key, Bytes: v.Bytes, Level: v.Level,
			Passed: v.Passed(), Why: v.Why, importableJSON: importableDocument(v.Import),
		}
		if v.Err != nil {
			one.Error = oneLine(v.Err)
		}
		doc.Copies = append(doc.Copies, one)
	}
	for _, d := range r.Documents {
		doc.Manifests = append(doc.Manifests, damageJSON{d.Key, d.Why})
	}
	return doc
}
