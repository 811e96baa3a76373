package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/config"
)

func TestSelect(t *testing.T) {
	t.Parallel()
	type result struct {
		Picked    []config.Pick
		Unmatched []string
	}
	for _, c := range []struct {
		name, file string
		names      []string
		want       result
	}{
		{
			"by priority, then by the list, then by name",
			"databases: [{ name: stats, priority: low }, { name: \"tenant-*\" }, scout, { name: auth, priority: critical }, { name: engine, priority: high }]",
			[]string{"tenant-b", "scout", "auth", "other", "stats", "engine", "tenant-a"},
			result{Picked: []config.Pick{
				{Name: "auth", Priority: "critical"},
				{Name: "engine", Priority: "high"},
				{Name: "tenant-a", Priority: "normal"},
				{Name: "tenant-b", Priority: "normal"},
				{Name: "scout", Priority: "normal"},
				{Name: "stats", Priority: "low"},
			}},
		},
		{
			"a name beats a glob, the first glob the second",
			"databases: [{ glob: \"*\", priority: low }, { glob: \"a*\", priority: critical }, { name: a1, priority: high }]",
			[]string{"a1", "a2"},
			result{Picked: []config.Pick{{Name: "a1", Priority: "high"}, {Name: "a2", Priority: "low"}}},
		},
		{
			"exclude wins over globs",
			"databases: [\"*\"]\nexclude: [\"*-preview\", \"tmp-?\"]",
			[]string{"app", "app-preview", "tmp-1", "tmp-10"},
			result{Picked: []config.Pick{{Name: "app", Priority: "normal"}, {Name: "tmp-10", Priority: "normal"}}},
		},
		{
			"what matches nothing is named",
			"databases: [gone, \"old-*\", app, \"*-preview\"]\nexclude: [\"*-preview\"]",
			[]string{"app", "app-preview"},
			result{Picked: []config.Pick{{Name: "app", Priority: "normal"}}, Unmatched: []string{"gone", "old-*", "*-preview"}},
		},
		{"no database is configured", "", []string{"app"}, result{}},
		{"the account is empty", "databases: [\"*\"]", nil, result{Unmatched: []string{"*"}}},
		{"a glob without special characters", "databases: [{ glob: app }]\nexclude: [app]", []string{"app"}, result{Unmatched: []string{"app"}}},
		{"letters count", "databases: [App]", []string{"app"}, result{Unmatched: []string{"App"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			databases := newHost(t).load(t, c.file).Databases
			var got result
			got.Picked, got.Unmatched = databases.Select(c.names)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			var want []string
			for _, pick := range c.want.Picked {
				want = append(want, pick.Name)
			}
			names, unmatched := databases.SelectNames(c.names)
			if diff := cmp.Diff(want, names); diff != "" {
				t.Errorf("names (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(c.want.Unmatched, unmatched); diff != "" {
				t.Errorf("unmatched names (-want +got)\n%s", diff)
			}
		})
	}
}

func TestEntryKinds(t *testing.T) {
	t.Parallel()
	got := map[string]bool{}
	for _, e := range newHost(t).load(t, "databases: [app, \"app-*\", { name: \"a?\" }, { glob: plain }]").Databases.Entries {
		got[e.Name] = e.IsGlob()
	}
	want := map[string]bool{"app": false, "app-*": true, "a?": true, "plain": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
