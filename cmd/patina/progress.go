package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/AutumnsGrove/patina/pkg/engine"
)

// progress shows a person on one line how far the work is: bytes, rate, and
// the names under way. Away from a terminal it shows nothing.
type progress struct {
	mu  sync.Mutex
	out io.Writer
	bar *progressbar.ProgressBar
	// bytes is what was read of each database in its present try.
	bytes   map[string]int64
	running []string
	done    int
	// detail is what the latest wait is for, or how far a restore or a comparison is;
	// may be empty.
	detail string
}

func (a *app) newProgress() *progress {
	p := &progress{out: a.host.err, bytes: map[string]int64{}}
	if !a.host.errTerminal || a.global.quiet || a.json() {
		return p
	}
	p.bar = newBar(p.out)
	return p
}

func newBar(w io.Writer) *progressbar.ProgressBar {
	return progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowTotalBytes(false),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSpinnerType(14),
		// The bar's own ticker reads its state without a lock (v3.19.1); news
		// comes often enough to turn the spinner.
		progressbar.OptionSetSpinnerChangeInterval(0),
	)
}

// Observe takes in one piece of news.
func (p *progress) Observe(e engine.Event) {
	if p.bar == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Phase {
	case engine.PhaseExporting, engine.PhaseDownloading, engine.PhasePublishing, engine.PhaseWaiting,
		engine.PhasePlanning, engine.PhaseRestoring, engine.PhaseComparing:
		if !slices.Contains(p.running, e.Database) {
			p.running = append(p.running, e.Database)
		}
	case engine.PhaseDone, engine.PhaseFailed, engine.PhaseSkipped:
		p.running = slices.DeleteFunc(p.running, func(n string) bool { return n == e.Database })
		p.done++
	}
	p.detail = ""
	if e.Phase == engine.PhaseWaiting || e.Phase == engine.PhaseRestoring || e.Phase == engine.PhaseComparing {
		p.detail = visible(e.Detail)
	}
	p.bytes[e.Database] = max(p.bytes[e.Database], e.Bytes)
	p.draw()
}

// draw is called with the lock held. An error of the terminal is nobody's
// concern: the work does not depend on being watched.
func (p *progress) draw() {
	var total int64
	for _, n := range p.bytes {
		total += n
	}
	text := fmt.Sprintf("%d done, now: %s", p.done, strings.Join(p.running, ", "))
	if p.detail != "" {
		text += " (" + p.detail + ")"
	}
	p.bar.Describe(text)
	_ = p.bar.Set64(total)
}

// pause takes the line away while somebody is asked something.
func (p *progress) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = newBar(p.out)
	}
}

// stop takes the line away.
func (p *progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}
