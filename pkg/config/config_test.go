package config_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/config"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/retention"
)

// host is what a process knows: an environment, flags and folders.
type host struct {
	env   map[string]string
	flags map[string]string
	dir   string
}

func newHost(t *testing.T) *host {
	t.Helper()
	return &host{env: map[string]string{}, dir: t.TempDir()}
}

func (h *host) write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (h *host) request(path string) config.LoadRequest {
	return config.LoadRequest{
		Path: path, Flags: h.flags,
		LookupEnv: func(name string) (string, bool) { value, set := h.env[name]; return value, set },
		Environ: func() []string {
			var all []string
			for name, value := range h.env {
				all = append(all, name+"="+value)
			}
			return all
		},
		WorkDir: filepath.Join(h.dir, "work"), HomeDir: filepath.Join(h.dir, "home"),
	}
}

// load loads a file of the given content, which must be right.
func (h *host) load(t *testing.T, content string) *config.Config {
	t.Helper()
	c, err := config.Load(h.request(h.write(t, "patina.yaml", content)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// refuse loads a file of the given content, which must be wrong, and returns
// the lines of the error, with the file's path as FILE.
func (h *host) refuse(t *testing.T, content string) []string {
	t.Helper()
	path := h.write(t, "patina.yaml", content)
	_, err := config.Load(h.request(path))
	if err == nil {
		t.Fatal("got no error")
	}
	if got := fault.KindOf(err); got != fault.Usage {
		t.Errorf("got kind %s, want %s", got, fault.Usage)
	}
	return strings.Split(strings.ReplaceAll(err.Error(), path, "FILE"), "\n")
}

// setting finds what Effective tells of a key.
func setting(t *testing.T, c *config.Config, key string) config.Setting {
	t.Helper()
	for _, s := range c.Effective() {
		if s.Key == key {
			return s
		}
	}
	t.Fatalf("no setting %q", key)
	return config.Setting{}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c := h.load(t, "")
	if got, want := c.Backup.Concurrency, 3; got != want {
		t.Errorf("concurrency: got %d, want %d", got, want)
	}
	if got, want := c.Backup.ExportTimeout, 30*time.Second; got != want {
		t.Errorf("export timeout: got %s, want %s", got, want)
	}
	if got, want := c.Backup.Deadline, 2*time.Hour; got != want {
		t.Errorf("deadline: got %s, want %s", got, want)
	}
	if got, want := string(c.Backup.Compression), "none"; got != want {
		t.Errorf("compression: got %s, want %s", got, want)
	}
	if got, want := c.Schedule, (config.Schedule{Nightly: "0 3 * * *", Weekly: "0 4 * * 0"}); got != want {
		t.Errorf("schedule: got %v, want %v", got, want)
	}
	if got, want := c.Retention.Of("any"), (retention.Policy{Daily: 7, Weekly: 12, KeepAtLeast: 1}); got != want {
		t.Errorf("retention: got %v, want %v", got, want)
	}
	if got, want := c.Cloudflare.APIBaseURL, "https://api.cloudflare.com/client/v4"; got != want {
		t.Errorf("API: got %s, want %s", got, want)
	}
	location, err := c.Catalog.Location(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := location.Path, filepath.Join(h.dir, "home", ".local", "state", "patina", "catalog.sqlite"); got != want {
		t.Errorf("catalogue: got %s, want %s", got, want)
	}
}

func TestEverythingWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.env["PATINA_BACKUP_CONCURENCY"] = "4"
	h.env["PATINA_RETENTION_DAILY"] = "many"
	h.env["PATINA_TEST_ANYTHING"] = "ignored"
	h.env["DATABASE_URL"] = "ignored"
	h.flags = map[string]string{"backup.compression": "brotli"}
	got := h.refuse(t, `cloudflare:
  api_tokn: secretsecret
databases:
  - groveauth
  - { name: scout-db, priority: urgent }
  - groveauth
  - { nam: x }
  - "a[b"
backup:
  export_timeout: 30
  export_timeout: 31s
  concurrency: [1]
api_token: elsewhere
Store: {}
schedule: nightly
retention: { weekly: -1 }
`)
	want := []string{
		`FILE:2: unknown key "cloudflare.api_tokn": did you mean cloudflare.api_token?`,
		`FILE:5: databases: priority "urgent": want critical, high, normal or low`,
		`FILE:6: databases: "groveauth" is listed twice, first at FILE:4`,
		`FILE:7: databases: unknown key "nam" in an entry: did you mean name?`,
		`FILE:8: databases: "a[b": bad glob: a "[" is not closed, or a "\" stands at the end`,
		`FILE:10: backup.export_timeout: "30": the unit is missing: want a duration such as 30s, 10m or 2h`,
		`FILE:11: key "backup.export_timeout" is given twice, first in line 10`,
		`FILE:12: backup.concurrency: want a single value, found a list`,
		`FILE:13: unknown key "api_token": did you mean cloudflare.api_token?`,
		`FILE:14: unknown key "Store": did you mean store?`,
		`FILE:15: schedule: want a mapping of keys to values, found a single value`,
		`FILE:16: retention.weekly: "-1": want a whole number from 0 to 10000`,
		`environment PATINA_BACKUP_CONCURENCY: there is no setting of this name: did you mean PATINA_BACKUP_CONCURRENCY?`,
		`environment PATINA_RETENTION_DAILY: retention.daily: "many": want a whole number from 0 to 10000`,
		`flag --compression: backup.compression: unknown compression "brotli": want none, gzip or zstd`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestOneThingWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, want string }{
		{"hidden by nothing", "backup: { deadline: -2h }", `FILE:1: backup.deadline: "-2h": want a duration above zero such as 30s, 10m or 2h`},
		{"seconds", "schedule: { nightly: \"0 0 3 * * *\" }", `FILE:1: schedule.nightly: "0 0 3 * * *": want the five fields of a cron expression: minute hour day month weekday`},
		{"no such day", "schedule: { nightly: \"0 3 30 2 *\" }", `FILE:1: schedule.nightly: "0 3 30 2 *": not a cron expression, or one that never comes`},
		{"bad hour", "schedule: { weekly: \"0 25 * * 0\" }", `FILE:1: schedule.weekly: "0 25 * * 0": not a cron expression, or one that never comes`},
		{"forgotten space", "cloudflare: { api_token:abcdef }", `FILE:1: unknown key "cloudflare.api_token...": did you mean cloudflare.api_token?`},
		{"text for a section", "cloudflare: hunter2hunter2", "FILE:1: cloudflare: want a mapping of keys to values, found a single value"},
		{"alias", "cloudflare: { api_token: *hunter2hunter2 }", "FILE:1: not YAML: unknown anchor '...' referenced"},
		{"anchor", "store: &a { prefix: x }\ncatalog: *a", "FILE:2: catalog: want a mapping of keys to values, found an alias (a text that begins with \"*\" is written in quotes)"},
		{"bool", "store: { prefix: true }", "FILE:1: store.prefix: want a single value, found true or false (a text is written in quotes)"},
		{"tag", "store: { prefix: !x y }", "FILE:1: store.prefix: want a single value, found a value with a tag of its own (a text that begins with \"!\" is written in quotes)"},
		{"two documents", "store: { prefix: a }\n---\nstore: { prefix: b }", "FILE:2: a second document begins here: a configuration is one"},
		{"dotted key", "store.url: file:///a", `FILE:1: unknown key "store.url": did you mean store.url, with "url" under "store:"?`},
		{"named and excluded", "databases: [app, app-preview]\nexclude: [\"*-preview\"]", `FILE:1: databases: "app-preview" is listed by name, and excluded by "*-preview" at FILE:2`},
		{"excluded twice", "exclude: [\"a*\", \"a*\"]", `FILE:1: exclude: "a*" is listed twice`},
		{"mapping in exclude", "exclude: [{ name: a }]", `FILE:1: exclude: want a name or a glob, found a mapping`},
		{"name and glob", "databases: [{ name: a, glob: b }]", `FILE:1: databases: want either name or glob in an entry`},
		{"no name", "databases: [{ priority: low }]", `FILE:1: databases: want either name or glob in an entry`},
		{"empty name", "databases: [\"\"]", `FILE:1: databases: an entry is empty`},
		{"text for a list", "databases: app", `FILE:1: databases: want a list, found a single value`},
		{"half of the keys", "store: { access_key_id: a }", "FILE:1: store.access_key_id: is set, but store.secret_access_key is not"},
		{"other half", "store: { secret_access_key: a }", "FILE:1: store.secret_access_key: is set, but store.access_key_id is not"},
		{"prefix", "store: { prefix: ../up }", `FILE:1: store.prefix: "../up": want folders of letters, digits and - _ . with single slashes between`},
		{"account", "cloudflare: { account_id: a/b }", "FILE:1: cloudflare.account_id: not an account id: want the 32 hexadecimal digits that the dashboard shows"},
		{"API in clear", "cloudflare: { api_base_url: \"http://example.com\" }", "FILE:1: cloudflare.api_base_url: http:// is for this machine only (127.0.0.1, ::1, localhost): want https://"},
		{"source", "cloudflare: { api_token: \"env:\" }", "FILE:1: cloudflare.api_token: env: names nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff([]string{c.want}, newHost(t).refuse(t, c.file)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestValueHiddenByAStrongerOneIsCheckedToo(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.env["PATINA_BACKUP_CONCURRENCY"] = "5"
	got := h.refuse(t, "backup: { concurrency: five }")
	want := []string{`FILE:1: backup.concurrency: "five": want a whole number from 1 to 32`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestOrigins gives one key to each source more, and looks who wins.
func TestOrigins(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const key = "backup.export_timeout"
	got := []config.Setting{setting(t, h.load(t, ""), key)}
	const file = "backup:\n  export_timeout: 1s\n"
	got = append(got, setting(t, h.load(t, file), key))
	h.env["PATINA_BACKUP_EXPORT_TIMEOUT"] = "2s"
	got = append(got, setting(t, h.load(t, file), key))
	h.flags = map[string]string{key: "3s"}
	c := h.load(t, file)
	got = append(got, setting(t, c, key))
	want := []config.Setting{
		{Key: key, Value: "30s", Origin: "default"},
		{Key: key, Value: "1s", Origin: filepath.Join(h.dir, "patina.yaml") + ":2"},
		{Key: key, Value: "2s", Origin: "environment PATINA_BACKUP_EXPORT_TIMEOUT"},
		{Key: key, Value: "3s", Origin: "flag --export-timeout"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, want := c.Backup.ExportTimeout, 3*time.Second; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEnvironmentAlone(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	maps.Copy(h.env, map[string]string{
		"CLOUDFLARE_ACCOUNT_ID":          "wrangler",
		"PATINA_CLOUDFLARE_ACCOUNT_ID":   "patina",
		"CLOUDFLARE_API_TOKEN":           "file:looks-like-a-file",
		"PATINA_DATABASES":               "groveauth, tenant-*",
		"PATINA_EXCLUDE":                 "*-preview",
		"PATINA_STORE_URL":               "r2://grove-patina?jurisdiction=eu",
		"PATINA_STORE_PREFIX":            "",
		"PATINA_BACKUP_CONCURRENCY":      "7",
		"PATINA_STORE_ACCESS_KEY_ID":     "id",
		"PATINA_STORE_SECRET_ACCESS_KEY": "env:OTHER",
		"OTHER":                          "key",
	})
	c := h.load(t, "")
	if got, want := c.Cloudflare.AccountID, "patina"; got != want {
		t.Errorf("account: got %s, want %s", got, want)
	}
	token, err := c.Cloudflare.Token(t.Context())
	if err != nil || token.Reveal() != "file:looks-like-a-file" {
		t.Errorf("token: got %q, %v", token.Reveal(), err)
	}
	credentials, err := c.Store.Credentials(t.Context())
	if err != nil || credentials.SecretAccessKey.Reveal() != "key" || !credentials.Session.IsZero() {
		t.Errorf("credentials: got %q, %v", credentials.SecretAccessKey.Reveal(), err)
	}
	if got, want := setting(t, c, "databases[1]"), (config.Setting{Key: "databases[1]", Value: "tenant-* (normal)", Origin: "environment PATINA_DATABASES"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := setting(t, c, "cloudflare.api_token"), (config.Setting{Key: "cloudflare.api_token", Value: "[redacted]", Origin: "environment CLOUDFLARE_API_TOKEN"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
