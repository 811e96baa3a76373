package d1_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/d1"
)

const meta = `{"rows_read":3,"rows_written":1,"changes":1,"last_row_id":9223372036854775807,"size_after":8192,"changed_db":true,"served_by_region":"WEUR","duration":0.25}`

var wantMeta = d1.Meta{RowsRead: 3, RowsWritten: 1, Changes: 1, LastRowID: 9223372036854775807, SizeAfter: 8192, ChangedDB: true, Region: "WEUR"}

func TestQuery(t *testing.T) {
	t.Parallel()
	client, s := scripted(t, result(200, `[{"success":true,"meta":`+meta+`,"results":[{"n":9007199254740993,"x":1.10,"t":"a","b":[1,2],"z":null}]},{"success":true,"results":[]}]`))
	got, err := client.Query(t.Context(), testID, "SELECT 1; SELECT 2")
	if err != nil {
		t.Fatal(err)
	}
	want := []d1.Result{
		{Meta: wantMeta, Rows: []map[string]any{{
			"n": json.Number("9007199254740993"), "x": json.Number("1.10"), "t": "a",
			"b": []any{json.Number("1"), json.Number("2")}, "z": nil,
		}}},
		{Rows: []map[string]any{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"sql": "SELECT 1; SELECT 2"}, decodeBody(t, s.bodies[0])); diff != "" {
		t.Errorf("body without params (-want +got):\n%s", diff)
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	client, s := scripted(t, result(200, `[{"success":true,"meta":`+meta+`,"results":{"columns":["n","n"],"rows":[[9223372036854775807,1e400],[-0.0,"x"]]}}]`))
	got, err := client.Raw(t.Context(), testID, "SELECT ?", "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	want := []d1.RawResult{{Meta: wantMeta, Columns: []string{"n", "n"}, Rows: [][]any{
		{json.Number("9223372036854775807"), json.Number("1e400")}, {json.Number("-0.0"), "x"},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"sql": "SELECT ?", "params": []any{"a", "b"}}, decodeBody(t, s.bodies[0])); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if !strings.HasSuffix(s.paths[0], "/raw") {
		t.Errorf("got path %q", s.paths[0])
	}
}

func TestRawRefusesUnknownForms(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{}`, `[{"success":true,"results":[{"a":1}]}]`,
		`[{"success":true,"results":{"columns":["a"],"rows":[[1,2]]}}]`,
	} {
		client, _ := scripted(t, result(200, body))
		if got, err := client.Raw(t.Context(), testID, "SELECT 1"); d1.ClassOf(err) != d1.ClassGiveUp {
			t.Errorf("%s: got %v, %v, want an error", body, got, err)
		}
	}
}

func TestQueryRefusesWhatJSONWouldChange(t *testing.T) {
	t.Parallel()
	client, s := scripted(t, result(200, `[]`))
	_, one := client.Query(t.Context(), testID, "SELECT '\xff'")
	_, two := client.Raw(t.Context(), testID, "SELECT ?", "ok", "\xff")
	if d1.ClassOf(one) != d1.ClassGiveUp || d1.ClassOf(two) != d1.ClassGiveUp || s.count() != 0 {
		t.Errorf("got %v and %v after %d requests", one, two, s.count())
	}
}

func TestQueryFailsInside(t *testing.T) {
	t.Parallel()
	client, _ := scripted(t, result(200, `[{"success":true,"results":[]},{"success":false,"error":"no such table: t"}]`))
	if _, err := client.Query(t.Context(), testID, "x"); err == nil || err.Error() != "query: no such table: t" {
		t.Errorf("got %v", err)
	}
}

// A caller's SQL is sent again only when it is known that it did not run.
func TestQueryIsNotRepeatedBlindly(t *testing.T) {
	t.Parallel()
	ok := result(200, `[]`)
	tests := []struct {
		name     string
		first    step
		requests int
	}{
		{"rate limited", refuse(429, 971, "slow down", "Retry-After", "1"), 2},
		{"rate limited by the edge", reply(429, "<html>", "Retry-After", "1"), 2},
		{"queue full", refuse(429, 7429, "D1 DB is overloaded. Too many requests queued."), 2},
		{"exporting", refuse(400, 7500, "D1_ERROR: Currently processing a long-running export."), 2},
		{"reset while it ran", refuse(429, 7429, "D1 DB exceeded its CPU time limit and was reset."), 1},
		{"unknown 7429", refuse(429, 7429, "something new"), 1},
		{"bad gateway", reply(502, "<html>"), 1},
		{"server error", refuse(500, 7500, "internal error"), 1},
		{"no answer", hang, 1},
		{"broken answer", reply(200, `{"succ`), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, s := scripted(t, tt.first, ok)
				_, err := client.Query(t.Context(), testID, "INSERT INTO t VALUES (1)")
				if s.count() != tt.requests || (err == nil) != (tt.requests > 1) {
					t.Errorf("got %d requests and %v, want %d", s.count(), err, tt.requests)
				}
			})
		})
	}
}

// A host that refuses connections has not run anything.
func TestQueryIsRepeatedWhenNotSent(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dials := 0
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	counted := roundTripper(func(r *http.Request) (*http.Response, error) {
		if dials++; dials == 2 {
			cancel()
		}
		return transport.RoundTrip(r)
	})
	client := newClient(t, counted, nil, func(o *d1.Options) { o.BaseURL = "http://" + address })
	_, err = client.Query(ctx, testID, "INSERT INTO t VALUES (1)")
	if dials != 2 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v after %d requests, want a refused connection tried again", err, dials)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestVirtualTables(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, s := scripted(t,
			reply(502, "<html>"), refuse(400, 7500, "D1_ERROR: Currently processing a long-running export."),
			result(200, `[{"success":true,"results":{"columns":["name","sql"],"rows":[
				["docs","CREATE VIRTUAL TABLE docs USING fts5(body)"],
				["a \"b\" using","CREATE VIRTUAL TABLE \"a \"\"b\"\" using\" using \"RTree\"(id, x0, x1)"],
				["m","CREATE VIRTUAL TABLE [m] /* using x */ -- using y\nUSING fts5vocab"],
				["odd","CREATE VIRTUAL TABLE odd"]]}}]`))
		got, err := client.VirtualTables(t.Context(), testID)
		if err != nil {
			t.Fatal(err)
		}
		want := []d1.VirtualTable{{"docs", "fts5"}, {`a "b" using`, "rtree"}, {"m", "fts5vocab"}, {"odd", ""}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if s.count() != 3 {
			t.Errorf("got %d requests, want 3: it only reads, and may be repeated", s.count())
		}
	})
}

// The ways in which an answer asks to wait.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	date := func(d time.Duration) string {
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Format(http.TimeFormat)
	}
	tests := []struct {
		name    string
		headers []string
		status  int
		least   time.Duration
	}{
		{"seconds", []string{"Retry-After", "90"}, 429, 90 * time.Second},
		{"a date", []string{"Retry-After", date(2 * time.Minute)}, 429, 2 * time.Minute},
		{"a date by another clock", []string{"Date", date(-time.Hour), "Retry-After", date(time.Minute - time.Hour)}, 429, time.Minute},
		{"a bad gateway with a wish", []string{"Retry-After", "30"}, 503, 30 * time.Second},
		{"no wish", nil, 429, 10 * time.Second},
		{"no wish, known reset", []string{"Ratelimit", `"default";r=0;t=77`}, 429, 77 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, s := scripted(t, reply(tt.status, "", tt.headers...), result(200, `[]`))
				if _, err := client.List(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := s.times[1].Sub(s.times[0]); got < tt.least || got > tt.least+2*time.Second {
					t.Errorf("waited %v, want %v", got, tt.least)
				}
			})
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*d1.Options){
		"account": func(o *d1.Options) { o.AccountID = "" },
		"url":     func(o *d1.Options) { o.BaseURL = "api.cloudflare.com" },
		"scheme":  func(o *d1.Options) { o.BaseURL = "ftp://api.cloudflare.com" },
		"clock":   func(o *d1.Options) { o.Now = nil },
		"budget":  func(o *d1.Options) { o.Requests = -1 },
	} {
		opts := d1.Options{AccountID: "a", Token: testSecret(), Now: time.Now}
		if _, err := d1.New(opts); err != nil {
			t.Fatal(err)
		}
		change(&opts)
		if _, err := d1.New(opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A redirect would carry the token elsewhere.
func TestCallsFollowNoRedirect(t *testing.T) {
	t.Parallel()
	client, s := scripted(t, reply(307, "", "Location", "http://elsewhere.test/"))
	if _, err := client.Query(t.Context(), testID, "SELECT 1"); d1.ClassOf(err) != d1.ClassGiveUp {
		t.Errorf("got %v", err)
	}
	if s.count() != 1 {
		t.Errorf("got %d requests, want 1", s.count())
	}
	var failed *d1.Error
	_, err := client.Get(t.Context(), testID)
	if !errors.As(err, &failed) || failed.Status != 307 {
		t.Errorf("got %v", err)
	}
}
