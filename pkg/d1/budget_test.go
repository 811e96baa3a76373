package d1_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/AutumnsGrove/patina/pkg/d1"
)

// meter is an API with a request limit, by which everything is refused for a
// window when it is overdrawn, and exports that die when they are not polled.
type meter struct {
	limit  int
	window time.Duration
	// foreign is what others of the account use, of the window with the
	// given number, from its beginning on.
	foreign func(window int) int
	// silent leaves the headers out.
	silent bool
	// takes is how long an export runs.
	takes time.Duration
	// latency is how long every answer takes.
	latency time.Duration

	mu      sync.Mutex
	begin   time.Time
	current int
	used    int
	// log is when our requests came.
	log     []time.Time
	refused int
	blocked time.Time
	exports map[string]*exportState
	lost    int
}

type exportState struct{ started, polled time.Time }

func (m *meter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(m.latency / 2)
	m.serve(w, r)
	time.Sleep(m.latency / 2)
}

func (m *meter) serve(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.begin.IsZero() {
		m.begin, m.current, m.exports = now, -1, map[string]*exportState{}
	}
	if n := int(now.Sub(m.begin) / m.window); n != m.current {
		m.current, m.used = n, 0
		if m.foreign != nil {
			m.used = m.foreign(n)
		}
	}
	m.log = append(m.log, now)
	reset := m.begin.Add(time.Duration(m.current+1) * m.window).Sub(now)
	if now.Before(m.blocked) || m.used >= m.limit {
		m.refused++
		if !now.Before(m.blocked) {
			m.blocked = now.Add(m.window)
		}
		refuse(429, 971, "slow down", "Retry-After", fmt.Sprint(int(m.blocked.Sub(now).Seconds())+1))(w, r)
		return
	}
	m.used++
	if !m.silent {
		w.Header().Set("Ratelimit", fmt.Sprintf(`"default";r=%d;t=%d`, m.limit-m.used, int(reset.Seconds())))
		w.Header().Set("Ratelimit-Policy", fmt.Sprintf(`"burst";q=%d;w=%d`, m.limit, int(m.window.Seconds())))
	}
	if !strings.HasSuffix(r.URL.Path, "/export") {
		result(200, `{"uuid":"x","name":"x"}`)(w, r)
		return
	}
	m.export(w, r, now)
}

func (m *meter) export(w http.ResponseWriter, r *http.Request, now time.Time) {
	var body struct {
		Bookmark string `json:"current_bookmark"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	state := m.exports[r.URL.Path]
	if state != nil && now.Sub(state.polled) > 55*time.Second {
		m.lost++
		state = nil
	}
	switch {
	case body.Bookmark == "" && state != nil:
		inner(busyText)(w, r)
		return
	case body.Bookmark == "":
		state = &exportState{started: now}
	case state == nil:
		inner(goneText)(w, r)
		return
	case now.Sub(state.started) >= m.takes:
		delete(m.exports, r.URL.Path)
		complete()(w, r)
		return
	}
	state.polled = now
	m.exports[r.URL.Path] = state
	active()(w, r)
}

// densest is the largest number of our requests within any window.
func (m *meter) densest() int {
	most, from := 0, 0
	for i, at := range m.log {
		for at.Sub(m.log[from]) >= m.window {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

func TestBudgetIsNeverOverdrawn(t *testing.T) {
	t.Parallel()
	const five = 5 * time.Minute
	tests := []struct {
		name string
		m    *meter
		// exports run once each; readers call Get so often.
		exports, readers, reads int
		within                  time.Duration
	}{
		{"readers alone", &meter{limit: 1200, window: five}, 0, 40, 100, 20 * time.Minute},
		{"exports alone", &meter{limit: 1200, window: five, takes: 10 * time.Minute}, 30, 0, 0, 90 * time.Minute},
		{"both", &meter{limit: 1200, window: five, takes: 3 * time.Minute}, 30, 40, 100, 2 * time.Hour},
		{"both, with latency", &meter{limit: 1200, window: five, takes: 3 * time.Minute, latency: 3 * time.Second}, 30, 40, 50, 2 * time.Hour},
		{"others use most of it", &meter{limit: 1200, window: five, takes: 3 * time.Minute, foreign: func(int) int { return 950 }}, 12, 20, 30, 4 * time.Hour},
		{"others come and go", &meter{limit: 1200, window: five, takes: 2 * time.Minute, foreign: func(n int) int { return n % 3 * 500 }}, 12, 20, 50, 4 * time.Hour},
		{"a server that tells nothing", &meter{limit: 1200, window: five, takes: 3 * time.Minute, silent: true}, 20, 40, 60, 2 * time.Hour},
		{"a smaller limit than known", &meter{limit: 100, window: time.Minute, takes: 2 * time.Minute}, 12, 10, 40, 2 * time.Hour},
		{"a tiny limit", &meter{limit: 12, window: 30 * time.Second, takes: time.Second}, 5, 5, 5, 2 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := tt.m
				client := newClient(t, direct{m}, nil)
				begin := time.Now()
				work(t, client, tt.exports, tt.readers, tt.reads)
				if took := time.Since(begin); took > tt.within {
					t.Errorf("took %v, want at most %v", took, tt.within)
				}
				if m.refused > 0 {
					t.Errorf("%d requests were refused", m.refused)
				}
				if m.lost > 0 {
					t.Errorf("%d exports were lost for want of polls", m.lost)
				}
				if got := m.densest(); got > m.limit {
					t.Errorf("%d requests within one window of %d", got, m.limit)
				}
				t.Logf("%d requests, densest %d, in %v", len(m.log), m.densest(), time.Since(begin))
			})
		})
	}
}

// work runs exports and readers side by side and waits for them.
func work(t *testing.T, client *d1.Client, exports, readers, reads int) {
	t.Helper()
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			for range reads {
				if _, err := client.Get(t.Context(), fmt.Sprint("r", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range exports {
		group.Go(func() {
			if _, err := client.Export(t.Context(), d1.ExportRequest{DatabaseID: fmt.Sprint("e", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// When others have used up everything, a few requests find out, and no more
// are sent until the server allows it.
func TestBudgetPausesWhenRefused(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := &meter{limit: 1200, window: 5 * time.Minute, silent: silent, takes: time.Minute, latency: time.Second}
			m.foreign = func(window int) int {
				if window == 0 {
					return m.limit
				}
				return 0
			}
			work(t, newClient(t, direct{m}, nil), 5, 20, 10)
			if m.refused == 0 || m.refused > 4 {
				t.Errorf("%d requests were refused, want one to four", m.refused)
			}
		})
	}
}

// A refusal holds back calls that others make, too, and an overloaded database
// none but its own.
func TestBudgetPauseConcernsAll(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer step
		want   time.Duration
	}{
		{"the account's limit", refuse(429, 971, "slow down", "Retry-After", "100"), 100 * time.Second},
		{"one overloaded database", refuse(429, 7429, "D1 DB is overloaded. Requests queued for too long.", "Retry-After", "100"), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := scripted(t, tt.answer, result(200, `{"uuid":"x","name":"x"}`))
				var group sync.WaitGroup
				group.Go(func() {
					if _, err := client.Get(t.Context(), "refused"); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				begin := time.Now()
				if _, err := client.Get(t.Context(), "other"); err != nil {
					t.Error(err)
				}
				if got := time.Since(begin); got != tt.want {
					t.Errorf("the other call waited %v, want %v", got, tt.want)
				}
				group.Wait()
			})
		})
	}
}
