package d1

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// Any name, in any quotes, leaves the module readable.
func FuzzModuleOf(f *testing.F) {
	seeds := []string{"docs", `a "b" using`, "USING x", "a]b", "--", "/*", "'", "`", "naïve\n"}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		moduleOf(name) // must end
		quotes := map[string]string{`"`: `"`, "'": "'", "`": "`"}
		if !strings.Contains(name, "]") {
			quotes["["] = "]"
		}
		for open, closing := range quotes {
			quoted := open + name + closing
			if open != "[" {
				quoted = open + strings.ReplaceAll(name, closing, closing+closing) + closing
			}
			if got := moduleOf("CREATE VIRTUAL TABLE " + quoted + " USING FTS5(body)"); got != "fts5" {
				t.Errorf("%s: got module %q", quoted, got)
			}
		}
	})
}

// Any answer is judged, in one line, and never taken for a success unless it
// says so.
func FuzzJudge(f *testing.F) {
	seeds := []string{
		`{"success":true,"result":{}}`, `{"success":false,"errors":[{"code":7404,"message":"x"}]}`,
		`{"code":"1","error":{"a":1}}`, `{"success":"yes"}`, `[]`, `null`, `<html>`, "", `{"errors":[{"error_chain":[{}]}]}`,
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for i, s := range seeds {
		f.Add(s, 200+i*50, "ray\n")
	}
	c, err := New(Options{AccountID: "a", Token: secret.New("token"), Now: time.Now})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string, status int, ray string) {
		h := http.Header{"Cf-Ray": {ray}, "Ratelimit": {body}, "Retry-After": {body}}
		got := answer{status: status, header: h, body: []byte(body)}
		if r := got.report(time.Time{}); r.standing != nil && (r.standing.left < 0 || r.standing.reset < 0) {
			t.Errorf("got standing %+v", r.standing)
		}
		env, err := c.judge(call{op: opGet}, got)
		if err == nil {
			if !env.succeeded() || status >= 300 {
				t.Errorf("status %d, %q: taken for a success", status, body)
			}
			return
		}
		text := err.Error()
		if strings.ContainsFunc(text, unicode.IsControl) || len(text) > 8*maxMessage {
			t.Errorf("%d bytes: %q", len(text), text)
		}
		if ClassOf(err) == "" {
			t.Errorf("%q: no class", text)
		}
	})
}
