package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/catalogtest/pgtest"
)

// TestTwoHostsShareOneNight has cron start the night on both hosts at once. No
// export begins before both hosts asked for one, so both have a part in it.
func TestTwoHostsShareOneNight(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]storeKind{"folder": folderStore, "s3": s3Store} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databases := []string{"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota"}
			f := newFleet(t, kind, databases...)
			f.env["PATINA_BACKUP_CONCURRENCY"] = "2"
			f.meetAtTheFirstExport()
			a, b := f.on(hostA, processOptions{}, night()...), f.on(hostB, processOptions{}, night()...)
			a.silently()
			b.silently()

			byA, byB := f.doors[hostA].exports(), f.doors[hostB].exports()
			if len(byA) == 0 || len(byB) == 0 {
				t.Errorf("%s exported %v and %s exported %v: want both to have a part", hostA, byA, hostB, byB)
			}
			slices.Sort(databases)
			if all := slices.Sorted(slices.Values(append(slices.Clone(byA), byB...))); !slices.Equal(all, databases) {
				t.Errorf("exported were %v, want each once", all)
			}
			if n := f.doors[hostA].refusals() + f.doors[hostB].refusals(); n != 0 {
				t.Errorf("D1 refused %d exports: two ran at once", n)
			}
			if n := countExports(f.d1); n != len(databases) {
				t.Errorf("%d dumps were downloaded, want %d", n, len(databases))
			}
			by := map[string]string{}
			for _, name := range byA {
				by[name] = hostA
			}
			for _, name := range byB {
				by[name] = hostB
			}
			job := f.wantWhole(0, by)
			if len(job.Runs) != 2 || !slices.Equal(runsOf(job, hostA), []catalog.RunStatus{catalog.RunSucceeded}) ||
				!slices.Equal(runsOf(job, hostB), []catalog.RunStatus{catalog.RunSucceeded}) {
				t.Errorf("the runs are %+v, want one of each host that succeeded", job.Runs)
			}
		})
	}
}

// TestANightIsFinishedByAnotherHost kills the host that holds a database. As
// long as its lease lives, the other host takes what is free and leaves the
// rest in good hands; then it finishes the night.
func TestANightIsFinishedByAnotherHost(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		// at is the point of its death; empty is amid the export.
		at string
		// unfinished is how many objects without a manifest it leaves.
		unfinished int
		// published says that it had published the database by then.
		published bool
	}{
		"amid the export":            {},
		"amid the dump":              {at: "amid put daily/*/alpha.sql 1"},
		"before the dump is stored":  {at: "before put daily/*/alpha.sql"},
		"between dump and manifest":  {at: "after put daily/*/alpha.sql", unfinished: 1},
		"before the manifest stands": {at: "before put daily/*/alpha.json", unfinished: 1},
		"after the manifest":         {at: "after put daily/*/alpha.json", published: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, folderStore, "alpha", "beta", "gamma")
			f.killedAt(c.at)

			done, by, exported := []string{"beta", "gamma"}, hostB, []string{"alpha", "beta", "gamma"}
			if c.published {
				done, by, exported = exported, hostA, done
			}
			f.on(hostB, processOptions{}, night()...).silently()
			f.wantHeldByTheDead(1, done)
			f.on(hostB, processOptions{}, night()...).silently()
			if !c.published {
				f.wantHeldByTheDead(2, done)
			}

			f.expire(hostA)
			if told := runsOf(f.nightJob(), hostA); !slices.Equal(told, []catalog.RunStatus{catalog.RunLost}) {
				t.Errorf("the killed run is told as %v", told)
			}
			f.on(hostB, processOptions{}, night()...).silently()
			job := f.wantWhole(c.unfinished, map[string]string{"alpha": by, "beta": hostB, "gamma": hostB})
			if got := runsOf(job, hostA); !slices.Equal(got, []catalog.RunStatus{catalog.RunLost}) {
				t.Errorf("the killed run is told as %v", got)
			}
			if got := f.doors[hostB].exports(); !slices.Equal(got, exported) {
				t.Errorf("%s exported %v, want %v", hostB, got, exported)
			}
			if got := f.doors[hostA].exports(); !slices.Equal(got, []string{"alpha"}) {
				t.Errorf("%s exported %v before it died", hostA, got)
			}
		})
	}
}

// TestAHostThatDiesAtTheEnd had published everything, and could not say so any
// more: the next call says it.
func TestAHostThatDiesAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at string
		// ended says that the catalogue knew of the run's end by then.
		ended bool
	}{
		"after the last manifest": {at: "after put daily/*/beta.json"},
		"before the end record":   {at: "before put jobs/*/*.end.json", ended: true},
		"after the end record":    {at: "after put jobs/*/*.end.json", ended: true},
	} {
		for _, next := range []string{hostA, hostB} {
			t.Run(name+"/then "+next, func(t *testing.T) {
				t.Parallel()
				f := newFleet(t, folderStore, "alpha", "beta")
				f.killedAt(c.at)
				f.on(next, processOptions{}, night()...).silently()
				if !c.ended {
					f.expire(hostA)
				}
				f.wantWhole(0, map[string]string{"alpha": hostA, "beta": hostA})
				if got := f.doors[next].exports(); next == hostB && len(got) != 0 {
					t.Errorf("%s exported %v", next, got)
				}
			})
		}
	}
}

// TestTheSameHostTakesOverAtOnce does not wait for the lease of a process that
// it can see is no more.
func TestTheSameHostTakesOverAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, folderStore, "alpha", "beta")
	f.killedAt("before put daily/*/alpha.sql")
	f.on(hostA, processOptions{}, night()...).silently()
	if published := f.manifests(); len(published) != len(f.ids) {
		t.Errorf("%d backups, want %d", len(published), len(f.ids))
	}
	f.expire(hostA)
	f.wantWhole(0, map[string]string{"alpha": hostA, "beta": hostA})
}

// wantHeldByTheDead holds the state in which the databases named are done, and
// what a host holds that was killed just now is left to it, after a number of
// runs of the other host.
func (f *fleet) wantHeldByTheDead(runs int, done []string) {
	f.t.Helper()
	if got := slices.Sorted(maps.Keys(f.manifests())); !slices.Equal(got, done) {
		f.t.Errorf("backups are there of %v, want %v", got, done)
	}
	job := f.nightJob()
	if job.Status != catalog.JobRunning {
		f.t.Errorf("the job is %s, want running", job.Status)
	}
	if got := runsOf(job, hostB); len(got) != runs || slices.ContainsFunc(got, func(s catalog.RunStatus) bool { return s != catalog.RunSucceeded }) {
		f.t.Errorf("the runs of %s are %v, want %d that succeeded", hostB, got, runs)
	}
	const held = `SELECT owner_host FROM patina.leases WHERE released_at IS NULL AND expires_at > clock_timestamp()`
	if owner := pgtest.Query[string](f.t, f.postgres, held); owner != hostA {
		f.t.Errorf("the lease is held by %s, want %s", owner, hostA)
	}
}

// A suspension is a point at which a process is stopped, and what is so when
// another host took its work over before it wakes.
type suspension struct {
	// at is the point; empty is amid the export.
	at string
	// published says that it had published its database by then, ended that the
	// catalogue knew of its end.
	published, ended bool
}

func suspensions() map[string]suspension {
	return map[string]suspension{
		"amid the export":            {},
		"before the dump is stored":  {at: "before put daily/*/alpha.sql"},
		"amid the dump":              {at: "amid put daily/*/alpha.sql 1"},
		"between dump and manifest":  {at: "after put daily/*/alpha.sql"},
		"before the manifest stands": {at: "before put daily/*/alpha.json"},
		"after the manifest":         {at: "after put daily/*/alpha.json", published: true},
		"before the end record":      {at: "before put jobs/*/*.end.json", published: true, ended: true},
		"after the end record":       {at: "after put jobs/*/*.end.json", published: true, ended: true},
	}
}

// TestAHostThatWakesHarmsNothing suspends the host that holds a database until
// another has finished the night, and then lets it go on, with its connections
// to Postgres gone: it finds everything done, changes nothing but what is its
// own, and ends well.
func TestAHostThatWakesHarmsNothing(t *testing.T) {
	t.Parallel()
	for kindName, kind := range map[string]storeKind{"folder": folderStore, "s3": s3Store} {
		for name, c := range suspensions() {
			if kindName == "s3" && !strings.HasPrefix(c.at, "before put daily/") && !strings.HasPrefix(c.at, "after put daily/") {
				continue // the store has no part in it
			}
			t.Run(kindName+"/"+name, func(t *testing.T) {
				t.Parallel()
				f := newFleet(t, kind, "alpha", "beta", "gamma")
				a := f.suspendedAt(c.at)
				if !c.ended {
					f.expire(hostA)
				}
				f.disconnect()
				f.on(hostB, processOptions{}, night()...).silently()
				finished, published, fences := f.objects(), f.manifests(), f.fences()
				if len(published) != len(f.ids) {
					t.Fatalf("%s finished the night with %d backups", hostB, len(published))
				}

				a.resume()
				a.silently()
				f.wantUnchanged(finished, published)
				if got := f.fences(); got["alpha"] != fences["alpha"] {
					t.Errorf("the lease was taken %d times, and %d after the other host woke", fences["alpha"], got["alpha"])
				}
				by := map[string]string{"alpha": hostB}
				if c.published {
					by["alpha"] = hostA
				}
				job := f.wantWhole(0, by)
				if got := runsOf(job, hostA); !slices.Equal(got, []catalog.RunStatus{catalog.RunSucceeded}) {
					t.Errorf("the run that woke is told as %v", got)
				}
			})
		}
	}
}

// TestAHostThatWakesAfterItsDeadline was suspended for longer than one database
// may take. It could not do its work any more, and says so; but the night is
// done, and so is it.
func TestAHostThatWakesAfterItsDeadline(t *testing.T) {
	t.Parallel()
	const deadline = 12 * time.Second
	f := newFleet(t, folderStore, "alpha", "beta")
	f.env["PATINA_BACKUP_DEADLINE"] = deadline.String()
	a := f.suspendedAt("before put daily/*/alpha.sql")
	passed := time.After(deadline)
	f.expire(hostA)
	f.on(hostB, processOptions{}, night()...).silently()
	finished, published := f.objects(), f.manifests()

	<-passed
	a.resume()
	got := a.ends(0)
	said := regexp.MustCompile(`^patina: warning: alpha: not done within the deadline of 12s.*; another run of this night, on host-b, has its backup\n$`)
	if got.stdout != "" || !said.MatchString(got.stderr) {
		t.Errorf("it says\n%s%s", got.stdout, got.stderr)
	}
	f.wantUnchanged(finished, published)
	f.wantWhole(0, map[string]string{"alpha": hostB, "beta": hostB})
}

// TestAHostThatWakesWhileAnotherWorks lets the suspended host go on while the
// other one, which took the lease over, is about to export: the first manifest
// counts, the lease stays with who took it, and both end well.
func TestAHostThatWakesWhileAnotherWorks(t *testing.T) {
	t.Parallel()
	cases := suspensions()
	maps.DeleteFunc(cases, func(_ string, c suspension) bool { return c.published })
	if len(cases) < 4 {
		t.Fatalf("%d cases", len(cases))
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, folderStore, "alpha", "beta", "gamma")
			a := f.suspendedAt(c.at)
			f.expire(hostA)
			asked, release := f.doors[hostB].stop(true)
			defer release()
			b := f.on(hostB, processOptions{}, night()...)
			within(t, "the other host is about to export", asked)

			fences := f.fences()
			a.resume()
			a.silently()
			const held = `SELECT owner_host FROM patina.leases WHERE released_at IS NULL AND expires_at > clock_timestamp()`
			if owner := pgtest.Query[string](t, f.postgres, held); owner != hostB {
				t.Errorf("the lease is held by %s, want %s", owner, hostB)
			}
			if got := f.fences(); got["alpha"] != fences["alpha"] || got["alpha"] != 2 {
				t.Errorf("the lease was taken %d times, and %d after the other host woke; want 2", fences["alpha"], got["alpha"])
			}
			published := f.manifests()
			if len(published) != len(f.ids) {
				t.Errorf("the host that woke left %d backups", len(published))
			}
			release()
			b.silently()
			job := f.wantWhole(0, map[string]string{"alpha": hostA, "beta": hostA, "gamma": hostA})
			for _, host := range []string{hostA, hostB} {
				if got := runsOf(job, host); !slices.Equal(got, []catalog.RunStatus{catalog.RunSucceeded}) {
					t.Errorf("the run on %s is told as %v", host, got)
				}
			}
		})
	}
}

// TestAManualRunWaitsForAHeldDatabase asks for a backup of a database that a
// night is at work on, on another host: it is taken when that is done, under
// its own key.
func TestAManualRunWaitsForAHeldDatabase(t *testing.T) {
	t.Parallel()
	f := newFleet(t, folderStore, "alpha")
	asked, release := f.doors[hostA].stop(true)
	defer release()
	a := f.on(hostA, processOptions{}, night()...)
	within(t, "the night is about to export", asked)

	b := f.on(hostB, processOptions{}, "backup", "alpha", "--reason", "before the migration", "--lock-wait", "10m")
	f.waitsFor("manual")
	release()
	a.silently()
	if got := b.ends(0); got.stdout+got.stderr != "" {
		t.Errorf("it printed:\n%s%s", got.stdout, got.stderr)
	}
	if n := f.doors[hostA].refusals() + f.doors[hostB].refusals(); n != 0 {
		t.Errorf("D1 refused %d exports: two ran at once", n)
	}
	listed := decode[listJSON](t, f.patina(0, "list", "-o", "json").stdout)
	if len(listed.Backups) != 2 || len(listed.Unfinished)+len(listed.Foreign) != 0 {
		t.Fatalf("listed is %+v, want two backups and nothing else", listed)
	}
	manual, nightly := listed.Backups[0], listed.Backups[1]
	if manual.Trigger != backup.TriggerManual || manual.Reason != "before the migration" || nightly.Trigger != backup.TriggerSchedule ||
		manual.Object == nightly.Object || !strings.HasSuffix(nightly.Object, "/alpha.sql") {
		t.Errorf("listed are\n%+v\n%+v", manual, nightly)
	}
	f.wantDone()
}

// TestAManualRunTakesOverFromADeadHost waits for a database whose holder was
// killed, until the lease expires.
func TestAManualRunTakesOverFromADeadHost(t *testing.T) {
	t.Parallel()
	f := newFleet(t, folderStore, "alpha")
	f.killedAt("before put daily/*/alpha.sql")
	b := f.on(hostB, processOptions{}, "backup", "alpha", "--lock-wait", "10m")
	f.waitsFor("manual")
	if got := f.doors[hostB].exports(); len(got) != 0 {
		t.Errorf("%v was exported while it was held", got)
	}
	f.expire(hostA)
	b.silently()
	f.on(hostB, processOptions{}, night()...).silently()
	if listed := decode[listJSON](t, f.patina(0, "list", "-o", "json").stdout); len(listed.Backups) != 2 {
		t.Errorf("%d backups are listed, want the manual one and the night's", len(listed.Backups))
	}
}

// TestAManualRunGivesUpWaiting ends with 11 where nothing else was asked for,
// and with 3 where another database was backed up.
func TestAManualRunGivesUpWaiting(t *testing.T) {
	t.Parallel()
	f := newFleet(t, folderStore, "alpha", "beta", "gamma")
	asked, release := f.doors[hostA].stop(true)
	defer release()
	a := f.on(hostA, processOptions{}, night()...)
	within(t, "the night is about to export", asked)
	holder := f.nightJob()
	says := regexp.MustCompile(fmt.Sprintf(`(?m)^- alpha: waited \d+s: held by run %s of %s \(process %d on %s\) since `+
		`\d{4}-\d\d-\d\dT[0-9:]{8}Z$`, holder.Runs[0].ID, holder.ID, a.Process.Pid, hostA))
	const hint = "patina: hint: patina status tells how far it is; --lock-wait waits longer\n"

	only := f.on(hostB, processOptions{}, "backup", "alpha", "--lock-wait", "1s").ends(11)
	if !says.MatchString(only.stderr) || !strings.HasSuffix(only.stderr, hint) || !strings.HasPrefix(only.stderr, "Databases: 0/1 successful\n") {
		t.Errorf("it says\n%swant\n%s", only.stderr, says)
	}
	some := f.on(hostB, processOptions{}, "backup", "alpha", "beta", "--lock-wait", "1s").ends(3)
	if !says.MatchString(some.stderr) || !strings.HasPrefix(some.stderr, "Databases: 1/2 successful\n") {
		t.Errorf("it says\n%swant\n%s", some.stderr, says)
	}
	type document struct {
		ExitStatus int      `json:"exitStatus"`
		Faults     []string `json:"faults"`
		Databases  []struct{ Name, Result, Error string }
	}
	doc := decode[document](t, f.on(hostB, processOptions{}, "backup", "alpha", "-o", "json", "--lock-wait", "0s").ends(11).stdout)
	if doc.ExitStatus != 11 || !slices.Equal(doc.Faults, []string{"held", "failed"}) || len(doc.Databases) != 1 || doc.Databases[0].Result != "held" {
		t.Errorf("as JSON it says %+v", doc)
	}
	release()
	a.silently()
	f.wantDone()
	if listed := decode[listJSON](t, f.patina(0, "list", "-o", "json").stdout); len(listed.Backups) != len(f.ids)+1 {
		t.Errorf("%d backups are listed, want the night's and one manual", len(listed.Backups))
	}
}

// TestANightWaitsForAManualRun takes its own backup of a database that a
// manual run on another host is at work on, when that is done.
func TestANightWaitsForAManualRun(t *testing.T) {
	t.Parallel()
	f := newFleet(t, folderStore, "alpha")
	asked, release := f.doors[hostB].stop(true)
	defer release()
	b := f.on(hostB, processOptions{}, "backup", "alpha")
	within(t, "the manual run is about to export", asked)
	a := f.on(hostA, processOptions{}, night()...)
	f.waitsFor("night")
	if got := f.doors[hostA].exports(); len(got) != 0 {
		t.Errorf("%v was exported while it was held", got)
	}
	release()
	b.silently()
	a.silently()
	if listed := decode[listJSON](t, f.patina(0, "list", "-o", "json").stdout); len(listed.Backups) != 2 {
		t.Errorf("%d backups are listed, want the night's and the manual one", len(listed.Backups))
	}
	f.wantDone()
}

// TestAWrongClockChangesNothing has both hosts take the night at once, of which
// one has a clock that is off by 10 minutes: so that, going by it, it would be
// the night before or the one after.
func TestAWrongClockChangesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range wrongClocks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, folderStore, "alpha", "beta", "gamma")
			night := f.nightAround(c)
			f.meetAtTheFirstExport()
			before := time.Now().Add(-time.Second)
			wrong := processOptions{now: time.Now().Add(c.off).UTC().Format(time.RFC3339)}
			a, b := f.on(hostA, wrong, scheduled()...), f.on(hostB, processOptions{}, scheduled()...)
			a.silently()
			b.silently()
			f.wantNight(night, before)
			if all := append(f.doors[hostA].exports(), f.doors[hostB].exports()...); len(all) != len(f.ids) {
				t.Errorf("exported were %v, want each database once", all)
			}

			// A manual run's key tells the time, which is not the host's.
			wrong.now = time.Now().Add(c.off).UTC().Format(time.RFC3339)
			f.on(hostA, wrong, "backup", "alpha").silently()
			listed := decode[listJSON](t, f.patina(0, "list", "-o", "json").stdout)
			if got := listed.Backups[0]; got.Trigger != backup.TriggerManual || got.TakenAt.Before(before) || got.TakenAt.After(time.Now().Add(time.Second)) {
				t.Errorf("the newest backup is %s of %s, want the manual one at the present time", got.Trigger, got.TakenAt)
			}
		})
	}
}

// TestAWrongClockWithoutACatalogue goes by the store's clock where Postgres is
// away.
func TestAWrongClockWithoutACatalogue(t *testing.T) {
	t.Parallel()
	for name, c := range wrongClocks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, s3Store, "alpha", "beta", "gamma")
			f.env["PATINA_CATALOG_URL"] = "postgres://nobody@127.0.0.1:1/nothing"
			night := f.nightAround(c)
			before := time.Now().Add(-2 * time.Second) // the store tells whole seconds
			wrong := processOptions{now: time.Now().Add(c.off).UTC().Format(time.RFC3339)}
			f.on(hostA, wrong, scheduled()...).ends(7)
			f.wantNight(night, before)
			done := f.objects()
			f.on(hostB, processOptions{}, scheduled()...).silently()
			if !maps.Equal(done, f.objects()) {
				t.Errorf("the second host took another night: %v", slices.Sorted(maps.Keys(f.objects())))
			}
			if got := f.doors[hostA].exports(); !slices.Equal(got, slices.Sorted(maps.Keys(f.ids))) {
				t.Errorf("exported were %v, want each database once", got)
			}
		})
	}
}

// A wrongClock is off by some time.
type wrongClock struct {
	off time.Duration
	// tick is when the nightly schedule ticks, from now: within the 10 minutes
	// by which a night may be taken early, or just beyond them.
	tick time.Duration
	// due says that the night of that tick is the one to take.
	due bool
}

func wrongClocks() map[string]wrongClock {
	return map[string]wrongClock{
		"10 minutes behind": {off: -10 * time.Minute, tick: 7 * time.Minute, due: true},
		"10 minutes ahead":  {off: 10 * time.Minute, tick: 18 * time.Minute},
	}
}

// nightAround has the nightly schedule tick soon, where the wrong clock and the
// right one do not agree, and returns the night that the right one means.
func (f *fleet) nightAround(c wrongClock) time.Time {
	tick := time.Now().Add(c.tick).UTC().Truncate(time.Minute)
	f.env["PATINA_SCHEDULE_NIGHTLY"] = fmt.Sprintf("%d %d * * *", tick.Minute(), tick.Hour())
	if c.due {
		return tick
	}
	return tick.AddDate(0, 0, -1)
}

// scheduled is the command that cron runs on the host whose turn it is.
func scheduled() []string { return []string{"backup", "--trigger", "schedule"} }

// wantNight holds that all databases have the backup of one night, at the plain
// keys, taken at the present time.
func (f *fleet) wantNight(night, since time.Time) {
	f.t.Helper()
	published := f.manifests()
	if len(published) != len(f.ids) {
		f.t.Errorf("the night has %d backups, want %d", len(published), len(f.ids))
	}
	for name, m := range published {
		want := backup.Name{Day: backup.DayOf(night), Database: name}
		if !m.Night.Equal(night) || m.Object.Key != want.Object("") {
			f.t.Errorf("%s is of %s under %s, want %s and %s", name, m.Night, m.Object.Key, night, want.Object(""))
		}
		if m.StartedAt.Before(since) || m.EndedAt.After(time.Now().Add(time.Second)) {
			f.t.Errorf("%s was taken from %s to %s: that is not now", name, m.StartedAt, m.EndedAt)
		}
	}
}

// TestTwoHostsWithoutACommonCatalogue run the night at once and know nothing of
// each other: in the worst case, which this is for the first database, it is
// exported twice and published once.
func TestTwoHostsWithoutACommonCatalogue(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]storeKind{"folder": folderStore, "s3": s3Store} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, kind, "alpha", "beta", "gamma")
			f.meetAtTheFirstExport()
			own := map[string]processOptions{}
			for host := range f.doors {
				own[host] = processOptions{env: map[string]string{"PATINA_CATALOG_URL": "sqlite://" + t.TempDir() + "/catalog.db"}}
			}
			a, b := f.on(hostA, own[hostA], night()...), f.on(hostB, own[hostB], night()...)
			a.silently()
			b.silently()

			published := f.manifests()
			exported := append(f.doors[hostA].exports(), f.doors[hostB].exports()...)
			for name := range f.ids {
				n := 0
				for _, e := range exported {
					if e == name {
						n++
					}
				}
				if _, there := published[name]; !there || n < 1 || n > 2 || name == "alpha" && n != 2 {
					t.Errorf("%s was exported %d times, its backup is there: %t", name, n, there)
				}
			}
			listed := decode[listJSON](t, f.patina(0, "list", "-o", "json").stdout)
			if len(listed.Backups) != len(f.ids) || len(listed.Unfinished)+len(listed.Foreign) != 0 {
				t.Errorf("%d backups, %d unfinished, %d foreign objects; want %d, 0, 0",
					len(listed.Backups), len(listed.Unfinished), len(listed.Foreign), len(f.ids))
			}
			for _, backup := range listed.Backups {
				f.patina(0, "download", backup.Date, backup.Database, "--file", t.TempDir()+"/dump.sql")
			}
			before := f.objects()
			for host := range f.doors {
				f.on(host, own[host], night()...).silently()
				status := decode[statusJSON](t, f.on(host, own[host], "status", "-o", "json").ends(0).stdout)
				if status.CurrentStatus != "succeeded" || status.LastBackup == nil || status.LastBackup.Successful != len(f.ids) {
					t.Errorf("%s tells %s, %+v", host, status.CurrentStatus, status.LastBackup)
				}
			}
			if !maps.Equal(before, f.objects()) {
				t.Error("a call after the night was done changed the store")
			}
		})
	}
}
