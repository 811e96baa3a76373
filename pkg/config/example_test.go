package config

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const examplePath = "../../.patina.yaml.example"

func loadExample(t *testing.T) *Config {
	t.Helper()
	c, err := Load(LoadRequest{
		Path: examplePath, HomeDir: t.TempDir(),
		LookupEnv: func(string) (string, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestExampleLoads(t *testing.T) {
	t.Parallel()
	want := []Entry{
		{Name: "groveauth", Priority: PriorityCritical},
		{Name: "scout-db", Priority: PriorityHigh},
		{Name: "grove-engine-db", Priority: PriorityHigh},
		{Name: "autumnsgrove-posts", Priority: PriorityNormal},
		{Name: "autumnsgrove-git-stats", Priority: PriorityLow},
		{Name: "grove-domain-jobs", Priority: PriorityNormal},
	}
	got := loadExample(t).Databases.Entries
	for i := range got {
		got[i].at = origin{}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Entry{}, origin{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestExampleIsComplete compares the keys of the example with the table: the
// keys and their order, and above each its environment names and its default.
func TestExampleIsComplete(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.FromSlash(examplePath))
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	var got, want []string
	collect(document.Content[0], "", func(key, comment string) {
		got = append(got, key)
		comments[key] = comment
	})
	for _, d := range definitions() {
		want = append(want, d.key)
		comment := comments[d.key]
		if !strings.Contains(comment, d.env()) || !strings.Contains(comment, d.alias) {
			t.Errorf("%s: the comment lacks %s or %s:\n%s", d.key, d.env(), d.alias, comment)
		}
		if !strings.Contains(comment, "efault: "+d.fallback) && !strings.Contains(comment, "No default.") {
			t.Errorf("%s: the comment does not tell the default %q:\n%s", d.key, d.fallback, comment)
		}
		if d.secret != strings.HasPrefix(comment, "# Secret") {
			t.Errorf("%s: whether it is a secret is told wrongly:\n%s", d.key, comment)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-table +example)\n%s", diff)
	}
}

// collect visits the keys of a mapping with the comments above them.
func collect(node *yaml.Node, prefix string, visit func(key, comment string)) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		key := prefix + name.Value
		if value.Kind == yaml.MappingNode {
			collect(value, key+".", visit)
			continue
		}
		visit(key, name.HeadComment)
	}
}

// TestExampleShowsDefaults holds the values that the example spells out to
// those of the table.
func TestExampleShowsDefaults(t *testing.T) {
	t.Parallel()
	merged := loadExample(t).merged
	for _, d := range definitions() {
		if d.fallback == "" {
			continue
		}
		if g := merged[d.key]; g.at.source != fromFile || g.text.Reveal() != d.fallback {
			t.Errorf("%s: got %q (%s), want the default %q", d.key, g.text.Reveal(), g.at, d.fallback)
		}
	}
	if !slices.Contains(slices.Collect(maps.Keys(merged)), "store.url") {
		t.Error("the example names no store")
	}
}
