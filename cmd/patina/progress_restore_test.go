package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/engine"
)

// A person sees how far a restore is, in rows or statements too.
func TestProgressOfARestore(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	a := &app{host: host{err: &screen, errTerminal: true, now: time.Now}}
	p := a.newProgress()
	p.Observe(engine.Event{Database: "alpha", Phase: engine.PhaseDownloading, Bytes: 1000, Total: 1000})
	p.Observe(engine.Event{Database: "alpha", Phase: engine.PhaseRestoring, Bytes: 10, Total: 20, Detail: "7 of 12 rows"})
	p.Observe(engine.Event{Database: "alpha", Phase: engine.PhaseRestoring, Bytes: 10, Total: 20, Detail: "8 of 12 rows"})
	p.Observe(engine.Event{Database: "alpha", Phase: engine.PhaseRestoring, Bytes: 10, Total: 20, Detail: "it answers nobody"})
	if p.bytes["alpha"] != 10 {
		t.Errorf("%d bytes, of a dump that was fetched and is loaded anew", p.bytes["alpha"])
	}
	p.pause()
	p.Observe(engine.Event{Database: "alpha", Phase: engine.PhaseDone})
	p.stop()
	for text, want := range map[string]bool{
		"now: alpha (50 %, 7 of 12 rows)":      true,
		"now: alpha (50 %, 8 of 12 rows)":      false, // so soon after, with another number only
		"now: alpha (50 %, it answers nobody)": true,  // at once, for it may stand there for long
	} {
		if strings.Contains(screen.String(), text) != want {
			t.Errorf("%q is on the screen: %v, want %v:\n%q", text, !want, want, screen.String())
		}
	}
}

// A person sees how far a comparison is, and no name out of a dump moves the cursor.
func TestProgressOfAComparison(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	a := &app{host: host{err: &screen, errTerminal: true, now: time.Now}}
	p := a.newProgress()
	p.Observe(engine.Event{Database: "alpha", Phase: engine.PhaseComparing, Total: -1, Detail: "9 of 12 rows, table \x1b[2Jpi"})
	p.stop()
	if want := `now: alpha (9 of 12 rows, table \x1b[2Jpi)`; !strings.Contains(screen.String(), want) {
		t.Errorf("the screen shows %q, want %q", screen.String(), want)
	}
}
