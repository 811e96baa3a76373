package backup_test

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

func day(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestNamesAndTheirKeys(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 12, 8, 10, 15, 2, 999, time.UTC)
	cases := []struct {
		name       backup.Name
		extensions []string
		manifest   string
		object     string
	}{
		{backup.Name{Database: "groveauth"}, nil, "daily/2024-12-08/groveauth.json", "daily/2024-12-08/groveauth.sql"},
		{backup.Name{Database: "groveauth"}, []string{".zst"}, "daily/2024-12-08/groveauth.json", "daily/2024-12-08/groveauth.sql.zst"},
		{
			backup.Name{Database: "groveauth", Suffix: backup.NewSuffix(at, "7f3a")},
			[]string{".gz", ".age"},
			"daily/2024-12-08/groveauth.101502Z-7f3a.json", "daily/2024-12-08/groveauth.101502Z-7f3a.sql.gz.age",
		},
		{backup.Name{Database: "a.b/c%d é"}, nil, "daily/2024-12-08/a%2Eb%2Fc%25d%20%C3%A9.json", "daily/2024-12-08/a%2Eb%2Fc%25d%20%C3%A9.sql"},
	}
	for _, c := range cases {
		c.name.Day = day(t, "2024-12-08")
		if got := c.name.Manifest(); got != c.manifest {
			t.Errorf("manifest is %q, want %q", got, c.manifest)
		}
		if got := c.name.Object(c.extensions...); got != c.object {
			t.Errorf("object is %q, want %q", got, c.object)
		}
		for key, ext := range map[string]string{c.manifest: "json", c.object: "sql" + strings.Join(c.extensions, "")} {
			name, gotExt, err := backup.ParseName(key)
			if err != nil || gotExt != ext {
				t.Errorf("ParseName(%q) = %q, %v; want %q", key, gotExt, err, ext)
			}
			if diff := cmp.Diff(c.name, name); diff != "" {
				t.Errorf("ParseName(%q) (-want +got):\n%s", key, diff)
			}
		}
	}
}

func TestForeignKeysAreNoNames(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"", "daily/", "daily/2024-12-08", "daily/2024-12-08/", "daily/2024-12-08/groveauth", "weekly/2024-W49.json",
		"daily/2024-13-08/a.sql", "daily/20241208/a.sql", "daily/2024-12-08/x/a.sql", "daily/2024-12-08/a.txt", "daily/2024-12-08/.sql",
		"daily/2024-12-08/a%2eb.sql", "daily/2024-12-08/%61.sql", "daily/2024-12-08/a b.sql", "daily/2024-12-08/a.101502Z-7f3a",
		"daily/2024-12-08/a.sql.bz2", "daily/2024-12-08/a.251502Z-7f3a.sql", "daily/2024-12-08/a.101502Z-xyz1.sql", "daily/2024-12-08/a.101502Z-7f.sql",
		"Daily/2024-12-08/a.sql", "daily/2024-12-08/a.json.sql",
	} {
		if name, ext, err := backup.ParseName(key); !errors.Is(err, backup.ErrKey) {
			t.Errorf("ParseName(%q) = %v, %q, %v; want ErrKey", key, name, ext, err)
		}
	}
}

// TestDaysOfKeysAreThoseOfTheCalendar holds the days of keys against time.Parse, for
// every day of a month in years with and without a leap day.
func TestDaysOfKeysAreThoseOfTheCalendar(t *testing.T) {
	t.Parallel()
	var days []string
	for _, year := range []string{"0000", "0001", "1900", "2000", "2023", "2024", "9999", "+024", "2 24", "٢٠"} {
		for month := range 14 {
			for d := range 33 {
				days = append(days, fmt.Sprintf("%s-%02d-%02d", year, month, d))
			}
		}
	}
	days = append(days, "2024-1-01", "2024-01-1", "2024/01/01", "2024-01/01", "2024-0a-01", "2024-01-01Z", "")
	for _, text := range days {
		want, wrong := time.Parse(time.DateOnly, text)
		name, _, err := backup.ParseName("daily/" + text + "/a.sql")
		if (wrong == nil) != (err == nil) || wrong == nil && !name.Day.Equal(want) {
			t.Errorf("%q is the day %s, %v; want %s, %v", text, name.Day, err, want, wrong)
		}
	}
}

func FuzzParseName(f *testing.F) {
	seeds := []string{
		"daily/2024-12-08/groveauth.sql", "daily/2024-12-08/a.101502Z-7f3a.json", "daily/2024-12-08/a%2Eb.sql.zst.age", "weekly/x", "",
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		name, ext, err := backup.ParseName(key)
		if err != nil {
			if !errors.Is(err, backup.ErrKey) {
				t.Fatalf("%q: %v does not wrap ErrKey", key, err)
			}
			return
		}
		// A key has one spelling: what parses is written the same again.
		again := name.Object(strings.TrimPrefix(ext, "sql"))
		if ext == "json" {
			again = name.Manifest()
		}
		if again != key {
			t.Errorf("%q parses as what is written %q", key, again)
		}
	})
}

func TestARunAnnouncesWhatItMayWriteAndNothingElse(t *testing.T) {
	t.Parallel()
	on := day(t, "2024-12-08")
	at := on.Add(3 * time.Hour)
	patterns := backup.Writes(on, "app", "7f3a")
	announced := func(key string) bool {
		for _, p := range patterns {
			ok, err := path.Match(p, key)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				return true
			}
		}
		return false
	}
	plain := backup.Name{Day: on, Database: "app"}
	own := backup.Name{Day: on, Database: "app", Suffix: backup.NewSuffix(at, "7f3a")}
	other := backup.Name{Day: on, Database: "app", Suffix: backup.NewSuffix(at, "beef")}
	longer := backup.Name{Day: on, Database: "app2"}
	for _, n := range []backup.Name{plain, own} {
		for _, key := range []string{n.Manifest(), n.Object(), n.Object(".zst")} {
			if !announced(key) {
				t.Errorf("%s is not announced", key)
			}
		}
	}
	for _, key := range []string{other.Manifest(), other.Object(), longer.Object(), longer.Manifest(), "daily/2024-12-09/app.sql"} {
		if announced(key) {
			t.Errorf("%s is announced", key)
		}
	}
}

func TestJobsAndTheirRecords(t *testing.T) {
	t.Parallel()
	tick := time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC)
	night := backup.NightJob(tick)
	if night.ID != "night-20241208T0300Z" || !night.IsNight() || night.Trigger != backup.TriggerSchedule {
		t.Errorf("the night's job is %+v", night)
	}
	manual := backup.NewJob(backup.TriggerManual, "why", tick.Add(7*time.Hour), "7f3a")
	if manual.ID != "manual-20241208T100000Z-7f3a" || manual.IsNight() {
		t.Errorf("a manual job is %+v", manual)
	}
	if strings.Contains(night.ID+manual.ID, ".") {
		t.Error("an id has a dot, which ends it in keys")
	}
	for key, want := range map[string]string{
		backup.BeginKey(night, "7f3a"):                                                               "jobs/2024-12-08/night-20241208T0300Z.7f3a.begin.json",
		backup.EndKey(night, "7f3a"):                                                                 "jobs/2024-12-08/night-20241208T0300Z.7f3a.end.json",
		backup.CapabilityKey(tick, "7f3a"):                                                           "records/capability/_store/20241208T030000Z-7f3a.json",
		backup.ProofKey(backup.Name{Day: tick, Database: "a"}, tick, "7f3a"):                         "records/proof/a/2024-12-08/20241208T030000Z-7f3a.json",
		backup.ProofKey(backup.Name{Day: tick, Database: "a", Suffix: "101502Z-7f3a"}, tick, "beef"): "records/proof/a/2024-12-08.101502Z-7f3a/20241208T030000Z-beef.json",
	} {
		if key != want {
			t.Errorf("key is %q, want %q", key, want)
		}
	}
	if !backup.IsEndKey(backup.EndKey(night, "7f3a")) || backup.IsEndKey(backup.BeginKey(night, "7f3a")) {
		t.Error("end records are not told from begin records")
	}
	if backup.IsRecordKey(backup.ProbeKey(tick, "7f3a")) || !backup.IsRecordKey(backup.CapabilityKey(tick, "7f3a")) {
		t.Error("records are not told from what a probe leaves")
	}
}

func TestParseTrigger(t *testing.T) {
	t.Parallel()
	for _, want := range []backup.Trigger{backup.TriggerManual, backup.TriggerSchedule, backup.TriggerDeploy} {
		if got, err := backup.ParseTrigger(string(want)); got != want || err != nil {
			t.Errorf("ParseTrigger(%q) = %q, %v", want, got, err)
		}
	}
	if _, err := backup.ParseTrigger("cron"); err == nil {
		t.Error("cron is taken for a trigger")
	}
}

func TestRunKeysAreRead(t *testing.T) {
	t.Parallel()
	job := backup.NightJob(time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC))
	want := backup.RunName{Day: job.Day, JobID: job.ID, RunID: "7f3a"}
	for key, isEnd := range map[string]bool{backup.BeginKey(job, "7f3a"): false, backup.EndKey(job, "7f3a"): true} {
		if got, end, err := backup.ParseRunKey(key); err != nil || got != want || end != isEnd {
			t.Errorf("ParseRunKey(%q) = %+v, %t, %v", key, got, end, err)
		}
	}
	for _, key := range []string{
		"", "jobs/", "jobs/2024-12-08", "jobs/2024-12-08/x.7f3a.json", "jobs/2024-12-08/x.7f3a.middle.json",
		"jobs/2024-12-08/.7f3a.end.json", "jobs/2024-13-08/x.7f3a.end.json", "daily/2024-12-08/x.7f3a.end.json",
		"jobs/2024-12-08/x.RUN1.end.json", "jobs/2024-12-08/x.7f3a.end.json.part",
	} {
		if got, _, err := backup.ParseRunKey(key); !errors.Is(err, backup.ErrKey) {
			t.Errorf("ParseRunKey(%q) = %+v, %v", key, got, err)
		}
	}
}

// TestProofsAreToldByTheirDay holds the keys of records against the day that
// their backup is of.
func TestProofsAreToldByTheirDay(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 12, 9, 1, 0, 0, 0, time.UTC)
	night := backup.Name{Day: day(t, "2024-12-08"), Database: "a.b/c"}
	manual := night
	manual.Suffix = backup.NewSuffix(at, "7f3a")
	for _, name := range []backup.Name{night, manual} {
		for _, key := range []string{backup.ProofKey(name, at, "7f3a"), backup.ArchivedProofKey(name, at, "7f3a")} {
			if !backup.IsProofOfDay(key, night.Day) || backup.IsProofOfDay(key, at) {
				t.Errorf("%s is not told as of its day alone", key)
			}
		}
	}
	week := backup.ArchiveName{Week: backup.WeekOf(at), Part: 1}
	for _, key := range []string{"", "daily/2024-12-08/a.json", backup.ArchiveProofKey(week, at, "7f3a")} {
		if backup.IsProofOfDay(key, night.Day) {
			t.Errorf("%q is told as a proof of the day", key)
		}
	}
}
