package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/engine"
)

// A person sees how far a restore is, in rows or statements too.
func TestProgressOfARestore(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	a := &app{host: host{err: &screen, errTerminal: true}}
	p := a.newProgress()
	p.Observe(engine.Event{Database: "alpha", Phase: engine.PhaseDownloading, Bytes: 1000, Total: 1000})
	p.pause()
	p.Observe(engine.Event{Database: "alpha", Phase: engine.PhaseRestoring, Bytes: 10, Total: 20, Detail: "7 of 12 rows"})
	if p.bytes["alpha"] != 10 {
		t.Errorf("%d bytes, of a dump that was fetched and is loaded anew", p.bytes["alpha"])
	}
	p.pause()
	p.Observe(engine.Event{Database: "alpha", Phase: engine.PhaseDone})
	p.stop()
	if !strings.Contains(screen.String(), "now: alpha (50 %, 7 of 12 rows)") {
		t.Errorf("the screen shows %q", screen.String())
	}
}
