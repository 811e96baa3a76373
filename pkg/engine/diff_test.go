package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/engine"
)

// sides are the latest backup and what is live.
func sides() engine.DiffRequest {
	return engine.DiffRequest{Database: "alpha", Old: engine.Side{Date: engine.Date{Latest: true}}, New: engine.Side{Live: true}}
}

// A comparison is told from step to step, and of how many rows it is.
func TestADiffIsObserved(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	b.seed("alpha", "CREATE TABLE u(a)", "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<9000) INSERT INTO u SELECT printf('%.*c',200,'x') FROM n")
	var phases []engine.Phase
	var details []string
	e := b.host(func(o *engine.Options) {
		o.Observer = observer(func(event engine.Event) {
			if event.Phase == engine.PhaseComparing {
				details = append(details, event.Detail)
			}
			if len(phases) == 0 || phases[len(phases)-1] != event.Phase {
				phases = append(phases, event.Phase)
			}
		})
	})
	b.night(e)
	phases = nil
	result, err := e.Diff(t.Context(), sides())
	if err != nil || !result.Same() {
		t.Fatalf("%+v, %v", result, err)
	}
	side := []engine.Phase{engine.PhaseDownloading, engine.PhasePlanning, engine.PhaseRestoring}
	live := []engine.Phase{engine.PhaseExporting, engine.PhaseDownloading, engine.PhaseRestoring}
	if diff := cmp.Diff(slices.Concat(side, live, []engine.Phase{engine.PhaseComparing}), phases); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want := []string{
		"0 of 18002 rows, table t", "2 of 18002 rows, table u", "4096 of 18002 rows, table u",
		"8192 of 18002 rows, table u", "12288 of 18002 rows, table u", "16384 of 18002 rows, table u",
	}
	if diff := cmp.Diff(want, details); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// One that is given up while it compares ends with the reason.
func TestADiffIsGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	b.seed("alpha", "CREATE TABLE u(a)", "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<9000) INSERT INTO u SELECT i FROM n")
	b.night(b.host(nil))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	told := 0
	e := b.host(func(o *engine.Options) {
		o.Observer = observer(func(event engine.Event) {
			if event.Phase == engine.PhaseComparing && strings.Contains(event.Detail, "table u") {
				told++
				cancel(why)
			}
		})
	})
	if _, err := e.Diff(ctx, sides()); !errors.Is(err, why) || told != 1 {
		t.Errorf("%v, told %d times", err, told)
	}
}
