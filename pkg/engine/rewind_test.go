package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// point is where old is, of which something is then lost.
func (r *restoreBench) point() string {
	r.t.Helper()
	at, err := r.client(nil).Bookmark(r.t.Context(), r.ids["old"], time.Time{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.seed("old", "DELETE FROM p")
	return at
}

// A change whose bookmark before cannot be had, or not be had again, says so, once,
// and names the way back that is left.
func TestABookmarkThatCannotBeHad(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after, times int
		says         string
	}{
		"at all":           {0, 1000, "no bookmark could be had: the way back is the safety backup daily/2024-12-08/old"},
		"again":            {1, 1, "the bookmark could not be read again: the way back is the one that was shown"},
		"at first":         {0, 1, ""},
		"neither is asked": {1000, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fails := sandbox.Fault{Call: "bookmark", After: tt.after, Times: tt.times, Kind: sandbox.FaultStatus, Status: 400, Code: 7400, Message: "no"}
			hold := func(r *restoreBench, warnings []error, bookmark string, err error) {
				if err != nil {
					r.t.Fatal(err)
				}
				if want := tt.says != ""; want != (len(warnings) == 1) || want && !strings.Contains(warnings[0].Error(), tt.says) {
					r.t.Errorf("it warns %q, want %q", warnings, tt.says)
				}
				if (bookmark == "") != (tt.times == 1000) {
					r.t.Errorf("the bookmark is %q", bookmark)
				}
			}
			restoring(t, nil, nil, func(r *restoreBench) {
				r.d1.AddFault(fails)
				result, err := r.restore(engine.RestoreRequest{Target: "old", Replace: true, Confirm: func(engine.Replacement) error { return nil }})
				hold(r, result.Warnings, result.Bookmark, err)
			})
			restoring(t, nil, nil, func(r *restoreBench) {
				to := r.point()
				r.d1.AddFault(fails)
				result, err := r.e.Rewind(r.t.Context(), engine.RewindRequest{Database: "old", Bookmark: to, Confirm: func(engine.Rewinding) error { return nil }})
				if tt.times == 1000 { // D1 tells it in its answer all the same
					result.Bookmark = ""
				}
				hold(r, result.Warnings, result.Bookmark, err)
				if r.content("old") != r.old {
					r.t.Errorf("it holds\n%s", r.content("old"))
				}
			})
		})
	}
}

// A rewind of which it is not known whether it was done names a way back that
// there is.
func TestARewindOfWhichNothingIsKnown(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		restoring(t, nil, nil, func(r *restoreBench) {
			to := r.point()
			after := 2 // the first is read twice
			if !known {
				after = 0
			}
			no := sandbox.Fault{Kind: sandbox.FaultStatus, Status: 400, Code: 7400, Message: "no", Times: 1000}
			no.Call, no.After = "bookmark", after
			r.d1.AddFault(no)
			r.d1.AddFault(sandbox.Fault{Call: "restore", Kind: sandbox.FaultLost})
			result, err := r.e.Rewind(r.t.Context(), engine.RewindRequest{Database: "old", Bookmark: to, Confirm: func(engine.Rewinding) error { return nil }})
			want := "patina undo " + result.Job.ID
			if !known {
				want = "patina restore 2024-12-08 old --job " + result.SafetyBackup.JobID
			}
			if hints := strings.Join(fault.Hints(err), " "); result.State != engine.StatePartial || !strings.Contains(hints, want) {
				r.t.Errorf("known %t: %s, %v, hints %q, want %q", known, result.State, err, hints, want)
			}
		})
	}
}

// A rewind asks before anything is touched, with what it is about to do.
func TestARewindIsRefused(t *testing.T) {
	t.Parallel()
	restoring(t, nil, nil, func(r *restoreBench) {
		to := r.point()
		before, asked := r.content("old"), engine.Rewinding{}
		_, err := r.e.Rewind(r.t.Context(), engine.RewindRequest{Database: "old", Bookmark: to, Confirm: func(q engine.Rewinding) error {
			asked = q
			return errors.New("no")
		}})
		if err == nil || r.content("old") != before || r.calls("restore") != 0 {
			r.t.Errorf("%v; it holds\n%s", err, r.content("old"))
		}
		if asked.To != to || asked.Bookmark == "" || asked.Bookmark == to || asked.Database.Name != "old" || asked.SafetyBackup.IsZero() {
			r.t.Errorf("it asked about %+v", asked)
		}
	})
}
