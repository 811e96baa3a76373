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

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/store"
)

func TestANightIsTakenOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta", "gamma")
	first, second := b.host(nil), b.host(nil)
	var results [2]engine.BackupResult
	var hosts sync.WaitGroup
	for i, e := range []*engine.Engine{first, second} {
		hosts.Go(func() { results[i] = b.night(e) })
	}
	hosts.Wait()
	for _, r := range results {
		if kinds := r.Kinds(); len(kinds) > 0 {
			t.Errorf("a host of the night ended with %v: %+v", kinds, r.Databases)
		}
	}
	list := b.list(first)
	if len(list.Entries) != 3 || len(list.Foreign)+len(list.Unfinished) != 0 {
		t.Errorf("%d backups, %d foreign, %d unfinished; want 3, 0, 0",
			len(list.Entries), len(list.Foreign), len(list.Unfinished))
	}
	b.wantEqual(first, list)
	if got := exports(b); got != 3 {
		t.Errorf("%d exports were started, want 3: leases share the work", got)
	}
}

func TestWithoutACatalogueANightIsPublishedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	away := func(o *engine.Options) { o.Catalog, o.CatalogErr = nil, catalog.ErrUnavailable }
	hosts := []*engine.Engine{b.host(away), b.host(away), b.host(away)}
	var running sync.WaitGroup
	for _, e := range hosts {
		running.Go(func() { b.night(e) })
	}
	running.Wait()
	list := b.list(hosts[0])
	if len(list.Entries) != 2 || len(list.Unfinished) != 0 {
		t.Errorf("%d backups and %d objects without one, want 2 and 0", len(list.Entries), len(list.Unfinished))
	}
	b.wantEqual(hosts[0], list)
}

func TestANameTakenByAnotherJobIsGoneRound(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(nil)
	b.night(e)
	// Two nights on one day: the plain name is the first one's.
	later := b.host(func(o *engine.Options) { o.Nightly = "0 3,9 * * *" })
	b.setClock(time.Date(2024, 12, 8, 9, 0, 5, 0, time.UTC))
	wantOutcomes(t, b.night(later), map[string]engine.Outcome{"alpha": engine.OutcomeDone})
	list := b.list(e)
	if len(list.Entries) != 2 {
		t.Fatalf("%d backups, want 2", len(list.Entries))
	}
	if suffix := list.Entries[0].Name.Suffix; suffix == "" {
		t.Error("the second night of a day has the first one's name")
	}
	b.wantEqual(e, list)
	wantOutcomes(t, b.night(later), map[string]engine.Outcome{"alpha": engine.OutcomeAlready})
}

func TestAnObjectThatIsNotTheOneWrittenIsTakenAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	replaced := 0
	e := b.host(func(o *engine.Options) {
		o.Store = tampered{Store: b.store, stat: func(key string, info store.Info) store.Info {
			if strings.HasSuffix(key, ".sql") && replaced == 0 {
				replaced++
				info.ETag = "another"
			}
			return info
		}}
	})
	result := b.night(e)
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeDone})
	if got := result.Databases[0].Attempts; got != 2 {
		t.Errorf("%d attempts, want 2", got)
	}
	list := b.list(e)
	if len(list.Entries) != 2 || !list.Entries[0].Good() || list.Entries[1].Good() {
		t.Fatalf("want a good backup and one that failed a proof, got %+v", list.Entries)
	}
	choice, err := e.Choose(t.Context(), engine.Date{Latest: true}, "alpha", "")
	if err != nil || choice.Key != list.Entries[0].Key {
		t.Errorf("latest is %s, %v; want %s", choice.Key, err, list.Entries[0].Key)
	}
}

func TestALostAnswerOfTheManifestIsNoSecondBackup(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	lost := false
	e := b.host(func(o *engine.Options) {
		o.Store = tampered{Store: b.store, put: func(key string, real func() (store.Receipt, error)) (store.Receipt, error, bool) {
			if !strings.HasSuffix(key, "alpha.json") || lost {
				return store.Receipt{}, nil, false
			}
			lost = true
			if _, err := real(); err != nil {
				return store.Receipt{}, err, true
			}
			return store.Receipt{}, errors.New("connection reset"), true
		}}
	})
	result := b.night(e)
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeDone})
	list := b.list(e)
	if len(list.Entries) != 1 {
		t.Errorf("%d backups, want 1", len(list.Entries))
	}
	b.wantEqual(e, list)
}

func TestABackupGoesOnWithoutItsBeginRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(func(o *engine.Options) {
		o.Store = tampered{Store: b.store, put: func(key string, _ func() (store.Receipt, error)) (store.Receipt, error, bool) {
			return store.Receipt{}, errors.New("no room for records"), strings.HasPrefix(key, backup.JobsPrefix)
		}}
	})
	result := b.night(e)
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeDone})
	if len(result.Warnings) != 2 {
		t.Errorf("warnings are %v, want one for each record", result.Warnings)
	}
	b.wantEqual(e, b.list(e))
}

func TestAStoreThatRefusesWritesLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	e := b.host(func(o *engine.Options) {
		o.Store = tampered{Store: b.store, put: func(string, func() (store.Receipt, error)) (store.Receipt, error, bool) {
			return store.Receipt{}, store.ErrDenied, true
		}}
	})
	result := b.night(e)
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeFailed, "beta": engine.OutcomeFailed})
	for _, d := range result.Databases {
		if !errors.Is(d.Err, store.ErrDenied) {
			t.Errorf("%s failed with %v, want the store's refusal", d.Database.Name, d.Err)
		}
		if d.Attempts != 1 {
			t.Errorf("%s was tried %d times: a refusal does not pass by itself", d.Database.Name, d.Attempts)
		}
	}
	if _, err := os.Stat(filepath.Join(b.dir, "daily")); err == nil {
		t.Error("the store has dailies")
	}
}

func TestWhatARunAnnouncedIsUnfinishedAndTheRestForeign(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(nil)
	b.night(e)
	for _, key := range []string{"daily/2024-12-08/alpha.030010Z-a101.sql", "daily/2024-12-08/zeta.sql", "notes.txt"} {
		if _, err := b.store.Put(t.Context(), key, strings.NewReader("-- x\n"), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	status, err := e.Status(t.Context(), engine.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(status.Unfinished) != 1 || status.Unfinished[0].Key != "daily/2024-12-08/alpha.030010Z-a101.sql" {
		t.Errorf("unfinished are %+v", status.Unfinished)
	}
	if len(status.Foreign) != 2 {
		t.Errorf("foreign are %+v", status.Foreign)
	}
}

// TestADeadProcessIsNotWaitedFor leaves leases behind as a killed run does.
func TestADeadProcessIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	e := b.host(func(o *engine.Options) {
		o.Host = "here"
		o.Alive = func(process int) bool { return process != 666 }
	})
	held := b.openCatalog()
	for name, owner := range map[string]catalog.Owner{
		"alpha": {JobID: "night-20241208T0300Z", RunID: "dead", Host: "here", Process: 666},
		"beta":  {JobID: "night-20241208T0300Z", RunID: "beef", Host: "elsewhere", Process: 666},
	} {
		lease := catalog.DatabaseLease(b.ids[name])
		if _, err := held.Acquire(t.Context(), []string{lease}, owner, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	result := b.night(e)
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeDone, "beta": engine.OutcomeElsewhere})
	if got := result.Elsewhere(); got != 1 {
		t.Errorf("%d databases are elsewhere, want 1", got)
	}
	// The night is not finished by a run that left something to another.
	wantOutcomes(t, b.night(e), map[string]engine.Outcome{"alpha": engine.OutcomeAlready, "beta": engine.OutcomeElsewhere})
}

// TestWhatFailsHereAndIsDoneElsewhere may not write dumps, while another host
// takes the night: nothing is missing then, and what failed is told.
func TestWhatFailsHereAndIsDoneElsewhere(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	b.d1.AddFault(sandbox.Fault{Call: "export", Database: "beta", Kind: sandbox.FaultInner, Message: "D1 Export error: broken", Times: 1000})
	other := b.host(func(o *engine.Options) {
		o.Catalog, o.CatalogErr = nil, errors.New("it has none in common")
		o.Pause = func(int) time.Duration { return time.Millisecond }
	})
	var once sync.Once
	e := b.host(func(o *engine.Options) {
		o.Pause = func(int) time.Duration { return time.Millisecond }
		o.Store = tampered{Store: b.store, put: func(key string, _ func() (store.Receipt, error)) (store.Receipt, error, bool) {
			if !strings.HasPrefix(key, "daily/") || !strings.HasSuffix(key, ".sql") {
				return store.Receipt{}, nil, false
			}
			once.Do(func() { b.night(other) })
			return store.Receipt{}, store.ErrDenied, true
		}}
	})
	result := b.night(e)
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeAlready, "beta": engine.OutcomeFailed})
	if len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0].Error(), "alpha: ") || !errors.Is(result.Warnings[0], store.ErrDenied) {
		t.Errorf("warnings are %v, want one about alpha", result.Warnings)
	}
	if kinds := result.Kinds(); !slices.Contains(kinds, fault.Partial) {
		t.Errorf("faults are %v", kinds)
	}
	if list := b.list(e); len(list.Entries) != 1 || len(list.Unfinished)+len(list.Foreign) != 0 {
		t.Errorf("listed is %+v", list)
	}
}

// TestANightsFailedProofIsNoBackup has a run publish a backup, find that it did
// not pass the look afterwards, and die: the next run takes it again.
func TestANightsFailedProofIsNoBackup(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	died := b.night(b.host(nil))
	ends, err := filepath.Glob(filepath.Join(b.dir, "jobs", "*", "*.end.json"))
	if err != nil || len(ends) != 1 {
		t.Fatalf("end records are %v: %v", ends, err)
	}
	if err := os.Remove(ends[0]); err != nil {
		t.Fatal(err)
	}
	spoiled := died.Databases[0].ManifestKey
	name, _, err := backup.ParseName(spoiled)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := manifest.Encode(manifest.ProofRecord{Manifest: spoiled, RunID: died.Run.ID, At: b.now(), Level: "identity"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Put(t.Context(), backup.ProofKey(name, b.now(), died.Run.ID), bytes.NewReader(proof), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}

	e := b.host(nil)
	result := b.night(e)
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeDone, "beta": engine.OutcomeAlready})
	list := b.list(e)
	good := 0
	for _, entry := range list.Entries {
		if entry.Good() {
			good++
		}
	}
	if len(list.Entries) != 3 || good != 2 || result.Databases[0].ManifestKey == spoiled {
		t.Errorf("%d backups are listed, %d of them good, alpha's is %s; want 3, 2, a new one", len(list.Entries), good, result.Databases[0].ManifestKey)
	}
	if again := b.night(b.host(nil)); !again.Idle {
		t.Errorf("one more run is %+v, want it idle", again)
	}
}
