package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/engine"
)

// A person sees how far a restore or a comparison is, in rows or statements too,
// and no name out of a dump moves the cursor.
func TestProgressOfARestore(t *testing.T) {
	t.Parallel()
	for want, event := range map[string]engine.Event{
		"now: alpha (7 of 12 rows)":                  {Phase: engine.PhaseRestoring, Bytes: 10, Total: 20, Detail: "7 of 12 rows"},
		`now: alpha (9 of 12 rows, table \x1b[2Jpi)`: {Phase: engine.PhaseComparing, Total: -1, Detail: "9 of 12 rows, table \x1b[2Jpi"},
	} {
		var screen bytes.Buffer
		a := &app{host: host{err: &screen, errTerminal: true}}
		p := a.newProgress()
		event.Database = "alpha"
		p.Observe(event)
		p.pause()
		p.Observe(engine.Event{Database: "alpha", Phase: engine.PhaseDone})
		p.stop()
		if !strings.Contains(screen.String(), want) {
			t.Errorf("the screen shows %q, want %q", screen.String(), want)
		}
	}
}
