package engine_test

import (
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// Chosen tables that take more than one import leave the others as they are, too:
// when they are in, and when they fail half-way.
func TestChosenTablesInPiecesKeepOthers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		child string
		// fails is behind how many calls an import fails.
		fails int
	}{
		"cascade":                    {child: "p REFERENCES p(id) ON DELETE CASCADE"},
		"set null":                   {child: "p REFERENCES p(id) ON DELETE SET NULL"},
		"restrict":                   {child: "p REFERENCES p(id) ON DELETE RESTRICT"},
		"no action":                  {child: "p REFERENCES p(id)"},
		"cascade, failed half-way":   {child: "p REFERENCES p(id) ON DELETE CASCADE", fails: 6},
		"set null, failed half-way":  {child: "p REFERENCES p(id) ON DELETE SET NULL", fails: 9},
		"no action, failed half-way": {child: "p REFERENCES p(id)", fails: 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			restoring(t, nil, func(o *engine.Options) { o.PieceStatements = 2 }, func(r *restoreBench) {
				r.seed("live", "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO p VALUES(1,'changed'),(2,'two'),(99,'new')",
					"CREATE TABLE k(id INTEGER PRIMARY KEY, "+tt.child+")", "INSERT INTO k VALUES(1,1),(2,2)",
					"CREATE TRIGGER g AFTER UPDATE ON k BEGIN DELETE FROM k; END", "CREATE TRIGGER h AFTER DELETE ON p BEGIN DELETE FROM k; END")
				before := r.content("live")
				if err := r.source.Only([]string{"p"}); err != nil {
					r.t.Fatal(err)
				}
				if tt.fails > 0 {
					r.d1.AddFault(sandbox.Fault{Call: "import", After: tt.fails, Times: 1000, Kind: sandbox.FaultStatus, Status: 400, Code: 7400, Message: "no"})
				}
				result, err := r.e.Restore(r.t.Context(), engine.RestoreRequest{Source: r.source, Target: "live", Replace: true, AllowPartial: true})
				after := r.content("live")
				if got, want := strings.Join(rowsFor(after, "k"), ""), strings.Join(rowsFor(before, "k"), ""); got != want {
					r.t.Errorf("%s: %v: the children are %q, want %q", result.State, err, got, want)
				}
				switch {
				case tt.fails > 0 && (result.State != engine.StateReturned || result.Pieces == 0 || after != before):
					r.t.Errorf("%s after %d pieces: %v\n%.500s", result.State, result.Pieces, err, after)
				case tt.fails == 0 && (err != nil || result.Pieces < 2 || len(rowsFor(after, "p")) != 80 || strings.Contains(after, "patina")):
					r.t.Errorf("%s after %d pieces, %s: %v\n%.500s", result.State, result.Pieces, fault.KindOf(err), err, after)
				}
			})
		})
	}
}
