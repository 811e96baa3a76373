package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/scratch"
)

// downloadOptions are the flags of "patina download".
type downloadOptions struct {
	file  string
	raw   bool
	jobID string
	force bool
	// identity is the file of a private key.
	identity string
}

func newDownloadCmd(a *app) *cobra.Command {
	var opts downloadOptions
	cmd := &cobra.Command{
		Use:   "download DATE DB",
		Short: "Get one dump back, verified to the last byte",
		Long: `Get the dump of a database as plain SQL, held against its manifest to the last
byte. DATE is 2024-12-08 (the newest good backup of that day), 2024-12-08T10:15
(the newest of that day up to that minute, UTC) or latest.

It is read from the daily backup, or else out of the week's archive, of which no
more is fetched than that one dump.

An encrypted dump is opened with the identity of the configuration, or with that
of --identity.

Without --file the dump goes to stdout; on a terminal it goes into a file named
after database and time instead.`,
		Example: `  patina download latest groveauth
  patina download 2024-12-08 groveauth -f groveauth.sql
  patina download 2024-12-08T10:15 groveauth -f - | sqlite3 groveauth.db
  patina download latest groveauth --identity ~/patina-key.txt`,
		GroupID:           groupDaily,
		Args:              exactly("DATE", "DB"),
		ValidArgsFunction: a.completeDateThenDatabase,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDownload(cmd.Context(), a, opts, args[0], args[1])
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.file, "file", "f", "", "write to `FILE`, or to stdout for -")
	flags.BoolVar(&opts.raw, "raw", false, "the stored bytes as they are, compressed and encrypted or not")
	flags.StringVar(&opts.identity, "identity", "", "open an encrypted dump with the private key in `FILE` (age or SSH)")
	flags.StringVar(&opts.jobID, "job", "", "the backup of this job `ID`, good or not")
	flags.BoolVar(&opts.force, "force", false, "replace FILE if it exists")
	return cmd
}

func runDownload(ctx context.Context, a *app, opts downloadOptions, dateText, database string) error {
	date, err := engine.ParseDate(dateText)
	if err != nil {
		return err
	}
	progress := a.newProgress()
	eng, closeEngine, err := a.engine(ctx, needs{store: true, observer: progress, identity: opts.identity})
	if err != nil {
		return err
	}
	defer func() { _ = closeEngine() }() // nothing was written through it
	choice, err := eng.Choose(ctx, date, database, opts.jobID)
	if err != nil {
		return err
	}
	if !opts.raw {
		if choice.Entry, err = eng.Open(ctx, choice.Entry); err != nil {
			return err
		}
	}
	target := opts.target(a, choice)
	fetch := func(w io.Writer) error { return eng.Download(ctx, choice.Entry, w) }
	if opts.raw {
		fetch = func(w io.Writer) error { return eng.DownloadRaw(ctx, choice.Entry, w) }
	}
	if target == "-" {
		err = fetch(a.host.out)
	} else if err = freeFile(target, opts.force, "--force"); err == nil {
		err = writeFile(target, opts.force, fetch)
	}
	progress.stop()
	if err != nil {
		return err
	}
	return a.printDownload(choice, target)
}

// target is where the dump goes: "-" is stdout. Without --file, a terminal
// gets a file, never the dump on the screen.
func (o downloadOptions) target(a *app, choice engine.Choice) string {
	if o.file != "" {
		return o.file
	}
	if !a.host.outTerminal {
		return "-"
	}
	m := choice.Manifest()
	name := m.Database.Name + "-" + m.StartedAt.UTC().Format("20060102T150405Z") + ".sql"
	if o.raw {
		name = strings.TrimSuffix(name, ".sql") + choice.RawExtension()
	}
	return name
}

// freeFile refuses a file that is there and is not to be replaced, which flag
// asks for.
func freeFile(path string, replace bool, flag string) error {
	if _, err := os.Lstat(path); err != nil || replace {
		return nil
	}
	return fault.New(fault.Refused, "", "%s exists: name another file, or replace it with %s", path, flag)
}

// writeFile gives a file its content and its name only when the content is
// whole: whatever happens, there is the old file, or none, or the new one.
func writeFile(path string, replace bool, fill func(io.Writer) error) (err error) {
	temp, err := scratch.NewFile(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(temp.Name())))
		}
	}()
	if err := fill(temp); err != nil {
		return errors.Join(err, temp.Close())
	}
	if err := errors.Join(temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return name(temp.Name(), path, replace)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// printDownload says which backup was taken, and what others the day has.
func (a *app) printDownload(choice engine.Choice, target string) error {
	if a.json() && target != "-" {
		return writeJSON(a.host.out, struct {
			File   string      `json:"file"`
			Backup entryJSON   `json:"backup"`
			Others []entryJSON `json:"others"`
		}{target, entryDocument(choice.Entry), entryDocuments(choice.Others)})
	}
	m := choice.Manifest()
	content := ""
	if !sealed(m) {
		content = fmt.Sprintf(", %s rows", rows(m))
	}
	from := ""
	if !choice.Daily {
		from = ", out of " + choice.Archived.Object.Key
	}
	a.say(fmt.Sprintf("%s of %s (job %s%s): %s%s, SHA-256 verified",
		m.Database.Name, moment(m.StartedAt), m.JobID, from, size(m.Plain.Bytes), content))
	if target != "-" {
		a.say("written to " + target)
	}
	for _, other := range choice.Others {
		a.say(otherOfDay(other))
	}
	return nil
}

// otherOfDay names a backup that was not taken.
func otherOfDay(other engine.Entry) string {
	if other.IsSafety() {
		return fmt.Sprintf("there is a safety backup, taken %s: %s (job %s), %s", other.Manifest().Reason, moment(other.Brief.StartedAt),
			other.Brief.JobID, state(other, other.Manifest().Fidelity))
	}
	return fmt.Sprintf("the day has another: %s (job %s), %s", other.Brief.StartedAt.UTC().Format(time.TimeOnly),
		other.Brief.JobID, state(other, other.Manifest().Fidelity))
}

func entryDocuments(entries []engine.Entry) []entryJSON {
	docs := make([]entryJSON, 0, len(entries))
	for _, e := range entries {
		docs = append(docs, entryDocument(e))
	}
	return docs
}
