package d1_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/d1"
)

// listing serves pages of databases named db-0000 and on.
type listing struct {
	total int
	// per is the true page size, whatever was asked for; 0 obeys.
	per int
	// info makes result_info; nil leaves it out.
	info func(page, per, count int) string
	// page maps the page asked for to the one that is served.
	page func(int) int
}

func (l listing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page, _ := strconv.Atoi(r.FormValue("page"))
	per, _ := strconv.Atoi(r.FormValue("per_page"))
	if l.per > 0 {
		per = l.per
	}
	if l.page != nil {
		page = l.page(page)
	}
	items := []string{}
	for i := min((page-1)*per, l.total); i < min(page*per, l.total); i++ {
		// Not in order of name, as the API promises none.
		n := l.total - 1 - i
		items = append(items, fmt.Sprintf(`{"uuid":"id-%04d","name":"db-%04d","version":"production","created_at":"2024-12-08T10:15:00.000Z","jurisdiction":null}`, n, n))
	}
	info := ""
	if l.info != nil {
		info = `,"result_info":` + l.info(page, per, len(items))
	}
	_, _ = fmt.Fprintf(w, `{"success":true,"errors":[],"messages":[],"result":[%s]%s}`, strings.Join(items, ","), info)
}

func TestList(t *testing.T) {
	t.Parallel()
	honest := func(total int) func(int, int, int) string {
		return func(page, per, count int) string {
			return fmt.Sprintf(`{"page":%d,"per_page":%d,"count":%d,"total_count":%d}`, page, per, count, total)
		}
	}
	tests := []struct {
		name string
		listing
		requests int
		fails    string
	}{
		{name: "none", listing: listing{info: honest(0)}, requests: 1},
		{name: "one page", listing: listing{total: 6, info: honest(6)}, requests: 1},
		{name: "a full page", listing: listing{total: 1000, info: honest(1000)}, requests: 2},
		{name: "pages", listing: listing{total: 2500, info: honest(2500)}, requests: 3},
		{name: "no result_info", listing: listing{total: 1500}, requests: 3},
		{name: "per_page ignored", listing: listing{total: 95, per: 20, info: honest(95)}, requests: 5},
		{name: "per_page ignored, echoed as asked", listing: listing{total: 95, per: 20, info: func(int, int, int) string { return `{"per_page":1000,"total_count":95}` }}, requests: 5},
		{name: "the total is too low", listing: listing{total: 95, per: 20, info: honest(20)}, requests: 6},
		{name: "the total is too high", listing: listing{total: 6, info: honest(60)}, requests: 2},
		{name: "result_info of another form", listing: listing{total: 6, info: func(int, int, int) string { return `"none"` }}, requests: 2},
		{name: "the same page for ever", listing: listing{total: 2000, per: 20, page: func(int) int { return 1 }}, requests: 2, fails: "repeats itself on page 2"},
		{name: "two pages in turn", listing: listing{total: 2000, per: 20, page: func(p int) int { return 1 + (p-1)%2 }}, requests: 4, fails: "repeats itself on page 4"},
		{name: "a database shifted in meanwhile", listing: listing{total: 21, per: 20, page: func(p int) int { return max(1, p-1) }}, requests: 2, fails: "repeats"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &script{steps: []step{tt.ServeHTTP}}
			got, err := newClient(t, direct{s}, nil).List(t.Context())
			if s.count() != tt.requests {
				t.Errorf("got %d requests, want %d", s.count(), tt.requests)
			}
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("got %v, want %q", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != tt.total {
				t.Fatalf("got %d databases, want %d", len(got), tt.total)
			}
			for i, db := range got {
				want := d1.Database{
					Database: backup.Database{ID: fmt.Sprintf("id-%04d", i), Name: fmt.Sprintf("db-%04d", i)},
					Version:  "production", CreatedAt: time.Date(2024, 12, 8, 10, 15, 0, 0, time.UTC),
				}
				if diff := cmp.Diff(want, db); diff != "" {
					t.Fatalf("database %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// A database created while pages are read shifts the rest: one page may then
// hold nothing new without being a loop.
func TestListShifted(t *testing.T) {
	t.Parallel()
	item := func(n int) string { return fmt.Sprintf(`{"uuid":"id-%d","name":"db-%d"}`, n, n) }
	client, _ := scripted(t,
		result(200, "["+item(3)+","+item(2)+"]"), result(200, "["+item(2)+"]"),
		result(200, "["+item(1)+"]"), result(200, "[]"))
	got, err := client.List(t.Context())
	if err != nil || len(got) != 3 {
		t.Errorf("got %v, %v, want 3 databases", got, err)
	}
}

func TestListRefusesNameless(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`[{"uuid":"x"}]`, `[{"name":"x"}]`, `{"x":1}`, `"x"`} {
		client, _ := scripted(t, result(200, body))
		if got, err := client.List(t.Context()); d1.ClassOf(err) != d1.ClassGiveUp {
			t.Errorf("%s: got %v, %v, want an error", body, got, err)
		}
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	client, s := scripted(t, result(200, `{"uuid":"`+testID+`","name":"groveauth","version":"production","created_at":"2024-12-08T10:15:00.123Z",
		"jurisdiction":"eu","running_in_region":"WEUR","num_tables":12,"file_size":9007199254740993,"read_replication":{"mode":"auto"}}`))
	got, err := client.Get(t.Context(), "grove auth/x")
	if err != nil {
		t.Fatal(err)
	}
	want := d1.Database{
		Database: backup.Database{ID: testID, Name: "groveauth", Jurisdiction: "eu", Region: "WEUR"},
		Version:  "production", CreatedAt: time.Date(2024, 12, 8, 10, 15, 0, 123e6, time.UTC),
		Bytes: 9007199254740993, Tables: 12,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := "/client/v4/accounts/" + testAccount + "/d1/database/grove%20auth%2Fx?fields="; !strings.HasPrefix(s.paths[0], want) {
		t.Errorf("got path %q, want %q", s.paths[0], want)
	}
}

func TestBookmark(t *testing.T) {
	t.Parallel()
	client, s := scripted(t, result(200, `{"bookmark":"00000085-0000024c-00004c6d-8e61"}`))
	for _, at := range []time.Time{{}, time.Date(2024, 12, 8, 11, 15, 0, 250e6, time.FixedZone("", 3600))} {
		got, err := client.Bookmark(t.Context(), testID, at)
		if err != nil || got != "00000085-0000024c-00004c6d-8e61" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	base := "/client/v4/accounts/" + testAccount + "/d1/database/" + testID + "/time_travel/bookmark"
	want := []string{base, base + "?timestamp=2024-12-08T10%3A15%3A00.25Z"}
	if diff := cmp.Diff(want, s.paths); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	empty, _ := scripted(t, result(200, `{}`))
	if _, err := empty.Bookmark(t.Context(), testID, time.Time{}); d1.ClassOf(err) != d1.ClassGiveUp {
		t.Errorf("got %v for an answer without a bookmark", err)
	}
}

func TestTokenID(t *testing.T) {
	t.Parallel()
	good := result(200, `{"id":"tokenid","status":"active"}`)
	bad := refuse(401, 1000, "Invalid API Token")
	tests := []struct {
		name     string
		steps    []step
		id       string
		class    d1.Class
		requests int
	}{
		{"a user's token", []step{good}, "tokenid", "", 1},
		{"an account's token", []step{bad, good}, "tokenid", "", 2},
		{"neither", []step{bad, bad}, "", d1.ClassUnauthorized, 2},
		{"disabled", []step{result(200, `{"id":"x","status":"disabled"}`)}, "", d1.ClassUnauthorized, 2},
		{"no id", []step{result(200, `{}`), result(200, `{}`)}, "", d1.ClassGiveUp, 2},
		{"refused, and no account", []step{bad, refuse(404, 7003, "No route for the URI")}, "", d1.ClassUnauthorized, 2},
		{"out of order", []step{reply(500, "")}, "", d1.ClassRetry, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, s := scripted(t, tt.steps...)
				id, err := client.TokenID(t.Context())
				if id != tt.id || d1.ClassOf(err) != tt.class || s.count() != tt.requests {
					t.Errorf("got %q, %v after %d requests, want %q, %q, %d", id, err, s.count(), tt.id, tt.class, tt.requests)
				}
				want := []string{"/client/v4/user/tokens/verify", "/client/v4/accounts/" + testAccount + "/tokens/verify"}
				if tt.requests == 2 {
					if diff := cmp.Diff(want, s.paths); diff != "" {
						t.Errorf("paths (-want +got):\n%s", diff)
					}
				}
			})
		})
	}
}

func decodeBody(t *testing.T, body string) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	return got
}
