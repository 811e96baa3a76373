package d1

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// told makes the report of an answer with these words.
func told(left, reset int) report {
	d := time.Duration(reset) * time.Second
	return report{answered: true, standing: &standing{left: left, reset: d, resetAt: time.Now().Add(d)}}
}

// pass makes a request at once that is answered at once.
func pass(t *testing.T, b *budget, l *lane, r report) {
	t.Helper()
	g, err := b.acquire(t.Context(), l, func() { t.Error("a request was held back") })
	if err != nil {
		t.Fatal(err)
	}
	g.done(r)
}

// later asks for a request in the background and notes when it came through.
func later(t *testing.T, group *sync.WaitGroup, order *[]string, name string, b *budget, l *lane) {
	t.Helper()
	var mu sync.Mutex
	group.Go(func() {
		g, err := b.acquire(t.Context(), l, nil)
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		*order = append(*order, name)
		mu.Unlock()
		g.done(report{answered: true})
	})
	synctest.Wait()
}

func TestPollsGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(4, time.Minute, time.Now)
		l, err := b.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		for range 3 {
			pass(t, b, nil, report{answered: true})
			time.Sleep(time.Second)
		}
		pass(t, b, l, report{answered: true}) // the lane's share
		var group sync.WaitGroup
		var order []string
		later(t, &group, &order, "other", b, nil)
		later(t, &group, &order, "poll", b, l)
		group.Wait()
		if want := []string{"poll", "other"}; !slices.Equal(order, want) {
			t.Errorf("got %v, want %v", order, want)
		}
	})
}

// A poll may be sent where another call must leave it room.
func TestOthersLeaveTheShares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1200, 5*time.Minute, time.Now)
		l, err := b.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		pass(t, b, l, told(20, 100)) // 8 + 100s/4s = 33 polls to come
		ctx, cancel := context.WithTimeout(t.Context(), 99*time.Second)
		defer cancel()
		if _, err := b.acquire(ctx, nil, nil); err == nil {
			t.Error("a call took what the polls need")
		}
		for range 20 {
			pass(t, b, l, report{answered: true})
		}
		l.close()
		// After the reset there is room for all.
		time.Sleep(3 * time.Second)
		pass(t, b, nil, report{answered: true})
	})
}

// An export is not started over a budget that does not cover its polls.
func TestOpenNeedsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1200, 5*time.Minute, time.Now)
		pass(t, b, nil, told(30, 100))
		held := false
		begin := time.Now()
		l, err := b.open(t.Context(), func() { held = true })
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		if got := time.Since(begin); !held || got != 101*time.Second {
			t.Errorf("waited %v (told: %v), want until the reset", got, held)
		}
	})
}

// While it is not known what is left, one export goes ahead to find out, and
// giving it up lets the next one.
func TestOpenFeelsItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(0, 0, time.Now)
		first, err := b.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.open(ctx, nil); err == nil {
			t.Error("a second export was let through blindly")
		}
		first.close()
		second, err := b.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer second.close()
	})
}

// Answers that overtake each other do not make the budget larger.
func TestStandingsOutOfOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1200, 5*time.Minute, time.Now)
		pass(t, b, nil, told(3, 100))
		b.learn(told(50, 100))
		pass(t, b, nil, report{answered: true})
		pass(t, b, nil, report{answered: true})
		pass(t, b, nil, report{answered: true})
		begin := time.Now()
		g, err := b.acquire(t.Context(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.done(report{answered: true})
		if got := time.Since(begin); got != 101*time.Second {
			t.Errorf("waited %v, want until the reset", got)
		}
	})
}

// A request under way may not be in the count that an answer tells.
func TestStandingLessWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1200, 5*time.Minute, time.Now)
		slow, err := b.acquire(t.Context(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		pass(t, b, nil, told(1, 100))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := b.acquire(ctx, nil, nil); err == nil {
			t.Error("the last request was given away twice")
		}
		slow.done(told(0, 40))
	})
}

// Who gives up waiting leaves the queue in order.
func TestWaitersGiveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1, time.Minute, time.Now)
		pass(t, b, nil, report{answered: true})
		ctx, cancel := context.WithCancelCause(t.Context())
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				if _, err := b.acquire(ctx, nil, nil); err != errSlow { //nolint:errorlint // the cause itself
					t.Errorf("got %v", err)
				}
			})
		}
		var order []string
		later(t, &group, &order, "last", b, nil)
		cancel(errSlow)
		group.Wait()
		if len(order) != 1 || len(b.others)+len(b.polls) != 0 {
			t.Errorf("got %v, queues %d and %d", order, len(b.polls), len(b.others))
		}
	})
}

// Everything that was taken comes back.
func TestBudgetComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100, time.Minute, time.Now)
		l, err := b.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			pass(t, b, l, report{})
			pass(t, b, nil, told(1000, 30))
		}
		l.close()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if b.used != 0 || b.underWay != 0 || l.used != 0 || len(b.lanes) != 0 || b.standing != nil {
			t.Errorf("left over: used %d, under way %d, the lane's %d, lanes %d, standing %v", b.used, b.underWay, l.used, len(b.lanes), b.standing)
		}
	})
}

// A clock that stands still, as some tests have, must not stop the budget.
func TestBudgetWithAFrozenClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		frozen := time.Now()
		b := newBudget(2, time.Minute, func() time.Time { return frozen })
		for range 10 {
			g, err := b.acquire(t.Context(), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := report{answered: true}
			r.refuse(30 * time.Second)
			g.done(r)
		}
	})
}

func TestLimitItems(t *testing.T) {
	t.Parallel()
	h := answer{header: map[string][]string{
		"Ratelimit":        {`"default";r=50;t=30, "burst";r=9;t=1`},
		"Ratelimit-Policy": {`"default";q=1200;w=300;pk=:x:, "burst";q=200;w=1, "zero";q=1;w=0`},
	}}
	r := h.report(time.Time{})
	if r.standing == nil || r.standing.left != 9 || r.standing.reset != time.Second || r.quota != 1200 || r.window != 5*time.Minute {
		t.Errorf("got %+v, standing %+v", r, r.standing)
	}
	for _, text := range []string{"", ";", ",", `"x"`, `r=-1;t=5`, `r=x`} {
		r := answer{header: map[string][]string{"Ratelimit": {text}, "Ratelimit-Policy": {text}}}.report(time.Time{})
		if r.standing != nil || r.quota != 0 {
			t.Errorf("%q: got %+v", text, r)
		}
	}
}
