package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func loadText(t *testing.T, text string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "patina.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(LoadRequest{Path: path, HomeDir: t.TempDir(), LookupEnv: func(string) (string, bool) { return "", false }})
}

func TestChecks(t *testing.T) {
	t.Parallel()
	c, err := loadText(t, `
checks:
  - "SELECT count(*) > 0 FROM users"
  - { name: groveauth, query: "select 1, 2" }
  - { glob: "tenant-*", query: "WITH x AS (SELECT 1) SELECT * FROM x" }
`)
	if err != nil {
		t.Fatal(err)
	}
	for database, want := range map[string][]string{
		"groveauth": {"SELECT count(*) > 0 FROM users", "select 1, 2"},
		"tenant-a":  {"SELECT count(*) > 0 FROM users", "WITH x AS (SELECT 1) SELECT * FROM x"},
		"other":     {"SELECT count(*) > 0 FROM users"},
	} {
		if diff := cmp.Diff(want, c.Checks.Of(database)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", database, diff)
		}
	}
}

func TestBadChecks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`checks: ["DELETE FROM users"]`:                "want a SELECT",
		`checks: [{ name: x }]`:                        "has no query",
		`checks: [{ query: "SELECT 1" }]`:              "either name or glob",
		`checks: [{ name: "[", query: "SELECT 1" }]`:   "[",
		`checks: [{ name: x, sql: "SELECT 1" }]`:       "unknown key",
		`checks: "SELECT 1"`:                           "want a list",
		`checks: [{ name: x, query: ["SELECT 1"] }]`:   "want a text",
		`checks: [{ name: x, query: "PRAGMA x" }]`:     "want a SELECT",
		`checks: [{ name: x, query: "", }]`:            "has no query",
		`checks: [{ name: x, query: "SELECTED ones"}]`: "want a SELECT",
	} {
		if _, err := loadText(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want one with %q", text, err, want)
		}
	}
}
