package s3store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// maxTries with these waits outlasts an outage of two minutes.
	maxTries  = 10
	firstWait = 500 * time.Millisecond
	longWait  = 30 * time.Second
	// maxRetryAfter is the longest wait a server may ask for: more than this
	// and the operation fails at once.
	maxRetryAfter = 5 * time.Minute

	// callTimeout is for a request without a body to speak of.
	callTimeout = time.Minute
	// completeTimeout is for putting parts together, which may take long with
	// thousands of them.
	completeTimeout = 5 * time.Minute
	// slowestBytes is the rate, per second, below which a part is given up.
	slowestBytes = 256 << 10
)

// transferTimeout is for a request with a body.
func transferTimeout(bytes int64) time.Duration {
	return callTimeout + time.Duration(bytes)*time.Second/slowestBytes
}

// op is a request that may be repeated.
type op struct {
	name string
	// timeout is for one try; 0 means that the call bounds itself.
	timeout time.Duration
	// failed, if set, is told of each try that failed in a way that may pass,
	// the last one included: such a try may also have been done.
	failed func(error)
}

// retry makes a request until it succeeds, fails for good, or was tried often
// enough. The error is one of interpret's, or wraps that of ctx.
func (s *Store) retry(ctx context.Context, op op, call func(context.Context) error) error {
	waits := &backoff.ExponentialBackOff{
		InitialInterval: firstWait, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: longWait,
	}
	var last error
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return after(op, err, last)
		}
		asked, err := s.try(ctx, op, call)
		if err == nil {
			return nil
		}
		if ended := ctx.Err(); ended != nil {
			if op.failed != nil {
				op.failed(err)
			}
			return after(op, ended, last)
		}
		last = err
		if !mayPass(err) {
			return fmt.Errorf("%s: %w", op.name, err)
		}
		if op.failed != nil {
			op.failed(err)
		}
		if try == maxTries {
			return fmt.Errorf("%s: gave up after %d tries: %w", op.name, try, err)
		}
		if asked > maxRetryAfter {
			return fmt.Errorf("%s: the store asks to come back in %s: %w", op.name, asked, err)
		}
		wait := max(waits.NextBackOff(), asked)
		s.log.WarnContext(ctx, "store request failed, trying again", "request", op.name, "try", try, "wait", wait, "error", err)
		if err := sleep(ctx, wait); err != nil {
			return after(op, err, last)
		}
	}
}

// after is the error of an operation whose context ended, with what it had met
// before that, if anything. Only the end is wrapped.
func after(op op, ended, last error) error {
	if last == nil {
		return fmt.Errorf("%s: %w", op.name, ended)
	}
	return fmt.Errorf("%s: %w; the last error was: %s", op.name, ended, last.Error())
}

// try makes a request once. The first result is the wait that the server asks
// for when it fails.
func (s *Store) try(ctx context.Context, op op, call func(context.Context) error) (time.Duration, error) {
	once, r := withReply(ctx)
	if op.timeout > 0 {
		var cancel context.CancelFunc
		once, cancel = context.WithTimeout(once, op.timeout)
		defer cancel()
	}
	err := call(once)
	if err == nil {
		return 0, nil
	}
	if ctx.Err() == nil && errors.Is(once.Err(), context.DeadlineExceeded) {
		// Not wrapped: to the caller, an exceeded deadline is that of its ctx.
		return 0, silence(op.timeout)
	}
	return r.wait(s.now), s.interpret(err, r)
}

// silence is the error of a request that was waited for in vain.
func silence(waited time.Duration) error {
	return &transferError{cause: fmt.Errorf("nothing within %s", waited.Round(time.Second))}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
