package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/config"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// FuzzLoad gives the loader any file: it must end in a configuration whose
// settings can be told, or in a fault of usage with a place on each line.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile("../../.patina.yaml.example")
	if err != nil {
		f.Fatal(err)
	}
	seeds := []string{
		string(example), "", "- a", "a: &a [*a]", "databases: [{name: a, priority: x}, {}]\nexclude: {}",
		"store: { url: \"s3://bucket?endpoint=http://127.0.0.1:1&region=x\", prefix: a/b }", "? [a]\n: b", "--- a\n--- b",
		"schedule: { nightly: \"*/5 1-3,7 L * 7\" }", "catalog: { url: \"postgres://a:b@c/d\" }", "cloudflare: !!binary aGk=", "<<: { a: b }",
	}
	addSeeds(f, seeds)
	f.Fuzz(func(t *testing.T, content string) {
		h := newHost(t)
		path := h.write(t, "patina.yaml", content)
		c, err := config.Load(h.request(path))
		if err == nil {
			if len(c.Effective()) == 0 {
				t.Error("a configuration without settings")
			}
			c.Check()
			c.Databases.Select([]string{"a", "app-preview"})
			return
		}
		if got := fault.KindOf(err); got != fault.Usage {
			t.Errorf("got kind %s of %v", got, err)
		}
		if !strings.HasPrefix(err.Error(), path) {
			t.Errorf("the error names no place: %v", err)
		}
	})
}

// addSeeds refuses an empty list: a target without seeds tests next to nothing.
func addSeeds(f *testing.F, seeds []string) {
	f.Helper()
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
}

// FuzzSecret gives the loader any text for each secret: whatever it tells, it
// must tell the same for another secret.
func FuzzSecret(f *testing.F) {
	seeds := []string{"hunter2", "*hunter2", "a: b", "cmdx:x", "a\nb", "postgres://a:b@c/d", "'\"", "true", "12", "!x y", "- a", "\x00", "[redacted]"}
	addSeeds(f, seeds)
	f.Fuzz(func(t *testing.T, text string) {
		for _, place := range []string{"env:", "file:", "cmd:", "credential:"} {
			if text == "" || strings.HasPrefix(text, place) {
				return // not the secret itself: a place may be told
			}
		}
		if diff := cmp.Diff(tell(t, "another"), tell(t, text)); diff != "" {
			t.Errorf("what is told depends on the secret (-another +this)\n%s", diff)
		}
	})
}

// tell is all that a configuration tells that has one secret in every place,
// once from a file and once from the environment.
func tell(t *testing.T, text string) string {
	t.Helper()
	// Quoted so, any text is YAML, on one line: no line number depends on it.
	quoted := strconv.QuoteToASCII(text)
	content := "cloudflare: { api_token: " + quoted + " }\n" +
		"store: { access_key_id: id, secret_access_key: " + quoted + ", session_token: " + quoted + " }\n"
	h := newHost(t)
	h.env["STATE_DIRECTORY"] = "/state"
	told := h.tell(t, content)
	h.env = map[string]string{
		"STATE_DIRECTORY":             "/state",
		"PATINA_CLOUDFLARE_API_TOKEN": text, "PATINA_STORE_ACCESS_KEY_ID": "id",
		"PATINA_STORE_SECRET_ACCESS_KEY": text, "PATINA_STORE_SESSION_TOKEN": text,
	}
	return strings.ReplaceAll(told+h.tell(t, ""), h.dir, "")
}

// tell is what loading a file tells: the error, or settings and problems.
func (h *host) tell(t *testing.T, content string) string {
	t.Helper()
	c, err := config.Load(h.request(h.write(t, "patina.yaml", content)))
	if err != nil {
		return err.Error()
	}
	settings, err := json.Marshal(c.Effective())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %v", settings, c.Check())
}

func TestPrintedConfigShowsNoSecret(t *testing.T) {
	t.Parallel()
	c := newHost(t).load(t, "cloudflare: { api_token: hunter2 }\ncatalog: { url: \"postgres://a:hunter2@h/db\" }")
	location, err := c.Catalog.Location(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{c, *c, c.Cloudflare, c.Catalog, location} {
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if all := fmt.Sprintf("%v %+v %#v %s %s", v, v, v, v, encoded); strings.Contains(all, "hunter2") {
			t.Errorf("a secret is printed: %s", all)
		}
	}
}
