package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newPruneBench takes backups of 17 nights, the last of which is a Tuesday's, with
// their archives, prunes what is old, and then has the policy want less: a daily
// of each database and an archive may go.
func newPruneBench(t *testing.T) *archiveBench {
	t.Helper()
	i, server := sandboxed(t, "alpha", "beta")
	b := &archiveBench{installation: i, server: server}
	last := time.Date(2024, 12, 17, 3, 0, 0, 0, time.UTC)
	for night := last.AddDate(0, 0, -16); !night.After(last); night = night.AddDate(0, 0, 1) {
		b.setClock(night.Format(time.RFC3339))
		b.patina(0, "backup", "--trigger", "schedule")
		b.setClock(night.Add(time.Hour).Format(time.RFC3339))
		b.patina(0, "archive", "--trigger", "schedule")
	}
	b.setClock(last.Add(2 * time.Hour).Format(time.RFC3339))
	b.env["PATINA_RETENTION_DAILY"], b.env["PATINA_RETENTION_WEEKLY"] = "3", "3"
	b.patina(0, "prune")
	b.env["PATINA_RETENTION_DAILY"], b.env["PATINA_RETENTION_WEEKLY"] = "2", "2"
	b.copy("bucket", "kept-bucket")
	b.copy("catalog.db", "kept-catalog.db")
	return b
}

// wantPruned wants what the policy promises, when time has passed over what a dead
// run left.
func (b *archiveBench) wantPruned(what string) {
	b.t.Helper()
	b.process(0, processOptions{now: time.Now().AddDate(0, 0, 3).UTC().Format(time.RFC3339)}, "prune")
	listed := b.wantEqualBackupsOf(b.server)
	dailies := 0
	for _, entry := range listed.Backups {
		if entry.Kind == "daily" {
			dailies++
		}
	}
	if dailies != 4 || len(listed.Backups) != 2*16 || len(listed.Unfinished) != 0 || len(b.weekly("*")) != 4 {
		b.t.Errorf("%s: %d dailies of %d backups, unfinished %v, archives %v", what, dailies, len(listed.Backups), listed.Unfinished, b.weekly("*"))
	}
	b.patina(0, "verify", "--all")
}

// TestAPruneMayDieAtAnyPoint kills the process around every deletion and every
// record: what is listed is whole, nothing is taken for lost, and the next run
// does the rest.
func TestAPruneMayDieAtAnyPoint(t *testing.T) {
	t.Parallel()
	b := newPruneBench(t)
	for _, at := range fewer([]string{
		"before put jobs/*/prune-*.begin.json", "amid put jobs/*/prune-*.begin.json 1", "after put jobs/*/prune-*.begin.json",
		"before delete daily/*/alpha.json", "after delete daily/*/alpha.json", "before delete daily/*/alpha.sql", "after delete daily/*/alpha.sql",
		"before delete weekly/*.json", "after delete weekly/*.json", "after delete weekly/*.tar.gz",
		"before put jobs/*/prune-*.end.json", "amid put jobs/*/prune-*.end.json 1", "after put jobs/*/prune-*.end.json",
	}, 4) {
		b.setBack()
		b.prunesAndDies(at)
		b.process(0, processOptions{}, "prune")
		b.wantPruned(at)
	}
}

// TestAPruneMayDieAtAnyStep kills it at steps all over a run.
func TestAPruneMayDieAtAnyStep(t *testing.T) {
	t.Parallel()
	b := newPruneBench(t)
	record := filepath.Join(t.TempDir(), "steps")
	b.process(0, processOptions{env: map[string]string{stepsVariable: record}}, "prune")
	recorded, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	steps := strings.Count(string(recorded), "\n")
	if steps < 40 {
		t.Fatalf("a prune has %d steps:\n%s", steps, recorded)
	}
	var some []int
	for step := 1; step <= steps-4; step += max(1, steps/16) {
		some = append(some, step)
	}
	for _, step := range fewer(some, 4) {
		b.setBack()
		b.prunesAndDies(fmt.Sprintf("step %d", step))
		b.process(0, processOptions{}, "prune")
		b.wantPruned(fmt.Sprint("step ", step))
	}
}

// prunesAndDies has a prune killed at a point, and wants what is left to be whole.
func (b *archiveBench) prunesAndDies(at string) {
	b.t.Helper()
	b.process(killed, processOptions{at: at, signal: syscall.SIGKILL}, "prune")
	if listed := b.wantEqualBackupsOf(b.server); len(listed.Backups) < 2*16 {
		b.t.Errorf("%s: only %d backups are listed", at, len(listed.Backups))
	}
	b.patina(0, "verify", "--all")
}
