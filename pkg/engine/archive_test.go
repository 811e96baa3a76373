package engine_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// sunday is when the week of the tests is archived.
var sunday = time.Date(2024, 12, 8, 4, 0, 5, 0, time.UTC)

// nights takes the night's backups of days of December 2024.
func (b *bench) nights(e *engine.Engine, days ...int) {
	b.t.Helper()
	for _, day := range days {
		b.setClock(time.Date(2024, 12, day, 3, 0, 5, 0, time.UTC))
		if r := b.night(e); len(r.Kinds()) > 0 && r.Successful() == 0 {
			b.t.Fatalf("night of %d: %v", day, r.Kinds())
		}
	}
	b.setClock(sunday)
}

// archive archives what is due.
func (b *bench) archive(e *engine.Engine) engine.ArchiveResult {
	b.t.Helper()
	r, err := e.Archive(b.t.Context(), engine.ArchiveRequest{Trigger: backup.TriggerSchedule})
	if err != nil {
		b.t.Fatalf("archive: %v", err)
	}
	return r
}

// archiveOne archives the one week that is due.
func (b *bench) archiveOne(e *engine.Engine) engine.WeekResult {
	b.t.Helper()
	r := b.archive(e)
	if len(r.Weeks) != 1 || r.CatalogErr != nil {
		b.t.Fatalf("%d weeks, catalogue %v, want 1", len(r.Weeks), r.CatalogErr)
	}
	return r.Weeks[0]
}

// wantArchived removes all dailies, and reads everything out of archives.
func (b *bench) wantArchived(e *engine.Engine, backups int) {
	b.t.Helper()
	for _, entry := range b.list(e).Entries {
		if entry.Daily {
			b.remove(entry.Key, entry.Manifest().Object.Key)
		}
	}
	list := b.list(e)
	if len(list.Entries) != backups {
		b.t.Fatalf("%d backups are left in archives, want %d", len(list.Entries), backups)
	}
	for i, entry := range list.Entries {
		opened, err := e.Open(b.t.Context(), entry)
		if err != nil {
			b.t.Fatal(err)
		}
		list.Entries[i] = opened
	}
	b.wantEqual(e, list)
}

// archives are the manifests of all archives, by key.
func (b *bench) archives() map[string]manifest.Archive {
	b.t.Helper()
	all := map[string]manifest.Archive{}
	for info, err := range b.store.List(b.t.Context(), backup.WeeklyPrefix) {
		if err != nil {
			b.t.Fatal(err)
		}
		if !strings.HasSuffix(info.Key, ".json") {
			continue
		}
		m, err := manifest.Decode[manifest.Archive](b.read(info.Key))
		if err != nil {
			b.t.Fatal(err)
		}
		all[info.Key] = m
	}
	return all
}

// dateOrphans makes what no archive names as old as the test says that it is.
func (b *bench) dateOrphans() {
	b.t.Helper()
	named := map[string]bool{}
	for key, m := range b.archives() {
		named[key], named[m.Object.Key] = true, true
	}
	for _, key := range b.keys(backup.WeeklyPrefix) {
		if named[key] {
			continue // its ETag has its time
		}
		if err := os.Chtimes(b.file(key), b.now(), b.now()); err != nil {
			b.t.Fatal(err)
		}
	}
}

// keys are those below a prefix.
func (b *bench) keys(prefix string) []string {
	b.t.Helper()
	var keys []string
	for info, err := range b.store.List(b.t.Context(), prefix) {
		if err != nil {
			b.t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// TestAWeekBecomesOneArchive in every way of packing: all is read back out of
// it, by a host that has nothing else, and a second run finds nothing to do.
func TestAWeekBecomesOneArchive(t *testing.T) {
	t.Parallel()
	for _, compression := range seal.Compressions() {
		for _, encrypted := range []bool{false, true} {
			b := newBench(t, "alpha", "beta")
			taker, reader := b.host(func(o *engine.Options) { o.Packing.Compression = compression }), b.host(nil)
			if encrypted {
				taker, reader = sealedHosts(t, b)
			}
			b.nights(taker, 2, 3, 4, 5, 6, 7, 8)
			w := b.archiveOne(taker)
			if w.Outcome != engine.OutcomeDone || w.ManifestKey != "weekly/2024-W49.json" || len(w.Manifest.Members) != 14 || len(w.Gaps) != 0 {
				t.Fatalf("the week is %s (%v), %s, gaps %v", w.Outcome, w.Err, w.ManifestKey, w.Gaps)
			}
			if w.Manifest.Object.Key != "weekly/2024-W49.tar.gz" || w.Manifest.Members[1].ManifestKey != "daily/2024-12-03/alpha.json" {
				t.Errorf("%s, second member %s", w.Manifest.Object.Key, w.Manifest.Members[1].ManifestKey)
			}
			if again := b.archive(taker); len(again.Weeks) != 0 {
				t.Errorf("archived again: %+v", again.Weeks)
			}
			b.wantArchived(reader, 14)
		}
	}
}

// TestMixedDailiesInOneArchive has every way of storing in one week, and backups
// that are not a night's.
func TestMixedDailiesInOneArchive(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	taker, reader := sealedHosts(t, b)
	for i, c := range seal.Compressions() {
		b.nights(b.host(func(o *engine.Options) { o.Packing.Compression = c }), 2+i)
	}
	b.nights(taker, 5)
	if _, err := reader.Backup(t.Context(), engine.BackupRequest{Trigger: backup.TriggerDeploy}); err != nil {
		t.Fatal(err)
	}
	w := b.archiveOne(reader)
	if w.Outcome != engine.OutcomeDone || len(w.Manifest.Members) != 5 {
		t.Fatalf("the week is %s (%v)", w.Outcome, w.Err)
	}
	var gaps []string
	for _, gap := range w.Gaps {
		gaps = append(gaps, gap.Day+" "+gap.Database+" "+gap.Why)
	}
	want := []string{"2024-12-06 alpha no run took backups that day", "2024-12-07 alpha no run took backups that day"}
	if diff := cmp.Diff(want, gaps); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	b.wantArchived(reader, 5)
}

// TestGapsAreTold takes a week in which databases come, go and fail.
func TestGapsAreTold(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "gone")
	b.seed("search", "CREATE VIRTUAL TABLE v USING fts5(x)")
	e := b.host(nil)
	b.nights(e, 2)
	only := b.host(func(o *engine.Options) {
		o.Select = func([]string) ([]string, []string) { return []string{"alpha"}, []string{"tenant-*"} }
	})
	b.nights(only, 3, 4)
	b.seed("late", "CREATE TABLE t(x)", "INSERT INTO t VALUES(1)")
	b.nights(b.host(func(o *engine.Options) {
		o.Select = func([]string) ([]string, []string) { return []string{"alpha", "late"}, nil }
	}), 6, 7, 8)
	w := b.archiveOne(e)
	if w.Outcome != engine.OutcomeDone {
		t.Fatalf("the week is %s: %v", w.Outcome, w.Err)
	}
	got := map[string]string{}
	for _, gap := range w.Manifest.Gaps {
		got[gap.Day+" "+gap.Database] = gap.Why
	}
	want := map[string]string{
		"2024-12-05 alpha": "no run took backups that day", "2024-12-05 gone": "no run took backups that day",
		"2024-12-05 late": "no run took backups that day", "2024-12-05 search": "no run took backups that day",
		"2024-12-02 late": "no run was about it before 2024-12-06", "2024-12-03 late": "no run was about it before 2024-12-06",
		"2024-12-04 late": "no run was about it before 2024-12-06",
	}
	for _, day := range []string{"03", "04", "06", "07", "08"} {
		want["2024-12-"+day+" gone"] = "no run was about it after 2024-12-02"
		want["2024-12-"+day+" search"] = "no run was about it"
	}
	failed := got["2024-12-02 search"]
	delete(got, "2024-12-02 search")
	if diff := cmp.Diff(want, got); diff != "" || !strings.HasPrefix(failed, "its backup failed: D1 cannot export virtual tables") {
		t.Errorf("search failed: %q; other gaps (-want +got):\n%s", failed, diff)
	}
	if len((engine.ArchiveResult{Weeks: []engine.WeekResult{w}}).Kinds()) != 0 {
		t.Error("gaps are a fault")
	}
}

// TestALateDailyMakesASecondPart and never a rewrite.
func TestALateDailyMakesASecondPart(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	e := b.host(nil)
	b.nights(e, 2, 3)
	b.archiveOne(e)
	first := b.read("weekly/2024-W49.tar.gz")
	if _, err := e.Backup(t.Context(), engine.BackupRequest{Names: []string{"beta"}, Trigger: backup.TriggerManual}); err != nil {
		t.Fatal(err)
	}
	b.setClock(sunday.AddDate(0, 0, 7))
	w := b.archiveOne(e)
	if w.Outcome != engine.OutcomeDone || w.ManifestKey != "weekly/2024-W49.2.json" || len(w.Manifest.Members) != 1 || len(w.Manifest.Replaces) != 0 {
		t.Fatalf("the second part is %+v", w)
	}
	if !bytes.Equal(first, b.read("weekly/2024-W49.tar.gz")) {
		t.Error("the first part was rewritten")
	}
	b.wantArchived(e, 5)
}

// TestAWeekThatIsTooMuchForOneManifest gets several parts, in one run.
func TestAWeekThatIsTooMuchForOneManifest(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	e := b.host(func(o *engine.Options) { o.ArchiveManifest = 10_000 })
	b.nights(e, 2, 3, 4)
	r := b.archive(e)
	members := 0
	for i, w := range r.Weeks {
		if w.Outcome != engine.OutcomeDone || w.Manifest.Part != i+1 || len(w.Gaps) != 8 {
			t.Fatalf("part %d is %s: %v; gaps %v", i+1, w.Outcome, w.Err, w.Gaps)
		}
		if body := b.read(w.ManifestKey); len(body) > 10_000 {
			t.Errorf("the manifest of part %d has %d bytes", i+1, len(body))
		}
		members += len(w.Manifest.Members)
	}
	if len(r.Weeks) < 2 || len(r.Weeks) > 5 || members != 6 {
		t.Errorf("%d parts with %d members", len(r.Weeks), members)
	}
	b.wantArchived(e, 6)
}

// TestMissedWeeksAreMadeUp oldest first, and the week that is not over yet is
// left.
func TestMissedWeeksAreMadeUp(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(nil)
	b.nights(e, 1, 2, 8, 9, 16)
	// In this order: the clock stays where the last one sets it.
	for _, c := range []struct {
		at   string
		want []string
	}{
		{"2024-12-08T03:30:00Z", []string{"weekly/2024-W48.json"}},
		{"2024-12-16T12:00:00Z", []string{"weekly/2024-W48.json", "weekly/2024-W49.json", "weekly/2024-W50.json"}},
	} {
		at, want := c.at, c.want
		parsed, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		b.setClock(parsed)
		r, err := e.Archive(t.Context(), engine.ArchiveRequest{Trigger: backup.TriggerManual, DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		var weeks []string
		for _, w := range r.Weeks {
			if w.Outcome != engine.OutcomePlanned || len(w.Dailies) == 0 {
				t.Errorf("%s: %s is %s with %d dailies", at, w.Week, w.Outcome, len(w.Dailies))
			}
			weeks = append(weeks, backup.ArchiveName{Week: w.Week, Part: 1}.Manifest())
		}
		if diff := cmp.Diff(want, weeks); diff != "" {
			t.Errorf("%s (-want +got):\n%s", at, diff)
		}
	}
	if len(b.keys(backup.WeeklyPrefix)) != 0 {
		t.Error("a dry run wrote an archive")
	}
	if r := b.archive(e); len(r.Weeks) != 3 || len(r.Kinds()) != 0 {
		t.Errorf("%d weeks, %v", len(r.Weeks), r.Kinds())
	}
	if r := b.archive(e); len(r.Weeks) != 0 {
		t.Errorf("archived again: %+v", r.Weeks)
	}
}

// TestOneWeekByName is archived whatever the schedule says.
func TestOneWeekByName(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(nil)
	b.nights(e, 2, 9)
	b.setClock(time.Date(2024, 12, 10, 12, 0, 0, 0, time.UTC))
	ask := func(number int) (engine.ArchiveResult, error) {
		return e.Archive(t.Context(), engine.ArchiveRequest{Trigger: backup.TriggerManual, Week: backup.Week{Year: 2024, Number: number}})
	}
	r, err := ask(50)
	if err != nil || len(r.Weeks) != 1 || r.Weeks[0].ManifestKey != "weekly/2024-W50.json" {
		t.Fatalf("%+v, %v", r, err)
	}
	if why := r.Weeks[0].Gaps[len(r.Weeks[0].Gaps)-1].Why; why != "the day had not come when the archive was made" {
		t.Errorf("of a day to come it says %q", why)
	}
	if r, err := ask(50); err != nil || len(r.Weeks) != 0 {
		t.Errorf("again: %+v, %v", r, err)
	}
	if _, err := ask(51); fault.KindOf(err) != fault.Usage {
		t.Errorf("a week to come: %v", err)
	}
	if _, err := ask(47); fault.KindOf(err) != fault.Failed || !strings.Contains(err.Error(), "no backup of 2024-W47") {
		t.Errorf("a week without backups: %v", err)
	}
}

// TestADamagedDailyIsLeftOutAndKept flips, cuts and loses stored bytes.
func TestADamagedDailyIsLeftOutAndKept(t *testing.T) {
	t.Parallel()
	const object = "daily/2024-12-03/beta.sql"
	change := func(f func([]byte) []byte) func(b *bench) {
		return func(b *bench) {
			body := b.read(object)
			b.remove(object)
			b.write(object, f(bytes.Clone(body)))
		}
	}
	for what, damage := range map[string]func(b *bench){
		"flipped": change(func(p []byte) []byte { p[len(p)-3] ^= 1; return p }),
		"cut":     change(func(p []byte) []byte { return p[:len(p)-1] }),
		"longer":  change(func(p []byte) []byte { return append(p, '\n') }),
		"lost":    func(b *bench) { b.remove(object) },
	} {
		b := newBench(t, "alpha", "beta")
		e := b.host(nil)
		b.nights(e, 2)
		b.change("beta")
		b.nights(e, 3)
		damage(b)
		before := b.keys(backup.DailyPrefix)
		r := b.archive(e)
		if len(r.Weeks) != 1 || !slices.Contains(r.Kinds(), fault.Proof) || len(r.Kinds()) != 1 {
			t.Fatalf("%s: %d weeks, %v", what, len(r.Weeks), r.Kinds())
		}
		w := r.Weeks[0]
		if w.Outcome != engine.OutcomeDone || len(w.Manifest.Members) != 3 || len(w.Damaged) != 1 || w.Damaged[0].Key != "daily/2024-12-03/beta.json" {
			t.Errorf("%s: the week is %s (%v), damaged %v", what, w.Outcome, w.Err, w.Damaged)
		}
		if why := whyMissing(w.Manifest.Gaps, "2024-12-03", "beta"); !strings.HasPrefix(why, "its stored bytes are damaged: ") {
			t.Errorf("%s: the gap says %q", what, why)
		}
		if diff := cmp.Diff(before, b.keys(backup.DailyPrefix)); diff != "" {
			t.Errorf("%s: dailies changed:\n%s", what, diff)
		}
		weekly := b.keys(backup.WeeklyPrefix)
		if len(weekly) != 2 {
			t.Errorf("%s: under weekly/ lie %v", what, weekly)
		}
		for _, entry := range b.list(e).Entries {
			if entry.Good() == (entry.Key == "daily/2024-12-03/beta.json") {
				t.Errorf("%s: %s is good: %t", what, entry.Key, entry.Good())
			}
		}
		// It is told once: the record says that there is nothing to try.
		if again := b.archive(e); len(again.Weeks) != 0 {
			t.Errorf("%s: archived again: %+v", what, again.Weeks)
		}
	}
}

// change makes a database another one.
func (b *bench) change(name string) {
	b.t.Helper()
	b.seed(name, "INSERT INTO t(v) VALUES('more')")
}

// TestADamagedDailyThatAnotherEquals is archived, by what the other one holds,
// and reported all the same.
func TestADamagedDailyThatAnotherEquals(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	e := b.host(nil)
	b.nights(e, 2, 3, 4)
	b.remove("daily/2024-12-03/beta.sql")
	r := b.archive(e)
	w := r.Weeks[0]
	if w.Outcome != engine.OutcomeDone || len(w.Manifest.Members) != 6 || len(w.Damaged) != 1 || w.Damaged[0].Key != "daily/2024-12-03/beta.json" || !slices.Equal(r.Kinds(), []fault.Kind{fault.Proof}) {
		t.Errorf("the week is %s (%v), damaged %v, %v", w.Outcome, w.Err, w.Damaged, r.Kinds())
	}
	for _, entry := range b.list(e).Entries {
		if !entry.Good() {
			t.Errorf("%s: %s", entry.ID(), entry.Failed)
		}
	}
	b.wantArchived(e, 6)
}

func whyMissing(gaps []manifest.Gap, day, database string) string {
	for _, gap := range gaps {
		if gap.Day == day && gap.Database == database {
			return gap.Why
		}
	}
	return ""
}

// TestEveryDailyIsDamaged leaves nothing to archive, which is said.
func TestEveryDailyIsDamaged(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	e := b.host(nil)
	b.nights(e, 2)
	for _, db := range []string{"alpha", "beta"} {
		b.remove("daily/2024-12-02/" + db + ".sql")
	}
	r := b.archive(e)
	if w := r.Weeks[0]; w.Outcome != engine.OutcomeFailed || len(w.Damaged) != 2 || !slices.Equal(r.Kinds(), []fault.Kind{fault.Proof}) {
		t.Errorf("the week is %s (%v), kinds %v", w.Outcome, w.Err, r.Kinds())
	}
	if keys := b.keys(backup.WeeklyPrefix); len(keys) != 0 {
		t.Errorf("under weekly/ lie %v", keys)
	}
}

// TestADailyThatIsPrunedMeanwhile is no damage.
func TestADailyThatIsPrunedMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	b.nights(b.host(nil), 2, 3)
	var once sync.Once
	e := b.host(func(o *engine.Options) {
		o.Store = tampered{Store: b.store, get: func(key string) error {
			if key == "daily/2024-12-02/alpha.sql" {
				once.Do(func() { b.remove("daily/2024-12-02/alpha.json", key) })
			}
			return nil
		}}
	})
	r := b.archive(e)
	if w := r.Weeks[0]; w.Outcome != engine.OutcomeDone || len(w.Manifest.Members) != 3 || len(r.Kinds()) != 0 {
		t.Errorf("the week is %s (%v), %v", w.Outcome, w.Err, r.Kinds())
	}
}

// TestTwoHostsArchiveAtOnce with one catalogue and without any: one good archive
// is left, and nothing beside it.
func TestTwoHostsArchiveAtOnce(t *testing.T) {
	t.Parallel()
	for _, catalogued := range []bool{true, false} {
		b := newBench(t, "alpha", "beta")
		b.nights(b.host(nil), 2, 3, 4)
		var meet sync.WaitGroup
		meet.Add(2)
		hosts := make([]*engine.Engine, 2)
		for i := range hosts {
			hosts[i] = b.host(func(o *engine.Options) {
				if catalogued {
					return
				}
				o.Catalog, o.CatalogErr = nil, catalog.ErrUnavailable
				var once sync.Once
				o.Store = tampered{Store: b.store, put: func(key string, _ func() (store.Receipt, error)) (store.Receipt, error, bool) {
					if strings.HasPrefix(key, backup.WeeklyPrefix) {
						// Both begin before either ends.
						once.Do(func() { meet.Done(); meet.Wait() })
					}
					return store.Receipt{}, nil, false
				}}
			})
		}
		results := make([]engine.ArchiveResult, 2)
		var both sync.WaitGroup
		for i, e := range hosts {
			both.Go(func() { results[i] = b.archive(e) })
		}
		both.Wait()
		done := 0
		for _, r := range results {
			for _, w := range r.Weeks {
				if w.Outcome == engine.OutcomeDone {
					done++
				}
				if w.Err != nil {
					t.Errorf("catalogued %t: %v", catalogued, w.Err)
				}
			}
		}
		if keys := b.keys(backup.WeeklyPrefix); done != 1 || len(keys) != 2 {
			t.Errorf("catalogued %t: %d archives were made, and under weekly/ lie %v", catalogued, done, keys)
		}
		b.wantArchived(b.host(nil), 6)
	}
}

// TestAnArchiveWaitsForTheNight that still runs, and no longer than it may.
func TestAnArchiveWaitsForTheNight(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(nil)
	b.nights(e, 7)
	c := b.openCatalog()
	job := backup.NightJob(time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC))
	run := backup.Run{ID: "eeee", JobID: job.ID, Host: "other", Process: 1, StartedAt: b.now()}
	if err := c.BeginRun(t.Context(), job, run); err != nil {
		t.Fatal(err)
	}
	r := b.archive(e)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Error(), job.ID+", which still runs") {
		t.Errorf("after no wait the warnings are %v", r.Warnings)
	}
	if len(r.Weeks) != 1 || r.Weeks[0].Outcome != engine.OutcomeDone {
		t.Fatalf("the week is %+v", r.Weeks)
	}
	b.remove(r.Weeks[0].ManifestKey, r.Weeks[0].Manifest.Object.Key)
	waiting := make(chan struct{})
	var once sync.Once
	watched := b.host(func(o *engine.Options) {
		o.Observer = observer(func(ev engine.Event) {
			if ev.Phase == engine.PhaseWaiting && strings.Contains(ev.Detail, job.ID) {
				once.Do(func() { close(waiting) })
			}
		})
	})
	ended := make(chan engine.ArchiveResult, 1)
	go func() {
		r, err := watched.Archive(t.Context(), engine.ArchiveRequest{Trigger: backup.TriggerSchedule, Wait: 2 * time.Hour})
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	<-waiting
	if keys := b.keys(backup.WeeklyPrefix); len(keys) != 0 {
		t.Errorf("while the night runs, under weekly/ lie %v", keys)
	}
	if err := c.EndRun(t.Context(), job.ID, run.ID, catalog.RunEnd{Status: catalog.RunSucceeded}); err != nil {
		t.Fatal(err)
	}
	if r := <-ended; len(r.Warnings) != 0 || len(r.Weeks) != 1 || r.Weeks[0].Outcome != engine.OutcomeDone {
		t.Errorf("after the night: %+v", r)
	}
}

// TestADeadNightIsNotWaitedFor where its process was one of this host.
func TestADeadNightIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(func(o *engine.Options) { o.Host = "here"; o.Alive = func(process int) bool { return process != 7 } })
	b.nights(e, 7)
	job := backup.NightJob(time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC))
	run := backup.Run{ID: "eeee", JobID: job.ID, Host: "here", Process: 7, StartedAt: b.now()}
	if err := b.openCatalog().BeginRun(t.Context(), job, run); err != nil {
		t.Fatal(err)
	}
	r, err := e.Archive(t.Context(), engine.ArchiveRequest{Trigger: backup.TriggerSchedule, Wait: time.Hour})
	if err != nil || len(r.Weeks) != 1 || r.Weeks[0].Outcome != engine.OutcomeDone || r.EndedAt.Sub(r.StartedAt) > catalog.DeadAfter {
		t.Errorf("%+v, %v", r, err)
	}
}

type observer func(engine.Event)

func (o observer) Observe(e engine.Event) { o(e) }

// TestAWeekIsHeld by another run: a scheduled one leaves it, a manual one waits
// and says so, and the lease of a dead process of this host is taken over.
func TestAWeekIsHeld(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(func(o *engine.Options) { o.Host = "here"; o.Alive = func(process int) bool { return process != 7 } })
	b.nights(e, 2)
	c := b.openCatalog()
	owner := catalog.Owner{JobID: "archive-x", RunID: "eeee", Host: "there", Process: 7}
	lease, err := c.Acquire(t.Context(), []string{"week:2024-W49"}, owner, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if w := b.archiveOne(e); w.Outcome != engine.OutcomeElsewhere {
		t.Errorf("a scheduled run says %s: %v", w.Outcome, w.Err)
	}
	r, err := e.Archive(t.Context(), engine.ArchiveRequest{Trigger: backup.TriggerManual})
	if err != nil || r.Weeks[0].Outcome != engine.OutcomeHeld || !slices.Equal(r.Kinds(), []fault.Kind{fault.Held}) {
		t.Errorf("a manual run: %+v, %v", r, err)
	}
	if err := c.Release(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	owner.Host = "here"
	if _, err := c.Acquire(t.Context(), []string{"week:2024-W49"}, owner, time.Hour); err != nil {
		t.Fatal(err)
	}
	if w := b.archiveOne(e); w.Outcome != engine.OutcomeDone {
		t.Errorf("after a dead process: %s: %v", w.Outcome, w.Err)
	}
	if held, err := c.Held(t.Context()); err != nil || len(held) != 0 {
		t.Errorf("leases are left: %v, %v", held, err)
	}
}

// TestALostLeaseEndsTheArchive before it is published.
func TestALostLeaseEndsTheArchive(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	b.nights(b.host(nil), 2)
	c := b.openCatalog()
	e := b.host(func(o *engine.Options) {
		o.Store = tampered{Store: b.store, put: func(key string, real func() (store.Receipt, error)) (store.Receipt, error, bool) {
			if !strings.HasSuffix(key, ".tar.gz") {
				return store.Receipt{}, nil, false
			}
			receipt, err := real()
			held, listErr := c.Held(t.Context())
			if listErr != nil || len(held) != 1 {
				t.Errorf("leases while it is written: %v, %v", held, listErr)
				return receipt, err, true
			}
			if err := c.Release(t.Context(), held[0]); err != nil {
				t.Error(err)
			}
			if _, err := c.Acquire(t.Context(), []string{held[0].Name}, catalog.Owner{JobID: "j", RunID: "r"}, time.Hour); err != nil {
				t.Error(err)
			}
			return receipt, err, true
		}}
	})
	r := b.archive(e)
	if w := r.Weeks[0]; w.Outcome != engine.OutcomeHeld || !slices.Equal(r.Kinds(), []fault.Kind{fault.Held}) {
		t.Errorf("the week is %s: %v", w.Outcome, w.Err)
	}
	if len(b.archives()) != 0 {
		t.Error("it was published all the same")
	}
}

// TestAnArchiveIsTriedAgain after failures of the store, and under keys of its
// own.
func TestAnArchiveIsTriedAgain(t *testing.T) {
	t.Parallel()
	errDown := errors.New("503 Service Unavailable")
	for what, c := range map[string]struct {
		fails int // how often
		on    string
		after bool // whether the call took effect
		want  engine.Outcome
		keys  int
	}{
		"twice on the object":               {2, ".tar.gz", false, engine.OutcomeDone, 2},
		"always on the object":              {99, ".tar.gz", false, engine.OutcomeFailed, 0},
		"once on the manifest":              {1, "W49.json", false, engine.OutcomeDone, 3},
		"manifest's answer lost":            {1, "W49.json", true, engine.OutcomeDone, 2},
		"object's answer lost, key is lost": {1, ".tar.gz", true, engine.OutcomeDone, 3},
	} {
		b := newBench(t, "alpha")
		b.nights(b.host(nil), 2, 3)
		failed := 0
		e := b.host(func(o *engine.Options) {
			o.Pause = func(int) time.Duration { return 0 }
			o.Store = tampered{Store: b.store, put: func(key string, real func() (store.Receipt, error)) (store.Receipt, error, bool) {
				if !strings.HasPrefix(key, backup.WeeklyPrefix) || !strings.HasSuffix(key, c.on) || failed == c.fails {
					return store.Receipt{}, nil, false
				}
				failed++
				if c.after {
					_, _ = real()
				}
				return store.Receipt{}, errDown, true
			}}
		})
		r := b.archive(e)
		if w := r.Weeks[0]; w.Outcome != c.want {
			t.Errorf("%s: the week is %s: %v", what, w.Outcome, w.Err)
		}
		if keys := b.keys(backup.WeeklyPrefix); len(keys) != c.keys {
			t.Errorf("%s: under weekly/ lie %v", what, keys)
		}
		b.dateOrphans()
		if strays := b.list(b.host(nil)); len(strays.Foreign) != 0 {
			t.Errorf("%s: foreign are %v", what, strays.Foreign)
		}
		if c.want == engine.OutcomeDone {
			b.wantArchived(b.host(nil), 2)
			continue
		}
		if !slices.Equal(r.Kinds(), []fault.Kind{fault.Failed}) {
			t.Errorf("%s: %v", what, r.Kinds())
		}
		if w := b.archiveOne(b.host(nil)); w.Outcome != engine.OutcomeDone {
			t.Errorf("%s: the next run says %s: %v", what, w.Outcome, w.Err)
		}
	}
}

// TestAnArchiveThatIsReplacedUnderItsKey is recorded as failed, and a further
// part holds everything.
func TestAnArchiveThatIsReplacedUnderItsKey(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	b.nights(b.host(nil), 2, 3)
	e := b.host(func(o *engine.Options) {
		o.Pause = func(int) time.Duration { return 0 }
		o.Store = tampered{Store: b.store, stat: func(key string, real store.Info) store.Info {
			if key == "weekly/2024-W49.tar.gz" {
				real.ETag = "another"
			}
			return real
		}}
	})
	w := b.archiveOne(e)
	if w.Outcome != engine.OutcomeDone || w.ManifestKey != "weekly/2024-W49.2.json" || !slices.Equal(w.Manifest.Replaces, []int{1}) {
		t.Fatalf("the week is %s (%v) in %s", w.Outcome, w.Err, w.ManifestKey)
	}
	if keys := b.keys("records/proof/_weekly/2024-W49/"); len(keys) != 1 {
		t.Errorf("records are %v", keys)
	}
	b.wantArchived(b.host(nil), 2)
}

// TestALostArchiveIsMadeAgain while its dailies are still there.
func TestALostArchiveIsMadeAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(nil)
	b.nights(e, 2, 3)
	b.archiveOne(e)
	b.remove("weekly/2024-W49.tar.gz")
	w := b.archiveOne(e)
	if w.Outcome != engine.OutcomeDone || w.ManifestKey != "weekly/2024-W49.2.json" || len(w.Manifest.Members) != 2 {
		t.Fatalf("the week is %s (%v) in %s", w.Outcome, w.Err, w.ManifestKey)
	}
	b.wantArchived(e, 2)
}

// TestTheRecordsOfAnArchive say what was set out to do, and what was done; the
// catalogue knows a job of its own kind.
func TestTheRecordsOfAnArchive(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(nil)
	b.nights(e, 2)
	w := b.archiveOne(e)
	end, err := manifest.Decode[manifest.End](b.read(backup.EndKey(w.Job, w.Run.ID)))
	if err != nil || end.Status != "succeeded" || end.Archive == nil || end.Archive.Sum != seal.SumOf(b.read(w.ManifestKey)) {
		t.Errorf("the end record is %+v, %v", end, err)
	}
	if _, err := manifest.Decode[manifest.Begin](b.read(backup.BeginKey(w.Job, w.Run.ID))); err != nil {
		t.Error(err)
	}
	jobs, err := b.openCatalog().Jobs(t.Context(), catalog.JobFilter{Kind: catalog.KindArchive})
	if err != nil || len(jobs) != 1 || jobs[0].ID != w.Job.ID || jobs[0].Status != catalog.JobSucceeded {
		t.Errorf("jobs are %+v, %v", jobs, err)
	}
	status, err := e.Status(t.Context(), engine.StatusRequest{})
	if err != nil || status.WeeklyArchives != 1 || len(status.Foreign)+len(status.Unfinished) != 0 {
		t.Errorf("status is %+v, %v", status, err)
	}
}

// TestNothingIsLeftOnDisk of an archive: no temporary file outside the bucket.
func TestNothingIsLeftOnDisk(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	b := newBench(t, "alpha")
	e := b.host(nil)
	b.nights(e, 2)
	counting := &countingStore{Store: b.store}
	b.archiveOne(b.host(func(o *engine.Options) { o.Store = counting }))
	left, err := filepath.Glob(filepath.Join(tmp, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range left {
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			t.Errorf("%s is left", file)
		}
	}
	if counting.bytes.Load() == 0 {
		t.Error("nothing was read")
	}
}

// TestAnArchiveJobIsRebuilt from the bucket alone, as the catalogue had it.
func TestAnArchiveJobIsRebuilt(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(nil)
	b.nights(e, 2, 3)
	b.archiveOne(e)
	archives := catalog.JobFilter{Kind: catalog.KindArchive}
	before, err := b.openCatalog().Jobs(t.Context(), archives)
	if err != nil {
		t.Fatal(err)
	}
	b.catalog = filepath.Join(t.TempDir(), "fresh.db")
	if _, err := b.host(nil).Rebuild(t.Context(), engine.RebuildRequest{}); err != nil {
		t.Fatal(err)
	}
	after, err := b.openCatalog().Jobs(t.Context(), archives)
	if err != nil {
		t.Fatal(err)
	}
	byServer := cmp.FilterPath(func(p cmp.Path) bool {
		name := p.Last().String()
		return name == ".HeartbeatAt" || name == ".EndedAt" // by the catalogue's clock, a moment later
	}, cmp.Ignore())
	if diff := cmp.Diff(before, after, byServer); diff != "" || len(after) != 1 {
		t.Errorf("archive jobs (-before +rebuilt):\n%s", diff)
	}
}
