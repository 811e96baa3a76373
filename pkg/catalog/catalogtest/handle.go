package catalogtest

import (
	"context"
	"errors"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func handleTests() []test {
	return []test{
		{"a closed handle is unavailable", testClosed},
		{"closing ends nothing", testCloseEndsNothing},
		{"a cancelled call says so", testCancelled},
		{"strangers are not found, not broken", testStrangers},
	}
}

// calls are all calls of a catalogue, made with the given context.
func calls(ctx context.Context, c catalog.Catalog, lease catalog.Lease) map[string]func() error {
	return map[string]func() error{
		"BeginRun":  func() error { return c.BeginRun(ctx, night(), runOf(night(), "cccc", 0)) },
		"Heartbeat": func() error { return c.Heartbeat(ctx, night().ID, "aaaa") },
		"SetBackup": func() error { return c.SetBackup(ctx, rowOf(night(), "aaaa", "x", catalog.BackupRunning)) },
		"EndRun": func() error {
			return c.EndRun(ctx, night().ID, "aaaa", catalog.RunEnd{Status: catalog.RunSucceeded})
		},
		"Jobs":    func() error { _, err := c.Jobs(ctx, catalog.JobFilter{}); return err },
		"Acquire": func() error { _, err := c.Acquire(ctx, []string{"db:9"}, ownerOf("a"), ttl); return err },
		"Renew":   func() error { _, err := c.Renew(ctx, lease, ttl); return err },
		"Release": func() error { return c.Release(ctx, lease) },
		"Held":    func() error { _, err := c.Held(ctx); return err },
		"Now":     func() error { _, err := c.Now(ctx); return err },
	}
}

func testClosed(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	lease := acquire(t, c, "aaaa", "db:1")
	if err := c.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	for name, call := range calls(t.Context(), c, lease) {
		if err := call(); !errors.Is(err, catalog.ErrUnavailable) {
			t.Errorf("%s on a closed handle: %v, want ErrUnavailable", name, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

func testCloseEndsNothing(t *testing.T, b Bench) {
	one := b.Open(t)
	begin(t, one, night(), runOf(night(), "aaaa", 0))
	acquire(t, one, "aaaa", "db:1")
	if err := one.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	two := b.Open(t)
	same(t, "job", jobOf(t, two, night().ID).Status, catalog.JobRunning)
	same(t, "held", held(t, two), [][2]string{{"db:1", "aaaa"}})
}

func testCancelled(t *testing.T, b Bench) {
	c := b.Open(t)
	begin(t, c, night(), runOf(night(), "aaaa", 0))
	lease := acquire(t, c, "aaaa", "db:1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls(ctx, c, lease) {
		err := call()
		if !errors.Is(err, context.Canceled) || errors.Is(err, catalog.ErrUnavailable) {
			t.Errorf("%s: %v, want context.Canceled and nothing about the catalogue", name, err)
		}
	}
	same(t, "held", held(t, c), [][2]string{{"db:1", "aaaa"}})
	same(t, "runs", len(jobOf(t, c, night().ID).Runs), 1)
	for name, call := range calls(t.Context(), c, lease) {
		if name == "Now" || name == "Held" || name == "Jobs" {
			if err := call(); err != nil {
				t.Errorf("%s after a cancelled call: %v", name, err)
			}
		}
	}
}

func testStrangers(t *testing.T, b Bench) {
	c := b.Open(t)
	for _, strange := range []string{"", "a\x00b", "\xff"} {
		if _, err := c.Jobs(t.Context(), catalog.JobFilter{ID: strange, Kind: catalog.Kind(strange)}); err != nil {
			t.Errorf("Jobs of %q: %v", strange, err)
		}
		if err := c.Heartbeat(t.Context(), strange, "aaaa"); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("Heartbeat of %q: %v, want ErrNotFound", strange, err)
		}
		row := rowOf(night(), "aaaa", "x", catalog.BackupRunning)
		row.JobID = strange
		if err := c.SetBackup(t.Context(), row); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("SetBackup in %q: %v, want ErrNotFound", strange, err)
		}
		if err := c.EndRun(t.Context(), strange, "aaaa", catalog.RunEnd{Status: catalog.RunFailed}); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("EndRun in %q: %v, want ErrNotFound", strange, err)
		}
		stranger := catalog.Lease{Name: strange, Fence: 1}
		if _, err := c.Renew(t.Context(), stranger, ttl); !errors.Is(err, catalog.ErrLost) {
			t.Errorf("Renew of %q: %v, want ErrLost", strange, err)
		}
		if err := c.Release(t.Context(), stranger); err != nil {
			t.Errorf("Release of %q: %v", strange, err)
		}
	}
}
