package main

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

func newAdoptCmd(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Give dumps and archives of another program their manifests",
		Long: `Give manifests to dumps and archives that another program left in the bucket, such
as the Worker that Patina replaces: daily/2024-11-30/groveauth.sql, and archives
weekly/2024-W48.tar.gz with dumps in it as 2024-11-30/groveauth.sql. From then on
they are backups: listed, downloaded and verified like Patina's own.

Each is read to its end, and adopted only if it is whole. No object is changed,
moved or removed.`,
		Example: "  patina catalog adopt --dry-run\n  patina catalog adopt",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAdopt(cmd.Context(), a, dryRun) },
	}
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "read them, say what would be written, and stop")
	return cmd
}

func runAdopt(ctx context.Context, a *app, dryRun bool) error {
	result, err := withEngine(ctx, a, needs{store: true, catalog: true}, func(eng *engine.Engine) (engine.AdoptResult, error) {
		return eng.Adopt(ctx, engine.AdoptRequest{DryRun: dryRun})
	})
	if err != nil {
		return err
	}
	kinds := result.Kinds()
	if err := a.showAdopt(result, kinds); err != nil {
		return err
	}
	return endWith(kinds)
}

func (a *app) showAdopt(r engine.AdoptResult, kinds []fault.Kind) error {
	if a.json() {
		return writeJSON(a.host.out, adoptDocument(r, kinds))
	}
	if len(r.Objects) > 0 {
		if err := a.adoptTable(r); err != nil {
			return err
		}
	}
	for _, o := range r.Objects {
		if o.Err != nil {
			fmt.Fprintln(a.host.err, "patina: error:", oneLine(o.Err))
		}
	}
	a.printWarnings(r.Warnings)
	if r.CatalogErr != nil && !r.DryRun {
		a.explain("the manifests are in the bucket, but the catalogue was not written", r.CatalogErr)
	}
	done := "%d backups were adopted out of %d foreign objects\n"
	if r.DryRun {
		done = "%d backups would be adopted out of %d foreign objects; nothing was written\n"
	}
	_, err := fmt.Fprintf(a.host.out, done, r.Adopted(), len(r.Objects))
	return err
}

func (a *app) adoptTable(r engine.AdoptResult) error {
	t := newTable("object", "size", "backups", "rows", "result")
	for _, o := range r.Objects {
		var rows int64
		for _, b := range o.Backups {
			rows += b.Rows()
		}
		t.add(o.Key, size(o.Bytes), fmt.Sprint(len(o.Backups)), humanize.Comma(rows), adoptedAs(o, r.DryRun))
	}
	return t.render(a.host.out)
}

func adoptedAs(o engine.Adopted, dryRun bool) string {
	result := "adopted"
	switch {
	case o.Err != nil:
		return "failed"
	case o.Manifest == "":
		return "left: " + o.Why
	case dryRun:
		result = "would be adopted"
	}
	if o.Why != "" {
		result += "; " + o.Why
	}
	return result
}

type adoptJSON struct {
	JobID      string        `json:"jobId"`
	DryRun     bool          `json:"dryRun"`
	Adopted    int           `json:"adopted"`
	Objects    []adoptedJSON `json:"objects"`
	Warnings   []string      `json:"warnings"`
	Catalog    string        `json:"catalogError,omitempty"`
	Faults     []fault.Kind  `json:"faults"`
	ExitStatus int           `json:"exitStatus"`
}

type adoptedJSON struct {
	Key      string   `json:"key"`
	Bytes    int64    `json:"bytes"`
	Manifest string   `json:"manifest,omitempty"`
	Backups  []string `json:"backups"`
	Why      string   `json:"why,omitempty"`
	Error    string   `json:"error,omitempty"`
}

func adoptDocument(r engine.AdoptResult, kinds []fault.Kind) adoptJSON {
	doc := adoptJSON{
		JobID: r.Job.ID, DryRun: r.DryRun, Adopted: r.Adopted(), Objects: []adoptedJSON{}, Warnings: oneLines(r.Warnings),
		Faults: append([]fault.Kind{}, kinds...), ExitStatus: exitStatus(kinds),
	}
	if r.CatalogErr != nil {
		doc.Catalog = oneLine(r.CatalogErr)
	}
	for _, o := range r.Objects {
		one := adoptedJSON{Key: o.Key, Bytes: o.Bytes, Manifest: o.Manifest, Backups: []string{}, Why: o.Why}
		if o.Err != nil {
			one.Error = oneLine(o.Err)
		}
		for _, b := range o.Backups {
			one.Backups = append(one.Backups, b.Object.Key)
		}
		doc.Objects = append(doc.Objects, one)
	}
	return doc
}
