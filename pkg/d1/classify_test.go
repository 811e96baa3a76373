package d1_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// Every failure that is known of the API, as it comes over the wire.
func TestClasses(t *testing.T) {
	t.Parallel()
	const (
		html   = "<!DOCTYPE html><html><body>secret page body</body></html>"
		retry  = d1.ClassRetry
		wait   = d1.ClassWait
		stop   = d1.ClassGiveUp
		unauth = d1.ClassUnauthorized
	)
	ray := []string{"cf-ray", "8f0a-FRA", "Content-Type", "application/json"}
	page := []string{"cf-ray", "8f0a-FRA", "Content-Type", "text/html; charset=UTF-8"}
	tests := []struct {
		name   string
		answer step
		class  d1.Class
		code   int
		text   string // the whole text after "read database: "
		hint   string // part of it
	}{
		// The codes.
		{"7003", refuse(404, 7003, "Could not route to /accounts/x, perhaps your object identifier is invalid?", ray...), stop, 7003, "404 Not Found: Could not route to /accounts/x, perhaps your object identifier is invalid? (code 7003, cf-ray 8f0a-FRA)", "account id"},
		{"7003 as 400", refuse(400, 7003, "No route for the URI"), stop, 7003, "400 Bad Request: No route for the URI (code 7003)", "account id"},
		{"7400", refuse(400, 7400, "Invalid property: params => Expected array, received null"), stop, 7400, "400 Bad Request: Invalid property: params => Expected array, received null (code 7400)", ""},
		{"7403", refuse(403, 7403, "The given account is not valid or is not authorized to access this service"), unauth, 7403, "403 Forbidden: The given account is not valid or is not authorized to access this service (code 7403)", "D1 > Edit"},
		{"7404", refuse(404, 7404, "The database x could not be found"), stop, 7404, "404 Not Found: The database x could not be found (code 7404)", "no such database"},
		{"7406", refuse(400, 7406, "System limit reached: databases per account (10)"), stop, 7406, "400 Bad Request: System limit reached: databases per account (10) (code 7406)", ""},
		{"7429 overloaded", refuse(429, 7429, "D1 DB is overloaded. Requests queued for too long."), wait, 7429, "429 Too Many Requests: D1 DB is overloaded. Requests queued for too long. (code 7429)", ""},
		{"7429 CPU", refuse(429, 7429, "D1 DB exceeded its CPU time limit and was reset."), retry, 7429, "429 Too Many Requests: D1 DB exceeded its CPU time limit and was reset. (code 7429)", ""},
		{"7429 storage", refuse(429, 7429, "D1 DB storage operation exceeded timeout which caused object to be reset."), retry, 7429, "429 Too Many Requests: D1 DB storage operation exceeded timeout which caused object to be reset. (code 7429)", ""},
		{"7429 other", refuse(429, 7429, "something new"), wait, 7429, "429 Too Many Requests: something new (code 7429)", ""},
		{"7500 SQL", refuse(400, 7500, "near \"SELEC\": syntax error at offset 0: SQLITE_ERROR"), stop, 7500, `400 Bad Request: near "SELEC": syntax error at offset 0: SQLITE_ERROR (code 7500)`, ""},
		{"7500 internal", refuse(500, 7500, "internal error"), retry, 7500, "500 Internal Server Error: internal error (code 7500)", ""},
		{"7500 lost", refuse(400, 7500, "Network connection lost."), retry, 7500, "400 Bad Request: Network connection lost. (code 7500)", ""},
		{"7502", refuse(400, 7502, "A database with that name already exists"), stop, 7502, "400 Bad Request: A database with that name already exists (code 7502)", ""},
		{"10000 as 401", refuse(401, 10000, "Authentication error"), unauth, 10000, "401 Unauthorized: Authentication error (code 10000)", "API token"},
		{"10000 as 403", refuse(403, 10000, "Authentication error"), unauth, 10000, "403 Forbidden: Authentication error (code 10000)", "API token"},
		{"10000 as 400", refuse(400, 10000, "Authentication error"), unauth, 10000, "400 Bad Request: Authentication error (code 10000)", "API token"},
		{"1000", refuse(401, 1000, "Invalid API Token"), unauth, 1000, "401 Unauthorized: Invalid API Token (code 1000)", "API token"},
		// The texts that D1's documentation calls retryable, with any code.
		{"code updated", refuse(500, 7500, "D1 DB reset because its code was updated."), retry, 7500, "500 Internal Server Error: D1 DB reset because its code was updated. (code 7500)", ""},
		{"storage starting", refuse(400, 7500, "Internal error while starting up D1 DB storage caused object to be reset."), retry, 7500, "400 Bad Request: Internal error while starting up D1 DB storage caused object to be reset. (code 7500)", ""},
		{"storage", refuse(400, 7500, "Internal error in D1 DB storage caused object to be reset."), retry, 7500, "400 Bad Request: Internal error in D1 DB storage caused object to be reset. (code 7500)", ""},
		{"transient", refuse(400, 7500, "Cannot resolve D1 DB due to transient issue on remote node."), retry, 7500, "400 Bad Request: Cannot resolve D1 DB due to transient issue on remote node. (code 7500)", ""},
		{"overloaded queue", refuse(400, 7500, "D1 DB is overloaded. Too many requests queued."), wait, 7500, "400 Bad Request: D1 DB is overloaded. Too many requests queued. (code 7500)", ""},
		{"memory", refuse(400, 7500, "D1 DB exceeded its memory limit and was reset."), retry, 7500, "400 Bad Request: D1 DB exceeded its memory limit and was reset. (code 7500)", ""},
		// Answers that are not the envelope.
		{"code and error", reply(400, `{"code":7400,"error":"bad thing"}`, ray...), stop, 7400, "400 Bad Request: bad thing (code 7400, cf-ray 8f0a-FRA)", ""},
		{"code and error as 200", reply(200, `{"code":"10000","error":"who are you"}`), unauth, 10000, "who are you (code 10000)", "API token"},
		{"failure as 200", reply(200, `{"success":false,"errors":[{"code":7404,"message":"gone"}],"result":null}`), stop, 7404, "gone (code 7404)", "no such database"},
		{"failure without errors", reply(200, `{"success":false}`), stop, 0, "the answer does not say that it succeeded", ""},
		{"errors as text", reply(400, `{"success":false,"errors":"broken"}`), stop, 0, "400 Bad Request: broken", ""},
		{"no envelope", reply(200, `{"uuid":"x"}`), stop, 0, "the answer does not say that it succeeded", ""},
		{"a chain", reply(400, `{"success":false,"errors":[{"code":1,"message":"outer","error_chain":[{"code":2,"message":"inner"}]},{"code":3,"message":"second"}]}`), stop, 1, "400 Bad Request: outer: inner; second (code 1)", ""},
		{"a bad gateway", reply(502, html, page...), retry, 0, "502 Bad Gateway with an HTML page (cf-ray 8f0a-FRA)", ""},
		{"a captive portal", reply(200, html, page...), retry, 0, "200 OK with an HTML page (cf-ray 8f0a-FRA)", ""},
		{"an empty body", reply(200, ""), retry, 0, "200 OK with an empty body", ""},
		{"cut JSON", reply(200, `{"success":true,"resu`, ray...), retry, 0, "200 OK with broken JSON (cf-ray 8f0a-FRA)", ""},
		{"plain text", reply(503, "upstream connect error"), retry, 0, "503 Service Unavailable with a body that is not JSON", ""},
		{"a challenge", reply(403, html, append(page, "cf-mitigated", "challenge")...), retry, 0, "403 Forbidden with a challenge page (cf-ray 8f0a-FRA)", "cf-ray"},
		{"a huge answer", reply(200, `{"success":true,"result":"`+strings.Repeat("x", 5<<20)+`"}`), retry, 0, "200 OK with more than 4194304 bytes: the answer is too long", ""},
		// Statuses alone.
		{"301", reply(301, "", "Location", "https://elsewhere.test/"), stop, 0, "301 Moved Permanently with an empty body", ""},
		{"403", reply(403, `{"success":false,"errors":[]}`), unauth, 0, "403 Forbidden", "API token"},
		{"404", reply(404, `{"success":false,"errors":[]}`), stop, 0, "404 Not Found", ""},
		{"408", reply(408, `{}`), retry, 0, "408 Request Timeout", ""},
		{"409", reply(409, `{}`), retry, 0, "409 Conflict", ""},
		{"501", reply(501, `{}`), stop, 0, "501 Not Implemented", ""},
		{"504", reply(504, `{}`), retry, 0, "504 Gateway Timeout", ""},
		{"520", reply(520, ``), retry, 0, "HTTP status 520 with an empty body", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, s := scripted(t, tt.answer)
				_, err := client.Get(t.Context(), testID)
				var failed *d1.Error
				if !errors.As(err, &failed) {
					t.Fatalf("got %v, want a *d1.Error", err)
				}
				if failed.Class != tt.class || d1.ClassOf(err) != tt.class || failed.Code != tt.code {
					t.Errorf("got class %q, code %d, want %q, %d", failed.Class, failed.Code, tt.class, tt.code)
				}
				if want := "read database: " + tt.text; err.Error() != want {
					t.Errorf("got  %q\nwant %q", err, want)
				}
				if !strings.Contains(failed.Hint, tt.hint) || tt.hint == "" && failed.Hint != "" {
					t.Errorf("got hint %q, want it to say %q", failed.Hint, tt.hint)
				}
				if hints := fault.Hints(err); tt.hint != "" && (len(hints) != 1 || hints[0] != failed.Hint) {
					t.Errorf("got hints %q, want %q", hints, failed.Hint)
				}
				if got := fault.KindOf(err) == fault.Unauthorized; got != (tt.class == unauth) {
					t.Errorf("got kind %q for class %q", fault.KindOf(err), tt.class)
				}
				// What may pass is tried again, what may not is not.
				want := 5
				if tt.class == stop || tt.class == unauth {
					want = 1
				}
				if got := s.count(); got != want {
					t.Errorf("got %d requests, want %d", got, want)
				}
			})
		})
	}
}

// A refused export has another remedy than a refused read.
func TestExportHint(t *testing.T) {
	t.Parallel()
	for _, code := range []int{10000, 7403} {
		client, _ := scripted(t, refuse(http.StatusForbidden, code, "no"))
		_, err := exportOf(t.Context(), client)
		if hints := fault.Hints(err); len(hints) != 1 || !strings.Contains(hints[0], "exports with D1 Read have been reported to fail") {
			t.Errorf("code %d: got hints %q", code, hints)
		}
	}
}

func TestClassOfOthers(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, errors.New("x"), t.Context().Err()} {
		if got := d1.ClassOf(err); got != "" {
			t.Errorf("ClassOf(%v) = %q, want none", err, got)
		}
	}
}

// Foreign text stays on one line and within bounds, without control characters.
func TestErrorTextIsTame(t *testing.T) {
	t.Parallel()
	client, _ := scripted(t, refuse(400, 7500, "a\nb\x1b[31mc\u202e"+strings.Repeat("long ", 1000)))
	_, err := client.Get(t.Context(), testID)
	text := err.Error()
	if strings.ContainsAny(text, "\n\r\x1b") || strings.Contains(text, "\u202e") || len(text) > 500 {
		t.Errorf("got %d bytes: %q", len(text), text)
	}
}
