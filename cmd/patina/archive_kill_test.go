package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// archiveBench is an installation with dailies to archive, that can be set back
// to that.
type archiveBench struct {
	*installation
	server *sandbox.Server
	week   string
}

// newArchiveBench takes backups of two databases, twice. Its clock is the real
// one, as the times of files in a folder are.
func newArchiveBench(t *testing.T) *archiveBench {
	t.Helper()
	i, server := sandboxed(t, "alpha", "beta")
	i.setClock(time.Now().UTC().Format(time.RFC3339))
	b := &archiveBench{installation: i, server: server, week: backup.WeekOf(i.at).String()}
	for range 2 {
		i.patina(0, "backup")
	}
	b.copy("bucket", "kept-bucket")
	b.copy("catalog.db", "kept-catalog.db")
	return b
}

func (b *archiveBench) copy(from, to string) {
	b.t.Helper()
	to = filepath.Join(b.state, to)
	if err := os.RemoveAll(to); err != nil {
		b.t.Fatal(err)
	}
	if out, err := exec.CommandContext(b.t.Context(), "cp", "-a", filepath.Join(b.state, from), to).CombinedOutput(); err != nil {
		b.t.Fatalf("cp: %v\n%s", err, out)
	}
}

// setBack undoes everything since the backups.
func (b *archiveBench) setBack() {
	b.t.Helper()
	for _, left := range []string{"catalog.db-wal", "catalog.db-shm"} {
		if err := os.RemoveAll(filepath.Join(b.state, left)); err != nil {
			b.t.Fatal(err)
		}
	}
	b.copy("kept-bucket", "bucket")
	b.copy("kept-catalog.db", "catalog.db")
}

func (b *archiveBench) weekly(pattern string) []string {
	b.t.Helper()
	files, err := filepath.Glob(filepath.Join(b.state, "bucket", "weekly", pattern))
	if err != nil {
		b.t.Fatal(err)
	}
	return files
}

// wantOneArchive holds what is in the bucket after a run that went well: one
// archive with every backup in it, nothing foreign, and the dailies as they were.
func (b *archiveBench) wantOneArchive(what string) {
	b.t.Helper()
	list := decode[listJSON](b.t, b.patina(0, "list", "-o", "json").stdout)
	if len(list.Backups) != 4 || len(list.Foreign) != 0 {
		b.t.Errorf("%s: %d backups are listed, and %d foreign objects", what, len(list.Backups), len(list.Foreign))
	}
	if manifests := b.weekly("*.json"); len(manifests) != 1 {
		b.t.Errorf("%s: the manifests are %v", what, manifests)
	}
	if objects := b.weekly("*.tar.gz"); len(objects) > 2 || len(list.Unfinished) != len(objects)-1 {
		b.t.Errorf("%s: objects are %v, and %d are unfinished", what, objects, len(list.Unfinished))
	}
	if again := decode[archiveJSON](b.t, b.patina(0, "archive", "--week", b.week, "-o", "json").stdout); len(again.Weeks) != 0 {
		b.t.Errorf("%s: it is archived again: %+v", what, again.Weeks)
	}
	if err := os.RemoveAll(filepath.Join(b.state, "bucket", "daily")); err != nil {
		b.t.Fatal(err)
	}
	for _, database := range []string{"alpha", "beta"} {
		var want bytes.Buffer
		if err := b.server.Dump(b.t.Context(), database, &want); err != nil {
			b.t.Fatal(err)
		}
		if got := b.patina(0, "download", "latest", database, "-f", "-").stdout; got != want.String() {
			b.t.Errorf("%s: %s comes back as\n%s", what, database, got)
		}
	}
	if got := decode[verifyJSON](b.t, b.patina(0, "verify", "--all", "-o", "json").stdout); got.Passed != 4 {
		b.t.Errorf("%s: %d backups are proven, want 4", what, got.Passed)
	}
}

// dies runs an archive that a signal meets at a point.
func (b *archiveBench) dies(want int, at string, signal syscall.Signal) {
	b.t.Helper()
	b.process(want, processOptions{at: at, signal: signal}, "archive", "--week", b.week)
	list := decode[listJSON](b.t, b.patina(0, "list", "-o", "json").stdout)
	if len(list.Backups) != 4 || len(list.Foreign) != 0 {
		b.t.Errorf("%s at %s: %d backups are listed, and %d foreign objects", signal, at, len(list.Backups), len(list.Foreign))
	}
}

// TestAnArchiveMayDieAtAnyPoint kills the process around every write that
// counts: the next run, at once, leaves one good archive.
func TestAnArchiveMayDieAtAnyPoint(t *testing.T) {
	t.Parallel()
	b := newArchiveBench(t)
	for _, at := range fewer([]string{
		"before put jobs/*/archive-*.begin.json", "after put jobs/*/archive-*.begin.json",
		"before put weekly/*.tar.gz", "amid put weekly/*.tar.gz 1", "amid put weekly/*.tar.gz 900", "after put weekly/*.tar.gz",
		"before put weekly/*.json", "amid put weekly/*.json 10", "after put weekly/*.json",
		"before put jobs/*/archive-*.end.json", "after put jobs/*/archive-*.end.json",
	}, 3) {
		b.setBack()
		b.dies(killed, at, syscall.SIGKILL)
		b.process(0, processOptions{}, "archive", "--week", b.week)
		b.wantOneArchive(at)
	}
}

// TestAnArchiveMayDieAtAnyStep kills it at steps all over a run, as a step of
// its store counts.
func TestAnArchiveMayDieAtAnyStep(t *testing.T) {
	t.Parallel()
	b := newArchiveBench(t)
	record := filepath.Join(t.TempDir(), "steps")
	b.process(0, processOptions{env: map[string]string{stepsVariable: record}}, "archive", "--week", b.week)
	recorded, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	steps := strings.Count(string(recorded), "\n")
	if steps < 40 {
		t.Fatalf("an archive has %d steps:\n%s", steps, recorded)
	}
	// Some steps come in another order each time, so the last ones may not be
	// reached in a run that has fewer.
	var some []int
	for step := 1; step <= steps-4; step += 5 {
		some = append(some, step)
	}
	for _, step := range fewer(some, 4) {
		b.setBack()
		at := fmt.Sprintf("step %d", step)
		b.dies(killed, at, syscall.SIGKILL)
		b.process(0, processOptions{}, "archive", "--week", b.week)
		b.wantOneArchive(at)
	}
}

// TestAnArchiveIsInterrupted by signals: nothing is published, and the run says
// how it ended; or the signal came too late, and all is published.
func TestAnArchiveIsInterrupted(t *testing.T) {
	t.Parallel()
	b := newArchiveBench(t)
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		for _, at := range []string{"before put jobs/*/archive-*.begin.json", "before put weekly/*.tar.gz", "after put weekly/*.tar.gz"} {
			b.setBack()
			got := b.start(processOptions{at: at, signal: signal}, "archive", "--week", b.week).wait()
			status, published := "interrupted", 0
			if got.status == 0 {
				status, published = "succeeded", 1
			}
			if left := b.weekly("*.json"); got.status != want && got.status != 0 || len(left) != published {
				t.Errorf("%s %s: status %d, manifests %v\n%s", signal, at, got.status, left, got.stderr)
			}
			ends, err := filepath.Glob(filepath.Join(b.state, "bucket", "jobs", "*", "archive-*.end.json"))
			if err != nil || len(ends) != 1 {
				t.Fatalf("%s %s: end records are %v, %v", signal, at, ends, err)
			}
			if body, err := os.ReadFile(ends[0]); err != nil || !strings.Contains(string(body), fmt.Sprintf(`"status": %q`, status)) {
				t.Errorf("%s %s: the end record is %s, %v", signal, at, body, err)
			}
			b.process(0, processOptions{}, "archive", "--week", b.week)
			b.wantOneArchive(signal.String() + " " + at)
		}
	}
}

// TestTwoProcessesArchiveAtOnce on one catalogue: one does the work, and the
// other waits for it.
func TestTwoProcessesArchiveAtOnce(t *testing.T) {
	t.Parallel()
	b := newArchiveBench(t)
	both := []*program{
		b.start(processOptions{host: "one"}, "archive", "--week", b.week, "-o", "json"),
		b.start(processOptions{host: "two"}, "archive", "--week", b.week, "-o", "json"),
	}
	var results []string
	for _, p := range both {
		got := p.wait()
		if got.status != 0 {
			t.Fatalf("status %d\n%s", got.status, got.stderr)
		}
		for _, w := range decode[archiveJSON](t, got.stdout).Weeks {
			results = append(results, string(w.Result))
		}
	}
	if !slices.Equal(results, []string{"done"}) {
		t.Errorf("the results are %v", results)
	}
	b.wantOneArchive("two at once")
}

// TestAnArchiveMayDieOnEveryStore kills it around the writes that count, of an
// archive in several parts, followed by the same host and by another.
func TestAnArchiveMayDieOnEveryStore(t *testing.T) {
	t.Parallel()
	scenes := []scene{{store: storeFolder, noCatalog: true}}
	if !testing.Short() {
		scenes = append(scenes,
			scene{store: storeVersity}, scene{store: storeR2, noCatalog: true, elsewhere: true}, scene{store: storeCareless, elsewhere: true})
	}
	for _, s := range scenes {
		for _, at := range fewer([]string{
			"amid put weekly/*.tar.gz 5300000", "after put weekly/*.tar.gz", "before put weekly/*.json", "after put weekly/*.json",
		}, 4) {
			t.Run(s.String()+"/"+at, func(t *testing.T) {
				t.Parallel()
				newVictim(t, s).archiveAfterDeath(at)
			})
		}
	}
}

// archiveAfterDeath takes backups of which an archive has more than one part of
// an upload, has the archive killed at a point, and wants the next run to leave
// one good one.
func (v *victim) archiveAfterDeath(at string) {
	v.t.Helper()
	// Half of a hexadecimal digit's bits are noise, which does not compress.
	const rows = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 130) SELECT hex(randomblob(47000)) FROM n"
	if _, err := v.d1.Seed(v.t.Context(), "noise", "CREATE TABLE t(v)", rows); err != nil {
		v.t.Fatal(err)
	}
	v.patina(v.status(), "backup", "alpha", "beta", "noise")
	week := backup.WeekOf(v.at).String()
	v.process(killed, processOptions{at: at, signal: syscall.SIGKILL}, "archive", "--week", week)
	v.wantEqualBackupsOf(v.d1)
	// It ends with 0 without a catalogue too, where nothing was left to do.
	got := v.next("archive", "--week", week)
	if got.status != 0 && got.status != v.status() {
		v.t.Fatalf("the next run ends with %d:\n%s", got.status, got.stderr)
	}
	listed := v.wantEqualBackupsOf(v.d1)
	if len(listed.Backups) != 3 || len(listed.Foreign) != 0 || len(listed.Unfinished) > 1 {
		v.t.Errorf("%d backups are listed, foreign %v, unfinished %v", len(listed.Backups), listed.Foreign, listed.Unfinished)
	}
	proven := decode[verifyJSON](v.t, v.patina(0, "verify", "--all", "-o", "json").stdout)
	weekly := 0
	for _, c := range proven.Copies {
		if c.Kind == engine.KindWeekly && c.Passed {
			weekly++
		}
	}
	if proven.Passed != 6 || weekly != 3 {
		v.t.Errorf("%d copies are proven, %d of them in archives; want 6 and 3", proven.Passed, weekly)
	}
	if got := v.next("archive", "--week", week); got.status != 0 || got.stdout+got.stderr != "" {
		v.t.Errorf("one more run ends with %d and says %q", got.status, got.stdout+got.stderr)
	}
}
