package d1

import (
	"context"
	"crypto/md5" //nolint:gosec // D1's own way of telling files apart, not a protection
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// ImportCause says what can be done about an import that failed.
type ImportCause string

// The causes.
const (
	// ImportReset: D1 could not bear the import. Less at once may go.
	ImportReset ImportCause = "reset"
	// ImportBusy: another export or import holds the database.
	ImportBusy ImportCause = "busy"
	// ImportInput: the SQL was refused, and would be again.
	ImportInput ImportCause = "input"
	// ImportUnauthorized: the token or the account was refused.
	ImportUnauthorized ImportCause = "unauthorized"
	// ImportOther is every other cause.
	ImportOther ImportCause = "other"
)

// ImportError is an import that failed, or of which that is not known.
type ImportError struct {
	// Ambiguous says that the import may have been done all the same: the
	// database must be looked at. D1's own words do not tell it
	// (https://developers.cloudflare.com/d1/tutorials/import-to-d1-with-rest-api/
	// takes "Not currently importing anything." for success, and it was seen
	// after failures too).
	Ambiguous bool
	Cause     ImportCause
	Err       error
}

// Error is the text of the error below.
func (e *ImportError) Error() string { return e.Err.Error() }

// Unwrap returns the error below.
func (e *ImportError) Unwrap() error { return e.Err }

// ImportRequest asks D1 to run the SQL of a file.
type ImportRequest struct {
	// ID is the database's id.
	ID string
	// Open begins to read the file anew; it is read at least twice. Size is its
	// length in bytes.
	Open func() io.Reader
	Size int64
	// Silence bounds the time without an answer or a byte that is taken; 0
	// means 30 s.
	Silence time.Duration
	// Progress is told how many bytes were uploaded; may be nil.
	Progress func(bytes int64)
	// Running is called when D1 is asked to run the file, from when on the
	// database answers nobody, and whenever it says that it still does. It may
	// be nil, and is not called for a file that never came so far.
	Running func()
}

// Imported is what an import did.
type Imported struct {
	// Bookmark is the Time Travel point right after it.
	Bookmark string
	Queries  int64
	Meta     Meta
}

// Import has D1 run the SQL of a file, which is done as a whole or not at all;
// while it runs, not while it is uploaded, the database answers nobody. D1 takes the file by its MD5, and does
// not run one again that it knows: the caller makes the bytes of each file its
// own, with a comment that was never used.
//
// Polls are repeated for as long as answers are only lost; the start of the
// import never is. Its errors are an *ImportError or that of ctx.
func (c *Client) Import(ctx context.Context, req ImportRequest) (Imported, error) {
	if req.Silence <= 0 {
		req.Silence = defaultSilence
	}
	if req.Progress == nil {
		req.Progress = func(int64) {}
	}
	if req.Running == nil {
		req.Running = func() {}
	}
	asked := ctx
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	// What is not polled is given up by D1: polls come before other calls.
	lane, err := c.budget.open(ctx, nil)
	if err != nil {
		return Imported{}, fmt.Errorf("%s: waiting for the request budget: %w", opImport, err)
	}
	defer lane.close()
	m := &importer{c: c, req: req, lane: lane, patience: patience{limit: req.Silence, left: req.Silence}}
	imported, err := m.run(ctx)
	if err == nil || asked.Err() != nil {
		return imported, hinted(err)
	}
	return Imported{}, m.failure(err)
}

// importer is one call of Import.
type importer struct {
	c        *Client
	req      ImportRequest
	lane     *lane
	etag     string
	patience patience
	// asked is set once D1 was asked to run the file, and begun once it said
	// that it does.
	asked, begun bool
}

// failure is an error as the caller acts on it.
func (m *importer) failure(err error) error {
	failed := &ImportError{Cause: ImportOther, Err: hinted(err), Ambiguous: m.asked}
	var told *Error
	if !errors.As(err, &told) {
		return failed
	}
	switch {
	case told.gone: // "Not currently importing anything."
	case isReset(told):
		failed.Cause = ImportReset
	case told.Class == ClassUnauthorized:
		failed.Cause, failed.Ambiguous = ImportUnauthorized, m.begun
	case told.busy:
		failed.Cause, failed.Ambiguous = ImportBusy, m.begun
	case told.Class == ClassGiveUp && m.begun && !told.inner && told.Code != codeSQL:
		// It is the question that was refused, which says nothing of the import.
	case told.Class == ClassGiveUp && m.asked:
		failed.Cause, failed.Ambiguous = ImportInput, false
	case told.untouched:
		failed.Ambiguous = m.begun
	}
	return failed
}

// isReset says whether D1's engine gave up. An error of SQLite may have the word
// in the name of a column.
func isReset(told *Error) bool {
	text := strings.ToLower(told.Message)
	return !strings.Contains(text, "sqlite_") && (strings.Contains(text, "reset") && told.Status != 0 ||
		strings.Contains(text, "memory limit") || strings.Contains(text, "exceeded timeout"))
}

func (m *importer) run(ctx context.Context) (Imported, error) {
	if err := m.sum(); err != nil {
		return Imported{}, err
	}
	state, err := m.ask(ctx, importBody{Action: "init", ETag: m.etag})
	if err != nil {
		return Imported{}, err
	}
	if state.UploadURL == "" {
		// D1 has the file already, and has begun to run it.
		m.asked, m.begun = true, true
		m.req.Running()
		return m.follow(ctx, state)
	}
	if err := m.upload(ctx, state.UploadURL); err != nil {
		return Imported{}, err
	}
	m.asked = true
	m.req.Running()
	state, err = m.ask(ctx, importBody{Action: "ingest", ETag: m.etag, Filename: state.Filename})
	if err != nil {
		return Imported{}, err
	}
	m.begun = true
	return m.follow(ctx, state)
}

// sum reads the file for its MD5.
func (m *importer) sum() error {
	hash := md5.New() //nolint:gosec // see the import
	n, err := io.Copy(hash, m.req.Open())
	if err != nil {
		return fmt.Errorf("%s: read the file: %w", opImport, err)
	}
	if n != m.req.Size {
		return fmt.Errorf("%s: the file has %d bytes, not %d", opImport, n, m.req.Size)
	}
	m.etag = hex.EncodeToString(hash.Sum(nil))
	return nil
}

// follow polls until the import has ended.
func (m *importer) follow(ctx context.Context, state importJSON) (Imported, error) {
	bookmark := ""
	for n := 0; state.running; n++ {
		if state.Bookmark != "" {
			bookmark = state.Bookmark
		}
		if bookmark == "" {
			return Imported{}, &Error{Op: opImport, Class: ClassRetry, Message: "the import has no bookmark to poll with"}
		}
		if err := sleep(ctx, pollDelay(n)); err != nil {
			return Imported{}, fmt.Errorf("%s: %w", opImport, err)
		}
		var err error
		if state, err = m.ask(ctx, importBody{Action: "poll", CurrentBookmark: bookmark}); err != nil {
			return Imported{}, err
		}
		if state.running {
			m.req.Running()
		}
	}
	if state.Nested.FinalBookmark == "" {
		return Imported{}, &Error{Op: opImport, Class: ClassRetry, Message: "complete, but without a bookmark"}
	}
	return Imported{
		Bookmark: m.c.tame(state.Nested.FinalBookmark), Queries: whole(state.Nested.Queries), Meta: state.Nested.Meta.meta(),
	}, nil
}

// importBody is the request of each step.
type importBody struct {
	Action          string `json:"action"`
	ETag            string `json:"etag,omitempty"`
	Filename        string `json:"filename,omitempty"`
	CurrentBookmark string `json:"current_bookmark,omitempty"`
}

// ask makes one step. Only a poll, and the init of a file that D1 was never
// given, are asked again after a lost answer.
func (m *importer) ask(ctx context.Context, body importBody) (importJSON, error) {
	failures, waits := 0, 0
	var last *Error
	for {
		state, err := m.request(ctx, body)
		var failed *Error
		if err != nil && !errors.As(err, &failed) {
			return state, after(err, last)
		}
		if err == nil || failed.ends(body.Action) {
			return state, err
		}
		last = failed
		var delay time.Duration
		switch {
		case failed.throttled: // the budget holds the next request back
			m.patience.heard()
		case failed.busy:
			m.patience.heard()
			delay = backoff(waits)
			failures, waits = 0, waits+1
		default:
			delay = backoff(failures)
			if failures++; failures >= maxFailures || !m.patience.bears(delay) {
				return importJSON{}, m.lost(failed)
			}
		}
		if err := sleep(ctx, max(delay, failed.RetryAfter)); err != nil {
			return importJSON{}, after(fmt.Errorf("%s: %w", opImport, err), failed)
		}
	}
}

// ends says whether a step is not asked again after a failure. The end of an
// import is told once: who asks again loses the reason.
func (e *Error) ends(action string) bool {
	switch {
	case e.Class == ClassGiveUp, e.Class == ClassUnauthorized, e.gone:
		return true
	case action == "poll":
		return !e.busy && (e.inner || isReset(e))
	case action == "ingest":
		return e.busy || !e.untouched
	}
	return e.busy
}

// request makes one request and keeps account of the silence.
func (m *importer) request(ctx context.Context, body importBody) (importJSON, error) {
	sent := m.c.now()
	// Two thirds, so that one request may hang and another be heard.
	limit := max(min(m.patience.left, m.req.Silence*2/3), minLimit)
	env, err := m.c.attempt(ctx, call{
		op: opImport, method: http.MethodPost, path: m.c.databasePath(m.req.ID, "/import"),
		body: body, limit: limit, lane: m.lane, granted: func() { sent = m.c.now() },
	})
	if err == nil {
		m.patience.heard()
		return m.read(env)
	}
	silent := m.c.now().Sub(sent)
	if errors.Is(err, ErrSilence) {
		silent = max(silent, limit) // also by a clock that stands still
	}
	m.patience.left -= silent
	return importJSON{}, err
}

// minLimit is the least time that a request gets.
const minLimit = 100 * time.Millisecond

// lost is the error of a step that was asked for often enough.
func (m *importer) lost(failed *Error) error {
	if m.patience.left > 0 || !errors.Is(failed, ErrSilence) {
		return failed
	}
	silent := *failed
	silent.Message = fmt.Sprintf("timeout after %s", m.req.Silence)
	return &silent
}

// patience is how much silence may still pass.
type patience struct{ limit, left time.Duration }

func (p *patience) heard() { p.left = p.limit }

// bears says whether more silence is borne.
func (p *patience) bears(more time.Duration) bool {
	p.left -= more
	return p.left > 0
}

// importJSON is the result on the wire.
type importJSON struct {
	taskJSON
	Filename  string `json:"filename"`
	UploadURL string `json:"upload_url"`
	Nested    struct {
		Queries       json.Number `json:"num_queries"`
		FinalBookmark string      `json:"final_bookmark"`
		Meta          metaJSON    `json:"meta"`
	} `json:"result"`
}

func (m *importer) read(env envelope) (importJSON, error) {
	var state importJSON
	if err := json.Unmarshal(env.Result, &state); err != nil {
		return importJSON{}, malformed(opImport)
	}
	if state.failed() {
		failed := m.c.innerFailure(opImport, env.status, state.problem())
		failed.inner = true
		return importJSON{}, failed
	}
	state.settle(env.status)
	return state, nil
}

// upload sends the file to the signed URL, again where only the answer was lost:
// D1 runs nothing of it yet.
func (m *importer) upload(ctx context.Context, link string) error {
	if err := m.c.checkLink(link); err != nil {
		return &Error{Op: opUpload, Class: ClassGiveUp, Err: err}
	}
	for failures := 0; ; failures++ {
		err := m.uploadOnce(ctx, secret.New(link))
		var failed *Error
		if err == nil || !errors.As(err, &failed) || failed.final || failures+1 >= maxTries {
			return err
		}
		if err := sleep(ctx, max(backoff(failures), failed.RetryAfter)); err != nil {
			return after(fmt.Errorf("%s: %w", opUpload, err), failed)
		}
	}
}

func (m *importer) uploadOnce(ctx context.Context, link secret.String) error {
	p := newPart(ctx, m.req.Silence)
	defer p.close()
	body := &watched{part: p, src: m.req.Open(), told: m.req.Progress}
	req, err := http.NewRequestWithContext(p.ctx, http.MethodPut, link.Reveal(), io.NopCloser(body)) //nolint:contextcheck // the part's is made of ctx
	if err != nil {
		return &Error{Op: opUpload, Class: ClassGiveUp, Message: "the link cannot be used", final: true}
	}
	req.ContentLength = m.req.Size
	req.Header.Set("User-Agent", m.c.agent)
	p.watch()
	p.resp, err = m.c.files.RoundTrip(req) //nolint:bodyclose // part.close does
	p.rest()
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%s: %w", opUpload, context.Cause(ctx))
	case err != nil && errors.Is(context.Cause(p.ctx), ErrSilence): //nolint:contextcheck // the part's is made of ctx
		return &Error{Op: opUpload, Class: ClassRetry, Message: fmt.Sprintf("timeout after %s", m.req.Silence), Err: ErrSilence}
	case err != nil:
		return &Error{Op: opUpload, Class: ClassRetry, Err: redacted(plain(err), linkSecrets(link.Reveal())...)}
	}
	return m.uploaded(p)
}

// uploaded judges the answer to an upload.
func (m *importer) uploaded(p *part) error {
	resp := p.resp
	failed := &Error{Op: opUpload, Status: resp.StatusCode, Class: ClassRetry, RetryAfter: retryAfter(resp.Header, m.c.now())}
	switch status := resp.StatusCode; {
	case status == http.StatusOK:
		if tag := strings.Trim(resp.Header.Get("ETag"), `"`); tag != m.etag {
			failed.Message = "what arrived is not what was sent: the ETag is " + m.c.tame(tag)
			return failed
		}
		return nil
	case status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
		failed.final = true
		failed.Message = "the upload was refused"
	}
	failed.Err = p.storeError()
	return failed
}

// watched is a body of which each read puts off the end of patience.
type watched struct {
	part *part
	src  io.Reader
	n    int64
	told func(int64)
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	w.part.watch()
	n, err := w.src.Read(p)
	w.n += int64(n)
	w.told(w.n)
	return n, err
}
