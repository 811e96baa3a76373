package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func concurrencyTests() []test {
	return []test{
		{"each name goes to one of twenty", testRaceForNames},
		{"twenty share out forty names", testShareOut},
		{"one of many begins a run", testRaceToBegin},
		{"many join and end one night", testManyRuns},
		{"many write one row", testRaceForRow},
		{"what is done stays done", testRaceWithDone},
	}
}

// together runs work n times at once, on handles by turns, and returns when
// all are done.
func together(t *testing.T, b Bench, n int, work func(ctx context.Context, c catalog.Catalog, i int)) {
	t.Helper()
	handles := []catalog.Catalog{b.Open(t), b.Open(t), b.Open(t)}
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			work(t.Context(), handles[i%len(handles)], i)
		})
	}
	close(start)
	all.Wait()
}

func testRaceForNames(t *testing.T, b Bench) {
	names := []string{"db:a", "db:b", "db:c", "db:d", "db:e"}
	var mu sync.Mutex
	winners, refused := map[string]int{}, 0
	together(t, b, 20, func(ctx context.Context, c catalog.Catalog, i int) {
		lease, err := c.Acquire(ctx, names, ownerOf(fmt.Sprintf("%04x", i)), ttl)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			winners[lease.Name]++
		case errors.Is(err, catalog.ErrHeld):
			refused++
		default:
			t.Errorf("Acquire: %v", err)
		}
	})
	same(t, "winners", winners, map[string]int{"db:a": 1, "db:b": 1, "db:c": 1, "db:d": 1, "db:e": 1})
	same(t, "refused", refused, 15)
}

func testShareOut(t *testing.T, b Bench) {
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("db:%02d", i))
	}
	var mu sync.Mutex
	taken := map[string]int{}
	together(t, b, 20, func(ctx context.Context, c catalog.Catalog, i int) {
		for {
			lease, err := c.Acquire(ctx, names, ownerOf(fmt.Sprintf("%04x", i)), ttl)
			if errors.Is(err, catalog.ErrHeld) {
				return
			}
			if err != nil {
				t.Errorf("Acquire: %v", err)
				return
			}
			mu.Lock()
			taken[lease.Name]++
			mu.Unlock()
		}
	})
	for _, name := range names {
		if taken[name] != 1 {
			t.Errorf("%s was taken %d times, want once", name, taken[name])
		}
	}
}

func testRaceToBegin(t *testing.T, b Bench) {
	var mu sync.Mutex
	begun := 0
	together(t, b, 9, func(ctx context.Context, c catalog.Catalog, _ int) {
		err := c.BeginRun(ctx, night(), runOf(night(), "aaaa", 0))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			begun++
		case !errors.Is(err, catalog.ErrStep):
			t.Errorf("BeginRun: %v, want ErrStep", err)
		}
	})
	same(t, "runs begun", begun, 1)
}

func testManyRuns(t *testing.T, b Bench) {
	together(t, b, 12, func(ctx context.Context, c catalog.Catalog, i int) {
		run := backup.RunID(fmt.Sprintf("%04x", i))
		row := rowOf(night(), run, "db-"+string(run), catalog.BackupRunning)
		done := row
		done.Status = catalog.BackupDone
		ending := catalog.RunEnd{Status: catalog.RunSucceeded}
		for _, step := range []func() error{
			func() error { return c.BeginRun(ctx, night(), runOf(night(), run, i)) },
			func() error { return c.SetBackup(ctx, row) },
			func() error { return c.Heartbeat(ctx, night().ID, run) },
			func() error { return c.SetBackup(ctx, done) },
			func() error { return c.EndRun(ctx, night().ID, run, ending) },
		} {
			if err := step(); err != nil {
				t.Errorf("run %s: %v", run, err)
			}
		}
	})
	got := jobOf(t, b.Open(t), night().ID)
	same(t, "job", got.Status, catalog.JobSucceeded)
	if len(got.Runs) != 12 || len(got.Backups) != 12 {
		t.Errorf("%d runs and %d backups, want 12 and 12", len(got.Runs), len(got.Backups))
	}
}

func testRaceForRow(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	together(t, b, 9, func(ctx context.Context, c catalog.Catalog, i int) {
		row := rowOf(night(), "aaaa", "groveauth", catalog.BackupRunning)
		row.Attempts, row.Error = i, fmt.Sprint(i)
		if err := c.SetBackup(ctx, row); err != nil {
			t.Errorf("SetBackup: %v", err)
		}
	})
	rows := jobOf(t, c, night().ID).Backups
	if len(rows) != 1 || cmp.Diff(fmt.Sprint(rows[0].Attempts), rows[0].Error) != "" {
		t.Errorf("rows = %+v, want one that somebody wrote whole", rows)
	}
}

func testRaceWithDone(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	var databases []string
	for i := range 8 {
		databases = append(databases, fmt.Sprintf("db-%d", i))
	}
	set(t, c, night(), "aaaa", catalog.BackupRunning, databases...)
	together(t, b, 8, func(ctx context.Context, c catalog.Catalog, i int) {
		to := catalog.BackupFailed
		if i == 4 { // one only, so that no other puts right what a failure undid
			to = catalog.BackupDone
		}
		for _, database := range databases {
			err := c.SetBackup(ctx, rowOf(night(), "aaaa", database, to))
			if err != nil && (to == catalog.BackupDone || !errors.Is(err, catalog.ErrStep)) {
				t.Errorf("set %s to %s: %v", database, to, err)
			}
		}
	})
	for database, status := range backupStatuses(jobOf(t, c, night().ID)) {
		if status != catalog.BackupDone {
			t.Errorf("%s was done and is %s", database, status)
		}
	}
}
