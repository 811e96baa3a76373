package d1

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/fault"
)

const (
	// maxTries bounds the requests of one call that failed with a cause.
	// Refusals for the budget's sake and waits for a busy database do not
	// count: the caller's context bounds those.
	maxTries = 5
	// firstDelay and maxDelay bound the wait before another try.
	firstDelay = 250 * time.Millisecond
	maxDelay   = 4 * time.Second
)

// do makes a call, again where that is safe and may help.
func (c *Client) do(ctx context.Context, cl call) (envelope, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	failures, waits := 0, 0
	var last *Error
	for {
		env, err := c.attempt(ctx, cl)
		var failed *Error
		if err == nil {
			return env, nil
		}
		if !errors.As(err, &failed) {
			return env, after(err, last)
		}
		last = failed
		var delay time.Duration
		switch {
		case cl.once && !failed.untouched, failed.Class == ClassGiveUp, failed.Class == ClassUnauthorized:
			return env, err
		case failed.throttled: // the budget holds the next try back
		case failed.busy:
			delay = backoff(waits)
			waits++
		default:
			failures++
			if failures >= maxTries {
				return env, err
			}
			delay = max(backoff(failures-1), failed.RetryAfter)
		}
		if err := sleep(ctx, delay); err != nil {
			return env, after(err, failed)
		}
	}
}

// ErrDeadline says that a call was ended by the deadline of the client.
var ErrDeadline = errors.New("not done within the deadline")

// bounded gives a context the client's deadline, where it has none.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has || c.deadline <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, c.deadline, fmt.Errorf("%w of %s", ErrDeadline, c.deadline))
}

// after is the error of a call whose context ended, with what it had met before
// that, if anything: nobody can act on the end of a wait alone.
func after(err error, last *Error) error {
	if last == nil {
		return err
	}
	return fmt.Errorf("%w; the last error was: %s", err, last.Error())
}

// backoff is the wait before try n+1, doubling from firstDelay to maxDelay,
// less up to a quarter by chance, so that clients that failed together do not
// come back together.
func backoff(n int) time.Duration {
	d := maxDelay
	if n < 8 {
		d = min(firstDelay<<n, maxDelay)
	}
	return d - rand.N(d/4) //nolint:gosec // spreading load is no secret
}

// sleep waits, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// retryAfter reads the header of that name: seconds, or an HTTP date, which is
// held against the answer's own date so that a clock that is wrong here does
// not matter.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if !(seconds > 0) {
			return 0
		}
		return time.Duration(min(seconds, (24*time.Hour).Seconds()) * float64(time.Second))
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), 24*time.Hour)
}

// hinted gives an error of this package the form in which the program shows
// hints and chooses its exit status. It is the last step of every method.
func hinted(err error) error {
	var failed *Error
	if err == nil || !errors.As(err, &failed) {
		return err
	}
	switch {
	case failed.Class == ClassUnauthorized:
		return fault.Wrap(fault.Unauthorized, failed.Hint, err)
	case failed.Hint != "":
		return fault.Wrap(fault.Failed, failed.Hint, err)
	}
	return err
}
