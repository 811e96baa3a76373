package d1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// maxPollDelay is the longest pause between polls. A task is cancelled
	// when it is not polled; gaps of 10 s were seen to be fine and one of
	// 55 s was not.
	maxPollDelay = 4 * time.Second
	// firstPollDelay is doubled up to maxPollDelay, after a first poll at
	// once.
	firstPollDelay = 100 * time.Millisecond
	// maxLost is how often an export may be lost before it has failed.
	maxLost = 3
	// maxFailures bounds requests in a row that failed with a cause.
	maxFailures = 10
	// longThrottle is how long polls must have been held back for the loss
	// of the export to be put down to that.
	longThrottle = 10 * time.Second
	// defaultSilence is what requests bear that do not say.
	defaultSilence = 30 * time.Second
)

// ExportPhase says what an export is at.
type ExportPhase string

// The phases. An export may go back from running to starting.
const (
	// ExportStarting: the export is asked for.
	ExportStarting ExportPhase = "starting"
	// ExportBusy: another export of the database is running, possibly one of
	// our own whose answer was lost. Its end is waited for.
	ExportBusy ExportPhase = "busy"
	// ExportRunning: D1 is writing the dump.
	ExportRunning ExportPhase = "running"
	// ExportThrottled: the request budget holds the next call back.
	ExportThrottled ExportPhase = "throttled"
	// ExportLost: D1 lost the export, which is started anew.
	ExportLost ExportPhase = "lost"
	// ExportComplete: the dump is there.
	ExportComplete ExportPhase = "complete"
)

// ExportProgress is what is known of an export under way.
type ExportProgress struct {
	Phase ExportPhase
	// Messages are D1's own new log lines, such as "Uploaded part 3".
	Messages []string
	// Starts is how often the export was asked for, Polls how often it was
	// asked about.
	Starts, Polls int
}

// ExportRequest asks for a dump of one database.
type ExportRequest struct {
	DatabaseID string
	// Silence bounds the time without an answer; 0 means 30 s. Time in which
	// the request budget holds calls back does not count, nor does the pause
	// between polls. The whole export is bounded by the context only.
	Silence time.Duration
	// Observe is called, from the goroutine of Export, when something
	// changed; may be nil.
	Observe func(ExportProgress)
}

// Export has D1 write a dump of a database, which serves no queries meanwhile,
// and returns when the dump can be downloaded.
//
// It never starts an export over a running one, which it waits for as long as
// ctx allows: after a lost answer that is its own. An export that D1 lost is
// started anew, a few times; one that was lost because the request budget held
// the polls back does not count.
func (c *Client) Export(ctx context.Context, req ExportRequest) (Dump, error) {
	if req.Silence <= 0 {
		req.Silence = defaultSilence
	}
	x := &exporter{c: c, req: req, left: req.Silence}
	lane, err := c.budget.open(ctx, func() { x.observe(ExportThrottled, nil) })
	if err != nil {
		return Dump{}, fmt.Errorf("%s: waiting for the request budget: %w", opExport, err)
	}
	defer lane.close()
	x.lane = lane
	dump, err := x.run(ctx)
	return dump, hinted(err)
}

// exporter is one call of Export.
type exporter struct {
	c    *Client
	req  ExportRequest
	lane *lane
	// left is how much silence may still pass.
	left time.Duration
	// throttled is how long calls were held back since the last good answer.
	throttled     time.Duration
	starts, polls int
}

func (x *exporter) observe(phase ExportPhase, messages []string) {
	if x.req.Observe == nil {
		return
	}
	x.req.Observe(ExportProgress{Phase: phase, Messages: messages, Starts: x.starts, Polls: x.polls})
}

// run exports until there is a dump, or a reason to give up.
func (x *exporter) run(ctx context.Context) (Dump, error) {
	lost := 0
	for {
		dump, err := x.once(ctx)
		var failed *Error
		if err == nil || !errors.As(err, &failed) || !failed.gone {
			return dump, err
		}
		if x.throttled < longThrottle {
			lost++
		}
		if lost >= maxLost {
			return Dump{}, err
		}
		x.observe(ExportLost, nil)
		x.throttled = 0
		if err := sleep(ctx, backoff(lost)); err != nil {
			return Dump{}, fmt.Errorf("%s: %w; the last error was: %s", opExport, err, failed.Error())
		}
	}
}

// once starts an export and follows it to its end.
func (x *exporter) once(ctx context.Context) (Dump, error) {
	x.observe(ExportStarting, nil)
	state, err := x.ask(ctx, "")
	bookmark := ""
	for n := 0; err == nil && state.running; n++ {
		// An answer without a bookmark goes on with the last one.
		if state.Bookmark != "" {
			bookmark = state.Bookmark
		}
		if bookmark == "" {
			return Dump{}, &Error{Op: opExport, Class: ClassRetry, Message: "the export has no bookmark to poll with"}
		}
		x.observe(ExportRunning, state.messages(x.c))
		if err := sleep(ctx, pollDelay(n)); err != nil {
			return Dump{}, fmt.Errorf("%s: %w", opExport, err)
		}
		state, err = x.ask(ctx, bookmark)
	}
	if err != nil {
		return Dump{}, err
	}
	if state.Bookmark != "" {
		bookmark = state.Bookmark
	}
	filename, link := state.file()
	if link == "" {
		// Completion is told once: only another export has a URL to tell.
		return Dump{}, &Error{Op: opExport, Class: ClassRetry, gone: true, Message: "complete, but without a signed URL"}
	}
	dump, err := x.c.newDump(bookmark, filename, link)
	if err != nil {
		return Dump{}, &Error{Op: opExport, Class: ClassGiveUp, Err: err}
	}
	x.observe(ExportComplete, state.messages(x.c))
	return dump, nil
}

// pollDelay is the pause before poll n: none before the first, because a small
// database is done by then.
func pollDelay(n int) time.Duration {
	switch {
	case n == 0:
		return 0
	case n < quickPolls:
		return min(firstPollDelay<<(n-1), maxPollDelay)
	}
	return maxPollDelay
}

// ask starts the export, or polls it where there is a bookmark, until D1
// answers with a state or a failure that another request would not cure.
func (x *exporter) ask(ctx context.Context, bookmark string) (exportJSON, error) {
	failures, waits := 0, 0
	var last *Error
	for {
		state, err := x.request(ctx, bookmark)
		var failed *Error
		if err == nil {
			return state, nil
		}
		if !errors.As(err, &failed) {
			return state, after(err, last)
		}
		last = failed
		var delay time.Duration
		switch {
		case failed.gone, failed.Class == ClassGiveUp, failed.Class == ClassUnauthorized:
			return exportJSON{}, err
		case failed.throttled: // the budget holds the next request back
			x.left = x.req.Silence
		case failed.busy:
			x.left = x.req.Silence
			x.observe(ExportBusy, nil)
			delay = backoff(waits)
			failures, waits = 0, waits+1
		default:
			failures++
			if delay, err = x.bear(failed, failures); err != nil {
				return exportJSON{}, err
			}
		}
		if err := sleep(ctx, delay); err != nil {
			return exportJSON{}, after(fmt.Errorf("%s: %w", opExport, err), failed)
		}
	}
}

// bear decides whether a failure is borne, and for how long to pause.
func (x *exporter) bear(failed *Error, failures int) (time.Duration, error) {
	if failures >= maxFailures {
		return 0, failed
	}
	if failed.Class == ClassWait {
		x.left = x.req.Silence
		return max(backoff(failures-1), failed.RetryAfter), nil
	}
	delay := backoff(failures - 1)
	x.left -= delay
	if x.left > 0 {
		return max(delay, failed.RetryAfter), nil
	}
	silent := &Error{
		Op: opExport, Class: ClassRetry, RayID: failed.RayID, Err: ErrSilence,
		Message: fmt.Sprintf("timeout after %s", x.req.Silence),
	}
	if !errors.Is(failed, ErrSilence) {
		silent.Err = fmt.Errorf("%w of use; the last one: %s", ErrSilence, failed.Error())
	}
	return 0, silent
}

// exportBody is the request, which is the same for start and poll. The format
// is sent each time: a poll without it was answered with code 7400.
type exportBody struct {
	OutputFormat    string `json:"output_format"`
	CurrentBookmark string `json:"current_bookmark,omitempty"`
}

// request makes one request and keeps account of the silence.
func (x *exporter) request(ctx context.Context, bookmark string) (exportJSON, error) {
	if bookmark == "" {
		x.starts++
	} else {
		x.polls++
	}
	asked := x.c.now()
	sent := asked
	// Two thirds, so that one request may hang and another be heard.
	limit := min(x.left, x.req.Silence*2/3)
	env, err := x.c.attempt(ctx, call{
		op: opExport, method: http.MethodPost, path: x.c.databasePath(x.req.DatabaseID, "/export"),
		body: exportBody{OutputFormat: "polling", CurrentBookmark: bookmark}, limit: limit,
		lane: x.lane, throttled: func() { x.observe(ExportThrottled, nil) },
		granted: func() { sent = x.c.now() },
	})
	x.throttled += sent.Sub(asked)
	if err != nil {
		silent := x.c.now().Sub(sent)
		if errors.Is(err, ErrSilence) {
			silent = max(silent, limit) // also by a clock that stands still
		}
		x.left -= silent
		return exportJSON{}, err
	}
	return x.read(env, bookmark)
}

// read takes the state out of an answer.
func (x *exporter) read(env envelope, bookmark string) (exportJSON, error) {
	var state exportJSON
	if err := json.Unmarshal(env.Result, &state); err != nil {
		return exportJSON{}, malformed(opExport)
	}
	x.left = x.req.Silence
	if state.failed() {
		failed := x.c.innerFailure(opExport, env.status, state.problem())
		// A failure inside the task is its end. Asking about it once more
		// would only lose the reason.
		failed.gone = failed.gone || failed.Class == ClassRetry && bookmark != ""
		return exportJSON{}, failed
	}
	state.settle(env.status)
	if !state.running && state.Status != "complete" && state.Status != "" {
		return exportJSON{}, &Error{Op: opExport, Class: ClassGiveUp, Message: "unknown status " + x.c.tame(state.Status)}
	}
	x.throttled = 0
	return state, nil
}

// exportJSON is the result on the wire. The file is told one level down, and by
// some accounts beside the status.
type exportJSON struct {
	taskJSON
	RawMessages json.RawMessage `json:"messages"`
	Nested      json.RawMessage `json:"result"`
	fileJSON
}

type fileJSON struct {
	Filename  string `json:"filename"`
	SignedURL string `json:"signed_url"`
}

// messages are D1's log lines, made fit for a terminal.
func (s exportJSON) messages(c *Client) []string {
	var lines []string
	if json.Unmarshal(s.RawMessages, &lines) != nil {
		return nil
	}
	for i := range lines {
		lines[i] = c.tame(lines[i])
	}
	return lines
}

func (s exportJSON) file() (filename, link string) {
	var nested fileJSON
	if json.Unmarshal(s.Nested, &nested) == nil && nested.SignedURL != "" {
		return nested.Filename, nested.SignedURL
	}
	return s.Filename, s.SignedURL
}
