package sandbox

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// rates is Cloudflare's limit of requests per token
// (https://developers.cloudflare.com/fundamentals/api/reference/limits/): over
// it, everything is refused for one more window.
type rates struct {
	limit  int
	window time.Duration
	now    func() time.Time

	mu     sync.Mutex
	tokens map[string]*allowance
}

type allowance struct {
	used        int
	resetsAt    time.Time
	blockedTill time.Time
}

func newRates(limit int, window time.Duration, now func() time.Time) *rates {
	return &rates{limit: limit, window: window, now: now, tokens: map[string]*allowance{}}
}

// take counts one request, tells the state in headers, and returns the refusal
// of one too many.
func (r *rates) take(h http.Header, token string) error {
	if r.limit < 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	a := r.tokens[token]
	if a == nil {
		a = &allowance{}
		r.tokens[token] = a
	}
	if !now.Before(a.resetsAt) {
		a.used, a.resetsAt = 0, now.Add(r.window)
	}
	a.used++
	if a.used > r.limit && !now.Before(a.blockedTill) {
		a.blockedTill = now.Add(r.window)
	}
	h.Set("Ratelimit", fmt.Sprintf(`"default";r=%d;t=%d`, max(0, r.limit-a.used), seconds(a.resetsAt.Sub(now))))
	h.Set("Ratelimit-Policy", fmt.Sprintf(`"burst";q=%d;w=%d`, r.limit, seconds(r.window)))
	if !now.Before(a.blockedTill) {
		return nil
	}
	h.Set("Retry-After", strconv.Itoa(seconds(a.blockedTill.Sub(now))))
	return &refusal{http.StatusTooManyRequests, 971, "Please wait and consider throttling your request speed"}
}

// seconds rounds up, as the API does.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
