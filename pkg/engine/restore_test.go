package engine_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// Every database that the export does not damage comes back into a new one.
func TestFidelityCasesRestore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, restoreFidelityCases)
}

func restoreFidelityCases(t *testing.T) {
	damaged := []string{"int53", "mixed_newline", "mixed_cr", "real_no_affinity", "strict", "invalid_utf8"}
	b := newMemoryBench(t, func(o *sandbox.Options) { o.RateLimit = -1 })
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
	e := b.host(nil)
	b.night(e)
	for _, name := range names {
		result, err := e.Restore(t.Context(), engine.RestoreRequest{Source: b.source(e, "latest", name), Target: "new-" + name})
		if err != nil || result.State != engine.StateRestored || !result.Compared || !result.Created {
			t.Errorf("%s: %s, %v", name, result.State, err)
			continue
		}
		if diff := cmp.Diff(b.content(name), b.content("new-"+name)); diff != "" {
			t.Errorf("%s (-original +restored):\n%.2000s", name, diff)
		}
	}
}

// A load that D1 cannot bear at once goes in pieces, which get smaller, wherever
// D1 says so and in whichever words.
func TestRestoreInPieces(t *testing.T) {
	t.Parallel()
	at64 := func(o *engine.Options) { o.PieceStatements = 64 }
	for name, tt := range map[string]struct {
		d1   sandbox.Options
		host func(*engine.Options)
	}{
		"too long for a processor": {sandbox.Options{ImportLimitError: "D1 DB exceeded its CPU time limit and was reset."}, at64},
		"too long for the storage": {sandbox.Options{ImportLimitError: "D1 DB storage operation exceeded timeout which caused object to be reset."}, at64},
		"at ingest":                {sandbox.Options{ImportPolls: -1}, nil},
		"at a poll":                {sandbox.Options{ImportPart: 3, ImportPolls: 1}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			restoring(t, func(o *sandbox.Options) {
				o.ImportLimit, o.ImportLimitError, o.ImportPolls, o.ImportPart = 6, tt.d1.ImportLimitError, tt.d1.ImportPolls, tt.d1.ImportPart
			}, tt.host, func(r *restoreBench) {
				if result, err := r.restore(engine.RestoreRequest{Target: "new"}); err != nil || result.Pieces < 3 {
					r.t.Errorf("%d pieces: %v", result.Pieces, err)
				}
			})
		})
	}
}

// A lost answer to what was done does not have it done twice.
func TestALostIngestIsLookedAt(t *testing.T) {
	t.Parallel()
	restoring(t, func(o *sandbox.Options) { o.ImportPolls = -1 }, nil, func(r *restoreBench) {
		r.d1.AddFault(sandbox.Fault{Call: "import", After: 1, Kind: sandbox.FaultLost})
		result, err := r.restore(engine.RestoreRequest{Target: "old", Replace: true})
		if got := r.calls("import"); got != 2 || result.State != engine.StateRestored {
			r.t.Errorf("%d calls (%v), want init and ingest", got, err)
		}
	})
}
