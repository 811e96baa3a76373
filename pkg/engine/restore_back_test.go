package engine_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// A replacement that fails half-way is taken back, unless somebody else wrote
// since, or D1 does not let it: then both ways on are told.
func TestRestoreFailsHalfWay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]halfWay{
		"the import is not begun":                   {importCall: 2, want: engine.StateReturned},
		"the import fails":                          {importCall: 3, want: engine.StateReturned},
		"the import fails, and others wrote":        {importCall: 3, others: true, want: engine.StatePartial},
		"the upload is refused":                     {want: engine.StateReturned},
		"the upload is refused, and others wrote":   {others: true, want: engine.StatePartial},
		"the answer to the way back is lost":        {importCall: 2, travel: &sandbox.Fault{Call: "restore", Kind: sandbox.FaultLost}, want: engine.StateReturned},
		"there is no way back":                      {importCall: 2, travel: noTravel(), want: engine.StatePartial},
		"there is no way back, nor a safety backup": {importCall: 2, travel: noTravel(), unsafe: true, want: engine.StatePartial},
		"without a safety backup":                   {unsafe: true, want: engine.StateReturned},
		"others wrote, without a safety backup":     {unsafe: true, others: true, want: engine.StatePartial},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			restoring(t, func(o *sandbox.Options) { o.ImportPolls = -1 }, nil, tt.hold)
		})
	}
}

// halfWay is how a restore fails after its first piece.
type halfWay struct {
	// importCall is the call of imports, from 0, from which on they fail; 0 has
	// the second upload refused instead.
	importCall int
	// others has somebody else write before that.
	others bool
	// travel befalls the way back.
	travel *sandbox.Fault
	// unsafe goes without a safety backup.
	unsafe bool
	want   engine.RestoreState
}

func noTravel() *sandbox.Fault {
	return &sandbox.Fault{Call: "restore", Times: 1000, Kind: sandbox.FaultStatus, Status: 500, Code: 7500, Message: "no"}
}

func (h halfWay) hold(r *restoreBench) {
	network := &secondUpload{next: r.network, refuse: h.importCall == 0, before: func() {
		if h.others {
			r.seed("old", "CREATE TABLE IF NOT EXISTS theirs(x)", "INSERT INTO theirs VALUES(1)")
		}
	}}
	if h.importCall > 0 {
		r.d1.AddFault(sandbox.Fault{Call: "import", After: h.importCall, Times: 1000, Kind: sandbox.FaultInner, Message: "boom: SQLITE_ERROR"})
	}
	if h.travel != nil {
		r.d1.AddFault(*h.travel)
	}
	e := r.host(func(o *engine.Options) { o.D1, o.PieceStatements = r.client(network), 3 })
	result, err := r.restoreBy(e, engine.RestoreRequest{Target: "old", Replace: true, AllowPartial: true, NoSafetyBackup: h.unsafe})
	if err == nil || result.State != h.want {
		r.t.Fatalf("%s, want %s: %v", result.State, h.want, err)
	}
	if h.others && !strings.Contains(r.content("old"), "theirs") {
		r.t.Error("what the other wrote is gone")
	}
	hints := strings.Join(fault.Hints(err), " ")
	told := strings.Contains(hints, "patina undo "+result.Job.ID) && strings.Contains(hints, "patina restore 2024-12-08 alpha --job ")
	if told != (h.want == engine.StatePartial) {
		r.t.Errorf("the hints are %q", hints)
	}
}

// secondUpload does something before each upload but the first, and refuses them
// if so wanted.
type secondUpload struct {
	next    http.RoundTripper
	uploads int
	before  func()
	refuse  bool
}

func (s *secondUpload) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPut {
		return s.next.RoundTrip(r)
	}
	if s.uploads++; s.uploads == 1 {
		return s.next.RoundTrip(r)
	}
	s.before()
	if !s.refuse {
		return s.next.RoundTrip(r)
	}
	return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// A part of a backup that a dead restore left in a database of its own is taken
// away by the next one; what it left in another's is to be undone.
func TestRestoreAfterADeath(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"new", "old"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			restoring(t, nil, nil, func(r *restoreBench) { r.dieHalfWay(target) })
		})
	}
}

func (r *restoreBench) dieHalfWay(target string) {
	r.t.Helper()
	dead := r.host(func(o *engine.Options) {
		o.D1, o.PieceStatements = r.client(&lostNetwork{next: r.network}), 3
		o.Store = tampered{Store: o.Store, put: func(key string, _ func() (store.Receipt, error)) (store.Receipt, error, bool) {
			return store.Receipt{}, errors.New("gone"), strings.HasSuffix(key, ".end.json")
		}}
	})
	result, err := r.restoreBy(dead, engine.RestoreRequest{Target: target, Replace: target == "old", AllowPartial: true, NoSafetyBackup: true})
	if err == nil || result.State != engine.StatePartial {
		r.t.Fatalf("%s: %v", result.State, err)
	}
	if got := r.content(target); got == r.old || got == r.backup {
		r.t.Fatalf("it holds no part:\n%.300s", got)
	}
	after, err := r.e.Restore(r.t.Context(), engine.RestoreRequest{Source: r.source, Target: target, Replace: target == "old"})
	if target == "new" {
		if err != nil || r.content(target) != r.backup {
			r.t.Errorf("%v; it holds\n%.300s", err, r.content(target))
		}
		return
	}
	if after.State != engine.StateUntouched || fault.KindOf(err) != fault.Refused || !slices.Contains(fault.Hints(err), "patina undo "+result.Job.ID) {
		r.t.Errorf("%s: %v %v", after.State, err, fault.Hints(err))
	}
	if _, err := r.e.Rewind(r.t.Context(), engine.RewindRequest{Job: result.Job.ID}); err != nil || r.content(target) != r.old {
		r.t.Errorf("%v; it holds\n%.300s", err, r.content(target))
	}
}

// lostNetwork is one that is gone for good once a second file was to be uploaded.
type lostNetwork struct {
	next    http.RoundTripper
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
	return d.next.RoundTrip(r)
}

// A database that held nothing is restored without a way back, too; where that fails
// half-way, it is told to delete it.
func TestARestoreIntoNothingNeedsNoBookmark(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]bool{"done": false, "failed half-way": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			restoring(t, nil, func(o *engine.Options) { o.PieceStatements = 3 }, func(r *restoreBench) {
				r.d1.AddFault(sandbox.Fault{Call: "bookmark", Times: 1000, Kind: sandbox.FaultStatus, Status: 400, Code: 7400, Message: "no"})
				if fails {
					r.d1.AddFault(sandbox.Fault{Call: "import", After: 5, Times: 1000, Kind: sandbox.FaultStatus, Status: 400, Code: 7400, Message: "no"})
				}
				result, err := r.restore(engine.RestoreRequest{Target: "new"})
				if !fails && (err != nil || len(result.Warnings) == 0 || !strings.Contains(result.Warnings[0].Error(), "cannot be undone")) {
					r.t.Errorf("%s, warnings %v: %v", result.State, result.Warnings, err)
				}
				if fails && (result.State != engine.StatePartial || !strings.Contains(strings.Join(fault.Hints(err), " "), "delete the database new")) {
					r.t.Errorf("%s, hints %q: %v", result.State, fault.Hints(err), err)
				}
			})
		})
	}
}
