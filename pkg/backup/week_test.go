package backup_test

import (
	"encoding/json"
	"errors"
	"path"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

// TestWeeksAreThoseOfISO8601 holds every day of thirty years against the
// standard library, the turns of years among them.
func TestWeeksAreThoseOfISO8601(t *testing.T) {
	t.Parallel()
	first := day(t, "2014-12-20")
	for i := range 30 * 366 {
		at := first.AddDate(0, 0, i).Add(23 * time.Hour)
		week := backup.WeekOf(at)
		if at.Before(week.Monday()) || !at.Before(week.End()) || week.Monday().Weekday() != time.Monday {
			t.Fatalf("%s is in %s, which goes from %s to %s", at, week, week.Monday(), week.End())
		}
		if got, err := backup.ParseWeek(week.String()); err != nil || got != week {
			t.Fatalf("ParseWeek(%q) = %v, %v", week, got, err)
		}
		if days := week.Days(); len(days) != 7 || days[0] != week.Monday() || !week.End().After(days[6]) {
			t.Fatalf("the days of %s are %v", week, days)
		}
	}
}

func TestWeeksThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "2024", "2024-49", "2024-W", "2024-W0", "2024-W00", "2024-W53", "2024-W1", "24-W01", "2024-w49", "2024-W49 ", "+024-W49", "2024-W-1", "0000-W01"} {
		if week, err := backup.ParseWeek(text); err == nil {
			t.Errorf("ParseWeek(%q) = %s", text, week)
		}
	}
	if week, err := backup.ParseWeek("2020-W53"); err != nil || week.Monday() != day(t, "2020-12-28") {
		t.Errorf("2020-W53 is %v, %v", week, err)
	}
	var week backup.Week
	if err := json.Unmarshal([]byte(`"2024-W49"`), &week); err != nil || week != (backup.Week{Year: 2024, Number: 49}) {
		t.Errorf("out of JSON comes %v, %v", week, err)
	}
	if err := json.Unmarshal([]byte(`"2024-49"`), &week); err == nil {
		t.Error("2024-49 is read out of JSON")
	}
}

func TestArchivesAndTheirKeys(t *testing.T) {
	t.Parallel()
	week := backup.Week{Year: 2024, Number: 49}
	cases := []struct {
		name                  backup.ArchiveName
		manifest, plain, ours string
	}{
		{backup.ArchiveName{Week: week, Part: 1}, "weekly/2024-W49.json", "weekly/2024-W49.tar.gz", "weekly/2024-W49.7f3a.tar.gz"},
		{backup.ArchiveName{Week: week, Part: 2}, "weekly/2024-W49.2.json", "weekly/2024-W49.2.tar.gz", "weekly/2024-W49.2.7f3a.tar.gz"},
		{backup.ArchiveName{Week: week, Part: 999}, "weekly/2024-W49.999.json", "weekly/2024-W49.999.tar.gz", "weekly/2024-W49.999.7f3a.tar.gz"},
	}
	for _, c := range cases {
		if diff := cmp.Diff([]string{c.manifest, c.plain, c.ours}, []string{c.name.Manifest(), c.name.Object(""), c.name.Object("7f3a")}); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
		for key, ext := range map[string]string{c.manifest: "json", c.plain: "tar.gz", c.ours: "tar.gz"} {
			name, got, err := backup.ParseArchiveName(key)
			if err != nil || got != ext || name != c.name {
				t.Errorf("ParseArchiveName(%q) = %+v, %q, %v", key, name, got, err)
			}
			announced := false
			for _, pattern := range backup.ArchiveWrites(c.name, "7f3a") {
				if ok, err := path.Match(pattern, key); err == nil && ok {
					announced = true
				}
			}
			if !announced {
				t.Errorf("%q is not announced", key)
			}
		}
	}
}

func TestKeysThatAreNoArchives(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"", "weekly/", "weekly/2024-W49", "weekly/2024-W49.", "weekly/2024-W49.tar", "weekly/2024-W49.1.tar.gz",
		"weekly/2024-W49.02.tar.gz", "weekly/2024-W49.7f3a.json", "weekly/2024-W49.2.2.tar.gz", "weekly/2024-W99.json",
		"weekly/2024-12-08.tar.gz", "weekly/x/2024-W49.tar.gz", "daily/2024-W49.tar.gz", "weekly/2024-W49.tar.gz.age",
		"weekly/2024-W49.json.json", "weekly/2024-W49.json/",
	} {
		if name, ext, err := backup.ParseArchiveName(key); err == nil || !errors.Is(err, backup.ErrKey) {
			t.Errorf("ParseArchiveName(%q) = %+v, %q, %v", key, name, ext, err)
		}
	}
}
