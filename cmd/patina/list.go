package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// listOptions are the flags of "patina list".
type listOptions struct {
	database string
	date     string
	since    string
	kind     string
	limit    int
}

func newListCmd(a *app) *cobra.Command {
	var opts listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show what can be restored, newest first",
		Example: `  patina list
  patina list --database groveauth --since 2024-12-01
  patina list --date 2024-12-08 -o json`,
		GroupID: groupDaily,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runList(cmd.Context(), a, opts) },
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.database, "database", "", "only this `DB`")
	flags.StringVar(&opts.date, "date", "", "only this `DATE`: 2024-12-08, or 2024-12-08T10:15 for what there was by then")
	flags.StringVar(&opts.since, "since", "", "only from this `DATE` on")
	flags.StringVar(&opts.kind, "kind", "", "only those that a `KIND` of place holds: daily, or weekly for archives")
	flags.IntVar(&opts.limit, "limit", 0, "at most `N` backups (0: all)")
	_ = cmd.RegisterFlagCompletionFunc("database", a.completeDatabases)
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(
		[]string{string(engine.KindDaily), string(engine.KindWeekly)}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o listOptions) request() (engine.ListRequest, error) {
	req := engine.ListRequest{Database: o.database, Kind: engine.Kind(o.kind), Limit: o.limit}
	if req.Kind != "" && req.Kind != engine.KindDaily && req.Kind != engine.KindWeekly {
		return req, fault.New(fault.Usage, "patina list --help", "--kind %q: want daily or weekly", o.kind)
	}
	if o.limit < 0 {
		return req, fault.New(fault.Usage, "patina list --help", "--limit %d: want 0 or more", o.limit)
	}
	if o.date != "" {
		date, err := engine.ParseDate(o.date)
		if err != nil {
			return req, err
		}
		req.Date = date
	}
	if o.since != "" {
		since, err := engine.ParseDate(o.since)
		if err != nil {
			return req, err
		}
		if since.Latest {
			return req, fault.New(fault.Usage, "patina list --help", "--since wants a date, not latest")
		}
		req.Since = since.Start()
	}
	return req, nil
}

func runList(ctx context.Context, a *app, opts listOptions) error {
	req, err := opts.request()
	if err != nil {
		return err
	}
	// Of one day there is not enough to read for the catalogue to be asked.
	eng, closeEngine, err := a.engine(ctx, needs{store: true, memory: req.Date.IsZero()})
	if err != nil {
		return err
	}
	result, err := eng.List(ctx, req)
	if closeErr := closeEngine(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.host.out, listDocument(result))
	}
	return a.printList(result)
}

func (a *app) printList(result engine.ListResult) error {
	columns, pins := []string{"taken", "database", "kind", "size", "stored", "rows", "trigger", "state", "proof"}, anyPinned(result.Entries)
	if pins {
		columns = append(columns, "pin")
	}
	t := newTable(append(columns, "job")...)
	for _, e := range result.Entries {
		m := e.Manifest()
		cells := []string{
			moment(m.StartedAt), m.Database.Name, kinds(e), size(m.Plain.Bytes), size(e.StoredBytes()),
			rows(m), string(m.Trigger), state(e, m.Fidelity), proof(e, result.Now),
		}
		if pins {
			cells = append(cells, pinCell(e))
		}
		t.add(append(cells, m.JobID)...)
	}
	if len(result.Entries) == 0 {
		a.say("no backups")
	} else if err := t.render(a.host.out); err != nil {
		return err
	}
	if n := len(result.Foreign); n > 0 {
		a.say(fmt.Sprintf("%d objects beside them are not Patina's, such as %s; they are kept", n, result.Foreign[0].Key))
	}
	if n := len(result.Unfinished); n > 0 {
		a.say(fmt.Sprintf("%d objects are of backups that are under way, or were never finished", n))
	}
	return nil
}

// kinds is every kind of place that holds the backup.
func kinds(e engine.Entry) string {
	if e.Daily && e.Archived != nil {
		return "daily, weekly"
	}
	return string(e.Kind())
}

// rows is the number of rows for people: what a sealed manifest does not tell is
// said so.
func rows(m manifest.Backup) string {
	if sealed(m) {
		return "sealed"
	}
	return humanize.Comma(m.Rows())
}

// sealed says whether a manifest tells nothing of what the dump holds.
func sealed(m manifest.Backup) bool { return m.Encrypted() && m.Tables == nil }

// state is what an operator needs to know of a backup in a word or two.
func state(e engine.Entry, fidelity backup.Fidelity) string {
	if !e.Good() {
		return "failed: " + e.Failed
	}
	return string(fidelity)
}

// proof is what was proven last, and how long ago.
func proof(e engine.Entry, now time.Time) string {
	return string(e.Proof.Level) + " " + ageOf(now.Sub(e.Proof.At))
}

// say tells a person something that is not data.
func (a *app) say(text string) {
	if !a.global.quiet {
		fmt.Fprintln(a.host.err, text)
	}
}

type listJSON struct {
	Backups    []entryJSON `json:"backups"`
	Foreign    []strayJSON `json:"foreign"`
	Unfinished []strayJSON `json:"unfinished"`
}

type entryJSON struct {
	Kind        string          `json:"kind"`
	Date        string          `json:"date"`
	TakenAt     time.Time       `json:"takenAt"`
	Database    string          `json:"database"`
	DatabaseID  string          `json:"databaseId"`
	JobID       string          `json:"jobId"`
	Trigger     backup.Trigger  `json:"trigger"`
	Reason      string          `json:"reason,omitempty"`
	Good        bool            `json:"good"`
	Failed      string          `json:"failed,omitempty"`
	Fidelity    backup.Fidelity `json:"fidelity"`
	Proof       manifest.Proof  `json:"proof"`
	Pin         *pinJSON        `json:"pin,omitempty"`
	PlainBytes  int64           `json:"plainBytes"`
	StoredBytes int64           `json:"storedBytes"`
	Compression string          `json:"compression"`
	Encrypted   bool            `json:"encrypted"`
	Recipients  []string        `json:"recipients,omitempty"`
	contentJSON
	Bookmark string `json:"bookmark,omitempty"`
	Manifest string `json:"manifest"`
	Object   string `json:"object"`
	// Archive is where an archive holds the backup, whatever its kind.
	Archive *memberJSON `json:"archive,omitempty"`
}

// memberJSON tells how one backup is read out of an archive: its bytes in the
// object, which is a gzip of the file.
type memberJSON struct {
	Manifest string `json:"manifest"`
	Object   string `json:"object"`
	Name     string `json:"name"`
	Offset   int64  `json:"offset"`
	Bytes    int64  `json:"bytes"`
}

func memberDocument(a *engine.Archived) *memberJSON {
	if a == nil {
		return nil
	}
	return &memberJSON{
		Manifest: a.Archive, Object: a.Object.Key, Name: a.Member.Name, Offset: a.Member.Offset, Bytes: a.Member.Packed.Bytes,
	}
}

// contentJSON is what is left out of a backup whose manifest is sealed.
type contentJSON struct {
	Findings []backup.Finding `json:"findings,omitzero"`
	Tables   *int             `json:"tables,omitempty"`
	Rows     *int64           `json:"rows,omitempty"`
	SHA256   string           `json:"sha256,omitempty"`
}

func contentDocument(m manifest.Backup) contentJSON {
	if sealed(m) {
		return contentJSON{}
	}
	tables, rows := len(m.Tables), m.Rows()
	return contentJSON{
		Findings: append([]backup.Finding{}, m.Findings...), Tables: &tables, Rows: &rows, SHA256: m.Plain.SHA256,
	}
}

type strayJSON struct {
	Key   string `json:"key"`
	Bytes int64  `json:"bytes"`
	Why   string `json:"why"`
}

func listDocument(r engine.ListResult) listJSON {
	doc := listJSON{Backups: []entryJSON{}, Foreign: strays(r.Foreign), Unfinished: strays(r.Unfinished)}
	for _, e := range r.Entries {
		doc.Backups = append(doc.Backups, entryDocument(e))
	}
	return doc
}

func entryDocument(e engine.Entry) entryJSON {
	m := e.Manifest()
	manifestKey, object := e.Key, m.Object.Key
	if !e.Daily {
		manifestKey, object = e.Archived.Archive, e.Archived.Object.Key
	}
	return entryJSON{
		Kind: string(e.Kind()), Date: e.Name.Day.Format(time.DateOnly), TakenAt: m.StartedAt,
		Database: m.Database.Name, DatabaseID: m.Database.ID, JobID: m.JobID, Trigger: m.Trigger, Reason: m.Reason,
		Good: e.Good(), Failed: e.Failed, Fidelity: m.Fidelity, Proof: e.Proof, Pin: pinDocumentOf(e.Pin),
		PlainBytes: m.Plain.Bytes, StoredBytes: e.StoredBytes(), Compression: string(m.Object.Compression),
		Encrypted: m.Encrypted(), Recipients: m.Object.Recipients, contentJSON: contentDocument(m), Bookmark: m.Export.Bookmark,
		Manifest: manifestKey, Object: object, Archive: memberDocument(e.Archived),
	}
}

func strays(all []engine.Stray) []strayJSON {
	docs := make([]strayJSON, 0, len(all))
	for _, s := range all {
		docs = append(docs, strayJSON{Key: s.Key, Bytes: s.Bytes, Why: s.Why})
	}
	return docs
}
