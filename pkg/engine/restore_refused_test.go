package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// The rules that keep the way back open: what they refuse is refused before
// anything is touched.
func TestRestoreRefusals(t *testing.T) {
	t.Parallel()
	no := func(call string) *sandbox.Fault {
		return &sandbox.Fault{Call: call, Times: 1000, Kind: sandbox.FaultStatus, Status: 400, Code: 7400, Message: "no"}
	}
	broken := func(call string) *sandbox.Fault {
		return &sandbox.Fault{Call: call, Times: 1000, Kind: sandbox.FaultStatus, Status: 400, Code: 7500, Message: "malformed database schema"}
	}
	replace := engine.RestoreRequest{Target: "old", Replace: true}
	unsafe := engine.RestoreRequest{Target: "old", Replace: true, NoSafetyBackup: true}
	for name, tt := range map[string]struct {
		fault *sandbox.Fault
		host  func(*engine.Options)
		req   engine.RestoreRequest
		kind  fault.Kind
		// says and hint are parts of the message and of what follows it.
		says, hint string
	}{
		"without a yes": {
			req: engine.RestoreRequest{Target: "old"}, kind: fault.Refused, says: "2 tables with 1 rows, which would be lost", hint: "--replace",
		},
		"one that is there":             {req: engine.RestoreRequest{Target: "old", Create: true}, kind: fault.Refused, says: "exists"},
		"one that is not there":         {req: engine.RestoreRequest{Target: "new", Replace: true}, kind: fault.Failed, says: "there is no database new"},
		"no backup is allowed":          {fault: no("export"), req: replace, kind: fault.Refused, says: "no safety backup", hint: "--no-safety-backup"},
		"no backup can be taken":        {fault: broken("export"), req: replace, kind: fault.Refused, says: "no safety backup", hint: "--no-safety-backup"},
		"neither backup nor bookmark":   {fault: no("bookmark"), req: unsafe, kind: fault.Refused, says: "neither a safety backup nor a bookmark"},
		"a bookmark that cannot be had": {fault: broken("bookmark"), req: unsafe, kind: fault.Refused, says: "neither a safety backup nor a bookmark"},
		"a no": {
			req:  engine.RestoreRequest{Target: "old", Replace: true, Confirm: func(engine.Replacement) error { return errors.New("no") }},
			kind: fault.Failed, says: "no",
		},
		"a record that cannot be kept": {
			host: func(o *engine.Options) { o.Store = noBegins(o.Store) }, req: unsafe, kind: fault.Refused, says: "begin record",
		},
		"a record that cannot be kept, with a backup": {
			host: func(o *engine.Options) { o.Store = noBegins(o.Store) }, req: replace, kind: fault.Refused, says: "begin record",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			restoring(t, nil, tt.host, func(r *restoreBench) {
				if tt.fault != nil {
					r.d1.AddFault(*tt.fault)
				}
				result, err := r.restore(tt.req)
				if err == nil || fault.KindOf(err) != tt.kind || result.State != engine.StateUntouched {
					r.t.Fatalf("%s, %s: %v", result.State, fault.KindOf(err), err)
				}
				if hints := strings.Join(fault.Hints(err), " "); !strings.Contains(err.Error(), tt.says) || !strings.Contains(hints, tt.hint) {
					r.t.Errorf("it says %q and hints %q, want %q and %q", err, hints, tt.says, tt.hint)
				}
				if r.calls("import") != 0 {
					r.t.Error("something was imported")
				}
			})
		})
	}
}

// A replacement that takes more than one import is brought into a new database,
// and what was to be replaced is as it was.
func TestARestoreInPiecesGoesAside(t *testing.T) {
	t.Parallel()
	small := func(o *engine.Options) { o.PieceStatements = 3 }
	restoring(t, nil, small, func(r *restoreBench) {
		for _, dryRun := range []bool{true, false} {
			result, err := r.e.Restore(r.t.Context(), engine.RestoreRequest{
				Source: r.source, Target: "old", Replace: true, DryRun: dryRun,
				Confirm: func(engine.Replacement) error { return errors.New("nothing is lost, and nobody need be asked") },
			})
			if err != nil || result.Aside.Name != "old" || !result.Created || !strings.HasPrefix(result.Target.Name, "old-restored-") {
				r.t.Fatalf("%+v into %s, aside of %s: %v", result.State, result.Target.Name, result.Aside.Name, err)
			}
			if got := r.content("old"); got != r.old {
				r.t.Errorf("what was to be replaced holds\n%.500s", got)
			}
			if got := r.content(result.Target.Name); !dryRun && got != r.backup || dryRun && got != "" {
				r.t.Errorf("the new database holds\n%.500s", got)
			}
		}
	})
}

// noBegins is a store that takes no begin records of restores.
func noBegins(s store.Store) store.Store {
	return tampered{Store: s, put: func(key string, _ func() (store.Receipt, error)) (store.Receipt, error, bool) {
		refused := strings.Contains(key, "restore-") && strings.HasSuffix(key, ".begin.json")
		return store.Receipt{}, errors.New("full"), refused
	}}
}

// So are chosen tables, and they alone.
func TestChosenTablesInPiecesGoAside(t *testing.T) {
	t.Parallel()
	restoring(t, nil, func(o *engine.Options) { o.PieceStatements = 3 }, func(r *restoreBench) {
		if err := r.source.Only([]string{"p"}); err != nil {
			r.t.Fatal(err)
		}
		result, err := r.e.Restore(r.t.Context(), engine.RestoreRequest{Source: r.source, Target: "old", Replace: true})
		if err != nil || result.Aside.Name != "old" || result.State != engine.StateRestored {
			r.t.Fatalf("%s into %s, aside of %q: %v", result.State, result.Target.Name, result.Aside.Name, err)
		}
		if got := r.content("old"); got != r.old {
			r.t.Errorf("what was to be replaced holds\n%.500s", got)
		}
		got := r.content(result.Target.Name)
		if strings.Count(got, `INTO "p"`) != 80 || strings.Contains(got, `"c"`) {
			r.t.Errorf("the new database holds\n%.500s", got)
		}
	})
}

// What cannot be exchanged where it is goes aside as well; what needs a table that is
// not chosen cannot, and says what can be done.
func TestChosenTablesThatCannotBeExchangedGoAside(t *testing.T) {
	t.Parallel()
	for _, dryRun := range []bool{true, false} {
		restoring(t, nil, func(o *engine.Options) { o.PieceStatements = 2 }, func(r *restoreBench) {
			r.seed("old", "CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id))", "CREATE TABLE k(p REFERENCES p(id) ON DELETE CASCADE)", "INSERT INTO k VALUES(1)")
			old := r.content("old")
			for table, want := range map[string]fault.Kind{"p": "", "c": fault.Refused} {
				source := r.bench.source(r.e, "latest", "alpha")
				if err := source.Only([]string{table}); err != nil {
					r.t.Fatal(err)
				}
				result, err := r.e.Restore(r.t.Context(), engine.RestoreRequest{Source: source, Target: "old", Replace: true, DryRun: dryRun})
				if fault.KindOf(err) != want || err == nil && (result.Aside.Name != "old" || !result.Created) || r.content("old") != old {
					r.t.Errorf("%s: %s aside of %q: %v", table, result.State, result.Aside.Name, err)
				}
				if hints := strings.Join(fault.Hints(err), " "); err != nil && !strings.Contains(hints, "--allow-partial") {
					r.t.Errorf("it hints %q after %v", hints, err)
				}
			}
		})
	}
}

// With leave to hold a part meanwhile they take the place of those that are there,
// and what fails half-way goes back as a whole.
func TestChosenTablesInPieces(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]bool{"done": false, "failed half-way": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			restoring(t, nil, func(o *engine.Options) { o.PieceStatements = 3 }, func(r *restoreBench) {
				if err := r.source.Only([]string{"p"}); err != nil {
					r.t.Fatal(err)
				}
				if fails {
					r.d1.AddFault(sandbox.Fault{Call: "import", After: 5, Times: 1000, Kind: sandbox.FaultStatus, Status: 400, Code: 7400, Message: "no"})
				}
				result, err := r.e.Restore(r.t.Context(), engine.RestoreRequest{Source: r.source, Target: "old", Replace: true, AllowPartial: true})
				got := r.content("old")
				switch {
				case fails && (result.State != engine.StateReturned || got != r.old || result.Pieces == 0):
					r.t.Errorf("%s after %d pieces (%v):\n%.500s", result.State, result.Pieces, err, got)
				case !fails && (err != nil || strings.Count(got, `INTO "p"`) != 80 || !strings.Contains(got, "extra")):
					r.t.Errorf("%s after %d pieces (%v):\n%.500s", result.State, result.Pieces, err, got)
				}
			})
		})
	}
}
