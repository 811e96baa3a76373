package d1

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// The names of the operations, as errors tell them. classify looks at
// opExport.
const (
	opList     = "list databases"
	opGet      = "read database"
	opQuery    = "query"
	opVirtual  = "look for virtual tables"
	opBookmark = "read bookmark"
	opToken    = "verify token"
	opExport   = "export"
	opImport   = "import"
	opUpload   = "upload"
	opCreate   = "create database"
	opDelete   = "delete database"
	opTravel   = "time travel"
	opDownload = "download dump"
)

// How much of an answer is read. An answer that is longer is an error: nothing
// that the API says about itself comes near these.
const (
	maxAnswer     = 4 << 20
	maxListAnswer = 32 << 20
	maxRowsAnswer = 64 << 20
	maxErrorPage  = 64 << 10
)

// callLimit bounds one request of an ordinary call. D1 ends its side of any
// call after 30 s.
const callLimit = 40 * time.Second

// call is one request to the API.
type call struct {
	op     string
	method string
	// path is below the base URL, already escaped.
	path  string
	query url.Values
	// body is sent as JSON; nil for none.
	body any
	// limit bounds the time of a request, from the moment the budget lets it
	// through; 0 means callLimit.
	limit time.Duration
	// size bounds the answer; 0 means maxAnswer.
	size int64
	// lane is the running export or import that the call belongs to; nil for others.
	lane *lane
	// throttled is told when the budget holds the call back; may be nil.
	throttled func()
	// granted is told when the budget lets the call through; may be nil.
	granted func()
	// once marks a call that must not be repeated unless it is known that it
	// did not run.
	once bool
}

// databasePath is the path of a database, with what follows it.
func (c *Client) databasePath(id, rest string) string {
	return c.databasesPath() + "/" + url.PathEscape(id) + rest
}

func (c *Client) databasesPath() string {
	return "/accounts/" + url.PathEscape(c.account) + "/d1/database"
}

// attempt makes one request, when the budget allows, and returns a successful
// answer. Its errors are an *Error or that of ctx.
func (c *Client) attempt(ctx context.Context, cl call) (envelope, error) {
	grant, err := c.budget.acquire(ctx, cl.lane, cl.throttled)
	if err != nil {
		return envelope{}, fmt.Errorf("%s: waiting for the request budget: %w", cl.op, err)
	}
	var heard report
	// Also when a transport panics the budget gets its request back.
	defer func() { grant.done(heard) }()
	if cl.granted != nil {
		cl.granted()
	}
	limit := cl.limit
	if limit == 0 {
		limit = callLimit
	}
	request, cancel := context.WithTimeoutCause(ctx, limit, errSlow)
	defer cancel()
	got, err := c.roundTrip(request, cl)
	if err != nil {
		return envelope{}, c.noAnswer(ctx, request, cl, limit, err)
	}
	heard = got.report(c.now())
	env, err := c.judge(cl, got)
	var failed *Error
	if errors.As(err, &failed) && failed.throttled {
		heard.refuse(failed.RetryAfter)
	}
	c.log.DebugContext(ctx, "d1 call", "op", cl.op, "status", got.status, "cf_ray", c.tame(got.header.Get("cf-ray")))
	return env, err
}

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   []byte
	// huge: there was more body than may be read.
	huge bool
}

// unsentError marks a request of which no byte left this host.
type unsentError struct{ error }

// Unwrap is what kept the request from being sent.
func (e unsentError) Unwrap() error { return e.error }

// roundTrip sends a request and reads the answer. It goes to the transport
// itself: an http.Client would follow redirects, with the token.
func (c *Client) roundTrip(ctx context.Context, cl call) (answer, error) {
	var asked, connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := c.request(ctx, cl)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.api.RoundTrip(req)
	if err != nil {
		if asked.Load() && !connected.Load() {
			return answer{}, unsentError{err}
		}
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read as far as it matters
	limit := cl.size
	switch {
	case resp.StatusCode >= 300:
		limit = maxErrorPage
	case limit == 0:
		limit = maxAnswer
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	huge := int64(len(body)) > limit
	if err != nil && resp.StatusCode < 300 {
		return answer{}, fmt.Errorf("the answer was cut off: %w", plain(err))
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: body, huge: huge}, nil
}

func (c *Client) request(ctx context.Context, cl call) (*http.Request, error) {
	target := c.base.String() + cl.path
	if len(cl.query) > 0 {
		target += "?" + cl.query.Encode()
	}
	var body io.Reader
	if cl.body != nil {
		encoded, err := json.Marshal(cl.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, cl.method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.agent)
	if cl.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// noAnswer is the error of a request to which nothing came back.
func (c *Client) noAnswer(ctx, request context.Context, cl call, limit time.Duration, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", cl.op, context.Cause(ctx))
	}
	failed := &Error{Op: cl.op, Class: ClassRetry}
	var unsent unsentError
	failed.untouched = errors.As(err, &unsent)
	if errors.Is(context.Cause(request), errSlow) {
		failed.Message, failed.Err = fmt.Sprintf("timeout after %s", limit), ErrSilence
		return failed
	}
	failed.Err = redacted(plain(err), c.token.Reveal())
	return failed
}

// judge turns an answer into its envelope or an *Error.
func (c *Client) judge(cl call, got answer) (envelope, error) {
	env, parsed := parseEnvelope(got.body)
	if parsed && !got.huge && got.status < 300 && env.succeeded() {
		env.status = got.status
		return env, nil
	}
	failed := &Error{
		Op: cl.op, Status: got.status, RayID: c.tame(got.header.Get("cf-ray")),
		RetryAfter: retryAfter(got.header, c.now()),
	}
	var text string
	switch {
	case parsed:
		failed.Code, text = env.failure()
	case got.huge && got.status < 300:
		text = "the answer is too long"
		failed.page = fmt.Sprintf("more than %d bytes", len(got.body)-1)
	default:
		failed.page = pageKind(got)
	}
	s := symptom{
		op: cl.op, status: got.status, code: failed.Code, text: text, page: !parsed,
		challenged: strings.EqualFold(got.header.Get("cf-mitigated"), "challenge"),
	}
	if s.challenged {
		failed.page = "a challenge page"
	}
	failed.Message = c.tame(text)
	failed.settle(s)
	if parsed && failed.Message == "" && got.status < 300 {
		failed.Message = "the answer does not say that it succeeded"
	}
	return envelope{}, failed
}

// settle writes the judgement of a symptom into the error.
func (e *Error) settle(s symptom) {
	v := classify(s)
	e.Class, e.Hint = v.class, v.hint
	e.untouched, e.busy, e.gone = v.untouched, v.busy, v.gone
	e.throttled = concernsAll(s)
}

// pageKind says what came in place of JSON, without a byte of it.
func pageKind(got answer) string {
	text := bytes.ToLower(bytes.TrimSpace(got.body))
	kind := strings.ToLower(got.header.Get("Content-Type"))
	switch {
	case len(text) == 0:
		return "an empty body"
	case strings.Contains(kind, "html"), bytes.HasPrefix(text, []byte("<!doctype html")), bytes.HasPrefix(text, []byte("<html")):
		return "an HTML page"
	case strings.Contains(kind, "json"):
		return "broken JSON"
	default:
		return "a body that is not JSON"
	}
}
