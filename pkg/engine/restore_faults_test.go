package engine_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// restoreBench is a backup of alpha, and a database old with something else.
type restoreBench struct {
	*bench
	e      *engine.Engine
	source *engine.Source
	// backup and old are the content of both, as dumps.
	backup, old string
}

func newRestoreBench(t *testing.T, d1 func(*sandbox.Options), host func(*engine.Options)) *restoreBench {
	t.Helper()
	b := newBenchWith(t, d1)
	b.seed("alpha",
		"CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT)", "CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id))",
		"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<200) INSERT INTO p SELECT i, hex(zeroblob(3000)) FROM n",
		"INSERT INTO c SELECT id, id FROM p", "CREATE INDEX i ON c(p)", "CREATE VIEW w AS SELECT * FROM p",
		"CREATE TRIGGER tr INSTEAD OF INSERT ON w BEGIN INSERT INTO p(v) VALUES(new.v); END")
	b.seed("old", "CREATE TABLE p(id INTEGER PRIMARY KEY, other)", "INSERT INTO p VALUES(1,2)", "CREATE TABLE extra(x)")
	r := &restoreBench{bench: b, e: b.host(func(o *engine.Options) {
		o.Pause = func(int) time.Duration { return time.Millisecond }
		o.ExportTimeout = 300 * time.Millisecond
		if host != nil {
			host(o)
		}
	})}
	b.night(r.e)
	r.backup, r.old = r.content("alpha"), r.content("old")
	choice, err := r.e.Choose(t.Context(), engine.Date{Latest: true}, "alpha", "")
	if err != nil {
		t.Fatal(err)
	}
	if r.source, err = r.e.Prepare(t.Context(), choice.Entry, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.source.Close() })
	return r
}

// content is a database as its dump, sorted: a restore orders tables otherwise.
// A database that is not there, or empty, has none.
func (r *restoreBench) content(name string) string {
	r.t.Helper()
	var text strings.Builder
	if err := r.d1.Dump(r.t.Context(), name, &text); err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	slices.Sort(lines)
	if len(lines) == 1 {
		return ""
	}
	return strings.Join(lines, "\n")
}

// restore brings the backup into a database, which must then be what the result
// says of it.
func (r *restoreBench) restore(req engine.RestoreRequest) (engine.RestoreResult, error) {
	r.t.Helper()
	before := r.content(req.Target)
	req.Source = r.source
	result, err := r.e.Restore(r.t.Context(), req)
	// What nobody polls any more is given up by D1.
	r.settle(req.Target)
	got := r.content(req.Target)
	if (err == nil) != (result.State == engine.StateRestored) {
		r.t.Errorf("%s: %v", result.State, err)
	}
	switch result.State {
	case engine.StateRestored:
		if got != r.backup {
			r.t.Errorf("it is not what the backup holds:\n%.500s", got)
		}
	case engine.StateUntouched, engine.StateReturned:
		if got != before {
			r.t.Errorf("%s (%v), but it is not what it was:\n%.500s\nwas\n%.500s", result.State, err, got, before)
		}
	case engine.StatePartial:
		if len(fault.Hints(err)) == 0 {
			r.t.Errorf("a partial database without a way on: %v", err)
		}
	}
	return result, err
}

// settle ends an import that is still under way.
func (r *restoreBench) settle(name string) {
	if _, err := r.d1.Abandon(name); err != nil && r.content(name) != "" {
		r.t.Fatal(err)
	}
}

// Whatever goes wrong once with any call, and at whatever time, the database is
// what the result says of it.
func TestRestoreFaults(t *testing.T) {
	t.Parallel()
	kinds := []sandbox.Fault{
		{Kind: sandbox.FaultLost},
		{Kind: sandbox.FaultReset},
		{Kind: sandbox.FaultHTML},
		{Kind: sandbox.FaultStatus, Status: 500, Code: 7500, Message: "internal error in D1 DB storage caused object to be reset"},
		{Kind: sandbox.FaultStatus, Status: 429, Code: 7429, Message: "D1 DB is overloaded. Requests queued for too long."},
		{Kind: sandbox.FaultStatus, Status: 403, Code: 10000, Message: "Authentication error"},
		{Kind: sandbox.FaultInner, Message: "Not currently importing anything."},
	}
	var restored, other atomic.Int32
	for _, call := range []string{"import", "upload", "create", "bookmark", "raw", "query"} {
		for _, kind := range kinds {
			for after := range 3 {
				for _, target := range []string{"new", "old"} {
					// The race detector, which runs the short tests, sees as much in
					// the first of each.
					if after > 1 && call != "import" || after > 0 && testing.Short() {
						continue
					}
					if kind.Kind == sandbox.FaultInner && call != "import" || call == "create" && (target == "old" || after > 0) {
						continue
					}
					f := kind
					f.Call, f.After = call, after
					name := fmt.Sprintf("%s %s %d %d into %s", call, kind.Kind, kind.Status, after, target)
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						r := newRestoreBench(t, func(o *sandbox.Options) { o.ImportPolls = 1 }, nil)
						r.d1.AddFault(f)
						result, err := r.restore(engine.RestoreRequest{Target: target, Replace: target == "old"})
						if result.State == engine.StateRestored {
							restored.Add(1)
						} else {
							other.Add(1)
							t.Log(result.State, err)
						}
						if result.State == engine.StatePartial && kind.Status != 403 {
							t.Errorf("one fault, and the database is left as %s: %v", result.State, err)
						}
					})
				}
			}
		}
	}
	t.Cleanup(func() {
		if least := int32(50); restored.Load() < least && !testing.Short() || restored.Load() < least/3 || other.Load() < 5 {
			t.Errorf("%d restored, %d otherwise: the faults were not met", restored.Load(), other.Load())
		}
	})
}

// A load that D1 cannot bear at once goes in pieces, which get smaller.
func TestRestoreInPieces(t *testing.T) {
	t.Parallel()
	for _, message := range []string{"D1 DB exceeded its CPU time limit and was reset.", "D1 DB storage operation exceeded timeout which caused object to be reset."} {
		r := newRestoreBench(t, func(o *sandbox.Options) { o.ImportLimit, o.ImportLimitError = 12, message },
			func(o *engine.Options) { o.PieceStatements = 64 })
		result, err := r.restore(engine.RestoreRequest{Target: "new"})
		if err != nil || result.Pieces < 3 {
			t.Errorf("%d pieces: %v", result.Pieces, err)
		}
	}
}

// A statement that D1 refuses ends the restore, and nothing of it is left.
func TestRestoreRefusedByD1(t *testing.T) {
	t.Parallel()
	for _, form := range []sandbox.FailureForm{sandbox.FailureInside, sandbox.FailureStatus, sandbox.FailureRefused, sandbox.FailureUntold} {
		r := newRestoreBench(t, func(o *sandbox.Options) { o.ImportLimit, o.ImportFailure = 1, form }, nil)
		for _, target := range []string{"new", "old"} {
			if result, err := r.restore(engine.RestoreRequest{Target: target, Replace: target == "old"}); err == nil {
				t.Errorf("%v: %s", form, result.State)
			}
		}
	}
}

// The rules that keep the way back open.
func TestRestoreRefusals(t *testing.T) {
	t.Parallel()
	everything := sandbox.Fault{Kind: sandbox.FaultStatus, Status: 400, Code: 7500, Message: "malformed database schema", Times: 1000}
	of := func(call string) *sandbox.Fault { f := everything; f.Call = call; return &f }
	for name, tt := range map[string]struct {
		fault *sandbox.Fault
		host  func(*engine.Options)
		req   engine.RestoreRequest
		kind  fault.Kind
		says  string
	}{
		"without a yes":                {nil, nil, engine.RestoreRequest{Target: "old"}, fault.Refused, "2 tables with 1 rows, which would be lost"},
		"one that is there":            {nil, nil, engine.RestoreRequest{Target: "old", Create: true}, fault.Refused, "exists"},
		"one that is not there":        {nil, nil, engine.RestoreRequest{Target: "new", Replace: true}, fault.Failed, "there is no database new"},
		"no backup can be taken":       {of("export"), nil, engine.RestoreRequest{Target: "old", Replace: true}, fault.Refused, "no safety backup"},
		"neither backup nor bookmark":  {of("bookmark"), nil, engine.RestoreRequest{Target: "old", Replace: true, NoSafetyBackup: true}, fault.Refused, "neither a safety backup nor a bookmark"},
		"more than one import":         {nil, func(o *engine.Options) { o.PieceStatements = 3 }, engine.RestoreRequest{Target: "old", Replace: true}, fault.Refused, "more than one import"},
		"a no":                         {nil, nil, engine.RestoreRequest{Target: "old", Replace: true, Confirm: func(engine.Replacement) error { return errors.New("no") }}, fault.Failed, "no"},
		"a record that cannot be kept": {nil, func(o *engine.Options) { o.Store = noBegins(o.Store) }, engine.RestoreRequest{Target: "old", Replace: true, NoSafetyBackup: true}, fault.Refused, "begin record"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRestoreBench(t, func(*sandbox.Options) {}, tt.host)
			if tt.fault != nil {
				r.d1.AddFault(*tt.fault)
			}
			result, err := r.restore(tt.req)
			if err == nil || fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) || result.State != engine.StateUntouched {
				t.Errorf("%s, %s: %v", result.State, fault.KindOf(err), err)
			}
		})
	}
}

// noBegins is a store that takes no begin records of restores.
func noBegins(s store.Store) store.Store {
	return tampered{Store: s, put: func(key string, _ func() (store.Receipt, error)) (store.Receipt, error, bool) {
		refused := strings.Contains(key, "restore-") && strings.HasSuffix(key, ".begin.json")
		return store.Receipt{}, errors.New("full"), refused
	}}
}

// A replacement that fails half-way is taken back, unless somebody else wrote
// since: then both ways on are told.
func TestRestoreFailsHalfWay(t *testing.T) {
	t.Parallel()
	for _, other := range []bool{false, true} {
		var r *restoreBench
		second := &secondUpload{refuse: func() {
			if !other {
				return
			}
			if _, err := r.d1.Seed(t.Context(), "old", "CREATE TABLE IF NOT EXISTS theirs(x)", "INSERT INTO theirs VALUES(1)"); err != nil {
				t.Error(err)
			}
		}}
		r = newRestoreBench(t, func(*sandbox.Options) {}, nil)
		r.e = r.host(func(o *engine.Options) {
			o.D1, o.PieceStatements = r.client(second), 3
			o.Pause = func(int) time.Duration { return time.Millisecond }
		})
		result, err := r.restore(engine.RestoreRequest{Target: "old", Replace: true, AllowPartial: true, NoSafetyBackup: true})
		switch {
		case err == nil:
			t.Errorf("others %t: %s", other, result.State)
		case !other && result.State != engine.StateReturned:
			t.Errorf("%s: %v", result.State, err)
		case other && result.State != engine.StatePartial:
			t.Errorf("%s: %v", result.State, err)
		case other:
			hints := strings.Join(fault.Hints(err), " ")
			if !strings.Contains(hints, "patina undo "+result.Job.ID) || !strings.Contains(hints, "patina restore 2024-12-08 alpha --job ") {
				t.Errorf("the hints are %q", hints)
			}
			if !strings.Contains(r.content("old"), "theirs") {
				t.Error("what the other wrote is gone")
			}
		}
	}
}

// secondUpload lets one upload pass and refuses all that follow.
type secondUpload struct {
	uploads int
	refuse  func()
}

func (s *secondUpload) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPut {
		return http.DefaultTransport.RoundTrip(r)
	}
	if s.uploads++; s.uploads == 1 {
		return http.DefaultTransport.RoundTrip(r)
	}
	s.refuse()
	return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// lostNetwork is one that is gone for good once a second file was to be uploaded.
type lostNetwork struct {
	uploads int
	gone    atomic.Bool
}

func (d *lostNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut {
		d.uploads++
	}
	if d.uploads > 1 || d.gone.Load() {
		d.gone.Store(true)
		return nil, errors.New("the network is gone")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// A part of a backup that a dead restore left in a database of its own is taken
// away by the next one; what it left in another's is to be undone.
func TestRestoreAfterADeath(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"new", "old"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			dieHalfWay(t, target)
		})
	}
}

func dieHalfWay(t *testing.T, target string) {
	t.Helper()
	r := newRestoreBench(t, func(*sandbox.Options) {}, nil)
	network := &lostNetwork{}
	dead := r.host(func(o *engine.Options) {
		o.D1, o.PieceStatements = r.client(network), 3
		o.Pause = func(int) time.Duration { return time.Millisecond }
		o.Store = tampered{Store: o.Store, put: func(key string, _ func() (store.Receipt, error)) (store.Receipt, error, bool) {
			return store.Receipt{}, errors.New("gone"), strings.HasSuffix(key, ".end.json")
		}}
	})
	result, err := dead.Restore(t.Context(), engine.RestoreRequest{
		Source: r.source, Target: target, Replace: target == "old", AllowPartial: true, NoSafetyBackup: true,
	})
	if err == nil || result.State != engine.StatePartial {
		t.Fatalf("%s: %v", result.State, err)
	}
	if got := r.content(target); got == r.old || got == r.backup {
		t.Fatalf("it holds no part:\n%.300s", got)
	}
	after, err := r.e.Restore(t.Context(), engine.RestoreRequest{Source: r.source, Target: target, Replace: target == "old"})
	if target == "new" {
		if err != nil || r.content(target) != r.backup {
			t.Errorf("%v; it holds\n%.300s", err, r.content(target))
		}
		return
	}
	if after.State != engine.StateUntouched || fault.KindOf(err) != fault.Refused || !slices.Contains(fault.Hints(err), "patina undo "+result.Job.ID) {
		t.Errorf("%s: %v %v", after.State, err, fault.Hints(err))
	}
	if _, err := r.e.Rewind(t.Context(), engine.RewindRequest{Job: result.Job.ID}); err != nil || r.content(target) != r.old {
		t.Errorf("%v; it holds\n%.300s", err, r.content(target))
	}
}
