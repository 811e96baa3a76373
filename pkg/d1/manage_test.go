package d1_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/d1"
)

func described() step {
	return result(200, `{"uuid":"`+testID+`","name":"new","jurisdiction":"eu","created_at":"2024-12-08T03:00:00.000Z","file_size":12288,"version":"production"}`)
}

func TestCreateDatabase(t *testing.T) {
	t.Parallel()
	client, s := scripted(t, result(200, `{"uuid":"`+testID+`","name":"new","created_at":"2024-12-08T03:00:00.000Z","version":"production"}`), described())
	got, err := client.CreateDatabase(t.Context(), d1.CreateRequest{Name: "new", Jurisdiction: "eu"})
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != testID || got.Name != "new" || got.Jurisdiction != "eu" {
		t.Errorf("got %+v", got)
	}
	if want := `{"name":"new","jurisdiction":"eu"}`; s.bodies[0] != want || s.count() != 2 {
		t.Errorf("sent %v, want %s first", s.bodies, want)
	}
}

func TestCreateDatabaseFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		steps    []step
		is       error
		class    d1.Class
		text     string
		requests int
	}{
		"it exists":        {[]step{refuse(400, 7502, "database with name 'new' already exists")}, d1.ErrDatabaseExists, d1.ClassGiveUp, "already exists", 1},
		"no more":          {[]step{refuse(400, 7406, "too many databases")}, d1.ErrDatabaseLimit, d1.ClassGiveUp, "too many", 1},
		"the answer lost":  {[]step{hang}, d1.ErrSilence, d1.ClassRetry, "not known whether new was made", 1},
		"a bad gateway":    {[]step{reply(502, "<html>")}, nil, d1.ClassRetry, "not known whether new was made", 1},
		"no right":         {[]step{refuse(403, 10000, "Authentication error")}, nil, d1.ClassUnauthorized, "Authentication", 1},
		"another location": {[]step{refuse(400, 7400, "Invalid property: primary_location_hint")}, nil, d1.ClassGiveUp, "Invalid property", 1},
		"no id":            {[]step{result(200, `{"name":"new"}`)}, nil, d1.ClassGiveUp, "not known whether new was made", 1},
		"no JSON":          {[]step{result(200, `7`)}, nil, d1.ClassGiveUp, "not known whether new was made", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, s := scripted(t, tt.steps...)
				_, err := client.CreateDatabase(t.Context(), d1.CreateRequest{Name: "new"})
				if err == nil || tt.is != nil && !errors.Is(err, tt.is) || d1.ClassOf(err) != tt.class {
					t.Fatalf("got %v of class %q, want %v of %q", err, d1.ClassOf(err), tt.is, tt.class)
				}
				if !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %q, want it to contain %q", err, tt.text)
				}
				if s.count() != tt.requests {
					t.Errorf("%d requests, want %d", s.count(), tt.requests)
				}
			})
		})
	}
}

// A refusal for the budget's sake changed nothing, so it is asked again.
func TestCreateDatabaseThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, s := scripted(t, refuse(429, 971, "slow down"), result(200, `{"uuid":"`+testID+`","name":"new","created_at":"2024-12-08T03:00:00.000Z"}`), described())
		if _, err := client.CreateDatabase(t.Context(), d1.CreateRequest{Name: "new"}); err != nil || s.count() != 3 {
			t.Errorf("got %v after %d requests, want 3", err, s.count())
		}
	})
}

func TestDeleteDatabase(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		id       string
		steps    []step
		says     string
		requests int
	}{
		"it is there":     {testID, []step{result(200, "null")}, "", 1},
		"it is gone":      {testID, []step{refuse(404, 7404, "not found")}, "", 1},
		"the answer lost": {testID, []step{hang, refuse(404, 7404, "not found")}, "", 2},
		"no right":        {testID, []step{refuse(403, 10000, "Authentication error")}, "Authentication error", 1},
		"a name":          {"production", []step{result(200, "null")}, "no database id", 0},
		"nothing":         {"", []step{result(200, "null")}, "no database id", 0},
		"a path":          {testID + "/../x", []step{result(200, "null")}, "no database id", 0},
		"a line behind":   {testID + "\n", []step{result(200, "null")}, "no database id", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, s := scripted(t, tt.steps...)
				err := client.DeleteDatabase(t.Context(), tt.id)
				if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v, want %q", err, tt.says)
				}
				if s.count() != tt.requests {
					t.Errorf("%d requests, want %d", s.count(), tt.requests)
				}
			})
		})
	}
}

func TestTimeTravel(t *testing.T) {
	t.Parallel()
	client, s := scripted(t, result(200, `{"bookmark":"b3","previous_bookmark":"b2","message":"Database restored"}`))
	got, err := client.TimeTravel(t.Context(), testID, "b 1")
	if err != nil {
		t.Fatal(err)
	}
	if want := (d1.Travelled{Bookmark: "b3", PreviousBookmark: "b2"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if want := "/time_travel/restore?bookmark=b+1"; !strings.HasSuffix(s.paths[0], want) {
		t.Errorf("asked %s, want %s", s.paths[0], want)
	}
}

// A second try would put the way back out of reach.
func TestTimeTravelIsAskedOnce(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]step{
		"the answer lost": hang, "a bad gateway": reply(502, "<html>"), "500": refuse(500, 7500, "internal error"), "refused": refuse(400, 7400, "Invalid bookmark"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, s := scripted(t, answer)
				if _, err := client.TimeTravel(t.Context(), testID, "b1"); err == nil || s.count() != 1 {
					t.Errorf("got %v after %d requests", err, s.count())
				}
			})
		})
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	rows := result(200, `[{"success":true,"results":{"columns":["a"],"rows":[[1]]},"meta":{}}]`)
	for name, tt := range map[string]struct {
		steps    []step
		fails    bool
		requests int
	}{
		"at once":         {[]step{rows}, false, 1},
		"the answer lost": {[]step{hang, rows}, false, 2},
		"a bad gateway":   {[]step{reply(http.StatusBadGateway, "<html>"), rows}, false, 2},
		"busy":            {[]step{refuse(400, 7500, "D1_ERROR: Currently processing a long-running import."), rows}, false, 2},
		"wrong SQL":       {[]step{refuse(400, 7500, "no such table: t: SQLITE_ERROR")}, true, 1},
		"two results":     {[]step{result(200, `[{"success":true,"results":{"columns":[],"rows":[]}},{"success":true,"results":{"columns":[],"rows":[]}}]`)}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, s := scripted(t, tt.steps...)
				got, err := client.Look(t.Context(), testID, "SELECT 1 AS a")
				if (err != nil) != tt.fails || s.count() != tt.requests {
					t.Fatalf("got %v after %d requests, want %d", err, s.count(), tt.requests)
				}
				if err == nil && !cmp.Equal(got.Rows, [][]any{{json.Number("1")}}) {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}
