package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/retention"
)

func TestRetentionOfADatabase(t *testing.T) {
	t.Parallel()
	c := newHost(t).load(t, `
retention:
  daily: 5
  monthly: 6
  overrides:
    - { name: ledger, weekly: 52, yearly: 7, keep_at_least: 3 }
    - { name: "tenant-*", daily: 2, monthly: 0 }
    - { glob: "*", weekly: 4 }
`)
	for database, want := range map[string]retention.Policy{
		"ledger":   {Daily: 5, Weekly: 52, Monthly: 6, Yearly: 7, KeepAtLeast: 3},
		"tenant-a": {Daily: 2, Weekly: 12, KeepAtLeast: 1},
		"shop":     {Daily: 5, Weekly: 4, Monthly: 6, KeepAtLeast: 1},
	} {
		if diff := cmp.Diff(want, c.Retention.Of(database)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", database, diff)
		}
	}
	shown := map[string]string{}
	for _, s := range c.Effective() {
		shown[s.Key] = s.Value
	}
	if got, want := shown["retention.overrides[0]"], "ledger (keep_at_least: 3, weekly: 52, yearly: 7)"; got != want {
		t.Errorf("it is shown as %q, want %q", got, want)
	}
}

func TestRetentionThatIsWrong(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.env["PATINA_RETENTION_OVERRIDES"] = "ledger"
	got := h.refuse(t, `retention:
  daily: 0
  weekly: 0
  keep_at_least: 0
  overrides:
    - ledger
    - { name: ledger }
    - { name: ledger, weekly: many }
    - { name: ledger, hourly: 1 }
    - { name: shop, daily: 0 }
    - { name: shop, daily: 3 }
    - { daily: 3 }
`)
	const nothing = "would keep nothing: of daily, weekly, monthly and yearly one at least must be above 0"
	want := []string{
		`FILE:4: retention.keep_at_least: "0": want a whole number from 1 to 10000`,
		`FILE:6: retention.overrides: want a mapping with a name and what is kept, found a single value`,
		`FILE:7: retention.overrides: an entry says nothing of what is kept: it is set in a file, as a mapping such as { name: ledger, weekly: 4 }`,
		`FILE:8: retention.overrides: weekly: "many": want a whole number from 0 to 10000`,
		`FILE:9: retention.overrides: unknown key "hourly" in an entry`,
		`FILE:11: retention.overrides: "shop" is listed twice, first at FILE:10`,
		`FILE:12: retention.overrides: want either name or glob in an entry`,
		`environment PATINA_RETENTION_OVERRIDES: retention.overrides: an entry says nothing of what is kept: it is set in a file, as a mapping such as { name: ledger, weekly: 4 }`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for file, want := range map[string]string{
		"retention: { overrides: [{ name: shop, daily: 0, weekly: 0 }] }": `FILE:1: retention.overrides: "shop" ` + nothing,
		"retention:\n  daily: 0\n  weekly: 0":                             `FILE:2: retention: ` + nothing,
	} {
		if diff := cmp.Diff([]string{want}, newHost(t).refuse(t, file)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

// TestRetentionSaysWhatItCosts has one database keep the archives of all.
func TestRetentionSaysWhatItCosts(t *testing.T) {
	t.Parallel()
	c := newHost(t).load(t, "retention: { overrides: [{ name: ledger, weekly: 52 }, { name: shop, weekly: 2 }] }")
	var told []string
	for _, p := range c.Check() {
		if p.Key == "retention.overrides" {
			told = append(told, string(p.Severity)+" "+p.Text)
		}
	}
	if len(told) != 1 || !strings.HasPrefix(told[0], `warning "ledger" is kept longer than the rest (weekly: 52)`) {
		t.Errorf("told %q", told)
	}
}
