package d1_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/AutumnsGrove/patina/pkg/d1"
)

const tag = `"0123456789abcdef"`

// files is a store that serves one dump by numbered steps, the last for ever.
type files struct {
	t      *testing.T
	server *httptest.Server
	data   []byte

	mu    sync.Mutex
	seen  []http.Header
	steps []step
}

// serve starts a store and makes a dump that lies in it.
func serve(t *testing.T, size int, steps ...step) (*files, *d1.Client, d1.Dump) {
	t.Helper()
	f := &files{t: t, steps: steps, data: make([]byte, size)}
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(f.data)
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	link := f.server.URL + "/d1-sqlio-outgoing-prod/dump.sql?" + signature
	api := &script{steps: []step{result(200, fmt.Sprintf(`{"success":true,"status":"complete","at_bookmark":"b","result":{"filename":"dump.sql","signed_url":%q}}`, link))}}
	client := newClient(t, direct{api}, nil)
	dump, err := exportOf(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	return f, client, dump
}

func (f *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	n := len(f.seen)
	f.seen = append(f.seen, r.Header.Clone())
	answer := f.steps[min(n, len(f.steps)-1)]
	f.mu.Unlock()
	answer(w, r)
}

// rangeStart is the N of "bytes=N-", 0 without a range.
func rangeStart(r *http.Request) int {
	var n int
	_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &n)
	return n
}

// whole serves what is asked for, as R2 does.
func (f *files) whole(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
}

// head writes the headers of what was asked for, changed as told.
func (f *files) head(w http.ResponseWriter, r *http.Request, headers ...string) []byte {
	from := rangeStart(r)
	rest := f.data[from:]
	w.Header().Set("ETag", tag)
	w.Header().Set("Content-Length", fmt.Sprint(len(rest)))
	status := http.StatusOK
	if r.Header.Get("Range") != "" {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(f.data)-1, len(f.data)))
		status = http.StatusPartialContent
	}
	for i := 0; i+1 < len(headers); i += 2 {
		w.Header().Del(headers[i])
		if headers[i+1] != "" {
			w.Header().Set(headers[i], headers[i+1])
		}
	}
	w.WriteHeader(status)
	return rest
}

// cut serves n bytes of what was asked for and drops the connection.
func (f *files) cut(n int, headers ...string) step {
	return func(w http.ResponseWriter, r *http.Request) {
		rest := f.head(w, r, headers...)
		_, _ = w.Write(rest[:n])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// stall serves n bytes of what was asked for and falls silent.
func (f *files) stall(n int) step {
	return func(w http.ResponseWriter, r *http.Request) {
		rest := f.head(w, r)
		_, _ = w.Write(rest[:n])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// with serves what was asked for with other headers.
func (f *files) with(headers ...string) step {
	return func(w http.ResponseWriter, r *http.Request) {
		rest := f.head(w, r, headers...)
		_ = http.NewResponseController(w).Flush() // or a short body would get a length
		_, _ = w.Write(rest)
	}
}

func fetch(ctx context.Context, client *d1.Client, dump d1.Dump, silence time.Duration) ([]byte, error) {
	body, err := client.Download(ctx, dump, d1.DownloadRequest{Silence: silence})
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	return data, errors.Join(err, body.Close())
}

func TestDownload(t *testing.T) {
	t.Parallel()
	const size = 300_000
	r2Error := `<?xml version="1.0" encoding="UTF-8"?><Error><Code>ExpiredRequest</Code><Message>Request has expired</Message><SignatureProvided>5ec7e7</SignatureProvided></Error>`
	tests := []struct {
		name  string
		steps func(f *files) []step
		size  int
		// requests is how many are made; class and text are those of the
		// error, which is none if class is empty.
		requests int
		class    d1.Class
		text     string
	}{
		{"whole", func(f *files) []step { return []step{f.whole} }, size, 1, "", ""},
		{"empty", func(f *files) []step { return []step{f.whole} }, 0, 1, "", ""},
		{"cut once", func(f *files) []step { return []step{f.cut(100_000), f.whole} }, size, 2, "", ""},
		{"cut at once", func(f *files) []step { return []step{f.cut(0), f.whole} }, size, 2, "", ""},
		{"cut before the last byte", func(f *files) []step { return []step{f.cut(size - 1), f.whole} }, size, 2, "", ""},
		{"cut again and again", func(f *files) []step {
			return []step{f.cut(10_000), f.cut(10_000), f.cut(10_000), f.cut(10_000), f.cut(10_000), f.cut(10_000), f.cut(10_000), f.cut(10_000), f.whole}
		}, size, 9, "", ""},
		{"silent once", func(f *files) []step { return []step{f.stall(100_000), f.whole} }, size, 2, "", ""},
		{"silent twice, with progress", func(f *files) []step { return []step{f.stall(1000), f.stall(1000), f.whole} }, size, 3, "", ""},
		{"silent for ever", func(f *files) []step { return []step{f.stall(1000), f.stall(0)} }, size, 2, d1.ClassRetry, "timeout after 200ms"},
		{"silent from the start", func(*files) []step { return []step{hang} }, size, 1, d1.ClassRetry, "timeout after 200ms"},
		{"5xx on opening", func(f *files) []step { return []step{reply(503, "x"), f.whole} }, size, 2, "", ""},
		{"5xx on resuming", func(f *files) []step { return []step{f.cut(1000), reply(500, "x"), f.whole} }, size, 3, "", ""},
		{"chunked", func(f *files) []step { return []step{f.with("Content-Length", "")} }, size, 1, "", ""},
		{"chunked and cut", func(f *files) []step { return []step{f.cut(1000, "Content-Length", ""), f.whole} }, size, 1, d1.ClassRetry, "nothing to resume by"},
		{"cut, no ETag", func(f *files) []step { return []step{f.cut(1000, "ETag", ""), f.whole} }, size, 1, d1.ClassRetry, "nothing to resume by"},
		{"cut, weak ETag", func(f *files) []step { return []step{f.cut(1000, "ETag", `W/"x"`), f.whole} }, size, 1, d1.ClassRetry, "nothing to resume by"},
		{"expired", func(*files) []step { return []step{reply(403, r2Error)} }, size, 1, d1.ClassRetry, "403 Forbidden: the link has expired or was refused; export the database anew: ExpiredRequest"},
		{"expired on resuming", func(f *files) []step { return []step{f.cut(1000), reply(403, r2Error)} }, size, 2, d1.ClassRetry, "ExpiredRequest"},
		{"deleted", func(*files) []step { return []step{reply(404, "")} }, size, 1, d1.ClassRetry, "404"},
		{"redirect", func(*files) []step { return []step{reply(302, "", "Location", "http://127.0.0.1:1/x")} }, size, 1, d1.ClassGiveUp, "redirect"},
		{"redirect on resuming", func(f *files) []step { return []step{f.cut(1000), reply(307, "", "Location", "/x")} }, size, 2, d1.ClassGiveUp, "redirect"},
		{"a range unasked", func(*files) []step { return []step{reply(206, "abc", "Content-Range", "bytes 0-2/3")} }, size, 1, d1.ClassRetry, "206"},
		{"gzip", func(f *files) []step { return []step{f.with("Content-Encoding", "gzip")} }, size, 1, d1.ClassRetry, "gzip"},
		{"gzip on resuming", func(f *files) []step { return []step{f.cut(1000), f.with("Content-Encoding", "gzip")} }, size, 2, d1.ClassRetry, "gzip"},
		{"the whole body on resuming", func(f *files) []step { return []step{f.cut(1000), reply(200, "x")} }, size, 2, d1.ClassRetry, "cannot go on at byte 1000: 200 OK"},
		{"changed", func(f *files) []step { return []step{f.cut(1000), reply(412, "")} }, size, 2, d1.ClassRetry, "412 Precondition Failed"},
		{"changed, condition ignored", func(f *files) []step { return []step{f.cut(1000), f.with("ETag", `"other"`)} }, size, 2, d1.ClassRetry, "changed"},
		{"range not satisfiable", func(f *files) []step { return []step{f.cut(1000), reply(416, "")} }, size, 2, d1.ClassRetry, "416"},
		{"another start", func(f *files) []step { return []step{f.cut(1000), f.with("Content-Range", "bytes 999-299999/300000")} }, size, 2, d1.ClassRetry, "bytes 999-"},
		{"another end", func(f *files) []step { return []step{f.cut(1000), f.with("Content-Range", "bytes 1000-299998/300000")} }, size, 2, d1.ClassRetry, "299998"},
		{"another total", func(f *files) []step { return []step{f.cut(1000), f.with("Content-Range", "bytes 1000-299999/300001")} }, size, 2, d1.ClassRetry, "300001"},
		{"no Content-Range", func(f *files) []step { return []step{f.cut(1000), f.with("Content-Range", "")} }, size, 2, d1.ClassRetry, `got ""`},
		{"a shorter rest", func(f *files) []step { return []step{f.cut(1000), f.with("Content-Length", "298999")} }, size, 2, d1.ClassRetry, "298999"},
		{"no progress", func(f *files) []step { return []step{f.cut(1000), reply(500, "")} }, size, 6, d1.ClassRetry, "500 Internal Server Error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, client, dump := serve(t, tt.size)
			f.steps = tt.steps(f)
			data, err := fetch(t.Context(), client, dump, 200*time.Millisecond)
			if got := d1.ClassOf(err); got != tt.class || (err == nil) != (tt.class == "") {
				t.Fatalf("got class %q (%v), want %q", got, err, tt.class)
			}
			if err == nil && !bytes.Equal(data, f.data) {
				t.Errorf("got %d other bytes than the %d sent", len(data), len(f.data))
			}
			if err != nil && (!strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "5ec7e7")) {
				t.Errorf("got %q, want it to contain %q", err, tt.text)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				t.Errorf("%v travels as an end of input", err)
			}
			if !bytes.HasPrefix(f.data, data) {
				t.Error("bytes of another body were handed out")
			}
			f.check(tt.requests)
		})
	}
}

// check looks at what every request carried.
func (f *files) check(requests int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) != requests {
		f.t.Errorf("got %d requests, want %d", len(f.seen), requests)
	}
	for i, h := range f.seen {
		if h.Get("Authorization") != "" || h.Get("Cookie") != "" {
			f.t.Errorf("request %d carries credentials", i)
		}
		if got := h.Get("Accept-Encoding"); got != "identity" {
			f.t.Errorf("request %d accepts %q", i, got)
		}
		if (h.Get("Range") != "") != (h.Get("If-Match") == tag) {
			f.t.Errorf("request %d: range %q with If-Match %q", i, h.Get("Range"), h.Get("If-Match"))
		}
	}
}

func TestDownloadLength(t *testing.T) {
	t.Parallel()
	f, client, dump := serve(t, 1000)
	f.steps = []step{f.whole, f.with("Content-Length", "")}
	for _, want := range []int64{1000, -1} {
		body, err := client.Download(t.Context(), dump, d1.DownloadRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if got := body.Length(); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
		if err := iotest.TestReader(body, f.data); err != nil {
			t.Error(err)
		}
		// The end stays the end.
		for range 2 {
			if n, err := body.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // the contract of io.Reader
				t.Errorf("after the end: %d, %v", n, err)
			}
		}
		if err := errors.Join(body.Close(), body.Close()); err != nil {
			t.Error(err)
		}
	}
}

// A transport that does not hold the length for us, as HTTP/2 once did not.
func TestDownloadOfAnotherLength(t *testing.T) {
	t.Parallel()
	api := &script{steps: []step{complete()}}
	for sent, want := range map[string]string{
		"0123456789ab": "longer than the 10 bytes promised",
		"012345678":    "nothing to resume by",
	} {
		transport := roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: 200, ContentLength: 10, Header: http.Header{}, Request: r,
				Body: io.NopCloser(iotest.OneByteReader(strings.NewReader(sent))),
			}, nil
		})
		client := newClient(t, direct{api}, transport)
		dump, err := exportOf(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fetch(t.Context(), client, dump, time.Second)
		if err == nil || !strings.Contains(err.Error(), want) || d1.ClassOf(err) != d1.ClassRetry {
			t.Errorf("%d bytes of 10: got %v, want %q", len(sent), err, want)
		}
	}
}

// The silence of a reader is not that of the server.
func TestDownloadSlowReader(t *testing.T) {
	t.Parallel()
	f, client, dump := serve(t, 1<<20)
	f.steps = []step{f.whole}
	body, err := client.Download(t.Context(), dump, d1.DownloadRequest{Silence: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Error(err)
	}
	f.check(1)
}

func TestDownloadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	late := errors.New("the deadline of this database")
	for name, end := range map[string]func(context.CancelCauseFunc, *d1.Body){
		"the context": func(cancel context.CancelCauseFunc, _ *d1.Body) { cancel(late) },
		"Close":       func(_ context.CancelCauseFunc, b *d1.Body) { _ = b.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, client, dump := serve(t, 100_000)
			f.steps = []step{f.stall(1000)}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			body, err := client.Download(ctx, dump, d1.DownloadRequest{Silence: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(20*time.Millisecond, func() { end(cancel, body) })
			_, err = body.Read(make([]byte, 10))
			if err == nil || d1.ClassOf(err) != "" || errors.Is(err, late) != (name == "the context") {
				t.Errorf("got %v", err)
			}
			if err := body.Close(); err != nil {
				t.Error(err)
			}
			f.check(1)
		})
	}
}

func TestDownloadOfNothing(t *testing.T) {
	t.Parallel()
	client, _ := scripted(t, complete())
	if _, err := client.Download(t.Context(), d1.Dump{}, d1.DownloadRequest{}); d1.ClassOf(err) != d1.ClassGiveUp {
		t.Errorf("got %v", err)
	}
}

// The cost of the guards, against a plain body of the same transport.
func BenchmarkDownload(b *testing.B) {
	data := make([]byte, 256<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data)
	}))
	defer server.Close()
	api := &script{steps: []step{result(200, fmt.Sprintf(`{"success":true,"status":"complete","result":{"filename":"x","signed_url":%q}}`, server.URL))}}
	client, err := d1.New(d1.Options{BaseURL: "http://api.test", AccountID: testAccount, Token: testSecret(), Now: time.Now, Transport: direct{api}})
	if err != nil {
		b.Fatal(err)
	}
	defer client.CloseIdleConnections()
	dump, err := exportOf(b.Context(), client)
	if err != nil {
		b.Fatal(err)
	}
	buffer := make([]byte, 256<<10)
	run := func(name string, open func() (io.ReadCloser, error)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				body, err := open()
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{body}, buffer); err != nil {
					b.Fatal(err)
				}
				_ = body.Close()
			}
		})
	}
	run("plain", func() (io.ReadCloser, error) {
		resp, err := http.Get(server.URL) // the alternative, as short as can be
		if err != nil {
			return nil, err
		}
		return resp.Body, nil
	})
	run("guarded", func() (io.ReadCloser, error) {
		return client.Download(b.Context(), dump, d1.DownloadRequest{})
	})
}
