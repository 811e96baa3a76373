package engine

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// methodAdopted is the export method of a dump that another program got.
const methodAdopted = "adopted"

// AdoptRequest asks for foreign dumps and archives to be given manifests.
type AdoptRequest struct {
	// DryRun reads them, and writes nothing.
	DryRun bool
}

// AdoptResult is what became of each foreign object, in order of the keys.
type AdoptResult struct {
	Job     backup.Job
	Objects []Adopted
	// CatalogErr is why the catalogue does not know of it; nil when it does.
	CatalogErr error
	Warnings   []error
	DryRun     bool
}

// Adopted is what became of one foreign object.
type Adopted struct {
	Key   string
	Bytes int64
	// Manifest is the key of the manifest that was written, or would be; empty
	// for an object that is left as it is.
	Manifest string
	// Backups are what it holds.
	Backups []manifest.Backup
	// Why says why it, or a part of it, is left as it is.
	Why string
	// Err is the error of a failed check or of the store; nil for an object
	// that is only not understood.
	Err error
}

// adoptRun is one process that adopts.
type adoptRun struct {
	e       *Engine
	job     backup.Job
	run     backup.Run
	dryRun  bool
	written []manifest.Written
	started time.Time
}

// Adopt gives manifests to dumps and archives that another program left in the
// bucket, such as the Worker that Patina replaces. Each is read to its end, and
// adopted only if it is whole. No object is changed, moved or removed.
func (e *Engine) Adopt(ctx context.Context, req AdoptRequest) (AdoptResult, error) {
	log := e.newJournal()
	now := e.now(ctx, log)
	id := e.opts.NewRunID()
	r := &adoptRun{e: e, dryRun: req.DryRun, started: now}
	r.job = backup.AdoptionJob(now, id)
	r.run = e.newRun(r.job, id, now)
	inv, err := e.takeInventory(ctx, backup.DailyPrefix, backup.WeeklyPrefix)
	if err != nil {
		return AdoptResult{}, err
	}
	slices.SortFunc(inv.foreign, func(a, b Stray) int { return cmp.Compare(a.Key, b.Key) })
	result := AdoptResult{Job: r.job, DryRun: req.DryRun}
	for _, stray := range inv.foreign {
		if ctx.Err() != nil {
			return result, context.Cause(ctx)
		}
		result.Objects = append(result.Objects, r.adopt(ctx, stray))
	}
	if len(r.written) > 0 {
		result.Warnings = r.conclude(ctx, result)
		result.CatalogErr = e.logAdopted(ctx, log, r.job.ID)
	}
	return result, nil
}

// adopt reads one foreign object and writes its manifest.
func (r *adoptRun) adopt(ctx context.Context, stray Stray) Adopted {
	a := Adopted{Key: stray.Key, Bytes: stray.Bytes}
	r.e.opts.Observer.Observe(Event{Database: stray.Key, Phase: PhaseDownloading, Total: stray.Bytes})
	defer r.e.opts.Observer.Observe(Event{Database: stray.Key, Phase: PhaseDone, Bytes: stray.Bytes, Total: stray.Bytes})
	if name, ext, err := backup.ParseName(stray.Key); err == nil && ext != "json" {
		r.adoptDump(ctx, &a, name)
		return a
	}
	if name, ext, err := backup.ParseArchiveName(stray.Key); err == nil && ext != "json" {
		r.adoptArchive(ctx, &a, name)
		return a
	}
	a.Why = stray.Why
	return a
}

// adoptDump adopts a dump under the key of a daily.
func (r *adoptRun) adoptDump(ctx context.Context, a *Adopted, name backup.Name) {
	compression, encrypted := seal.PackingOfKey(a.Key)
	if encrypted {
		a.Why = "it is encrypted, so nothing can be said of what it holds"
		return
	}
	body, info, err := r.e.opts.Store.Get(ctx, a.Key, store.GetOptions{})
	if err != nil {
		a.Err = err
		return
	}
	defer func() { _ = body.Close() }() // read to its end, or given up
	stored, plain, scan, err := readUnknown(body, compression)
	if err != nil {
		a.Err = r.notWhole(a.Key, err)
		return
	}
	m := r.manifest(name, info, plain, scan)
	m.Object = manifest.Object{Key: a.Key, Stored: stored, ETag: info.ETag, Parts: 1, Compression: compression}
	a.Backups, a.Manifest = []manifest.Backup{m}, name.Manifest()
	a.Err = publish(ctx, r, name.Manifest(), m)
}

// readUnknown reads a dump of which nothing is known but how it is packed.
func readUnknown(src io.Reader, c seal.Compression) (stored, plain seal.Sum, scan dump.Summary, err error) {
	filter := dump.NewFilter(io.Discard, dump.Options{})
	if stored, plain, err = seal.Measure(filter, src, c); err == nil {
		err = filter.Finish()
	}
	return stored, plain, filter.Summary(), err
}

// notWhole says whether an object is damaged or the store failed.
func (r *adoptRun) notWhole(key string, err error) error {
	for _, damage := range []error{seal.ErrDamaged, dump.ErrTruncated, dump.ErrEmpty, dump.ErrNotSQL} {
		if errors.Is(err, damage) {
			return fault.Wrap(fault.Proof, "", fmt.Errorf("%s is not whole, and is left as it is: %w", key, err))
		}
	}
	return fmt.Errorf("read %s: %w", key, err)
}

// manifest is what can be told of a dump from the dump alone. The store says
// when it was written; a later copy of it only that it is of its day.
func (r *adoptRun) manifest(name backup.Name, info store.Info, plain seal.Sum, scan dump.Summary) manifest.Backup {
	taken := info.ModifiedAt.UTC()
	if !backup.DayOf(taken).Equal(name.Day) {
		taken = name.Day
	}
	return manifest.Backup{
		Database: backup.Database{Name: name.Database}, JobID: r.job.ID, RunID: r.run.ID, Trigger: r.job.Trigger, Reason: r.job.Reason,
		Tool: r.e.opts.Tool, StartedAt: taken, EndedAt: taken,
		Export: manifest.Export{Method: methodAdopted, Why: "another program left it in the bucket", Attempts: 1},
		Plain:  plain, Source: plain, Tables: scan.Tables, Objects: scan.Objects,
		Statements: scan.Statements, LongestStatement: scan.LongestStatement,
		Fidelity: backup.FidelityUnchecked, Findings: scan.Findings,
		Proof:   manifest.Proof{Level: manifest.LevelScan, At: r.started},
		Adopted: &manifest.Adoption{At: r.started, Host: r.run.Host},
	}
}

// adoptArchive adopts an ordinary .tar.gz that holds dumps as DATE/NAME.sql.
func (r *adoptRun) adoptArchive(ctx context.Context, a *Adopted, name backup.ArchiveName) {
	body, info, err := r.e.opts.Store.Get(ctx, a.Key, store.GetOptions{})
	if err != nil {
		a.Err = err
		return
	}
	defer func() { _ = body.Close() }() // read to its end, or given up
	members, ignored, stored, err := r.readArchive(body, info)
	if err != nil {
		a.Err = r.notWhole(a.Key, err)
		return
	}
	if len(ignored) > 0 {
		a.Why = fmt.Sprintf("%d files in it are no dumps of a day, such as %s", len(ignored), ignored[0])
	}
	if len(members) == 0 {
		a.Why = cmp.Or(a.Why, "it holds no dumps")
		return
	}
	m := manifest.Archive{
		Week: name.Week, Part: name.Part, JobID: r.job.ID, RunID: r.run.ID, Trigger: r.job.Trigger, Reason: r.job.Reason,
		Host: r.run.Host, Tool: r.e.opts.Tool, StartedAt: info.ModifiedAt.UTC(), EndedAt: info.ModifiedAt.UTC(),
		Object: manifest.ArchiveObject{Key: a.Key, Stored: stored, ETag: info.ETag, Parts: 1},
		Stream: true, Members: members,
	}
	for _, member := range members {
		a.Backups = append(a.Backups, member.Backup)
	}
	a.Manifest = name.Manifest()
	a.Err = publish(ctx, r, name.Manifest(), m)
}

// readArchive reads an archive to its end, and every dump in it.
func (r *adoptRun) readArchive(body io.Reader, info store.Info) (members []manifest.Member, ignored []string, stored seal.Sum, err error) {
	tarOut, tarIn := io.Pipe()
	walked := make(chan error, 1)
	go func() {
		err := r.walk(tarOut, info, func(m manifest.Member) { members = append(members, m) }, func(name string) { ignored = append(ignored, name) })
		// What follows the end of the archive is padding, and is read too.
		_, drainErr := io.Copy(io.Discard, tarOut)
		_ = tarOut.CloseWithError(err)
		walked <- cmp.Or(err, drainErr)
	}()
	stored, _, err = seal.Measure(tarIn, body, seal.Gzip)
	_ = tarIn.CloseWithError(err)
	if walkErr := <-walked; err == nil {
		err = walkErr
	}
	return members, ignored, stored, err
}

func (r *adoptRun) walk(src io.Reader, info store.Info, found func(manifest.Member), ignore func(string)) error {
	counted := &watchedReader{src: src, seen: func(int64) {}}
	archive := tar.NewReader(counted)
	for {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s", seal.ErrDamaged, err.Error())
		}
		name, ok := memberName(head)
		if !ok {
			if head.Typeflag != tar.TypeDir {
				ignore(head.Name)
			}
			continue
		}
		offset := counted.n
		_, plain, scan, err := readUnknown(archive, seal.None)
		if err != nil {
			return fmt.Errorf("%s: %w", head.Name, err)
		}
		b := r.manifest(name, info, plain, scan)
		b.Object = manifest.Object{Key: name.Object(), Stored: plain, Parts: 1, Compression: seal.None}
		found(manifest.Member{Name: head.Name, Offset: offset, Content: plain, ManifestKey: name.Manifest(), Backup: b})
	}
}

// memberName is the daily that a file of an archive is a copy of: the last two
// elements of its path are DATE/NAME.sql.
func memberName(head *tar.Header) (backup.Name, bool) {
	clean := path.Clean(head.Name)
	name, ext, err := backup.ParseName(backup.DailyPrefix + path.Join(path.Base(path.Dir(clean)), path.Base(clean)))
	return name, err == nil && ext == "sql" && head.Typeflag == tar.TypeReg
}

// publish writes a manifest, create-only. One that is there by now was written
// by another run that adopts.
func publish[D manifest.Document](ctx context.Context, r *adoptRun, key string, m D) error {
	body, err := manifest.Encode(m)
	if err != nil || r.dryRun {
		return err
	}
	if len(r.written) == 0 {
		r.announce(ctx)
	}
	_, err = r.e.putDocument(ctx, key, body)
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	r.written = append(r.written, *written(key, body))
	return nil
}

// announce writes the begin record, which an adoption can do without: it writes
// manifests only, and they name it.
func (r *adoptRun) announce(ctx context.Context) {
	if err := record(ctx, r.e, backup.BeginKey(r.job, r.run.ID), manifest.Begin{Job: r.job, Run: r.run}); err != nil {
		r.e.opts.Log.Warn("begin record is not written", "error", err)
	}
}

// conclude writes the end record, with every manifest that was written.
func (r *adoptRun) conclude(ctx context.Context, result AdoptResult) []error {
	end := manifest.End{Job: r.job, Run: r.run, EndedAt: r.e.opts.Now().UTC(), Status: string(catalog.RunSucceeded)}
	byKey := map[string]manifest.Written{}
	for _, w := range r.written {
		byKey[w.Key] = w
	}
	for _, a := range result.Objects {
		w, wrote := byKey[a.Manifest]
		if !wrote || a.Err != nil {
			continue
		}
		for i, b := range a.Backups {
			res := manifest.Result{
				Database: b.Database.Name, Status: string(OutcomeDone), Attempts: 1, RunID: r.run.ID, ManifestKey: a.Manifest,
				PlainBytes: b.Plain.Bytes, StoredBytes: b.Object.Stored.Bytes, StartedAt: b.StartedAt, EndedAt: b.EndedAt,
			}
			if i == 0 {
				res.Manifest = &w
			}
			end.Results = append(end.Results, res)
		}
	}
	if err := record(ctx, r.e, backup.EndKey(r.job, r.run.ID), end); err != nil {
		return []error{fmt.Errorf("write the end record: %w", err)}
	}
	return nil
}

// logAdopted brings a job that wrote its records into the catalogue.
func (e *Engine) logAdopted(ctx context.Context, log *journal, id string) error {
	if err := log.Err(); err != nil {
		return err
	}
	infos, err := e.runRecords(ctx)
	if err != nil {
		return err
	}
	infos = slices.DeleteFunc(infos, func(info store.Info) bool {
		name, _, err := backup.ParseRunKey(info.Key)
		return err != nil || name.JobID != id
	})
	jobs, _, err := e.histories(ctx, infos)
	if err != nil {
		return err
	}
	for h := range maps.Values(jobs) {
		if _, err := e.opts.Catalog.Restore(ctx, h.job()); err != nil {
			return err
		}
	}
	return nil
}

// Adopted counts the backups that have manifests now.
func (r AdoptResult) Adopted() int {
	n := 0
	for _, a := range r.Objects {
		if a.Manifest != "" && a.Err == nil {
			n += len(a.Backups)
		}
	}
	return n
}

// Kinds are the faults of the adoption.
func (r AdoptResult) Kinds() []fault.Kind {
	errs := make([]error, len(r.Objects))
	for i, a := range r.Objects {
		errs[i] = a.Err
	}
	kinds := kindsOf(errs, r.Adopted() > 0)
	if r.CatalogErr != nil && !r.DryRun {
		kinds = append(kinds, fault.Uncatalogued)
	}
	return kinds
}
