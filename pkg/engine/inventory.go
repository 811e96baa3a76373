package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// readers is how many small documents are read at once.
const readers = 8

// Entry is a backup as found in the bucket: a daily, a member of an archive, or
// both.
type Entry struct {
	Name backup.Name
	// Key is that of the daily's manifest, which is gone where only an archive
	// holds the backup.
	Key string
	// Brief is what the backup is sorted and chosen by: see Manifest for the rest.
	Brief *manifest.Brief
	// Daily says that the daily itself is there.
	Daily bool
	// Archived tells where an archive holds the backup; nil where none does.
	Archived *Archived
	// DamagedDaily says that a daily lies there that did not pass a check, while
	// an archive holds the backup, so that it is not Daily.
	DamagedDaily bool
	// Failed is the detail of a proof that this backup did not pass; empty
	// for a good one.
	Failed string
	// Pin keeps it from being removed; nil where none does now.
	Pin *manifest.Pin
	// Proof is the highest level that it has passed, and when it did last; the
	// one of its manifest where there was none since.
	Proof manifest.Proof
}

// Good says whether the entry counts as a backup to rely on.
func (e Entry) Good() bool { return e.Failed == "" }

// Manifest is all that is told of the backup. It is put together with every call.
func (e Entry) Manifest() manifest.Backup { return e.Brief.Whole() }

// Kind is where the backup is read from: "daily", or "weekly" for an archive.
func (e Entry) Kind() Kind {
	if e.Daily {
		return KindDaily
	}
	return KindWeekly
}

// StoredBytes is how many bytes the backup takes where it is read from.
func (e Entry) StoredBytes() int64 {
	if !e.Daily && e.Archived != nil {
		return e.Archived.Member.Packed.Bytes
	}
	return e.Brief.StoredBytes
}

// Kind is a kind of place that holds backups.
type Kind string

// The kinds of places, in the words of the command line.
const (
	KindDaily  Kind = "daily"
	KindWeekly Kind = "weekly"
)

// Stray is an object that belongs to no readable manifest.
type Stray struct {
	store.Info
	// Why says in words what it is taken for.
	Why string
	// by are the runs that announced it. unsure says that there may be others,
	// of which the records cannot be read.
	by     []manifest.Begin
	unsure bool
}

// inventory is what lies in the bucket under a prefix.
type inventory struct {
	// entries are newest first.
	entries []Entry
	// foreign are objects that Patina did not write, or cannot read. They
	// are kept. unfinished are objects that a run of ours announced, but
	// never made into a backup, or not yet.
	foreign, unfinished []Stray
	// vanished are manifests that were listed, and gone when they were read.
	vanished []store.Info
	// archives are those that no other replaces, oldest first, and replaced the
	// rest of them.
	archives, replaced []Archive
	// lacking says of dailies, by the keys of their manifests, what the listing
	// tells against their objects.
	lacking map[string]string
	// said are the records about backups.
	said
	// elsewhere are the keys of the objects that manifests name and that were not
	// listed.
	elsewhere []string
	bytes     int64
}

// said is what records say of backups, wherever they lie.
type said struct {
	// proofs are all records of checks.
	proofs proofs
	// kept are the records of what operators keep, and of databases that they
	// retired.
	kept keptRecords
}

// readSaid reads all of them. One listing tells of every kind.
func (e *Engine) readSaid(ctx context.Context) (said, error) {
	kinds, err := e.listRecords(ctx)
	if err != nil {
		return said{}, err
	}
	proofs, err := e.proofsIn(ctx, kinds[backup.RecordProof])
	if err != nil {
		return said{}, err
	}
	kept, err := e.keptIn(ctx, kinds)
	return said{proofs, kept}, err
}

// listRecords lists the records of every kind, by kind.
func (e *Engine) listRecords(ctx context.Context) (map[backup.RecordKind][]store.Info, error) {
	kinds := map[backup.RecordKind][]store.Info{}
	for info, err := range e.opts.Store.List(ctx, backup.RecordsPrefix) {
		if err != nil {
			return nil, fmt.Errorf("list the bucket: %w", err)
		}
		kind, _, _ := strings.Cut(strings.TrimPrefix(info.Key, backup.RecordsPrefix), "/")
		kinds[backup.RecordKind(kind)] = append(kinds[backup.RecordKind(kind)], info)
	}
	return kinds, nil
}

// listing is what a walk over the folders of backups finds, by what the keys
// say.
type listing struct {
	manifests        []dailyInfo
	archives, others []store.Info
	// runs are the records of runs, where all of the bucket was listed.
	runs  []store.Info
	bytes int64
	// recalled tells what is remembered of the manifests; nil where it was not
	// asked for yet.
	recalled *recalling
}

// dailyInfo is what was listed of the manifest of a daily.
type dailyInfo struct {
	store.Info
	name backup.Name
}

// takeInventory lists everything below the prefixes, each of the daily or the
// weekly folder (or all of the bucket, where it is empty), and reads the
// manifests. The prefixes must be in order. What is remembered of the manifests is
// recalled while the listing goes on.
func (e *Engine) takeInventory(ctx context.Context, prefixes ...string) (inventory, error) {
	found := listing{recalled: e.memory.recalling()}
	defer found.recalled.wait()
	for _, prefix := range prefixes {
		if err := e.listBackups(ctx, prefix, &found); err != nil {
			return inventory{}, err
		}
	}
	known, err := e.readSaid(ctx)
	if err != nil {
		return inventory{}, err
	}
	return e.inventoryOf(ctx, found, known, nil)
}

// inventoryOf reads what was listed. Claimed are the objects that manifests name
// which were read before; may be nil.
func (e *Engine) inventoryOf(ctx context.Context, found listing, known said, claimed map[string]bool) (inventory, error) {
	inv := inventory{said: known, bytes: found.bytes, lacking: map[string]string{}}
	if err := e.readManifests(ctx, found, &inv); err != nil {
		return inventory{}, err
	}
	stored := newObjects(found.others)
	inv.claimObjects(stored)
	if err := e.readArchives(ctx, found.archives, stored, &inv); err != nil {
		return inventory{}, err
	}
	orphans := slices.DeleteFunc(stored.unclaimed(), func(i store.Info) bool { return claimed[i.Key] })
	if err := e.sortOrphans(ctx, orphans, &inv); err != nil {
		return inventory{}, err
	}
	inv.judgeArchives()
	inv.addMembers()
	inv.judgeEntries(e.opts.Now())
	sortEntries(inv.entries)
	return inv, nil
}

// sortEntries sorts the entries, in the order of their keys most often, newest
// first. Each is moved once, for they are large. To begin with the newest day is to
// have sorted them, but for those of one day.
func sortEntries(entries []Entry) {
	order := make([]int, 0, len(entries))
	for end := len(entries); end > 0; {
		first := end - 1
		for first > 0 && entries[first-1].Name.Day.Equal(entries[first].Name.Day) {
			first--
		}
		for i := first; i < end; i++ {
			order = append(order, i)
		}
		end = first
	}
	slices.SortFunc(order, func(a, b int) int { return newer(&entries[a], &entries[b]) })
	arrange(entries, order)
}

// arrange puts at each place what is at the place that the order says.
func arrange[T any](all []T, order []int) {
	for start := range order {
		if order[start] == start {
			continue
		}
		first, i := all[start], start
		for order[i] != start {
			next := order[i]
			all[i], order[i] = all[next], i
			i = next
		}
		all[i], order[i] = first, i
	}
}

func newestFirst(a, b Entry) int { return newer(&a, &b) }

func newer(a, b *Entry) int {
	return cmp.Or(b.Brief.StartedAt.Compare(a.Brief.StartedAt), cmp.Compare(a.Key, b.Key))
}

// listBackups lists a folder of backups and tells manifests from the rest.
func (e *Engine) listBackups(ctx context.Context, prefix string, found *listing) error {
	for info, err := range e.opts.Store.List(ctx, prefix) {
		if err != nil {
			return fmt.Errorf("list the bucket: %w", err)
		}
		switch {
		case strings.HasPrefix(info.Key, backup.JobsPrefix):
			found.runs = append(found.runs, info)
		case !strings.HasPrefix(info.Key, backup.RecordsPrefix):
			found.add(info)
			found.recalled.follow(ctx, found.manifests)
		}
	}
	return nil
}

func (l *listing) add(info store.Info) {
	l.bytes += info.Bytes
	if !strings.HasSuffix(info.Key, ".json") {
		l.others = append(roomy(l.others), info)
		return
	}
	if name, ext, err := backup.ParseName(info.Key); err == nil && ext == "json" {
		l.manifests = append(roomy(l.manifests), dailyInfo{info, name})
		return
	}
	if _, ext, err := backup.ParseArchiveName(info.Key); err == nil && ext == "json" {
		l.archives = append(l.archives, info)
		return
	}
	l.others = append(l.others, info)
}

// roomy doubles a list that is full. What is appended to a long one has it grow by
// a quarter only, so that all of it is moved again and again.
func roomy[T any](list []T) []T {
	if len(list) < cap(list) {
		return list
	}
	return slices.Grow(list, max(len(list), recallAtOnce))
}

// readManifests reads all manifests of dailies. One that cannot be read as ours is
// foreign, never an error: one bad file must not hide the good ones.
func (e *Engine) readManifests(ctx context.Context, found listing, inv *inventory) error {
	if found.recalled == nil {
		found.recalled = e.memory.recalling()
	}
	briefs := found.recalled.rest(ctx, found.manifests)
	whys, err := e.readMissing(ctx, found.manifests, briefs)
	if err != nil {
		return err
	}
	inv.entries = make([]Entry, 0, len(briefs))
	for i, brief := range briefs {
		daily := &found.manifests[i]
		switch {
		case brief != nil:
			inv.entries = append(inv.entries, Entry{Name: daily.name, Key: daily.Key, Brief: brief, Daily: true})
		case whys[i] == vanished:
			inv.vanished = append(inv.vanished, daily.Info)
		default:
			inv.foreign = append(inv.foreign, Stray{Info: daily.Info, Why: whys[i]})
		}
	}
	return nil
}

// readMissing reads the manifests of which there is no brief, and says of those
// that still have none, by their place, why.
func (e *Engine) readMissing(ctx context.Context, dailies []dailyInfo, briefs []*manifest.Brief) (map[int]string, error) {
	var missing []int
	var infos []store.Info
	for i, brief := range briefs {
		if brief == nil {
			missing, infos = append(missing, i), append(infos, dailies[i].Info)
		}
	}
	whys := make([]string, len(missing))
	remembers := e.memory.usable(len(dailies))
	err := e.eachDocument(ctx, infos, func(n int, info store.Info, body []byte) {
		if body == nil {
			whys[n] = vanished
			return
		}
		m, err := manifest.Decode[manifest.Backup](body)
		if err != nil {
			whys[n] = err.Error()
			return
		}
		briefs[missing[n]] = manifest.NewBrief(m)
		if remembers {
			e.memory.remember(ctx, info, m)
		}
	})
	e.memory.flush(ctx)
	byPlace := make(map[int]string, len(missing))
	for n, i := range missing {
		byPlace[i] = whys[n]
	}
	return byPlace, err
}

// vanished says of a document that it is gone since it was listed.
const vanished = "it is gone since it was listed"

// eachDocument reads small objects side by side, and hands each, with what it was
// that was read, to a function that is called from several goroutines. The body of
// one that is gone since it was listed, as when another run prunes, is nil.
func (e *Engine) eachDocument(ctx context.Context, infos []store.Info, use func(i int, info store.Info, body []byte)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, info := range infos {
		group.Go(func() error {
			body, info, err := e.readWhole(ctx, info.Key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			use(i, info, body)
			return nil
		})
	}
	return group.Wait()
}

// readDocuments reads small objects, in the order given, all at once: there must
// not be many.
func (e *Engine) readDocuments(ctx context.Context, infos []store.Info) ([][]byte, error) {
	bodies := make([][]byte, len(infos))
	err := e.eachDocument(ctx, infos, func(i int, _ store.Info, body []byte) { bodies[i] = body })
	return bodies, err
}

func (e *Engine) readDocument(ctx context.Context, key string) ([]byte, error) {
	body, _, err := e.readWhole(ctx, key)
	return body, err
}

// readWhole reads a small object, and tells which one it was.
func (e *Engine) readWhole(ctx context.Context, key string) ([]byte, store.Info, error) {
	r, info, err := e.opts.Store.Get(ctx, key, store.GetOptions{})
	if err != nil {
		return nil, info, fmt.Errorf("read %s: %w", key, err)
	}
	body, err := manifest.ReadAll(r)
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, info, fmt.Errorf("read %s: %w", key, err)
	}
	return body, info, nil
}

// sortOrphans tells what runs of ours left unfinished from what is foreign: an
// object is ours only if a begin record announces its key.
func (e *Engine) sortOrphans(ctx context.Context, orphans []store.Info, inv *inventory) error {
	a := &announcements{e: e, days: map[string]dayRuns{}}
	for _, orphan := range orphans {
		days := recordDays(orphan)
		if days == nil {
			inv.foreign = append(inv.foreign, Stray{Info: orphan, Why: "its key is none of patina's"})
			continue
		}
		stray, ours, err := a.judge(ctx, orphan, days)
		if err != nil {
			return err
		}
		if ours {
			inv.unfinished = append(inv.unfinished, stray)
			continue
		}
		inv.foreign = append(inv.foreign, stray)
	}
	return nil
}

// announcements are what runs said that they would write, or remove. They are
// read when an object is asked about.
type announcements struct {
	e *Engine
	// days are the runs of one day, by the prefix of its records.
	days map[string]dayRuns
	// removals are the runs that prune; nil until they were read.
	removals []manifest.Begin
}

// dayRuns are the runs that began on one day.
type dayRuns struct {
	begins []manifest.Begin
	// unreadable says that there are others.
	unreadable bool
}

// judge says what an object without a manifest is: one that a run of ours
// announced, or whose manifest a run of ours removed, or a foreign one.
func (a *announcements) judge(ctx context.Context, orphan store.Info, days []time.Time) (Stray, bool, error) {
	stray := Stray{Info: orphan, Why: "a run announced it and wrote no manifest"}
	for _, day := range days {
		runs, err := a.of(ctx, day)
		if err != nil {
			return Stray{}, false, err
		}
		stray.unsure = stray.unsure || runs.unreadable
		for _, begin := range runs.begins {
			if matchesAny(begin.Writes, orphan.Key) {
				stray.by = append(stray.by, begin)
			}
		}
	}
	if len(stray.by) > 0 {
		return stray, true, nil
	}
	removed, err := a.removedBy(ctx, orphan.Key)
	if err != nil || removed == nil {
		stray.Why = "no manifest, and no run announced it"
		return stray, false, err
	}
	stray.Why, stray.by = "a run that pruned removed its manifest, and not yet the object", []manifest.Begin{*removed}
	return stray, true, nil
}

// of reads the begin records of one day.
func (a *announcements) of(ctx context.Context, day time.Time) (dayRuns, error) {
	prefix := backup.JobsDayPrefix(day)
	if known, ok := a.days[prefix]; ok {
		return known, nil
	}
	begins, unreadable, err := a.e.readBegins(ctx, prefix, func(backup.RunName) bool { return true })
	if err != nil {
		return dayRuns{}, err
	}
	a.days[prefix] = dayRuns{begins: begins, unreadable: unreadable}
	return a.days[prefix], nil
}

// removedBy is the run that prunes that set out to remove a key; nil for none.
func (a *announcements) removedBy(ctx context.Context, key string) (*manifest.Begin, error) {
	if a.removals == nil {
		begins, _, err := a.e.readBegins(ctx, backup.JobsPrefix, func(n backup.RunName) bool { return backup.Job{ID: n.JobID}.IsPrune() })
		if err != nil {
			return nil, err
		}
		a.removals = filled(begins)
	}
	for i := range a.removals {
		if slices.Contains(a.removals[i].Deletes, key) {
			return &a.removals[i], nil
		}
	}
	return nil, nil
}

// readBegins reads the begin records under a prefix that are wanted. The second
// result says that some cannot be read.
func (e *Engine) readBegins(ctx context.Context, prefix string, wanted func(backup.RunName) bool) ([]manifest.Begin, bool, error) {
	var infos []store.Info
	for info, err := range e.opts.Store.List(ctx, prefix) {
		if err != nil {
			return nil, false, fmt.Errorf("list the bucket: %w", err)
		}
		if name, isEnd, err := backup.ParseRunKey(info.Key); err == nil && !isEnd && wanted(name) {
			infos = append(infos, info)
		}
	}
	bodies, err := e.readDocuments(ctx, infos)
	if err != nil {
		return nil, false, err
	}
	var begins []manifest.Begin
	unreadable := false
	for _, body := range bodies {
		if body == nil {
			continue // it is gone
		}
		begin, err := manifest.Decode[manifest.Begin](body)
		if err != nil {
			unreadable = true
			continue
		}
		begins = append(begins, begin)
	}
	return begins, unreadable, nil
}

// recordDays are the days whose records may announce an object; nil for a key
// that is none of ours. A run's records lie under the day it began: that of a
// daily is in the key, and an archive's is the day it was written, or the one
// before that.
func recordDays(orphan store.Info) []time.Time {
	if name, _, err := backup.ParseName(orphan.Key); err == nil {
		return []time.Time{name.Day}
	}
	if _, _, err := backup.ParseArchiveName(orphan.Key); err == nil {
		written := backup.DayOf(orphan.ModifiedAt)
		return []time.Time{written, written.AddDate(0, 0, -1)}
	}
	return nil
}

func matchesAny(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, key)
		return ok && err == nil
	})
}

// putDocument writes a small document, create-only.
func (e *Engine) putDocument(ctx context.Context, key string, body []byte) (store.Receipt, error) {
	return e.opts.Store.Put(ctx, key, bytes.NewReader(body), store.PutOptions{ContentType: "application/json"})
}

// record writes a document that nobody else writes, create-only.
func record[D manifest.Document](ctx context.Context, e *Engine, key string, doc D) error {
	body, err := manifest.Encode(doc)
	if err != nil {
		return err
	}
	_, err = e.putDocument(ctx, key, body)
	return err
}

// cleanUpTime bounds what must still be written when a run was interrupted.
const cleanUpTime = time.Minute

// publishGrace is how long a dump that is stored is still published when the
// work was ended: that takes one small write, and taking it back takes more.
const publishGrace = 20 * time.Second

// outlive is a context that ends when ctx has been over for a while.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// afterwards is a context for clean-up: it does not end with the work's.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
}
