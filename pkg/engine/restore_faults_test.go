package engine_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// Whatever goes wrong once with any call, and at whatever time, the database is
// what the result says of it. How it ends call by call is in docs/faults.md, which
// cmd/patina holds.
func TestRestoreFaults(t *testing.T) {
	t.Parallel()
	var restored, other atomic.Int32
	for _, f := range restoreFaults() {
		for _, target := range []string{"new", "old"} {
			if f.Call == "create" && target == "old" {
				continue
			}
			t.Run(fmt.Sprintf("%s %s %d %d into %s", f.Call, f.Kind, f.Status, f.After, target), func(t *testing.T) {
				t.Parallel()
				restoring(t, func(o *sandbox.Options) { o.ImportPolls = 1 }, nil, func(r *restoreBench) {
					r.d1.AddFault(f)
					result, err := r.restore(engine.RestoreRequest{Target: target, Replace: target == "old"})
					if result.State == engine.StateRestored {
						restored.Add(1)
					} else {
						other.Add(1)
						r.t.Log(result.State, err)
					}
					if result.State == engine.StatePartial && f.Status != 403 {
						r.t.Errorf("one fault, and the database is left as %s: %v", result.State, err)
					}
				})
			})
		}
	}
	t.Cleanup(func() {
		if least := int32(100); restored.Load() < least && !testing.Short() || restored.Load() < least/6 || other.Load() < 5 {
			t.Errorf("%d restored, %d otherwise: the faults were not met", restored.Load(), other.Load())
		}
	})
}

// restoreFaults is every kind at each of the first calls of every name. The race
// detector, which runs the short tests, sees as much in the first of each.
func restoreFaults() []sandbox.Fault {
	calls := map[string]int{"import": 3, "upload": 2, "create": 1, "bookmark": 3, "raw": 3, "query": 2}
	kinds := []sandbox.Fault{
		{Kind: sandbox.FaultLost},
		{Kind: sandbox.FaultReset},
		{Kind: sandbox.FaultHTML},
		{Kind: sandbox.FaultStatus, Status: 500, Code: 7500, Message: "internal error in D1 DB storage caused object to be reset"},
		{Kind: sandbox.FaultStatus, Status: 429, Code: 7429, Message: "D1 DB is overloaded. Requests queued for too long."},
		{Kind: sandbox.FaultStatus, Status: 403, Code: 10000, Message: "Authentication error"},
	}
	inner := []sandbox.Fault{
		{Kind: sandbox.FaultInner, Message: "Not currently importing anything."},
		{Kind: sandbox.FaultInner, Message: "boom: SQLITE_ERROR"},
	}
	var all []sandbox.Fault
	for call, times := range calls {
		of := kinds
		if call == "import" {
			of = append(inner, kinds...)
		}
		for _, f := range of {
			for f.Call, f.After = call, 0; f.After < times; f.After++ {
				if f.After > 0 && testing.Short() {
					break
				}
				all = append(all, f)
			}
		}
	}
	return all
}

// A statement that D1 refuses ends the restore, and nothing of it is left.
func TestRestoreRefusedByD1(t *testing.T) {
	t.Parallel()
	for _, form := range []sandbox.FailureForm{sandbox.FailureInside, sandbox.FailureStatus, sandbox.FailureRefused, sandbox.FailureUntold} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			restoring(t, func(o *sandbox.Options) { o.ImportLimit, o.ImportFailure = 1, form }, nil, func(r *restoreBench) {
				for _, target := range []string{"new", "old"} {
					if result, err := r.restore(engine.RestoreRequest{Target: target, Replace: target == "old"}); err == nil {
						r.t.Errorf("%s", result.State)
					}
				}
			})
		})
	}
}
