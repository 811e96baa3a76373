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
	// detail is what the latest wait is for, or how far a restore is; may be empty.
	detail string
	// now is the time, drawn when the line was drawn last, and drawnAs what it said
	// but for numbers.
	now     func() time.Time
	drawn   time.Time
	drawnAs string
	// loading are the databases whose bytes are those of a restore, and no more
	// those of the dump that was fetched for it.
	loading map[string]bool
}

func (a *app) newProgress() *progress {
	p := &progress{out: a.host.err, bytes: map[string]int64{}, loading: map[string]bool{}, now: a.host.now}
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
	switch e.Phase {
	case engine.PhaseWaiting, engine.PhaseComparing:
		p.detail = visible(e.Detail)
	case engine.PhaseRestoring:
		p.detail = ofTotal(e) + visible(e.Detail)
		if !p.loading[e.Database] {
			p.loading[e.Database], p.bytes[e.Database] = true, 0
		}
	}
	p.bytes[e.Database] = max(p.bytes[e.Database], e.Bytes)
	p.draw()
}

// drawEvery bounds how often the line is drawn that says the same but for numbers.
// What is new in words is drawn at once: it may stand there for long.
const drawEvery = 100 * time.Millisecond

// ofTotal is how much of what there is was done, where both are known.
func ofTotal(e engine.Event) string {
	if e.Total <= 0 {
		return ""
	}
	return fmt.Sprintf("%d %%, ", 100*e.Bytes/e.Total)
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
	says := strings.Map(wordsOnly, text)
	if says == p.drawnAs && p.now().Sub(p.drawn) < drawEvery {
		return
	}
	p.drawn, p.drawnAs = p.now(), says
	p.bar.Describe(text)
	_ = p.bar.Set64(total)
}

// wordsOnly leaves out digits.
func wordsOnly(r rune) rune {
	if '0' <= r && r <= '9' {
		return -1
	}
	return r
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
