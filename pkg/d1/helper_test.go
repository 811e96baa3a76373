package d1_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/secret"
)

const (
	testToken   = "tok-3f9d1c-secret"
	testAccount = "0123456789abcdef0123456789abcdef"
	testID      = "11111111-2222-3333-4444-555555555555"
	signature   = "X-Amz-Signature=5ec7e7"
	testLink    = "http://files.test/d1-sqlio-outgoing-prod/dump.sql?X-Amz-Expires=3600&" + signature
)

// direct carries requests to a handler without a socket, so that time in a
// synctest bubble passes while it waits.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	in := req.Clone(req.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	in.RequestURI = req.URL.RequestURI()
	out := &answerBuffer{header: http.Header{}}
	d.handler.ServeHTTP(out, in)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if out.status == 0 {
		out.status = http.StatusOK
	}
	return &http.Response{
		StatusCode: out.status, Header: out.header, Request: req,
		ContentLength: int64(out.body.Len()), Body: io.NopCloser(&out.body),
	}, nil
}

type answerBuffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answerBuffer) Header() http.Header         { return a.header }
func (a *answerBuffer) Write(p []byte) (int, error) { return a.body.Write(p) }
func (a *answerBuffer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// step is one scripted answer.
type step func(w http.ResponseWriter, r *http.Request)

// script answers requests by its steps in order, the last one for ever.
type script struct {
	mu    sync.Mutex
	steps []step
	// bodies are the requests' bodies, times when they came.
	bodies []string
	times  []time.Time
	paths  []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	n := len(s.bodies)
	s.bodies = append(s.bodies, string(body))
	s.times = append(s.times, time.Now())
	s.paths = append(s.paths, r.URL.RequestURI())
	answer := s.steps[min(n, len(s.steps)-1)]
	s.mu.Unlock()
	answer(w, r)
}

func (s *script) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bodies)
}

// reply answers with a status and a body as it is.
func reply(status int, body string, headers ...string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// result answers with a v4 envelope around a result in JSON.
func result(status int, body string, headers ...string) step {
	return reply(status, `{"success":true,"errors":[],"messages":[],"result":`+body+`}`, headers...)
}

// refuse answers with an error in a v4 envelope.
func refuse(status, code int, message string, headers ...string) step {
	text, _ := json.Marshal(message)
	return reply(status, fmt.Sprintf(`{"success":false,"errors":[{"code":%d,"message":%s}],"messages":[],"result":null}`, code, text), headers...)
}

// hang answers nothing until the client goes away.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// The answers of an export.
func active(messages ...string) step {
	lines, _ := json.Marshal(messages)
	return result(http.StatusAccepted, fmt.Sprintf(
		`{"success":true,"type":"export","status":"active","at_bookmark":"b1","messages":%s}`, lines))
}

func complete() step {
	return result(http.StatusOK, fmt.Sprintf(
		`{"success":true,"type":"export","status":"complete","at_bookmark":"b1","messages":[],"result":{"filename":"dump.sql","signed_url":%q}}`, testLink))
}

func inner(text string) step {
	quoted, _ := json.Marshal(text)
	return result(http.StatusOK, fmt.Sprintf(`{"success":false,"error":%s}`, quoted))
}

const (
	goneText = "Not currently exporting anything."
	busyText = "Currently processing a long-running export. Cannot start a new export until that completes or times out."
)

func newClient(t *testing.T, api, files http.RoundTripper, change ...func(*d1.Options)) *d1.Client {
	t.Helper()
	opts := d1.Options{
		BaseURL: "http://api.test/client/v4", AccountID: testAccount, Token: secret.New(testToken),
		Now: time.Now, Transport: api, DownloadTransport: files,
	}
	for _, c := range change {
		c(&opts)
	}
	client, err := d1.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// scripted is a client of a scripted API.
func scripted(t *testing.T, steps ...step) (*d1.Client, *script) {
	t.Helper()
	s := &script{steps: steps}
	return newClient(t, direct{s}, nil), s
}

func exportOf(ctx context.Context, c *d1.Client) (d1.Dump, error) {
	return c.Export(ctx, d1.ExportRequest{DatabaseID: testID, Silence: 30 * time.Second})
}

func testSecret() secret.String { return secret.New(testToken) }

// ServeHTTP makes a step a handler.
func (s step) ServeHTTP(w http.ResponseWriter, r *http.Request) { s(w, r) }
