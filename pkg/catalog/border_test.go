package catalog_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func TestCut(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 12, 8, 12, 0, 0, 999_999_999, time.FixedZone("", 9*3600))
	want := time.Date(2024, 12, 8, 3, 0, 0, 999_999_000, time.UTC)
	if got := catalog.Cut(at); got != want { // the zone counts here
		t.Errorf("Cut(%v) = %v, want %v", at, got, want)
	}
	if got := catalog.Cut(time.Time{}); !got.IsZero() {
		t.Errorf("Cut of the zero time = %v", got)
	}
}

func FuzzProse(f *testing.F) {
	seeds := []string{"", "plain", "ü\x00", "\xff\xfe", "\ufffd", "a\xc3", strings.Repeat("\x00", 9)}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := catalog.Prose(s)
		if !utf8.ValidString(got) || strings.ContainsRune(got, 0) {
			t.Errorf("Prose(%q) = %q cannot be stored", s, got)
		}
		if again := catalog.Prose(got); again != got {
			t.Errorf("Prose(%q) = %q, and then %q", s, got, again)
		}
		if catalog.CheckName("name", s) == nil && got != s {
			t.Errorf("Prose changes the good name %q", s)
		}
	})
}

func TestCheckBegin(t *testing.T) {
	t.Parallel()
	job := backup.NightJob(tick)
	for name, tt := range map[string]struct {
		job backup.Job
		run backup.Run
		ok  bool
	}{
		"good":             {job, backup.Run{ID: "aaaa", JobID: job.ID}, true},
		"job left out":     {job, backup.Run{ID: "aaaa"}, true},
		"another job's":    {job, backup.Run{ID: "aaaa", JobID: "other"}, false},
		"no run id":        {job, backup.Run{}, false},
		"no job id":        {backup.Job{}, backup.Run{ID: "aaaa"}, false},
		"endless job id":   {backup.Job{ID: strings.Repeat("x", 2000)}, backup.Run{ID: "aaaa"}, false},
		"NUL in a run id":  {job, backup.Run{ID: "a\x00"}, false},
		"no UTF-8 in a id": {job, backup.Run{ID: "\xff"}, false},
	} {
		if err := catalog.CheckBegin(tt.job, tt.run); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMax(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{-1: catalog.DefaultLimit, 0: catalog.DefaultLimit, 1: 1, 500: 500} {
		if got := (catalog.JobFilter{Limit: limit}).Max(); got != want {
			t.Errorf("Max of limit %d = %d, want %d", limit, got, want)
		}
	}
}
