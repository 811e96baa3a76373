package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/config"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

func TestTokenFromEverywhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, token, shown string }{
		{"literal", "hunter2", "[redacted]"},
		{"variable", "env:TOKEN", "env:TOKEN"},
		{"file beside the configuration", "file:token", "file:token"},
		{"command", "cmd:echo hunter2", "cmd:[redacted]"},
		{"credential", "credential:token", "credential:token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.env["TOKEN"], h.env["CREDENTIALS_DIRECTORY"] = "hunter2", h.dir
			h.write(t, "token", "hunter2\n")
			loaded := h.load(t, "cloudflare:\n  api_token: \""+c.token+"\"\n")
			got, err := loaded.Cloudflare.Token(t.Context())
			if err != nil || got.Reveal() != "hunter2" {
				t.Errorf("got %q, %v", got.Reveal(), err)
			}
			want := config.Setting{Key: "cloudflare.api_token", Value: c.shown, Origin: filepath.Join(h.dir, "patina.yaml") + ":2"}
			if got := setting(t, loaded, "cloudflare.api_token"); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestMissingSecretIsTheCommandsConcern(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c := h.load(t, "cloudflare:\n  api_token: env:NOT_THERE\ncatalog:\n  url: file:missing\n")
	_, err := c.Cloudflare.Token(t.Context())
	file := filepath.Join(h.dir, "patina.yaml")
	if got, want := err.Error(), file+":2: cloudflare.api_token: env:NOT_THERE: the variable is not set"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := fault.KindOf(err); got != fault.Usage {
		t.Errorf("got kind %s, want usage", got)
	}
	_, err = c.Catalog.Location(t.Context())
	if got, want := err.Error(), file+":4: catalog.url: file:missing: no such file or directory"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCatalogFromASourceIsCheckedWhenRead(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.env["URL"] = "mysql://hunter2@h/db"
	_, err := h.load(t, "catalog: { url: env:URL }").Catalog.Location(t.Context())
	if err == nil || !strings.Contains(err.Error(), "catalog.url: env:URL: unknown scheme") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestInterruptedSecretIsNoFaultOfUsage(t *testing.T) {
	t.Parallel()
	c := newHost(t).load(t, "cloudflare: { api_token: \"cmd:exec sleep 60\" }")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Cloudflare.Token(ctx)
	if !errors.Is(err, context.Canceled) || fault.KindOf(err) == fault.Usage {
		t.Errorf("got %v of kind %s", err, fault.KindOf(err))
	}
}

func TestStoreCredentials(t *testing.T) {
	t.Parallel()
	type result struct {
		ID, Key, Session string
		Err              string
	}
	const keys = ", access_key_id: id, secret_access_key: key, session_token: env:SESSION }"
	for _, c := range []struct {
		name, file string
		want       result
	}{
		{"R2 derives them", "store: { url: \"r2://bucket\" }", result{}},
		{"R2 with keys", "store: { url: \"r2://bucket\"" + keys, result{ID: "id", Key: "key", Session: "session"}},
		{"S3 with keys", "store: { url: \"s3://bucket?region=a\"" + keys, result{ID: "id", Key: "key", Session: "session"}},
		{"S3 needs them", "store: { url: \"s3://bucket?region=a\" }", result{
			Err: "store.access_key_id is not set: set it in the configuration file, or PATINA_STORE_ACCESS_KEY_ID in the environment",
		}},
		{"a folder needs none", "store: { url: \"file:///srv\"" + keys, result{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.env["SESSION"] = "session"
			got, err := h.load(t, c.file).Store.Credentials(t.Context())
			is := result{ID: got.AccessKeyID, Key: got.SecretAccessKey.Reveal(), Session: got.Session.Reveal()}
			if err != nil {
				is.Err = err.Error()
			}
			if diff := cmp.Diff(c.want, is); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got.IsZero() != (c.want.ID == "") {
				t.Errorf("IsZero: got %v", got.IsZero())
			}
		})
	}
}

func TestCheckComplete(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	err := h.load(t, "cloudflare: { api_token: env:NOT_THERE }\ncatalog: { url: env:NOR_THIS }").CheckComplete(t.Context())
	got := strings.Split(strings.ReplaceAll(err.Error(), filepath.Join(h.dir, "patina.yaml"), "FILE"), "\n")
	want := []string{
		"cloudflare.account_id is not set: set it in the configuration file, or PATINA_CLOUDFLARE_ACCOUNT_ID or CLOUDFLARE_ACCOUNT_ID in the environment",
		"FILE:1: cloudflare.api_token: env:NOT_THERE: the variable is not set",
		"databases is not set: set it in the configuration file, or PATINA_DATABASES in the environment",
		"store.url is not set: set it in the configuration file, or PATINA_STORE_URL in the environment",
		"FILE:2: catalog.url: env:NOR_THIS: the variable is not set",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := fault.KindOf(err); got != fault.Usage {
		t.Errorf("got kind %s, want usage", got)
	}
	complete := h.load(t, "cloudflare: { account_id: a, api_token: b }\ndatabases: [c]\nstore: { url: \"file:///srv\" }")
	if err := complete.CheckComplete(t.Context()); err != nil {
		t.Errorf("got %v for a complete configuration", err)
	}
}

func TestCheckPermissions(t *testing.T) {
	t.Parallel()
	const literal, place = "cloudflare: { api_token: hunter2 }", "cloudflare: { api_token: file:token }"
	for _, c := range []struct {
		name, file    string
		config, token os.FileMode
		want          string
	}{
		{"private literal", literal, 0o600, 0o644, ""},
		{"literal for all to read", literal, 0o644, 0o600, "patina.yaml"},
		{"literal for the group to read", literal, 0o640, 0o600, "patina.yaml"},
		{"no secret in a file for all", place, 0o644, 0o600, ""},
		{"secret file for all to read", place, 0o600, 0o604, "token"},
		{"no password", "catalog: { url: \"postgres:///jobs?host=/run\" }", 0o644, 0o600, ""},
		{"password in a URL", "catalog: { url: \"postgres://a:b@h/jobs\" }", 0o644, 0o600, "patina.yaml"},
		{"password in a parameter", "catalog: { url: \"postgres://h/jobs?password=b\" }", 0o644, 0o600, "patina.yaml"},
		{"nothing set", "", 0o644, 0o644, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.write(t, "token", "hunter2")
			loaded := h.load(t, c.file)
			for name, mode := range map[string]os.FileMode{"patina.yaml": c.config, "token": c.token} {
				if err := os.Chmod(filepath.Join(h.dir, name), mode); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, p := range loaded.Check() {
				got = append(got, p.Hint)
			}
			var want []string
			if c.want != "" {
				want = []string{"chmod 600 " + filepath.Join(h.dir, c.want)}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestCheckOddities(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, want string }{
		{"deadline", "backup: { deadline: 10s }", "backup.deadline"},
		{"keys of a folder", "store: { url: \"file:///srv\", access_key_id: a, secret_access_key: env:B }", "store.access_key_id"},
		{"catalogue in the store", "store: { url: \"file:///srv\" }\ncatalog: { url: \"sqlite:///srv/x/jobs.db\" }", "catalog.url"},
		{"catalogue beside the store", "store: { url: \"file:///srv\" }\ncatalog: { url: \"sqlite:///srv-x/jobs.db\" }", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			for _, p := range newHost(t).load(t, c.file).Check() {
				got += p.Key
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
