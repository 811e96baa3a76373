package d1

import (
	"strconv"
	"strings"
	"time"
)

// standing is what an answer says of the limit that is nearest.
type standing struct {
	left    int
	resetAt time.Time
	// reset is how long that was when it was told.
	reset time.Duration
}

// report is what came of a request, as far as the budget is concerned. The
// zero report is that of a request without an answer.
type report struct {
	answered bool
	// standing is nil where the answer told nothing.
	standing *standing
	// quota and window are the limit that the answer names; 0 for none.
	quota  int
	window time.Duration
	// refused: everything is refused for a while, or for an unknown time
	// where after is 0.
	refused bool
	after   time.Duration
}

// refuse notes that the server refused everything.
func (r *report) refuse(after time.Duration) {
	r.refused, r.after = true, after
}

// learn takes up what an answer said.
func (b *budget) learn(r report) {
	if !r.answered {
		return
	}
	b.heard, b.blind = true, nil
	b.adopt(r.quota, r.window)
	if r.standing != nil {
		b.stand(*r.standing)
	}
	if r.refused {
		b.block(r.after)
		return
	}
	b.blocks = 0
}

// adopt takes a limit that is stricter than the one at hand. A looser one is
// no reason to ask for more.
func (b *budget) adopt(quota int, window time.Duration) {
	if quota <= 0 || window <= 0 {
		return
	}
	if float64(quota)/window.Seconds() < float64(b.limit)/b.window.Seconds() {
		b.limit, b.window = quota, window
	}
}

// stand takes up a standing. Answers overtake each other, so within a window
// the lowest count holds, less what is under way and may not be counted yet.
// Only a reset that lies much later than the known one is that of a new window:
// an answer that was long under way tells of one a little later, too.
func (b *budget) stand(told standing) {
	told.left -= b.underWay
	sameWindow := max(b.window/4, resetSlack)
	if known := b.standing; known != nil && !told.resetAt.After(known.resetAt.Add(sameWindow)) {
		told.left = min(told.left, known.left)
		if !told.resetAt.Before(known.resetAt) {
			known.left, known.reset = told.left, told.reset
			return
		}
	}
	b.standing = &told
	time.AfterFunc(told.reset+resetSlack, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.standing == &told {
			b.standing, b.heard = nil, false
			b.signal()
		}
	})
}

// block holds every call back. A refusal without a date is answered by a wait
// that doubles, or lasts to the reset where that is known.
func (b *budget) block(after time.Duration) {
	blocked := !b.blockedUntil.IsZero()
	if after <= 0 {
		if blocked {
			return
		}
		after = b.blindWait()
	}
	if !blocked {
		b.blocks++
	}
	until := b.now().Add(after)
	if !until.After(b.blockedUntil) {
		return
	}
	b.blockedUntil = until
	time.AfterFunc(after, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.blockedUntil.Equal(until) {
			b.blockedUntil = time.Time{}
			b.standing, b.heard = nil, false
			b.signal()
		}
	})
}

// blindWait is how long to wait after a refusal that does not say.
func (b *budget) blindWait() time.Duration {
	if b.standing != nil && b.standing.left <= 0 {
		return b.standing.reset + resetSlack
	}
	if b.blocks >= 8 {
		return b.window
	}
	return min(firstBlock<<b.blocks, b.window)
}

// report reads what an answer says about the budget.
func (a answer) report(now time.Time) report {
	r := report{answered: true}
	for _, item := range limitItems(a.header.Get("Ratelimit")) {
		left, told := item["r"]
		if !told || r.standing != nil && r.standing.left <= left {
			continue
		}
		reset := seconds(item["t"])
		r.standing = &standing{left: left, reset: reset, resetAt: now.Add(reset)}
	}
	rate := 0.0
	for _, item := range limitItems(a.header.Get("Ratelimit-Policy")) {
		quota, window := item["q"], seconds(item["w"])
		if quota <= 0 || window <= 0 {
			continue
		}
		if own := float64(quota) / window.Seconds(); rate == 0 || own < rate {
			rate, r.quota, r.window = own, quota, window
		}
	}
	return r
}

// limitItems reads headers of the form `"default";r=50;t=30, "burst";r=9;t=1`.
// What it does not understand it leaves out.
func limitItems(header string) []map[string]int {
	var items []map[string]int
	for item := range strings.SplitSeq(header, ",") {
		params := map[string]int{}
		for param := range strings.SplitSeq(item, ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
			if n, err := strconv.Atoi(value); err == nil && n >= 0 {
				params[key] = n
			}
		}
		if len(params) > 0 {
			items = append(items, params)
		}
	}
	return items
}

// seconds bounds a told number of seconds to a day.
func seconds(n int) time.Duration {
	return time.Duration(min(n, 24*60*60)) * time.Second
}
