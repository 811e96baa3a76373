package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// VerifyRequest chooses what is proven. Its zero value asks for the newest
// backup of each database.
type VerifyRequest struct {
	// Database asks for one database's.
	Database string
	// Date asks for the backups of one day, good or not; zero for no day.
	Date Date
	// All asks for every backup, and for every manifest that a run says it
	// wrote.
	All bool
	// Sample asks for that many percent of all backups, those first whose
	// proof is the oldest; 0 means no sample.
	Sample float64
	// Level is how much is checked: manifest.LevelHash, LevelScan or LevelLoad.
	Level manifest.Level
	// Importable asks, at LevelScan, whether D1 would load the dumps as they are.
	Importable bool
	// DryRun asks for what would be read, and reads nothing.
	DryRun bool
}

// of says whose backups are asked for, in words; nothing where it is all.
func (r VerifyRequest) of() string {
	text := ""
	if r.Database != "" {
		text += " of " + r.Database
	}
	if !r.Date.IsZero() && !r.Date.Latest {
		text += " for " + r.Date.String()
	}
	return text
}

// VerifyResult is what was proven. Verified are in the order of the listing.
type VerifyResult struct {
	Job                backup.Job
	Run                backup.Run
	StartedAt, EndedAt time.Time
	Verified           []Verified
	// Documents are manifests that runs say they wrote, and that are not what
	// was written any more.
	Documents []Damage
	// Warnings are what could not be recorded.
	Warnings []error
	DryRun   bool
}

// Verified is what was proven of one copy of a backup.
type Verified struct {
	Entry Entry
	// Kind is which copy was read: the daily, or that in an archive.
	Kind Kind
	// Key is the object that was read, and Bytes how much of it.
	Key   string
	Bytes int64
	// Level is what was reached; it is below the one asked for, where Why says
	// so.
	Level manifest.Level
	Why   string
	// Err is why it did not pass, of kind fault.Proof, or why it could not be
	// read; nil for one that passed.
	Err error
	// Import tells whether D1 would load the dump as it is; nil where that was
	// not asked for, or the SQL was not read.
	Import *Importability
}

// Importability is what keeps D1's import from loading a dump as it is: nothing
// where it loads.
type Importability struct{ Obstacles []plan.Obstacle }

// Passed says whether the copy was read and is what it should be.
func (v Verified) Passed() bool { return v.Err == nil && v.Level != "" }

// Passed counts the copies that are what they should be.
func (r VerifyResult) Passed() int {
	n := 0
	for _, v := range r.Verified {
		if v.Passed() {
			n++
		}
	}
	return n
}

// Bytes is how much is stored of all copies.
func (r VerifyResult) Bytes() int64 {
	var n int64
	for _, v := range r.Verified {
		n += v.Bytes
	}
	return n
}

// Kinds are the faults of the verification. What could not be read is a failure,
// partial where anything else passed.
func (r VerifyResult) Kinds() []fault.Kind {
	errs := make([]error, len(r.Verified))
	for i, v := range r.Verified {
		errs[i] = v.Err
	}
	kinds := kindsOf(errs, r.Passed() > 0)
	if len(r.Documents) > 0 && !slices.Contains(kinds, fault.Proof) {
		kinds = append(kinds, fault.Proof)
	}
	return kinds
}

// kindsOf are the kinds of errors, each once and in their order. A plain failure
// is partial where anything else was done.
func kindsOf(errs []error, anyDone bool) []fault.Kind {
	var kinds []fault.Kind
	for _, err := range errs {
		kind := fault.KindOf(err)
		if kind == fault.Failed && anyDone {
			kind = fault.Partial
		}
		if err != nil && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// Damage is a document that is not what it was.
type Damage struct {
	Key string
	Why string
}

// verifyRun is one process that proves.
type verifyRun struct {
	e      *Engine
	req    VerifyRequest
	log    *journal
	result VerifyResult
}

// Verify reads backups again and holds them against their manifests. It writes
// a record of each outcome, and a job into the catalogue where there is one. A
// damaged one never ends it: the others are still checked.
func (e *Engine) Verify(ctx context.Context, req VerifyRequest) (VerifyResult, error) {
	log := e.newJournal()
	run := e.opts.NewRunID()
	now := e.now(ctx, log)
	r := &verifyRun{e: e, req: req, log: log}
	job := backup.VerificationJob(now, run)
	r.result = VerifyResult{Job: job, Run: e.newRun(job, run, now), StartedAt: now, DryRun: req.DryRun}
	inv, err := e.takeInventory(ctx, ListRequest{Date: req.Date}.prefixes()...)
	if err != nil {
		return VerifyResult{}, err
	}
	chosen := req.choose(inv.entries)
	if len(chosen) == 0 && !req.All {
		return VerifyResult{}, fault.New(fault.Failed, "patina list", "there is no backup%s to verify", req.of())
	}
	r.result.Verified = copies(chosen)
	if req.DryRun {
		return r.result, nil
	}
	if req.All {
		if r.result.Documents, err = e.damagedManifests(ctx, inv); err != nil {
			return VerifyResult{}, err
		}
	}
	log.begin(ctx, job, r.result.Run)
	stop := log.keepAlive(ctx, job, r.result.Run.ID)
	err = r.prove(ctx)
	stop()
	after, cancel := afterwards(ctx)
	defer cancel()
	r.result.EndedAt = e.now(after, log)
	r.logProofs(after, err)
	return r.result, err
}

// logProofs writes into the catalogue what was proven of each database: its first
// failure, or its last proof.
func (r *verifyRun) logProofs(ctx context.Context, failure error) {
	rows := map[string]catalog.Backup{}
	for _, v := range r.result.Verified {
		name := v.Entry.Brief.Database
		if rows[name].Error != "" {
			continue
		}
		row := catalog.Backup{
			JobID: r.result.Job.ID, RunID: r.result.Run.ID, Database: name, DatabaseID: v.Entry.Manifest().Database.ID,
			Status: catalog.BackupDone, Attempts: 1, ManifestKey: v.Entry.Key, StoredBytes: rows[name].StoredBytes + v.Bytes,
			StartedAt: r.result.StartedAt, EndedAt: r.result.EndedAt,
		}
		switch {
		case v.Err != nil:
			row.Status, row.Error = catalog.BackupFailed, v.Err.Error()
		case !v.Passed():
			row.Status = catalog.BackupInterrupted
		}
		rows[name] = row
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		r.log.set(ctx, rows[name], r.result.Run.ID)
	}
	end := catalog.RunEnd{Status: catalog.RunSucceeded, At: r.result.EndedAt}
	switch {
	case failure != nil:
		end.Status, end.Message = catalog.RunInterrupted, failure.Error()
	case len(r.result.Kinds()) > 0 && r.result.Passed() == 0:
		end.Status = catalog.RunFailed
	case len(r.result.Kinds()) > 0:
		end.Status = catalog.RunPartial
	}
	r.log.end(ctx, r.result.Job, r.result.Run.ID, end)
}

// choose picks what is asked for out of all entries, newest first.
func (req VerifyRequest) choose(entries []Entry) []Entry {
	chosen := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool {
		return !ListRequest{Database: req.Database, Date: req.Date}.matches(e)
	})
	switch {
	case req.Sample > 0:
		return oldestProofs(chosen, req.Sample)
	case req.All || !req.Date.Day.IsZero():
		return chosen
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(chosen, func(e Entry) bool {
		name := e.Brief.Database
		again := seen[name] // a newer one that is not good is proven again too
		seen[name] = seen[name] || e.Good()
		return again
	})
}

// oldestProofs are a share of the entries, rounded up.
func oldestProofs(entries []Entry, percent float64) []Entry {
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Proof.At.Compare(b.Proof.At) })
	n := int(math.Ceil(float64(len(entries)) * percent / 100))
	chosen := entries[:min(n, len(entries))]
	slices.SortFunc(chosen, newestFirst)
	return chosen
}

// copies are all places that hold the entries.
func copies(entries []Entry) []Verified {
	var all []Verified
	for _, entry := range entries {
		for _, from := range entry.places() {
			all = append(all, Verified{Entry: entry, Kind: from.kind(), Key: from.key, Bytes: from.outer.Stored.Bytes})
		}
	}
	return all
}

// prove reads every copy, several at once.
func (r *verifyRun) prove(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(r.e.opts.Concurrency)
	warnings := make([]error, len(r.result.Verified))
	for i := range r.result.Verified {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			v := &r.result.Verified[i]
			r.e.proveCopy(ctx, v, r.req)
			r.e.observeProof(*v, PhaseDone, v.Bytes)
			if ctx.Err() != nil {
				return context.Cause(ctx) // it says nothing of the copy
			}
			warnings[i] = r.record(ctx, *v)
			return nil
		})
	}
	err := group.Wait()
	r.result.Warnings = slices.DeleteFunc(warnings, func(err error) bool { return err == nil })
	return err
}

func (e *Engine) observeProof(v Verified, phase Phase, bytes int64) {
	e.opts.Observer.Observe(Event{Database: v.Entry.ID() + " (" + string(v.Kind) + ")", Phase: phase, Bytes: bytes, Total: v.Bytes})
}

// proveCopy reads one copy up to a level, or as far as the keys at hand allow.
func (e *Engine) proveCopy(ctx context.Context, v *Verified, req VerifyRequest) {
	if req.Level.Covers(manifest.LevelScan) {
		entry, err := e.Open(ctx, v.Entry)
		if err == nil {
			e.proveContent(ctx, v, entry, req)
			return
		}
		if !errors.Is(err, seal.ErrNoIdentity) && !errors.Is(err, seal.ErrOtherIdentity) {
			v.Level, v.Err = manifest.LevelScan, err
			return
		}
		v.Why = "it is encrypted, and no identity here opens it"
	}
	v.Level, v.Err = manifest.LevelHash, e.hash(ctx, v.Entry, v.Entry.place(v.Kind), e.watch(v))
}

// proveContent reads one copy of an opened entry as SQL, and loads it if that is
// asked for. What no restore would run is no damage: then it is only scanned.
func (e *Engine) proveContent(ctx context.Context, v *Verified, entry Entry, req VerifyRequest) {
	from := entry.place(v.Kind)
	if req.Level.Covers(manifest.LevelLoad) {
		err := e.proveLoad(ctx, entry, from, e.watch(v))
		if !errors.Is(err, plan.ErrRefused) {
			v.Level, v.Err = manifest.LevelLoad, err
			return
		}
		v.Why = err.Error()
	}
	v.Level = manifest.LevelScan
	v.Import, v.Err = e.scanFor(ctx, entry, v, req.Importable)
}

// watch tells how much of a copy was read.
func (e *Engine) watch(v *Verified) func(io.Reader) io.Reader {
	return func(body io.Reader) io.Reader {
		return &watchedReader{src: body, seen: func(n int64) { e.observeProof(*v, PhaseDownloading, n) }}
	}
}

// place is that of one kind that holds the entry.
func (e Entry) place(kind Kind) place {
	for _, from := range e.places() {
		if from.kind() == kind {
			return from
		}
	}
	return place{}
}

// hash reads the stored bytes of a copy.
func (e *Engine) hash(ctx context.Context, entry Entry, from place, watch func(io.Reader) io.Reader) error {
	return e.fetchFrom(ctx, entry, from, func(body io.Reader, from place) error {
		reader, err := seal.NewReader(watch(body), from.asStored(), seal.Identities{})
		if err != nil {
			return err
		}
		return copyAll(io.Discard, reader, reader)
	})
}

// scanFor scans a copy, and tells whether D1 would load it where that is asked.
func (e *Engine) scanFor(ctx context.Context, entry Entry, v *Verified, importable bool) (*Importability, error) {
	from := entry.place(v.Kind)
	if !importable {
		return nil, e.scan(ctx, entry, from, io.Discard, e.watch(v))
	}
	look := newImportLook()
	err := e.scan(ctx, entry, from, look, e.watch(v))
	return look.end(err), err
}

// scan unpacks a copy, reads the statements, and holds what they make up
// against the manifest. What is unpacked goes to dst, too.
func (e *Engine) scan(ctx context.Context, entry Entry, from place, dst io.Writer, watch func(io.Reader) io.Reader) error {
	by, err := e.identities(ctx)
	if err != nil && entry.Manifest().Encrypted() {
		return err
	}
	return e.fetchFrom(ctx, entry, from, func(body io.Reader, from place) error {
		reader, err := from.unpack(watch(body), by)
		if err != nil {
			return err
		}
		filter := dump.NewFilter(dst, dump.Options{})
		if err := copyAll(filter, reader, reader); err != nil {
			return err
		}
		if err := filter.Finish(); err != nil {
			return fmt.Errorf("%w: %w", seal.ErrDamaged, err)
		}
		return sameContent(filter.Summary(), entry.Manifest())
	})
}

// sameContent compares what a dump holds with what its manifest says.
func sameContent(got dump.Summary, want manifest.Backup) error {
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"statements", got.Statements, want.Statements},
		{"tables and rows", backup.Counts(got.Tables), backup.Counts(want.Tables)},
		{"objects", filled(got.Objects), filled(want.Objects)},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			return fmt.Errorf("%w: the dump's %s are %v, its manifest says %v", seal.ErrDamaged, c.what, c.got, c.want)
		}
	}
	return nil
}

// filled makes no list and an empty one the same.
func filled[T any](list []T) []T { return append([]T{}, list...) }

// record leaves a record of what was proven. What could not be read proves
// nothing, and is not recorded.
func (r *verifyRun) record(ctx context.Context, v Verified) error {
	if v.Err != nil && fault.KindOf(v.Err) != fault.Proof {
		return nil
	}
	at := r.e.now(ctx, r.log)
	proof := manifest.ProofRecord{
		Manifest: v.Entry.Key, RunID: r.result.Run.ID, At: at, Level: v.Level, ETag: v.Entry.Manifest().Object.ETag, Passed: v.Err == nil,
	}
	if v.Err != nil {
		proof.Detail = v.Err.Error()
	}
	key := backup.ProofKey(v.Entry.Name, at, r.result.Run.ID)
	if v.Kind == KindWeekly {
		proof.Archive, proof.ETag = v.Entry.Archived.Archive, v.Entry.Archived.Object.ETag
		key = backup.ArchivedProofKey(v.Entry.Name, at, r.result.Run.ID)
	}
	if err := record(ctx, r.e, key, proof); err != nil {
		return fmt.Errorf("record the proof of %s: %w", v.Entry.ID(), err)
	}
	return nil
}

// damagedManifests holds every manifest that an end record tells of against
// what lies there. One that is gone is damage too, unless a run says that it
// removed it.
func (e *Engine) damagedManifests(ctx context.Context, inv inventory) ([]Damage, error) {
	written, removed, err := e.writtenManifests(ctx)
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
	for _, entry := range inv.entries {
		kept[entry.Key] = entry.Archived != nil
	}
	var damaged []Damage
	for _, w := range written {
		body, err := e.readDocument(ctx, w.Key)
		switch {
		case errors.Is(err, store.ErrNotFound) && (kept[w.Key] || removed[w.Key]):
			continue // its backup is in an archive, or was let go
		case errors.Is(err, store.ErrNotFound):
			damaged = append(damaged, Damage{w.Key, "it is gone, and no run says that it removed it"})
		case err != nil:
			return nil, err
		case seal.SumOf(body) != w.Sum:
			damaged = append(damaged, Damage{w.Key, "it is not what the run wrote that published it"})
		}
	}
	slices.SortFunc(damaged, func(a, b Damage) int { return cmp.Compare(a.Key, b.Key) })
	return damaged, nil
}

// writtenManifests are all manifests that end records tell of, and the keys that
// runs that prune removed, or were about to when they died. A newer or a foreign
// record tells of nothing that this program knows.
func (e *Engine) writtenManifests(ctx context.Context) (written []manifest.Written, removed map[string]bool, err error) {
	infos, err := e.runRecords(ctx)
	if err != nil {
		return nil, nil, err
	}
	infos = slices.DeleteFunc(infos, func(info store.Info) bool {
		name, isEnd, err := backup.ParseRunKey(info.Key)
		return err != nil || !isEnd && !backup.Job{ID: name.JobID}.IsPrune()
	})
	jobs, _, err := e.histories(ctx, infos)
	if err != nil {
		return nil, nil, err
	}
	removed = map[string]bool{}
	for _, h := range jobs {
		for _, end := range h.ends {
			written = append(written, end.Manifests()...)
		}
		for _, key := range h.removed() {
			removed[key] = true
		}
	}
	return written, removed, nil
}

// removed are the keys that a job that prunes removed: those that its end record
// tells of, or all that it set out to remove where it has none.
func (h *history) removed() []string {
	var keys []string
	for _, end := range h.ends {
		for _, deleted := range end.Deleted {
			keys = append(keys, deleted.Key)
		}
	}
	if len(h.ends) > 0 {
		return keys
	}
	for _, begin := range h.begins {
		keys = append(keys, begin.Deletes...)
	}
	return keys
}
