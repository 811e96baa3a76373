package d1_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/d1"
)

func TestExportAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, s := scripted(t, complete())
		dump, err := exportOf(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		if dump.Bookmark != "b1" || dump.Filename != "dump.sql" {
			t.Errorf("got %+v", dump)
		}
		if got := s.count(); got != 1 {
			t.Errorf("got %d requests, want 1", got)
		}
	})
}

func TestExportFlatURL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := scripted(t, result(200, `{"success":true,"status":"complete","at_bookmark":"b9","filename":"flat.sql","signed_url":"http://files.test/x?y"}`))
		dump, err := exportOf(t.Context(), client)
		if err != nil || dump.Filename != "flat.sql" || dump.Bookmark != "b9" {
			t.Errorf("got %+v, %v", dump, err)
		}
	})
}

// Ten minutes of polling: what is sent, and how far apart.
func TestExportPolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		client, s := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			if time.Since(begin) < 10*time.Minute {
				active("Uploaded part 1")(w, r)
				return
			}
			complete()(w, r)
		})
		var phases []d1.ExportPhase
		lines := 0
		_, err := client.Export(t.Context(), d1.ExportRequest{DatabaseID: testID, Observe: func(p d1.ExportProgress) {
			lines += len(p.Messages)
			if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
				phases = append(phases, p.Phase)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		want := []d1.ExportPhase{d1.ExportStarting, d1.ExportRunning, d1.ExportComplete}
		if diff := cmp.Diff(want, phases); diff != "" {
			t.Errorf("phases (-want +got):\n%s", diff)
		}
		if lines != s.count()-1 {
			t.Errorf("got %d message lines of %d active answers", lines, s.count()-1)
		}
		checkPolls(t, s)
	})
}

func checkPolls(t *testing.T, s *script) {
	t.Helper()
	for i, body := range s.bodies {
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"output_format": "polling", "current_bookmark": "b1"}
		if i == 0 {
			delete(want, "current_bookmark")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("request %d (-want +got):\n%s", i, diff)
		}
	}
	var gaps []time.Duration
	for i := 1; i < len(s.times); i++ {
		gaps = append(gaps, s.times[i].Sub(s.times[i-1]))
	}
	early := []time.Duration{0, 100, 200, 400, 800, 1600, 3200, 4000}
	for i := range early {
		early[i] *= time.Millisecond
	}
	if diff := cmp.Diff(early, gaps[:len(early)]); diff != "" {
		t.Errorf("first gaps (-want +got):\n%s", diff)
	}
	if got := slices.Max(gaps); got != 4*time.Second {
		t.Errorf("longest gap %v, want 4s", got)
	}
}

func TestExportEndings(t *testing.T) {
	t.Parallel()
	gone, busy := inner(goneText), inner(busyText)
	tests := []struct {
		name  string
		steps []step
		// starts and polls are the requests without and with a bookmark.
		starts, polls int
		// class is that of the error; none wanted if empty.
		class d1.Class
		text  string
	}{
		{name: "lost and started anew", steps: []step{active(), gone, active(), complete()}, starts: 2, polls: 2},
		{name: "lost every time", steps: []step{active(), gone, active(), gone, active(), gone}, starts: 3, polls: 3, class: d1.ClassRetry, text: goneText},
		{name: "gone on the start itself", steps: []step{gone, active(), complete()}, starts: 2, polls: 1},
		{name: "waits for another export", steps: []step{busy, busy, busy, active(), complete()}, starts: 4, polls: 1},
		{name: "waits however it is told", steps: []step{refuse(400, 7500, "D1_ERROR: Currently processing a long-running export."), complete()}, starts: 2},
		{name: "the answer to the start is lost", steps: []step{hang, busy, busy, complete()}, starts: 4},
		{name: "a bad gateway in between", steps: []step{active(), reply(502, "<html>bad gateway"), active(), complete()}, starts: 1, polls: 3},
		{name: "one poll hangs", steps: []step{active(), hang, active(), complete()}, starts: 1, polls: 3},
		{name: "overloaded", steps: []step{refuse(429, 7429, "D1 DB is overloaded. Requests queued for too long."), complete()}, starts: 2},
		{name: "reset inside", steps: []step{active(), inner("D1 DB exceeded its CPU time limit and was reset."), complete()}, starts: 2, polls: 1},
		{name: "reset inside every time", steps: []step{active(), inner("D1 DB exceeded its CPU time limit and was reset."), active(), inner("D1 DB exceeded its CPU time limit and was reset."), active(), inner("D1 DB exceeded its CPU time limit and was reset.")}, starts: 3, polls: 3, class: d1.ClassRetry, text: "CPU time limit"},
		{name: "refused inside", steps: []step{active(), inner("D1 Export error: cannot export databases with Virtual Tables (fts5)")}, starts: 1, polls: 1, class: d1.ClassGiveUp, text: "Virtual Tables (fts5)"},
		{name: "an unknown failure inside", steps: []step{inner("cell.replace is not a function")}, starts: 1, class: d1.ClassGiveUp, text: "cell.replace"},
		{name: "status error", steps: []step{result(200, `{"success":true,"status":"error","error":"boom"}`)}, starts: 1, class: d1.ClassGiveUp, text: "boom"},
		{name: "errors as a list", steps: []step{result(200, `{"success":false,"errors":["one","two"]}`)}, starts: 1, class: d1.ClassGiveUp, text: "two"},
		{name: "an unknown status", steps: []step{result(200, `{"success":true,"status":"paused","at_bookmark":"b1"}`)}, starts: 1, class: d1.ClassGiveUp, text: "paused"},
		{name: "no bookmark to poll with", steps: []step{result(202, `{"success":true,"status":"active"}`)}, starts: 1, class: d1.ClassRetry, text: "bookmark"},
		{name: "complete without a link", steps: []step{result(200, `{"success":true,"status":"complete","result":{}}`), complete()}, starts: 2},
		{name: "a link that is no URL", steps: []step{result(200, `{"success":true,"status":"complete","result":{"signed_url":"/x"}}`)}, starts: 1, class: d1.ClassGiveUp, text: "no URL"},
		{name: "no right to export", steps: []step{refuse(403, 10000, "Authentication error")}, starts: 1, class: d1.ClassUnauthorized, text: "code 10000"},
		{name: "always a bad gateway", steps: []step{reply(502, "<html>")}, starts: 10, class: d1.ClassRetry, text: "502 Bad Gateway with an HTML page"},
		{name: "outer failure with an inner reason", steps: []step{reply(200, `{"success":false,"errors":[],"result":{"success":false,"error":"boom"}}`)}, starts: 1, class: d1.ClassGiveUp, text: "boom"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, s := scripted(t, tt.steps...)
				dump, err := exportOf(t.Context(), client)
				if got := d1.ClassOf(err); got != tt.class || (err == nil) != (tt.class == "") {
					t.Fatalf("got class %q (%v), want %q", got, err, tt.class)
				}
				if err == nil && dump.Filename != "dump.sql" {
					t.Errorf("got %+v", dump)
				}
				if err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %q, want it to contain %q", err, tt.text)
				}
				polls := 0
				for _, body := range s.bodies {
					polls += strings.Count(body, "current_bookmark")
				}
				if polls != tt.polls || s.count()-polls != tt.starts {
					t.Errorf("got %d starts and %d polls, want %d and %d", s.count()-polls, polls, tt.starts, tt.polls)
				}
			})
		})
	}
}

func TestExportSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := scripted(t, active(), hang)
		begin := time.Now()
		_, err := exportOf(t.Context(), client)
		if !errors.Is(err, d1.ErrSilence) || d1.ClassOf(err) != d1.ClassRetry {
			t.Fatalf("got %v, want silence", err)
		}
		if want := "export: timeout after 30s: no answer"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		if took := time.Since(begin); took > 31*time.Second {
			t.Errorf("took %v, want about 30s", took)
		}
	})
}

// An export that takes long to answer, but does, is no silence.
func TestExportSlowAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		client, _ := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(19 * time.Second)
			if n++; n < 20 {
				active()(w, r)
				return
			}
			complete()(w, r)
		})
		if _, err := exportOf(t.Context(), client); err != nil {
			t.Error(err)
		}
	})
}

// Waiting for somebody else's export is bounded by the context alone.
func TestExportBusyUntilDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, s := scripted(t, inner(busyText))
		late := errors.New("the deadline of this database")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, late)
		defer cancel()
		begin := time.Now()
		_, err := exportOf(ctx, client)
		if !errors.Is(err, late) || d1.ClassOf(err) != "" {
			t.Errorf("got %v, want the context's cause", err)
		}
		if !strings.Contains(err.Error(), "long-running export") {
			t.Errorf("got %q, want what was waited for", err)
		}
		if took := time.Since(begin); took != time.Hour {
			t.Errorf("returned after %v, want 1h", took)
		}
		if n := s.count(); n < 900 || n > 1300 {
			t.Errorf("asked %d times within the hour, want about every 3.5s", n)
		}
	})
}

func TestExportCancel(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]step{"while polling": active(), "while hanging": hang, "while busy": inner(busyText)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := scripted(t, at)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(5*time.Second, cancel)
				begin := time.Now()
				_, err := exportOf(ctx, client)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(begin); took != 5*time.Second {
					t.Errorf("returned after %v, want 5s", took)
				}
			})
		})
	}
}

// A block by the rate limit that outlasts D1's patience costs the export, but
// not one of its tries, and is no silence.
func TestExportLostToThrottling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		blocked := refuse(429, 971, "Please wait and consider throttling your request speed", "Retry-After", "300")
		var steps []step
		for range 8 {
			steps = append(steps, active(), blocked, inner(goneText))
		}
		steps = append(steps, active(), complete())
		client, s := scripted(t, steps...)
		begin := time.Now()
		if _, err := exportOf(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		if got := s.count(); got != len(steps) {
			t.Errorf("got %d requests, want %d", got, len(steps))
		}
		if took := time.Since(begin); took < 8*300*time.Second {
			t.Errorf("took %v, want the blocks to be waited out", took)
		}
	})
}

func TestDumpNeverShowsItsLink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := scripted(t, complete())
		dump, err := exportOf(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		type holder struct{ dump d1.Dump }
		encoded, err := json.Marshal(dump)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			encoded = append(encoded, fmt.Sprintf(format+format+format, dump, &dump, holder{dump})...)
		}
		if strings.Contains(string(encoded), "5ec7e7") || strings.Contains(string(encoded), "files.test") {
			t.Errorf("the link shows: %s", encoded)
		}
	})
}
