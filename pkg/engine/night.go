package engine

import (
	"fmt"
	"time"

	"github.com/adhocore/gronx"
)

// nightSlack is how far ahead of the clock a night may be taken: a cron daemon
// whose clock is a little fast still means the night that is about to begin.
const nightSlack = 10 * time.Minute

// nightOf is the latest tick of a cron expression not after now and the slack.
func nightOf(expression string, now time.Time) (time.Time, error) {
	tick, err := gronx.PrevTickBefore(expression, now.UTC().Add(nightSlack), true)
	if err != nil {
		return time.Time{}, fmt.Errorf("schedule %q: %w", expression, err)
	}
	return tick.UTC().Truncate(time.Minute), nil
}

// nextTick is the first tick of a cron expression after now.
func nextTick(expression string, now time.Time) (time.Time, error) {
	tick, err := gronx.NextTickAfter(expression, now.UTC(), false)
	if err != nil {
		return time.Time{}, fmt.Errorf("schedule %q: %w", expression, err)
	}
	return tick.UTC().Truncate(time.Minute), nil
}
