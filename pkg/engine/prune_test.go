package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/retention"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// pruning makes an engine with a policy.
func (b *bench) pruning(policy retention.Policy, change func(*engine.Options)) *engine.Engine {
	b.t.Helper()
	return b.host(func(o *engine.Options) {
		o.Retention = func(string) retention.Policy { return policy }
		if change != nil {
			change(o)
		}
	})
}

// nightsTo takes a backup on each of some days, the last of which is given, and
// archives each week that ends in them.
func (b *bench) nightsTo(last time.Time, days int) {
	b.t.Helper()
	e := b.host(nil)
	for day := last.AddDate(0, 0, 1-days); !day.After(last); day = day.AddDate(0, 0, 1) {
		b.setClock(day.Add(3*time.Hour + 5*time.Second))
		b.night(e)
		if day.Weekday() == time.Sunday {
			b.setClock(day.Add(4 * time.Hour))
			b.archive(e)
		}
	}
	b.setClock(last.Add(5 * time.Hour))
}

func (b *bench) prune(e *engine.Engine, req engine.PruneRequest) engine.PruneResult {
	b.t.Helper()
	if req.Trigger == "" {
		req.Trigger = backup.TriggerManual
	}
	result, err := e.Prune(b.t.Context(), req)
	if err != nil {
		b.t.Fatalf("prune: %v", err)
	}
	return result
}

// left are the dailies and the archives that can be read, by what their keys say.
func (b *bench) left(e *engine.Engine) (dailies, weeks []string) {
	b.t.Helper()
	for _, entry := range b.list(e).Entries {
		if entry.Daily {
			dailies = append(dailies, entry.Name.Day.Format(time.DateOnly))
		}
		if entry.Archived != nil && !slices.Contains(weeks, entry.Archived.Archive) {
			weeks = append(weeks, entry.Archived.Archive)
		}
	}
	slices.Sort(dailies)
	slices.Sort(weeks)
	return dailies, weeks
}

// wantNothingMissed wants a verification of everything to find nothing wrong.
func (b *bench) wantNothingMissed(e *engine.Engine) {
	b.t.Helper()
	result, err := e.Verify(b.t.Context(), engine.VerifyRequest{All: true, Level: manifest.LevelScan})
	if err != nil || len(result.Kinds()) != 0 {
		b.t.Errorf("verify: %v, %v, documents %v", err, result.Kinds(), result.Documents)
	}
}

func wantItems(t *testing.T, r engine.PruneResult, outcome engine.ItemOutcome, want ...string) {
	t.Helper()
	var got []string
	for _, item := range r.Items {
		if item.Outcome == outcome {
			got = append(got, item.Key)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s are %v, want %v", outcome, got, want)
	}
}

func whyOf(t *testing.T, r engine.PruneResult, key string) string {
	t.Helper()
	for _, item := range r.Items {
		if item.Key == key {
			return item.Why
		}
	}
	t.Fatalf("%s is not in the plan", key)
	return ""
}

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// weekly keeps 3 days and 2 weeks.
func weekly() retention.Policy { return retention.Policy{Daily: 3, Weekly: 2} }

func TestPruneLeavesWhatThePolicyPromises(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-17"), 24)
	e := b.pruning(weekly(), nil)
	planned := b.prune(e, engine.PruneRequest{DryRun: true})
	if before, _ := b.left(e); len(before) != 24 {
		t.Fatalf("a dry run left %d dailies of 24", len(before))
	}
	done := b.prune(e, engine.PruneRequest{Reason: "tidy"})
	if len(done.Kinds()) != 0 {
		t.Fatalf("kinds %v, refused %v, warnings %v", done.Kinds(), done.Refused, done.Warnings)
	}
	due, _ := planned.Count(engine.ItemDue)
	if deleted, _ := done.Count(engine.ItemDeleted); deleted != due || due == 0 {
		t.Errorf("%d were planned, %d are deleted", due, deleted)
	}
	dailies, _ := b.left(e)
	// The days of the week that is in no archive yet stay with the newest three.
	if want := []string{"2024-12-15", "2024-12-16", "2024-12-17"}; !slices.Equal(dailies, want) {
		t.Errorf("dailies %v, want %v", dailies, want)
	}
	// What is of no week that is wanted goes a run after the dailies in it.
	again := b.prune(e, engine.PruneRequest{})
	_, weeks := b.left(e)
	if want := []string{"weekly/2024-W49.json", "weekly/2024-W50.json"}; !slices.Equal(weeks, want) {
		t.Errorf("archives %v, want %v; %v", weeks, want, again.Kinds())
	}
	b.wantEqual(e, b.list(e))
	b.wantNothingMissed(e)
	if idle := b.prune(e, engine.PruneRequest{}); len(idle.Kinds()) != 0 || slices.ContainsFunc(idle.Items, engine.PruneItem.Due) {
		t.Errorf("a third run finds %v", idle)
	}
	jobs, err := b.openCatalog().Jobs(t.Context(), catalog.JobFilter{Kind: catalog.KindPrune})
	if err != nil || len(jobs) != 2 || jobs[1].Reason != "tidy" || jobs[1].Status != catalog.JobSucceeded {
		t.Errorf("the catalogue tells of %v, %v", jobs, err)
	}
}

func TestPruneKeepsWhatNoArchiveHolds(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	e := b.host(nil)
	for _, d := range []string{"2024-12-02", "2024-12-03", "2024-12-04", "2024-12-05", "2024-12-06"} {
		b.setClock(day(d).Add(3 * time.Hour))
		b.night(e)
	}
	done := b.prune(b.pruning(weekly(), nil), engine.PruneRequest{})
	wantItems(t, done, engine.ItemDeleted)
	if why := whyOf(t, done, "daily/2024-12-02/shop.json"); why != "no archive that is kept holds it" {
		t.Errorf("it stays because %s", why)
	}
	// A policy without archives lets it go.
	done = b.prune(b.pruning(retention.Policy{Daily: 4}, nil), engine.PruneRequest{})
	wantItems(t, done, engine.ItemDeleted, "daily/2024-12-02/shop.json")
}

// TestPruneReadsTheArchiveFirst damages the archive's copy: its daily is kept, and
// reported; the next archive holds it, and then it goes.
func TestPruneReadsTheArchiveFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop", "blog")
	b.nightsTo(day("2024-12-10"), 9)
	path := filepath.Join(b.dir, "weekly", "2024-W49.tar.gz")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e := b.pruning(weekly(), nil)
	at := slices.IndexFunc(b.list(e).Entries, func(entry engine.Entry) bool { return entry.Key == "daily/2024-12-04/shop.json" })
	member := b.list(e).Entries[at].Archived.Member
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	whole[member.Offset+member.Packed.Bytes/2] ^= 1
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	done := b.prune(e, engine.PruneRequest{})
	if !slices.Equal(done.Kinds(), []fault.Kind{fault.Proof}) {
		t.Errorf("kinds %v", done.Kinds())
	}
	wantItems(t, done, engine.ItemSpared, "daily/2024-12-04/shop.json")
	if deleted, _ := done.Count(engine.ItemDeleted); deleted == 0 {
		t.Error("the others were not deleted")
	}
	b.wantEqual(e, b.list(e))
	b.archive(e)
	done = b.prune(e, engine.PruneRequest{})
	wantItems(t, done, engine.ItemDeleted, "daily/2024-12-04/shop.json")
	b.wantEqual(e, b.list(e))
}

func TestPruneRefusesToTakeTooMuch(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-05"), 4)
	e := b.pruning(retention.Policy{Daily: 1}, nil)
	done := b.prune(e, engine.PruneRequest{})
	if !slices.Equal(done.Kinds(), []fault.Kind{fault.Refused}) || len(done.Refused) != 1 || done.Refused[0] != (retention.Refusal{Database: "shop", Lost: 3, Of: 4}) {
		t.Errorf("kinds %v, refused %v", done.Kinds(), done.Refused)
	}
	wantItems(t, done, engine.ItemDeleted)
	done = b.prune(e, engine.PruneRequest{Confirmed: []string{"shop"}})
	if deleted, _ := done.Count(engine.ItemDeleted); deleted != 3 || len(done.Kinds()) != 0 {
		t.Errorf("%d deleted, %v", deleted, done.Kinds())
	}
	b.wantNothingMissed(e)
}

func TestPruneHoldsADatabaseWhoseLastRunFailed(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop", "blog")
	b.nightsTo(day("2024-12-10"), 9)
	b.setClock(day("2024-12-11").Add(3 * time.Hour))
	broken := b.host(func(o *engine.Options) {
		o.Store = tampered{Store: b.store, put: func(key string, _ func() (store.Receipt, error)) (store.Receipt, error, bool) {
			return store.Receipt{}, errors.New("no room"), strings.HasPrefix(key, "daily/") && strings.Contains(key, "shop")
		}}
		o.Pause = func(int) time.Duration { return time.Millisecond }
	})
	b.night(broken)
	done := b.prune(b.pruning(weekly(), nil), engine.PruneRequest{})
	for _, item := range done.Items {
		if item.Database == "shop" && item.Due() {
			t.Errorf("%s goes: %s", item.Key, item.Why)
		}
	}
	if why := whyOf(t, done, "daily/2024-12-02/shop.json"); !strings.Contains(why, "was not taken") || !strings.Contains(why, "no room") {
		t.Errorf("it stays because %s", why)
	}
	if deleted, _ := done.Count(engine.ItemDeleted); deleted == 0 {
		t.Error("nothing of the other database was deleted")
	}
	// When the night is made up for, it is as before.
	b.night(b.host(nil))
	if deleted, _ := b.prune(b.pruning(weekly(), nil), engine.PruneRequest{}).Count(engine.ItemDeleted); deleted == 0 {
		t.Error("nothing was deleted after a good run")
	}
}

// TestPruneHoldsWhatADeadRunLeftOpen has a run that never said how it ended.
func TestPruneHoldsWhatADeadRunLeftOpen(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-10"), 9)
	at := day("2024-12-11").Add(3 * time.Hour)
	job := backup.NightJob(at)
	b.writeBegin(backup.BeginKey(job, "dead"), manifest.Begin{
		Job: job, Run: backup.Run{ID: "dead", JobID: job.ID, StartedAt: at}, Databases: []backup.Database{{Name: "shop"}},
	})
	done := b.prune(b.pruning(weekly(), nil), engine.PruneRequest{DryRun: true})
	wantItems(t, done, engine.ItemDue)
	if why := whyOf(t, done, "daily/2024-12-02/shop.json"); !strings.Contains(why, "has not ended") {
		t.Errorf("it stays because %s", why)
	}
}

// writeBegin puts a begin record into the bucket.
func (b *bench) writeBegin(key string, doc manifest.Begin) {
	b.t.Helper()
	body, err := manifest.Encode(doc)
	if err != nil {
		b.t.Fatal(err)
	}
	b.put(key, string(body))
}

func (b *bench) put(key, text string) {
	b.t.Helper()
	if _, err := b.store.Put(b.t.Context(), key, strings.NewReader(text), store.PutOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

// age makes an object as old as a time.
func (b *bench) age(key string, at time.Time) {
	b.t.Helper()
	if err := os.Chtimes(filepath.Join(b.dir, filepath.FromSlash(key)), time.Time{}, at); err != nil {
		b.t.Fatal(err)
	}
}

// clocked is a store with a clock and open uploads.
type clocked struct {
	store.Store
	ahead   func() time.Time
	uploads []store.Upload
}

func (c clocked) Now(context.Context) (time.Time, error) { return c.ahead(), nil }

func (c clocked) Uploads(context.Context, string) iter.Seq2[store.Upload, error] {
	return func(yield func(store.Upload, error) bool) {
		for _, u := range c.uploads {
			if !yield(u, nil) {
				return
			}
		}
	}
}

func TestPruneHeedsTheEarlierClock(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-10"), 9)
	for _, c := range []struct {
		ahead time.Duration
		want  fault.Kind
	}{{-6 * time.Minute, fault.Refused}, {6 * time.Minute, fault.Refused}, {4 * time.Minute, ""}, {-4 * time.Minute, ""}} {
		e := b.pruning(weekly(), func(o *engine.Options) {
			o.Store = clocked{Store: b.store, ahead: func() time.Time { return b.now().Add(c.ahead) }}
		})
		result, err := e.Prune(t.Context(), engine.PruneRequest{Trigger: backup.TriggerManual, DryRun: true})
		if fault.KindOf(err) != c.want {
			t.Errorf("%s ahead: %v", c.ahead, err)
		}
		if want := b.now().Add(min(0, c.ahead)); err == nil && result.StartedAt.Sub(want).Abs() > 10*time.Second {
			t.Errorf("%s ahead: it is %s, want about %s", c.ahead, result.StartedAt, want)
		}
	}
}

func TestPruneNeverTakesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-17"), 24)
	const newer = `{"format": "patina.backup", "version": 99}`
	for key, text := range map[string]string{
		"daily/2024-11-26/other.json": newer, "daily/2024-11-26/other.sql": "x", "weekly/2020-W01.json": newer, "weekly/2020-W01.tar.gz": "x",
		"notes.txt": "mine", "daily/2024-11-27/old.sql": "from another program",
	} {
		b.put(key, text)
		b.age(key, day("2024-11-28"))
	}
	// Its object is announced, but a manifest of a newer version may name it.
	day := day("2024-11-28")
	job := backup.NightJob(day.Add(3 * time.Hour))
	b.writeBegin(backup.BeginKey(job, "beef"), manifest.Begin{
		Job: job, Run: backup.Run{ID: "beef", JobID: job.ID, StartedAt: day}, Writes: []string{"daily/2024-11-28/new.*"},
	})
	for _, key := range []string{"daily/2024-11-28/new.json", "daily/2024-11-28/new.sql"} {
		b.put(key, newer)
		b.age(key, day)
	}
	done := b.prune(b.pruning(weekly(), nil), engine.PruneRequest{})
	if len(done.Kinds()) != 0 {
		t.Errorf("kinds %v", done.Kinds())
	}
	for _, key := range []string{
		"daily/2024-11-26/other.json", "daily/2024-11-26/other.sql", "weekly/2020-W01.json", "weekly/2020-W01.tar.gz",
		"notes.txt", "daily/2024-11-27/old.sql", "daily/2024-11-28/new.json", "daily/2024-11-28/new.sql",
	} {
		if _, err := b.store.Stat(t.Context(), key); err != nil {
			t.Errorf("%v: %s", err, whyOf(t, done, key))
		}
	}
}

func TestPruneClearsDebris(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-10"), 2)
	at := day("2024-12-05").Add(3 * time.Hour)
	announce := func(run backup.RunID, started time.Time) backup.Job {
		job := backup.NewJob(backup.TriggerManual, "", started, run)
		b.writeBegin(backup.BeginKey(job, run), manifest.Begin{
			Job: job, Run: backup.Run{ID: run, JobID: job.ID, StartedAt: started}, Writes: backup.Writes(backup.DayOf(started), "shop", run),
		})
		return job
	}
	leave := func(started time.Time, run backup.RunID) string {
		key := backup.Name{Day: backup.DayOf(started), Database: "shop", Suffix: backup.NewSuffix(started, run)}.Object()
		b.put(key, "half")
		b.age(key, started)
		return key
	}
	announce("dead", at)
	old := leave(at, "dead")
	young := b.now().Add(-47 * time.Hour)
	announce("beef", young)
	recent := leave(young, "beef")
	ended := announce("cafe", young)
	end, err := manifest.Encode(manifest.End{Job: ended, Run: backup.Run{ID: "cafe", JobID: ended.ID, StartedAt: young}, EndedAt: young, Status: "failed"})
	if err != nil {
		t.Fatal(err)
	}
	b.put(backup.EndKey(ended, "cafe"), string(end))
	over := leave(young, "cafe")
	working := announce("f00d", at)
	held := leave(at, "f00d")
	if _, err := b.openCatalog().Acquire(t.Context(), []string{"db:x"}, catalog.Owner{JobID: working.ID, RunID: "f00d", Host: "elsewhere"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	var aborted []string
	upload := func(key string, started time.Time) store.Upload {
		return store.Upload{Key: key, StartedAt: started, Abort: func(context.Context) error { aborted = append(aborted, key); return nil }}
	}
	done := b.prune(b.pruning(weekly(), func(o *engine.Options) {
		o.Store = clocked{Store: b.store, ahead: b.now, uploads: []store.Upload{
			upload(old, at), upload(held, at), upload("daily/2024-12-05/nobody.sql", at), upload(recent, young),
			upload(over, b.now().Add(-time.Hour)), upload("elsewhere.bin", at),
		}}
	}), engine.PruneRequest{})
	wantItems(t, done, engine.ItemDeleted, old, over, old) // one object, and an upload of the same key
	if !slices.Equal(aborted, []string{old}) {
		t.Errorf("aborted %v", aborted)
	}
	for _, key := range []string{recent, held} {
		if _, err := b.store.Stat(t.Context(), key); err != nil {
			t.Errorf("%v", err)
		}
	}
}

// TestPruneMayEndAnywhere has each deletion in turn be the one at which the run
// ends: what is left is whole, and the next run does the rest.
func TestPruneMayEndAnywhere(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		b := newBench(t, "shop")
		b.nightsTo(day("2024-12-17"), 17)
		stopped := errors.New("the store is gone")
		n := 0
		e := b.pruning(weekly(), func(o *engine.Options) {
			o.Concurrency = 1
			o.Store = tampered{Store: b.store, remove: func(string) error {
				if n++; n >= at {
					return stopped
				}
				return nil
			}}
		})
		done := b.prune(e, engine.PruneRequest{})
		if n < at {
			if at < 10 {
				t.Fatalf("only %d deletions were made", n)
			}
			return
		}
		if len(done.Kinds()) == 0 {
			t.Fatalf("deletion %d failed, and nothing was said", at)
		}
		well := b.pruning(weekly(), nil)
		b.wantEqual(well, b.list(well))
		b.wantNothingMissed(well)
		if foreign := b.list(well).Foreign; len(foreign) != 0 {
			t.Errorf("after deletion %d failed: foreign %v", at, foreign)
		}
		for _, stray := range b.list(well).Unfinished {
			b.age(stray.Key, day("2024-12-01"))
		}
		b.prune(well, engine.PruneRequest{})
		b.prune(well, engine.PruneRequest{})
		dailies, weeks := b.left(well)
		if len(dailies) != 3 || len(weeks) != 2 || len(b.list(well).Unfinished) != 0 {
			t.Errorf("after deletion %d failed: dailies %v, archives %v, unfinished %v", at, dailies, weeks, b.list(well).Unfinished)
		}
		b.wantNothingMissed(well)
	}
}

func TestPruneSaysLaterOfWhatTheStoreLocks(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-10"), 9)
	done := b.prune(b.pruning(weekly(), func(o *engine.Options) {
		o.Store = tampered{Store: b.store, remove: func(key string) error { return fmt.Errorf("delete %s: %w", key, store.ErrLocked) }}
	}), engine.PruneRequest{})
	if later, _ := done.Count(engine.ItemLater); later == 0 || len(done.Kinds()) != 0 {
		t.Errorf("%d are told as later, kinds %v", later, done.Kinds())
	}
	b.wantNothingMissed(b.host(nil))
}

func TestPruneIsAloneWithItsWork(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-10"), 9)
	if _, err := b.openCatalog().Acquire(t.Context(), []string{catalog.PruneLease}, catalog.Owner{Host: "elsewhere", Process: 7}, time.Hour); err != nil {
		t.Fatal(err)
	}
	e := b.pruning(weekly(), nil)
	if r := b.prune(e, engine.PruneRequest{Trigger: backup.TriggerSchedule}); r.Outcome != engine.OutcomeElsewhere || len(r.Kinds()) != 0 {
		t.Errorf("a scheduled run: %s, %v", r.Outcome, r.Kinds())
	}
	if r := b.prune(e, engine.PruneRequest{}); !slices.Equal(r.Kinds(), []fault.Kind{fault.Held}) {
		t.Errorf("a manual run: %s, %v", r.Outcome, r.Kinds())
	}
}

// TestALostLeaseEndsThePrune when another run takes the lease between two removals,
// which no renewal has seen by then.
func TestALostLeaseEndsThePrune(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-24"), 20)
	c := b.openCatalog()
	removed := 0
	e := b.pruning(weekly(), func(o *engine.Options) {
		o.Concurrency = 1
		o.Store = tampered{Store: b.store, remove: func(string) error {
			if removed++; removed > 1 {
				return nil
			}
			held, err := c.Held(t.Context())
			if err != nil || len(held) != 1 {
				t.Errorf("leases while it removes: %v, %v", held, err)
				return nil
			}
			if err := c.Release(t.Context(), held[0]); err != nil {
				t.Error(err)
			}
			_, err = c.Acquire(t.Context(), []string{held[0].Name}, catalog.Owner{JobID: "j", RunID: "r"}, time.Hour)
			return err
		}}
	})
	r := b.prune(e, engine.PruneRequest{})
	if r.Outcome != engine.OutcomeHeld || !slices.Equal(r.Kinds(), []fault.Kind{fault.Held}) {
		t.Errorf("the run is %s, kinds %v: %v", r.Outcome, r.Kinds(), r.Err)
	}
	if deleted, _ := r.Count(engine.ItemDeleted); deleted != 1 || removed != 2 {
		t.Errorf("%d backups were removed, in %d calls, and the lease was lost at the first", deleted, removed)
	}
	if failed, _ := r.Count(engine.ItemFailed); failed != 0 {
		t.Errorf("%d are told as failed", failed)
	}
	b.wantNothingMissed(b.host(nil))
}

func TestPruneTakesRecordsWithTheirBackups(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-10"), 9)
	b.wantNothingMissed(b.host(nil)) // it leaves proof records
	e := b.pruning(retention.Policy{Daily: 8}, nil)
	for info, err := range b.store.List(t.Context(), backup.RecordsPrefix) {
		if err != nil {
			t.Fatal(err)
		}
		b.age(info.Key, day("2024-12-01"))
	}
	first := b.prune(e, engine.PruneRequest{})
	wantItems(t, first, engine.ItemDeleted, "daily/2024-12-02/shop.json")
	if first.Records != 0 {
		t.Errorf("%d records went while the archive holds the backup", first.Records)
	}
	// The archive goes when nothing of its week is wanted and no daily of it left.
	e = b.pruning(retention.Policy{Daily: 2}, nil)
	b.prune(e, engine.PruneRequest{Confirmed: []string{"shop"}})
	last := b.prune(e, engine.PruneRequest{Confirmed: []string{"shop"}})
	wantItems(t, last, engine.ItemDeleted, "weekly/2024-W49.json")
	if last.Records < 7 {
		t.Errorf("%d records went with the archive of 7 backups", last.Records)
	}
	b.wantNothingMissed(e)
}

// TestPruneSparesWhatIsPinnedMeanwhile pins a backup when the run has begun to
// remove others.
func TestPruneSparesWhatIsPinnedMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-24"), 31)
	pinner := b.host(nil)
	pinned := false
	policy := retention.Policy{Daily: 3, Weekly: 3}
	b.prune(b.pruning(policy, nil), engine.PruneRequest{})
	e := b.pruning(retention.Policy{Daily: 3, Weekly: 2}, func(o *engine.Options) {
		o.Concurrency = 1
		o.Store = tampered{Store: b.store, put: func(key string, _ func() (store.Receipt, error)) (store.Receipt, error, bool) {
			if !pinned && strings.HasSuffix(key, ".begin.json") {
				pinned = true
				if _, err := pinner.Pin(t.Context(), engine.PinRequest{Date: engine.Date{Day: day("2024-12-03")}}); err != nil {
					t.Error(err)
				}
			}
			return store.Receipt{}, nil, false
		}}
	})
	done := b.prune(e, engine.PruneRequest{Confirmed: []string{"shop"}})
	wantItems(t, done, engine.ItemSpared, "weekly/2024-W49.json")
	if why := whyOf(t, done, "weekly/2024-W49.json"); why != "daily/2024-12-03/shop.json: it is pinned" || len(done.Kinds()) != 0 {
		t.Errorf("it stays because %s; %v", why, done.Kinds())
	}
}

// TestAPinThatCannotBeReadHolds has a record of a newer version, and one of two
// hosts that wrote at once.
func TestAPinThatCannotBeReadHolds(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-10"), 9)
	e := b.host(nil)
	name := backup.Name{Day: day("2024-12-02"), Database: "shop"}
	b.put(backup.PinKey(name, b.now(), "beef"), `{"format": "patina.pin", "version": 99}`)
	if _, err := e.Unpin(t.Context(), engine.PinRequest{Date: engine.Date{Day: name.Day}}); fault.KindOf(err) != fault.Refused {
		t.Errorf("unpin: %v", err)
	}
	done := b.prune(b.pruning(weekly(), nil), engine.PruneRequest{DryRun: true})
	if why := whyOf(t, done, name.Manifest()); !strings.HasPrefix(why, "it is pinned: the record of its pin cannot be read") {
		t.Errorf("it stays because %s", why)
	}
}

// TestAPinOfNobodyKnowsWhatHoldsAll has a key of which it cannot be told what it is
// about.
func TestAPinOfNobodyKnowsWhatHoldsAll(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-10"), 9)
	b.put("records/pin/shop/everything-of-2024/20241210T050000Z-beef.json", "{}")
	done := b.prune(b.pruning(weekly(), nil), engine.PruneRequest{DryRun: true})
	wantItems(t, done, engine.ItemDue)
	if why := whyOf(t, done, "daily/2024-12-02/shop.json"); !strings.HasPrefix(why, "it is not known what records/pin/") {
		t.Errorf("it stays because %s", why)
	}
}

func TestAPinEndsByItself(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-10"), 9)
	e := b.host(nil)
	pinned, err := e.Pin(t.Context(), engine.PinRequest{Date: engine.Date{Day: day("2024-12-02")}, Until: day("2024-12-12"), Reason: "audit"})
	if err != nil || len(pinned.Changed) != 1 {
		t.Fatalf("%v, %v", pinned, err)
	}
	pruner := b.pruning(weekly(), nil)
	if why := whyOf(t, b.prune(pruner, engine.PruneRequest{DryRun: true}), "daily/2024-12-02/shop.json"); why != "it is pinned until 2024-12-12T00:00:00Z: audit" {
		t.Errorf("it stays because %s", why)
	}
	b.setClock(day("2024-12-12"))
	if why := whyOf(t, b.prune(pruner, engine.PruneRequest{DryRun: true}), "daily/2024-12-02/shop.json"); strings.Contains(why, "pinned") {
		t.Errorf("it stays because %s", why)
	}
}

// vanishing is a store in which a document is gone when it is read, though it was
// listed: another run removed it, or the store lies.
func vanishing(real store.Store, gone string) store.Store {
	return tampered{Store: real, get: func(key string) error {
		if key == gone {
			return fmt.Errorf("get %s: %w", key, store.ErrNotFound)
		}
		return nil
	}}
}

// TestAManifestThatVanishes is no failure of a listing, and nothing of what it
// names is removed.
func TestAManifestThatVanishes(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shop")
	b.nightsTo(day("2024-12-10"), 9)
	for info, err := range b.store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		b.age(info.Key, day("2024-12-08").Add(4*time.Hour))
	}
	for _, key := range []string{"daily/2024-12-02/shop.json", "weekly/2024-W49.json"} {
		e := b.pruning(weekly(), func(o *engine.Options) { o.Store = vanishing(b.store, key) })
		if list := b.list(e); len(list.Entries) == 0 || len(list.Foreign) != 0 {
			t.Errorf("without %s %d are listed, %d foreign", key, len(list.Entries), len(list.Foreign))
		}
		done := b.prune(e, engine.PruneRequest{DryRun: true})
		if len(done.Kinds()) != 0 {
			t.Errorf("without %s: %v", key, done.Kinds())
		}
		for _, item := range done.Items {
			if item.Kind == engine.ItemUnfinished && item.Due() || key == "weekly/2024-W49.json" && item.Due() {
				t.Errorf("without %s %s goes: %s", key, item.Key, item.Why)
			}
		}
	}
}
