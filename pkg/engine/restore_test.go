package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// quick makes pauses short.
func quick(o *engine.Options) {
	o.Pause = func(int) time.Duration { return time.Millisecond }
	o.ExportTimeout = time.Second
}

// source is the newest backup of a database, ready to be restored.
func (b *bench) source(e *engine.Engine, database string) *engine.Source {
	b.t.Helper()
	for _, entry := range b.list(e).Entries {
		if entry.Name.Database != database {
			continue
		}
		opened, err := e.Open(b.t.Context(), entry)
		if err != nil {
			b.t.Fatal(err)
		}
		source, err := e.Prepare(b.t.Context(), opened, b.t.TempDir())
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { _ = source.Close() })
		return source
	}
	b.t.Fatalf("there is no backup of %s", database)
	return nil
}

// dump is what a database holds, line by line in order: a restore may bring
// objects in another one.
func (b *bench) dump(database string) []string {
	b.t.Helper()
	var text strings.Builder
	if err := b.d1.Dump(b.t.Context(), database, &text); err != nil {
		b.t.Fatal(err)
	}
	lines := strings.Split(text.String(), "\n")
	slices.Sort(lines)
	return lines
}

// settled is the dump of a database that no import keeps any more.
func (b *bench) settled(database string) []string {
	b.t.Helper()
	if _, err := b.d1.Abandon(database); err != nil {
		b.t.Fatal(err)
	}
	return b.dump(database)
}

func (b *bench) calls(name string) int {
	n := 0
	for _, call := range b.d1.Journal() {
		if call.Name == name {
			n++
		}
	}
	return n
}

// Every database that the export does not damage comes back into a new one.
func TestFidelityCasesRestore(t *testing.T) {
	t.Parallel()
	damaged := []string{"int53", "mixed_newline", "mixed_cr", "real_no_affinity", "strict", "invalid_utf8"}
	b := newBenchWith(t, func(o *sandbox.Options) { o.RateLimit = -1 })
	var names []string
	for _, c := range dumptest.Cases(t) {
		if slices.Contains(damaged, c.Name) || strings.Contains(strings.Join(c.SQL, " "), "CREATE VIRTUAL") {
			continue // changed, or not exported at all, by D1 itself
		}
		b.seed(c.Name, c.SQL...)
		names = append(names, c.Name)
	}
	if len(names) < 20 {
		t.Fatalf("only %d cases", len(names))
	}
	e := b.host(quick)
	b.night(e)
	for _, name := range names {
		result, err := e.Restore(t.Context(), engine.RestoreRequest{Source: b.source(e, name), Target: "new-" + name})
		if err != nil || result.State != engine.StateRestored || !result.Compared || !result.Created {
			t.Errorf("%s: %s, %v", name, result.State, err)
			continue
		}
		if diff := cmp.Diff(b.dump(name), b.dump("new-"+name)); diff != "" {
			t.Errorf("%s (-original +restored):\n%.2000s", name, diff)
		}
	}
}

// restoring is a bench with a backup of alpha, of which the original has moved on.
type restoring struct {
	*bench
	e      *engine.Engine
	source *engine.Source
	// backed is what the backup holds, and held what alpha holds now.
	backed, held []string
}

func newRestoring(t *testing.T, options sandbox.Options, change func(*engine.Options)) *restoring {
	t.Helper()
	b := newBenchWith(t, func(o *sandbox.Options) {
		o.RateLimit, o.ImportPolls, o.ImportLimit, o.ImportLimitError = -1, options.ImportPolls, options.ImportLimit, options.ImportLimitError
		o.ImportPart, o.ImportFailure, o.Abandoned = options.ImportPart, options.ImportFailure, options.Abandoned
	}, "alpha")
	b.seed("alpha", "CREATE TABLE u(a)", "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<9) INSERT INTO u SELECT printf('%.*c',60000,'x') FROM n",
		"CREATE INDEX i ON u(a)", "CREATE VIEW v AS SELECT a FROM u")
	r := &restoring{bench: b}
	r.e = b.host(func(o *engine.Options) {
		quick(o)
		if change != nil {
			change(o)
		}
	})
	b.night(r.e)
	r.backed = b.dump("alpha")
	r.source = b.source(r.e, "alpha")
	b.seed("alpha", "DELETE FROM t", "CREATE TABLE since(x)")
	r.held = b.dump("alpha")
	return r
}

// wantTold wants a database to hold what the result says.
func (r *restoring) wantTold(target string, result engine.RestoreResult, err error, before []string) {
	r.t.Helper()
	if (err == nil) != (result.State == engine.StateRestored) {
		r.t.Errorf("state %s with the error %v", result.State, err)
	}
	want := before
	switch result.State {
	case engine.StateRestored:
		want = r.backed
	case engine.StatePartial:
		if len(fault.Hints(err)) == 0 {
			r.t.Errorf("it is partial, and nothing says what to do: %v", err)
		}
		return
	case engine.StateReturned:
		if !strings.Contains(err.Error(), "taken back to what it held before") {
			r.t.Errorf("returned, with the error %v", err)
		}
	}
	if diff := cmp.Diff(want, r.settled(target)); diff != "" {
		r.t.Errorf("it is told as %s (%v), and holds (-want +got):\n%.1000s", result.State, err, diff)
	}
}

// TestFaultsOfARestore orders each fault at each call of a replacing restore, once
// and for ever: what is told of the database is what it holds.
func TestFaultsOfARestore(t *testing.T) {
	t.Parallel()
	kinds := map[string]sandbox.Fault{
		"500": {Kind: sandbox.FaultStatus, Status: 500, Code: 7500, Message: "internal error"}, "429": {Kind: sandbox.FaultStatus, Status: 429, Code: 7429, Message: "D1 DB is overloaded. Requests queued for too long."},
		"a page": {Kind: sandbox.FaultHTML}, "lost": {Kind: sandbox.FaultLost}, "reset": {Kind: sandbox.FaultReset}, "inner": {Kind: sandbox.FaultInner, Message: "boom: SQLITE_ERROR"},
		"refused": {Kind: sandbox.FaultStatus, Status: 403, Code: 10000, Message: "Authentication error"},
	}
	places := map[string]sandbox.Fault{
		"init": {Call: "import"}, "ingest": {Call: "import", After: 1}, "poll": {Call: "import", After: 2}, "upload": {Call: "upload"},
		"query": {Call: "query", Database: "alpha"}, "raw": {Call: "raw", Database: "alpha", After: 2}, "bookmark": {Call: "bookmark"}, "later bookmark": {Call: "bookmark", After: 2},
	}
	for place, at := range places {
		for kind, f := range kinds {
			t.Run(place+"/"+kind, func(t *testing.T) {
				t.Parallel()
				r := newRestoring(t, sandbox.Options{ImportPolls: 1}, nil)
				f.Call, f.Database, f.After = at.Call, at.Database, at.After
				r.d1.AddFault(f)
				result, err := r.e.Restore(t.Context(), engine.RestoreRequest{Source: r.source, Target: "alpha", Replace: true})
				r.wantTold("alpha", result, err, r.held)
				r.d1.ClearFaults()
			})
		}
	}
}

// A lost answer to what was done does not have it done twice.
func TestALostIngestIsLookedAt(t *testing.T) {
	t.Parallel()
	r := newRestoring(t, sandbox.Options{ImportPolls: -1}, nil)
	r.d1.AddFault(sandbox.Fault{Call: "import", After: 1, Kind: sandbox.FaultLost})
	result, err := r.e.Restore(t.Context(), engine.RestoreRequest{Source: r.source, Target: "alpha", Replace: true})
	r.wantTold("alpha", result, err, r.held)
	if got := r.calls("import"); got != 2 || result.State != engine.StateRestored {
		t.Errorf("%d calls (%v), want init and ingest", got, err)
	}
}

// An import that D1 cannot bear goes in halves.
func TestAResetHalvesThePieces(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]sandbox.Options{
		"at ingest": {ImportLimit: 12, ImportPolls: -1}, "at a poll": {ImportLimit: 12, ImportPart: 3, ImportPolls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRestoring(t, options, nil)
			result, err := r.e.Restore(t.Context(), engine.RestoreRequest{Source: r.source, Target: "new"})
			r.wantTold("new", result, err, nil)
			if err != nil || result.Pieces < 2 {
				t.Errorf("%d pieces, %v", result.Pieces, err)
			}
		})
	}
}

// A later piece that fails takes the database back, unless another wrote to it.
func TestAReplaceThatFailsGoesBack(t *testing.T) {
	t.Parallel()
	small := func(o *engine.Options) { o.PieceStatements = 4 }
	fails := sandbox.Fault{Call: "import", After: 2, Times: 1000, Kind: sandbox.FaultInner, Message: "boom: SQLITE_ERROR"}
	for name, travel := range map[string]*sandbox.Fault{
		"at once": nil, "the answer is lost": {Call: "restore", Kind: sandbox.FaultLost},
		"it cannot": {Call: "restore", Times: 1000, Kind: sandbox.FaultStatus, Status: 500, Code: 7500, Message: "no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRestoring(t, sandbox.Options{ImportPolls: -1}, small)
			r.d1.AddFault(fails)
			want := engine.StateReturned
			if travel != nil {
				r.d1.AddFault(*travel)
				if travel.Times > 1 {
					want = engine.StatePartial
				}
			}
			result, err := r.e.Restore(t.Context(), engine.RestoreRequest{Source: r.source, Target: "alpha", Replace: true, AllowPartial: true})
			r.wantTold("alpha", result, err, r.held)
			if result.State != want {
				t.Errorf("state %s (%v), want %s", result.State, err, want)
			}
		})
	}
	t.Run("another writes", func(t *testing.T) {
		t.Parallel()
		var r *restoring
		r = newRestoring(t, sandbox.Options{ImportPolls: -1}, func(o *engine.Options) {
			small(o)
			o.Observer = observer(func(event engine.Event) {
				if r != nil && event.Phase == engine.PhaseRestoring && r.calls("import") == 2 {
					_, _ = r.d1.Seed(context.WithoutCancel(t.Context()), "alpha", "CREATE TABLE IF NOT EXISTS theirs(x)")
				}
			})
		})
		r.d1.AddFault(fails)
		result, err := r.e.Restore(t.Context(), engine.RestoreRequest{Source: r.source, Target: "alpha", Replace: true, AllowPartial: true})
		if hint := strings.Join(fault.Hints(err), " "); result.State != engine.StatePartial ||
			!strings.Contains(hint, "patina undo "+result.Job.ID) || !strings.Contains(hint, "patina restore 2024-12-08 alpha") {
			t.Errorf("state %s, %v, hint %q", result.State, err, hint)
		}
	})
}

// What keeps the way back from being open is refused before anything is touched.
func TestRestoresThatAreRefused(t *testing.T) {
	t.Parallel()
	always := func(call string) sandbox.Fault {
		return sandbox.Fault{Call: call, Times: 1000, Kind: sandbox.FaultStatus, Status: 400, Code: 7400, Message: "no"}
	}
	for name, tt := range map[string]struct {
		faults []sandbox.Fault
		req    engine.RestoreRequest
		change func(*engine.Options)
		says   string
	}{
		"no safety backup":            {faults: []sandbox.Fault{always("export")}, says: "--no-safety-backup"},
		"neither backup nor bookmark": {faults: []sandbox.Fault{always("bookmark")}, req: engine.RestoreRequest{NoSafetyBackup: true}, says: "neither a safety backup nor a bookmark"},
		"more than one piece":         {change: func(o *engine.Options) { o.PieceStatements = 4 }, says: "--allow-partial"},
		"no begin record": {change: func(o *engine.Options) {
			o.Store = tampered{Store: o.Store, put: func(key string, _ func() (store.Receipt, error)) (store.Receipt, error, bool) {
				return store.Receipt{}, errors.New("disk full"), strings.Contains(key, "/restore-")
			}}
		}, says: "begin record"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRestoring(t, sandbox.Options{}, tt.change)
			for _, f := range tt.faults {
				r.d1.AddFault(f)
			}
			tt.req.Source, tt.req.Target, tt.req.Replace = r.source, "alpha", true
			result, err := r.e.Restore(t.Context(), tt.req)
			if fault.KindOf(err) != fault.Refused || result.State != engine.StateUntouched {
				t.Errorf("state %s, %v of kind %v", result.State, err, fault.KindOf(err))
			}
			if said := err.Error() + strings.Join(fault.Hints(err), " "); !strings.Contains(said, tt.says) {
				t.Errorf("got %q, want it to contain %q", said, tt.says)
			}
			if r.calls("import") != 0 {
				t.Error("something was imported")
			}
			r.wantTold("alpha", result, err, r.held)
		})
	}
}
