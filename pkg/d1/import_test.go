package d1_test

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // as D1 does
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/d1"
)

const (
	importedSQL = "CREATE TABLE t(a);\nINSERT INTO t VALUES(1);\n"
	uploadLink  = "http://files.test/d1-sqlio-incoming-prod/up.sql?X-Amz-Expires=3600&X-Amz-Signature=5ec7e75ec7e75ec7e75ec7e7"
	idleText    = "Not currently importing anything."
	importBusy  = "Currently processing a long-running import. Cannot start a new import until that completes or times out."
	resetText   = "D1 DB exceeded its CPU time limit and was reset."
)

func sumOf(text string) string {
	sum := md5.Sum([]byte(text)) //nolint:gosec // as D1 does
	return hex.EncodeToString(sum[:])
}

// The answers of an import.
func invited() step {
	return result(200, fmt.Sprintf(`{"filename":"up.sql","upload_url":%q}`, uploadLink))
}

func importing() step {
	return result(202, `{"success":true,"type":"import","status":"active","at_bookmark":"b1","messages":["Processed 1 queries."]}`)
}

func imported() step {
	return result(200, `{"success":true,"type":"import","status":"complete","at_bookmark":"b1","result":{"num_queries":2,"final_bookmark":"b2","meta":{"duration":1.5,"rows_written":1}}}`)
}

func stored() step { return reply(200, "", "ETag", `"`+sumOf(importedSQL)+`"`) }

// importWorld is a scripted API and a scripted store of what is uploaded.
type importWorld struct {
	client      *d1.Client
	api, upload *script
	log         bytes.Buffer
	progress    []int64
	// running is how much the API had been asked whenever the import was said to
	// be running.
	running []int
}

func newImportWorld(t *testing.T, api, upload []step) *importWorld {
	t.Helper()
	w := &importWorld{api: &script{steps: api}, upload: &script{steps: upload}}
	w.client = newClient(t, direct{w.api}, direct{w.upload}, func(o *d1.Options) {
		o.Log = slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
	})
	return w
}

func (w *importWorld) run(ctx context.Context) (d1.Imported, error) {
	return w.client.Import(ctx, d1.ImportRequest{
		ID: testID, Size: int64(len(importedSQL)), Open: func() io.Reader { return strings.NewReader(importedSQL) },
		Silence: 30 * time.Second, Progress: func(n int64) { w.progress = append(w.progress, n) },
		Running: func() { w.running = append(w.running, w.api.count()) },
	})
}

// actions are what the API was asked, in order.
func (w *importWorld) actions(t *testing.T) string {
	t.Helper()
	var actions []string
	for _, body := range w.api.bodies {
		var got struct{ Action string }
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		actions = append(actions, got.Action)
	}
	return strings.Join(actions, " ")
}

func TestImport(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		api, upload []step
		actions     string
		uploads     int
	}{
		{name: "complete at once", api: []step{invited(), imported()}, actions: "init ingest", uploads: 1},
		{name: "polls", api: []step{invited(), importing(), importing(), importing(), imported()}, actions: "init ingest poll poll poll", uploads: 1},
		{name: "D1 knows the file and runs it", api: []step{importing(), imported()}, actions: "init poll"},
		{name: "D1 knows the file and has run it", api: []step{imported()}, actions: "init"},
		{name: "no answer to init", api: []step{hang, invited(), imported()}, actions: "init init ingest", uploads: 1},
		{name: "a bad gateway to init", api: []step{reply(502, "<html>"), invited(), imported()}, actions: "init init ingest", uploads: 1},
		{name: "init is throttled", api: []step{refuse(429, 971, "slow down", "Retry-After", "40"), invited(), imported()}, actions: "init init ingest", uploads: 1},
		{name: "ingest is throttled", api: []step{invited(), refuse(429, 971, "slow down"), imported()}, actions: "init ingest ingest", uploads: 1},
		{name: "overloaded at ingest", api: []step{invited(), refuse(429, 7429, "D1 DB is overloaded. Requests queued for too long."), imported()}, actions: "init ingest ingest", uploads: 1},
		{name: "no answer to a poll", api: []step{invited(), importing(), hang, imported()}, actions: "init ingest poll poll", uploads: 1},
		{name: "a bad gateway to a poll", api: []step{invited(), importing(), reply(502, "<html>"), importing(), imported()}, actions: "init ingest poll poll poll", uploads: 1},
		{name: "500 of a poll", api: []step{invited(), importing(), refuse(500, 7500, "internal error"), imported()}, actions: "init ingest poll poll", uploads: 1},
		{name: "a poll is throttled", api: []step{invited(), importing(), refuse(429, 971, "slow down"), imported()}, actions: "init ingest poll poll", uploads: 1},
		{name: "a poll finds it busy", api: []step{invited(), importing(), inner(importBusy), refuse(400, 7500, importBusy), imported()}, actions: "init ingest poll poll poll", uploads: 1},
		{name: "no answer to an upload", api: []step{invited(), imported()}, upload: []step{hang, stored()}, actions: "init ingest", uploads: 2},
		{name: "503 of an upload", api: []step{invited(), imported()}, upload: []step{reply(503, ""), stored()}, actions: "init ingest", uploads: 2},
		{name: "something else arrived", api: []step{invited(), imported()}, upload: []step{reply(200, "", "ETag", `"0"`), stored()}, actions: "init ingest", uploads: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if tt.upload == nil {
					tt.upload = []step{stored()}
				}
				w := newImportWorld(t, tt.api, tt.upload)
				got, err := w.run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if got.Bookmark != "b2" || got.Queries != 2 {
					t.Errorf("got %+v", got)
				}
				if got := w.actions(t); got != tt.actions {
					t.Errorf("asked %q, want %q", got, tt.actions)
				}
				if inits := strings.Count(tt.actions, "init"); len(w.running) == 0 || w.running[0] != inits {
					t.Errorf("it was said to run after %v requests, want after %d first", w.running, inits)
				}
				if w.upload.count() != tt.uploads {
					t.Errorf("got %d uploads, want %d", w.upload.count(), tt.uploads)
				}
				w.checkUploads(t)
			})
		})
	}
}

func (w *importWorld) checkUploads(t *testing.T) {
	t.Helper()
	for i, body := range w.upload.bodies {
		if body != importedSQL {
			t.Errorf("upload %d is %q", i, body)
		}
	}
	if n := len(w.progress); w.upload.count() > 0 && (n == 0 || w.progress[n-1] != int64(len(importedSQL))) {
		t.Errorf("progress %v", w.progress)
	}
}

func TestImportRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newImportWorld(t, []step{invited(), importing(), imported()}, []step{stored()})
		if _, err := w.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		etag := sumOf(importedSQL)
		want := []string{
			fmt.Sprintf(`{"action":"init","etag":%q}`, etag),
			fmt.Sprintf(`{"action":"ingest","etag":%q,"filename":"up.sql"}`, etag),
			`{"action":"poll","current_bookmark":"b1"}`,
		}
		if diff := cmp.Diff(want, w.api.bodies); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

func TestImportFailures(t *testing.T) {
	t.Parallel()
	begun := func(steps ...step) []step { return append([]step{invited(), importing()}, steps...) }
	asked := func(steps ...step) []step { return append([]step{invited()}, steps...) }
	refusedUpload := reply(403, `<Error><Code>SignatureDoesNotMatch</Code></Error>`)
	tests := []struct {
		name        string
		api, upload []step
		cause       d1.ImportCause
		ambiguous   bool
		text        string
		actions     string
	}{
		// Nothing was asked for: never ambiguous.
		{name: "init always fails", api: []step{reply(502, "<html>")}, cause: d1.ImportOther, text: "502", actions: strings.TrimSpace(strings.Repeat("init ", 10))},
		{name: "init is refused", api: []step{refuse(403, 10000, "Authentication error")}, cause: d1.ImportUnauthorized, text: "Authentication error", actions: "init"},
		{name: "there is no such database", api: []step{refuse(404, 7404, "not found")}, cause: d1.ImportOther, text: "not found", actions: "init"},
		{name: "busy at init", api: []step{inner(importBusy)}, cause: d1.ImportBusy, text: "long-running import", actions: "init"},
		{name: "idle at init", api: []step{inner(idleText)}, cause: d1.ImportOther, text: idleText, actions: "init"},
		{name: "the link is no URL", api: []step{result(200, `{"filename":"up.sql","upload_url":"/x"}`)}, cause: d1.ImportOther, text: "no URL", actions: "init"},
		{name: "the upload is refused", api: []step{invited()}, upload: []step{refusedUpload}, cause: d1.ImportOther, text: "SignatureDoesNotMatch", actions: "init"},
		{name: "the upload is redirected", api: []step{invited()}, upload: []step{reply(302, "", "Location", uploadLink)}, cause: d1.ImportOther, text: "refused", actions: "init"},
		{name: "something else arrives each time", api: []step{invited()}, upload: []step{reply(200, "", "ETag", `"0"`)}, cause: d1.ImportOther, text: "ETag", actions: "init"},
		{name: "the upload is never answered", api: []step{invited()}, upload: []step{hang}, cause: d1.ImportOther, text: "timeout after 30s", actions: "init"},
		// The import was asked for, and the answer tells.
		{name: "busy at ingest", api: asked(inner(importBusy)), cause: d1.ImportBusy, text: "long-running import", actions: "init ingest"},
		{name: "busy with an export", api: asked(refuse(400, 7500, busyText)), cause: d1.ImportBusy, text: "long-running export", actions: "init ingest"},
		{name: "ingest is refused", api: asked(refuse(403, 10000, "Authentication error")), cause: d1.ImportUnauthorized, text: "Authentication error", actions: "init ingest"},
		{name: "wrong SQL at ingest", api: asked(inner("near \"X\": syntax error: SQLITE_ERROR")), cause: d1.ImportInput, text: "syntax error", actions: "init ingest"},
		{name: "wrong SQL at a poll", api: begun(inner("near \"X\": syntax error: SQLITE_ERROR")), cause: d1.ImportInput, text: "syntax error", actions: "init ingest poll"},
		{name: "wrong SQL, refused at a poll", api: begun(refuse(400, 7500, "near \"X\": syntax error: SQLITE_ERROR")), cause: d1.ImportInput, text: "syntax error", actions: "init ingest poll"},
		{name: "wrong SQL by status", api: begun(result(200, `{"success":true,"status":"error","errors":["no such table: x: SQLITE_ERROR"]}`)), cause: d1.ImportInput, text: "no such table", actions: "init ingest poll"},
		{name: "a statement that is too long", api: begun(inner("statement too long: SQLITE_TOOBIG")), cause: d1.ImportInput, text: "too long", actions: "init ingest poll"},
		{name: "a column called reset", api: begun(inner("no such column: reset: SQLITE_ERROR")), cause: d1.ImportInput, text: "reset", actions: "init ingest poll"},
		// The database must be looked at.
		{name: "no answer to ingest", api: asked(hang), cause: d1.ImportOther, ambiguous: true, text: "timeout after 20s", actions: "init ingest"},
		{name: "a bad gateway to ingest", api: asked(reply(502, "<html>")), cause: d1.ImportOther, ambiguous: true, text: "502", actions: "init ingest"},
		{name: "500 of ingest", api: asked(refuse(500, 7500, "internal error")), cause: d1.ImportOther, ambiguous: true, text: "internal error", actions: "init ingest"},
		{name: "idle at a poll", api: begun(inner(idleText)), cause: d1.ImportOther, ambiguous: true, text: idleText, actions: "init ingest poll"},
		{name: "reset at ingest", api: asked(refuse(429, 7429, resetText)), cause: d1.ImportReset, ambiguous: true, text: "was reset", actions: "init ingest"},
		{name: "reset at a poll", api: begun(refuse(429, 7429, resetText), inner(idleText)), cause: d1.ImportReset, ambiguous: true, text: "was reset", actions: "init ingest poll"},
		{name: "reset inside", api: begun(inner("D1 DB storage operation exceeded timeout which caused object to be reset.")), cause: d1.ImportReset, ambiguous: true, text: "to be reset", actions: "init ingest poll"},
		{name: "out of memory", api: begun(inner("D1 DB's isolate exceeded its memory limit")), cause: d1.ImportReset, ambiguous: true, text: "memory limit", actions: "init ingest poll"},
		{name: "the token ends meanwhile", api: begun(refuse(403, 10000, "Authentication error")), cause: d1.ImportUnauthorized, ambiguous: true, text: "Authentication error", actions: "init ingest poll"},
		{name: "a poll that is refused", api: begun(refuse(400, 7400, "Invalid property: current_bookmark")), cause: d1.ImportOther, ambiguous: true, text: "Invalid property", actions: "init ingest poll"},
		{name: "no bookmark to poll with", api: asked(result(202, `{"success":true,"status":"active"}`)), cause: d1.ImportOther, ambiguous: true, text: "no bookmark", actions: "init ingest"},
		{name: "complete without a bookmark", api: asked(result(200, `{"success":true,"status":"complete"}`)), cause: d1.ImportOther, ambiguous: true, text: "without a bookmark", actions: "init ingest"},
		{name: "polls always fail", api: begun(reply(502, "<html>")), cause: d1.ImportOther, ambiguous: true, text: "502", actions: "init ingest" + strings.Repeat(" poll", 10)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if tt.upload == nil {
					tt.upload = []step{stored()}
				}
				w := newImportWorld(t, tt.api, tt.upload)
				_, err := w.run(t.Context())
				var failed *d1.ImportError
				if !errors.As(err, &failed) {
					t.Fatalf("got %v", err)
				}
				if failed.Cause != tt.cause || failed.Ambiguous != tt.ambiguous {
					t.Errorf("got %s, ambiguous %t (%v), want %s, %t", failed.Cause, failed.Ambiguous, err, tt.cause, tt.ambiguous)
				}
				if !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %q, want it to contain %q", err, tt.text)
				}
				if got := w.actions(t); got != tt.actions {
					t.Errorf("asked %q, want %q", got, tt.actions)
				}
			})
		})
	}
}

func TestImportSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newImportWorld(t, []step{invited(), importing(), hang}, []step{stored()})
		begin := time.Now()
		_, err := w.run(t.Context())
		var failed *d1.ImportError
		if !errors.As(err, &failed) || !failed.Ambiguous || !errors.Is(err, d1.ErrSilence) {
			t.Fatalf("got %v, want silence", err)
		}
		if want := "import: timeout after 30s: no answer"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		if took := time.Since(begin); took < 29*time.Second || took > 31*time.Second {
			t.Errorf("took %v, want about 30s", took)
		}
	})
}

// An import that takes long to answer, but does, is no silence.
func TestImportSlowAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		slow := func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(19 * time.Second)
			if n++; n < 20 {
				importing()(w, r)
				return
			}
			imported()(w, r)
		}
		w := newImportWorld(t, []step{invited(), slow}, []step{stored()})
		if _, err := w.run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestImportCancel(t *testing.T) {
	t.Parallel()
	for name, w := range map[string][2][]step{
		"at init":         {{hang}, {stored()}},
		"while uploading": {{invited()}, {hang}},
		"at ingest":       {{invited(), hang}, {stored()}},
		"between polls":   {{invited(), importing()}, {stored()}},
		"while busy":      {{invited(), importing(), inner(importBusy)}, {stored()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				world := newImportWorld(t, w[0], w[1])
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(5*time.Second, cancel)
				begin := time.Now()
				if _, err := world.run(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(begin); took != 5*time.Second {
					t.Errorf("returned after %v, want 5s", took)
				}
			})
		})
	}
}

// A file that is not what it was said to be is not sent.
func TestImportOfAnotherSize(t *testing.T) {
	t.Parallel()
	client, s := scripted(t, invited())
	_, err := client.Import(t.Context(), d1.ImportRequest{ID: testID, Size: 3, Open: func() io.Reader { return strings.NewReader("four") }})
	var failed *d1.ImportError
	if !errors.As(err, &failed) || failed.Ambiguous || s.count() != 0 {
		t.Errorf("got %v after %d requests", err, s.count())
	}
}

// The store gets no token, and no error or log line tells the signed URL or the
// token.
func TestImportTellsNoSecrets(t *testing.T) {
	t.Parallel()
	document := `<Error><Code>SignatureDoesNotMatch</Code><StringToSign>` + uploadLink + `</StringToSign></Error>`
	uploads := map[string]http.RoundTripper{
		"a document":  direct{reply(403, document, "Content-Type", "application/xml")},
		"a redirect":  direct{reply(302, "", "Location", uploadLink)},
		"another tag": direct{reply(200, "", "ETag", testToken)},
		"silence":     direct{step(hang)},
		"the transport": roundTripper(func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Put", URL: r.URL.String(), Err: errors.New("reset")}
		}),
		"a chatty transport": roundTripper(func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("cannot reach %s with query %s and signature %s", r.URL, r.URL.RawQuery, r.URL.Query().Get("X-Amz-Signature"))
		}),
		"none": direct{stored()},
	}
	for name, transport := range uploads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newImportWorld(t, []step{invited(), inner("boom for Bearer " + testToken)}, nil)
				watched := roundTripper(func(r *http.Request) (*http.Response, error) {
					if got := r.Header.Get("Authorization"); got != "" {
						t.Errorf("the store got %q", got)
					}
					return transport.RoundTrip(r)
				})
				w.client = newClient(t, direct{w.api}, watched, func(o *d1.Options) {
					o.Log = slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
				})
				_, err := w.run(t.Context())
				if err == nil {
					t.Fatal("no error")
				}
				said := []string{w.log.String()}
				for e := err; e != nil; e = errors.Unwrap(e) {
					said = append(said, fmt.Sprintf("%s %+v %#v", e, e, e))
				}
				checkSecrets(t, said)
				for _, text := range said {
					if strings.Contains(text, "5ec7e7") || strings.Contains(text, "up.sql?") {
						t.Errorf("the link shows: %s", text)
					}
				}
			})
		})
	}
}
