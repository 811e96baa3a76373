package d1

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// quickPolls is how many polls an export makes before they are slow.
	quickPolls = 8
	// probes is how many requests may be under way while it is not known
	// what others have left of the budget.
	probes = 4
	// resetSlack is added to the time to a reset, which is told in whole
	// seconds.
	resetSlack = time.Second
	// firstBlock is how long a refusal without a date holds all calls back
	// the first time; each further one doubles it.
	firstBlock = 10 * time.Second
)

// budget is the one account of requests that a client keeps. It holds to the
// most careful reading of Cloudflare's limit: in no window, wherever it begins,
// are there more requests than allowed. What a request takes from it comes back
// one window after its answer, by when the server has surely counted it.
//
// What others use is known from what the server says is left. Running exports
// have a lane each, with a share for the polls they will need: a request of
// another kind is let through only if it leaves all shares whole, and so is a
// new export. Requests of one kind are served in order.
//
// Time passes here by timers. The clock only orders what the server says.
type budget struct {
	now func() time.Time

	mu     sync.Mutex
	limit  int
	window time.Duration
	// used counts the requests under way, and those answered within the
	// last window. underWay counts the former.
	used, underWay int
	lanes          map[*lane]bool
	// polls and others are the queues of those who wait.
	polls, others []*ticket
	// standing is what the server said last; nil when it is not known, or
	// its window ended. heard says that an answer came since then.
	standing *standing
	heard    bool
	// blind is the lane that was opened while nothing was known.
	blind *lane
	// blockedUntil is zero unless the server refused everything. blocks
	// counts refusals since the last success.
	blockedUntil time.Time
	blocks       int
	// changed is closed, and replaced, when someone who waits should look
	// again.
	changed chan struct{}
}

// lane is the right of one running export to its polls.
type lane struct {
	b *budget
	// used counts the export's requests that count in budget.used.
	used int
}

// ticket is a place in a queue. It has a size so that each has an address of
// its own.
type ticket struct{ _ byte }

// grant is the right to make one request.
type grant struct {
	b    *budget
	lane *lane
}

func newBudget(limit int, window time.Duration, now func() time.Time) *budget {
	if limit == 0 {
		limit = defaultRequests
	}
	if window == 0 {
		window = defaultWindow
	}
	return &budget{
		limit: limit, window: window, now: now,
		lanes: map[*lane]bool{}, changed: make(chan struct{}),
	}
}

// open reserves what a new export or import will need, waiting until it is there.
func (b *budget) open(ctx context.Context, throttled func()) (*lane, error) {
	l := &lane{b: b}
	err := b.wait(ctx, &b.others, throttled, func() bool {
		if !b.roomToOpen() {
			return false
		}
		b.lanes[l] = true
		if b.unsure() {
			b.blind = l
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// close gives the reservation back.
func (l *lane) close() {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	delete(l.b.lanes, l)
	if l.b.blind == l {
		l.b.blind = nil
	}
	l.b.signal()
}

// acquire waits until a request may be made. A request of a lane goes first,
// and may use every other's share. throttled, if not nil, is called once if
// there is a wait.
func (b *budget) acquire(ctx context.Context, l *lane, throttled func()) (*grant, error) {
	queue := &b.others
	if l != nil {
		queue = &b.polls
	}
	err := b.wait(ctx, queue, throttled, func() bool {
		if !b.roomFor(l) {
			return false
		}
		b.take(l)
		return true
	})
	if err != nil {
		return nil, err
	}
	return &grant{b: b, lane: l}, nil
}

// wait stands in a queue until try, called under the lock, succeeds.
func (b *budget) wait(ctx context.Context, queue *[]*ticket, throttled func(), try func() bool) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	mine := new(ticket)
	b.mu.Lock()
	*queue = append(*queue, mine)
	defer func() {
		*queue = slices.DeleteFunc(*queue, func(t *ticket) bool { return t == mine })
		b.signal()
		b.mu.Unlock()
	}()
	for {
		if b.turnOf(mine) && try() {
			return nil
		}
		changed := b.changed
		b.mu.Unlock()
		if throttled != nil {
			throttled()
			throttled = nil
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
		b.mu.Lock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// turnOf says whether a ticket is first: polls before all others.
func (b *budget) turnOf(t *ticket) bool {
	if len(b.polls) > 0 {
		return b.polls[0] == t
	}
	return b.others[0] == t
}

// signal wakes all who wait.
func (b *budget) signal() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// take makes a request count.
func (b *budget) take(l *lane) {
	b.used++
	b.underWay++
	if l != nil {
		l.used++
	}
	if b.standing != nil {
		b.standing.left--
	}
}

// done tells what came of the request.
func (g *grant) done(r report) {
	b := g.b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.underWay--
	b.learn(r)
	time.AfterFunc(b.window, func() { b.expire(g.lane) })
	b.signal()
}

// expire gives back what a request took one window ago.
func (b *budget) expire(l *lane) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used--
	if l != nil {
		l.used--
	}
	b.signal()
}

// roomFor says whether a request may be made now: of a lane, or of no lane.
func (b *budget) roomFor(l *lane) bool {
	if b.held() {
		return false
	}
	shares, coming := 0, 0
	if l == nil {
		shares, coming = b.shares(), len(b.lanes)*b.pollsToReset()
	}
	return b.used+1+shares <= b.limit && b.leaves(1+coming)
}

// roomToOpen says whether the budget covers the polls of one more export.
// While it is not known what is left, one goes ahead to find out.
func (b *budget) roomToOpen() bool {
	if b.held() || b.blind != nil {
		return false
	}
	return b.used+b.shares()+b.share() <= b.limit && b.leaves((len(b.lanes)+1)*b.pollsToReset())
}

// held says whether nothing at all may be sent now.
func (b *budget) held() bool {
	return !b.blockedUntil.IsZero() || b.unsure() && b.underWay >= probes
}

// unsure says whether it is unknown what the server has left.
func (b *budget) unsure() bool { return b.standing == nil && !b.heard }

// leaves says whether the server has so many requests left, as far as is known.
func (b *budget) leaves(n int) bool {
	return b.standing == nil || b.standing.left >= n
}

// share is what one export may need within a window. Where the limit is small
// it is cut, so that a few exports can run at all.
func (b *budget) share() int {
	return min(quickPolls+int(b.window/maxPollDelay), max(b.limit/4, 1))
}

// shares is what the running exports have not yet used of theirs.
func (b *budget) shares() int {
	sum := 0
	for l := range b.lanes {
		sum += max(b.share()-l.used, 0)
	}
	return sum
}

// pollsToReset is what one export may need until the server's window ends.
func (b *budget) pollsToReset() int {
	if b.standing == nil {
		return 0
	}
	return min(quickPolls+int(b.standing.reset/maxPollDelay), b.share())
}
