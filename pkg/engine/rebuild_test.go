package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/retention"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// jobs are all jobs that the bench's catalogue tells of.
func (b *bench) jobs() []catalog.Job {
	b.t.Helper()
	jobs, err := b.openCatalog().Jobs(b.t.Context(), catalog.JobFilter{Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	return jobs
}

// newCatalog is an empty catalogue in place of the bench's.
func (b *bench) newCatalog() {
	b.catalog = filepath.Join(b.t.TempDir(), "catalog.db")
}

func (b *bench) rebuild(e *engine.Engine) engine.RebuildResult {
	b.t.Helper()
	result, err := e.Rebuild(b.t.Context(), engine.RebuildRequest{})
	if err != nil {
		b.t.Fatalf("rebuild: %v", err)
	}
	return result
}

// history fills a bench with nights and manual runs that end in every way.
func (b *bench) history() {
	b.t.Helper()
	e := b.host(func(o *engine.Options) { o.Pause = func(int) time.Duration { return time.Millisecond } })
	b.night(e)
	b.setClock(b.begin.AddDate(0, 0, 1))
	b.d1.AddFault(sandbox.Fault{Call: "export", Database: "beta", Kind: sandbox.FaultInner, Message: "D1 Export error: broken", Times: 1000})
	b.night(e)
	b.d1.ClearFaults()
	b.night(e) // the same night: what failed is taken
	b.setClock(b.begin.Add(time.Hour))
	if _, err := e.Backup(b.t.Context(), engine.BackupRequest{Trigger: backup.TriggerManual, Reason: "before the move", Names: []string{"alpha", "nosuch"}}); err != nil {
		b.t.Fatal(err)
	}
	b.setClock(b.begin.AddDate(0, 0, 1))
	ctx, cancel := context.WithCancel(b.t.Context())
	b.d1.AddFault(sandbox.Fault{Call: "download", Kind: sandbox.FaultFreeze, Bytes: 10, Times: 1000})
	time.AfterFunc(200*time.Millisecond, cancel)
	if _, err := e.Backup(ctx, engine.BackupRequest{Trigger: backup.TriggerSchedule}); err != nil {
		b.t.Fatal(err)
	}
	b.d1.ClearFaults()
}

// TestACatalogueIsRebuiltAsItWas loses the catalogue and has it back.
func TestACatalogueIsRebuiltAsItWas(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	b.history()
	b.archive(b.host(nil))
	b.setClock(b.begin.AddDate(0, 0, 1))
	b.night(b.host(nil)) // of a database whose last run failed nothing is pruned
	pruned := b.prune(b.pruning(retention.Policy{Daily: 1, Weekly: 2}, nil), engine.PruneRequest{})
	if n, _ := pruned.Count(engine.ItemDeleted); n == 0 {
		t.Fatalf("nothing was pruned: %+v", pruned.Items)
	}
	want := b.jobs()
	statuses, kinds := map[catalog.JobStatus]bool{}, map[catalog.Kind]int{}
	for _, job := range want {
		statuses[job.Status] = true
		kinds[job.Kind]++
	}
	if kinds[catalog.KindArchive] != 1 || kinds[catalog.KindPrune] != 1 {
		t.Fatalf("the kinds of jobs are %v", kinds)
	}
	if len(want) != 7 || !statuses[catalog.JobSucceeded] || !statuses[catalog.JobPartial] || !statuses[catalog.JobInterrupted] {
		t.Fatalf("the history has %d jobs, %v", len(want), statuses)
	}
	b.newCatalog()
	e := b.host(nil)
	result := b.rebuild(e)
	if result.Jobs != 7 || result.Runs != 8 || result.Changed != 7 || len(result.Unreadable) != 0 {
		t.Errorf("rebuilt: %+v", result)
	}
	if diff := cmp.Diff(want, b.jobs()); diff != "" {
		t.Errorf("jobs (-before +after):\n%s", diff)
	}
	if again := b.rebuild(e); again.Changed != 0 {
		t.Errorf("a second time changes %d jobs", again.Changed)
	}
}

// TestWhatIsRebuiltOfADeadRun has begin records without ends: backups count, and
// the run is lost.
func TestWhatIsRebuiltOfADeadRun(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	b.night(b.host(nil))
	removeMatching(t, b, "jobs/*/*.end.json")
	b.newCatalog()
	e := b.host(nil)
	b.rebuild(e)
	job := b.jobs()[0]
	if job.Status != catalog.JobInterrupted || job.Runs[0].Status != catalog.RunLost || len(job.Backups) != 1 || job.Backups[0].Status != catalog.BackupDone {
		t.Errorf("without the end: %+v", job)
	}
	// Not even a begin record: the manifest tells all there is.
	removeMatching(t, b, "jobs/*/*.begin.json")
	b.newCatalog()
	b.rebuild(b.host(nil))
	if bare := b.jobs()[0]; bare.ID != job.ID || bare.Backups[0].ManifestKey != job.Backups[0].ManifestKey || !bare.Night.Equal(job.Night) {
		t.Errorf("without the begin: %+v", bare)
	}
}

func removeMatching(t *testing.T, b *bench, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(b.dir, filepath.FromSlash(pattern)))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v, %v", pattern, paths, err)
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheNextRunBringsInWhatTheCatalogueMissed takes a night without the
// catalogue. The next run, even one that finds its night done, brings it in.
func TestTheNextRunBringsInWhatTheCatalogueMissed(t *testing.T) {
	t.Parallel()
	for name, ifDue := range map[string]bool{"the next night": false, "the next look at this night": true} {
		b := newBench(t, "alpha", "beta")
		away := b.host(func(o *engine.Options) { o.Catalog, o.CatalogErr = nil, errors.New("it is away") })
		if result := b.night(away); result.CatalogErr == nil {
			t.Fatal("the catalogue was written")
		}
		if jobs := b.jobs(); len(jobs) != 0 {
			t.Fatalf("%d jobs are known", len(jobs))
		}
		if !ifDue {
			b.setClock(b.begin.AddDate(0, 0, 1))
		}
		e := b.host(nil)
		result, err := e.Backup(t.Context(), engine.BackupRequest{Trigger: backup.TriggerSchedule, IfDue: true})
		if err != nil || result.Idle != ifDue || len(result.Warnings) != 0 || result.CatalogErr != nil {
			t.Fatalf("%s: %+v, %v", name, result, err)
		}
		jobs := b.jobs()
		missed := jobs[len(jobs)-1]
		if missed.Status != catalog.JobSucceeded || len(missed.Runs) != 1 || len(missed.Backups) != 2 {
			t.Errorf("%s: the job that was missed is %+v", name, missed)
		}
	}
}

// TestARunWhoseCatalogueDiedOnTheWayIsToldItsEnd has the catalogue go away
// between begin and end: the next run finds the end in the bucket.
func TestARunWhoseCatalogueDiedOnTheWayIsToldItsEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	b.night(b.host(func(o *engine.Options) { o.Catalog = &dying{Catalog: o.Catalog} }))
	if job := b.jobs()[0]; job.Status != catalog.JobRunning {
		t.Fatalf("the job is %s", job.Status)
	}
	b.setClock(b.begin.AddDate(0, 0, 1))
	b.night(b.host(nil))
	job := b.jobs()[1]
	if job.Status != catalog.JobSucceeded || job.Runs[0].Status != catalog.RunSucceeded || job.Backups[0].Status != catalog.BackupDone {
		t.Errorf("the job is %+v", job)
	}
}

// dying is a catalogue that answers until the first row is written.
type dying struct {
	catalog.Catalog
	dead bool
}

func (d *dying) SetBackup(ctx context.Context, row catalog.Backup) error {
	if d.dead {
		return catalog.ErrUnavailable
	}
	d.dead = true
	return d.Catalog.SetBackup(ctx, row)
}

func (d *dying) EndRun(ctx context.Context, job string, run backup.RunID, end catalog.RunEnd) error {
	if d.dead {
		return catalog.ErrUnavailable
	}
	return d.Catalog.EndRun(ctx, job, run, end)
}

// TestWhatCannotBeReadIsNamed leaves records of a newer version, and of nobody,
// out of the catalogue, and says so.
func TestWhatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	b.night(b.host(nil))
	b.write("jobs/2024-12-09/night-20241209T0300Z.7f3a.end.json", []byte(`{"format":"patina.end","version":99}`))
	b.write("jobs/2024-12-09/note.txt", []byte("hello"))
	b.newCatalog()
	result := b.rebuild(b.host(nil))
	if result.Jobs != 1 || len(result.Unreadable) != 2 || !strings.Contains(result.Unreadable[0].Why, "newer version") {
		t.Errorf("rebuilt: %+v", result)
	}
}
