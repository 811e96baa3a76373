package catalogtest

import (
	"errors"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func leaseTests() []test {
	return []test{
		{"a name is held by one", testHeldByOne},
		{"the first free name is taken", testFirstFree},
		{"an expired lease is free", testExpiry},
		{"the fence grows for ever", testFence},
		{"renewal moves the expiry", testRenew},
		{"renewal after a takeover is lost", testRenewLost},
		{"an expired lease may be renewed", testRenewExpired},
		{"release frees, and only one's own", testRelease},
		{"nothing asked for is refused", testAskForNothing},
	}
}

const ttl = catalog.DeadAfter

// ownerOf is the owner of a run's leases.
func ownerOf(run string) catalog.Owner {
	return catalog.Owner{JobID: night().ID, RunID: run, Host: "host-" + run, Process: 4711}
}

// acquire takes a lease and fails the test if that fails.
func acquire(t *testing.T, c catalog.Catalog, run string, names ...string) catalog.Lease {
	t.Helper()
	lease, err := c.Acquire(t.Context(), names, ownerOf(run), ttl)
	if err != nil {
		t.Fatalf("Acquire %v for %s: %v", names, run, err)
	}
	return lease
}

// held are the names that are held, with their owners' runs.
func held(t *testing.T, c catalog.Catalog) [][2]string {
	t.Helper()
	leases, err := c.Held(t.Context())
	if err != nil {
		t.Fatalf("Held: %v", err)
	}
	all := [][2]string{}
	for _, lease := range leases {
		all = append(all, [2]string{lease.Name, lease.Owner.RunID})
	}
	return all
}

func testHeldByOne(t *testing.T, b Bench) {
	one, two := b.Open(t), b.Open(t)
	before := now(t, one)
	lease := acquire(t, one, "aaaa", "db:1")
	after := now(t, two)
	same(t, "name", lease.Name, "db:1")
	same(t, "owner", lease.Owner, ownerOf("aaaa"))
	if lease.AcquiredAt.Before(before) || lease.AcquiredAt.After(after) {
		t.Errorf("acquired at %s, want between %s and %s", lease.AcquiredAt, before, after)
	}
	if lease.ExpiresAt.Before(before.Add(ttl)) || lease.ExpiresAt.After(after.Add(ttl)) {
		t.Errorf("expires at %s, want %s after it was acquired", lease.ExpiresAt, ttl)
	}
	// The same owner is refused like anybody else.
	for _, c := range []catalog.Catalog{one, two} {
		for _, run := range []string{"aaaa", "bbbb"} {
			_, err := c.Acquire(t.Context(), []string{"db:1"}, ownerOf(run), ttl)
			var holder *catalog.HeldError
			if !errors.Is(err, catalog.ErrHeld) || !errors.As(err, &holder) {
				t.Fatalf("Acquire of a held name: %v, want a HeldError", err)
			}
			same(t, "holder", holder.Lease, lease)
		}
	}
	leases, err := two.Held(t.Context())
	if err != nil {
		t.Fatalf("Held: %v", err)
	}
	same(t, "held", leases, []catalog.Lease{lease})
}

func testFirstFree(t *testing.T, b Bench) {
	c := b.Open(t)
	want := []string{"db:b", "db:a", "week:c"} // the order asked for, not another
	for i, name := range want {
		lease := acquire(t, c, "aaaa", append([]string{"db:b"}, want...)...)
		if lease.Name != name {
			t.Errorf("taking %d is of %s, want %s", i, lease.Name, name)
		}
	}
	_, err := c.Acquire(t.Context(), want, ownerOf("bbbb"), ttl)
	var holder *catalog.HeldError
	if !errors.As(err, &holder) {
		t.Fatalf("Acquire of held names: %v, want a HeldError", err)
	}
	same(t, "told about", holder.Lease.Name, want[0])
	same(t, "held", held(t, c), [][2]string{{"db:a", "aaaa"}, {"db:b", "aaaa"}, {"week:c", "aaaa"}})

	// A name that was never taken is as free as one that was given back.
	known := acquire(t, c, "aaaa", "db:known")
	if err := c.Release(t.Context(), known); err != nil {
		t.Fatalf("Release: %v", err)
	}
	same(t, "of a new and a known name", acquire(t, c, "aaaa", "db:new", "db:known").Name, "db:new")
}

func testExpiry(t *testing.T, b Bench) {
	c := b.Open(t)
	first := acquire(t, c, "aaaa", "db:1")
	b.Advance(t, ttl-10*time.Second)
	if _, err := c.Acquire(t.Context(), []string{"db:1"}, ownerOf("bbbb"), ttl); !errors.Is(err, catalog.ErrHeld) {
		t.Fatalf("Acquire shortly before expiry: %v, want ErrHeld", err)
	}
	b.Advance(t, 10*time.Second)
	same(t, "held after expiry", held(t, c), [][2]string{})
	second := acquire(t, c, "bbbb", "db:1")
	if second.Fence <= first.Fence {
		t.Errorf("fence %d after %d", second.Fence, first.Fence)
	}
	same(t, "held", held(t, c), [][2]string{{"db:1", "bbbb"}})
}

func testFence(t *testing.T, b Bench) {
	c := b.Open(t)
	var last int64
	for i := range 6 {
		lease := acquire(t, c, "aaaa", "db:1")
		if lease.Fence <= last {
			t.Fatalf("taking %d has fence %d after %d", i, lease.Fence, last)
		}
		last = lease.Fence
		if i%2 == 0 {
			b.Advance(t, 2*ttl)
			continue
		}
		if err := c.Release(t.Context(), lease); err != nil {
			t.Fatalf("Release: %v", err)
		}
	}
}

func testRenew(t *testing.T, b Bench) {
	c := b.Open(t)
	lease := acquire(t, c, "aaaa", "db:1")
	for range 3 {
		b.Advance(t, ttl-10*time.Second)
		before := now(t, c)
		renewed, err := c.Renew(t.Context(), lease, ttl)
		if err != nil {
			t.Fatalf("Renew: %v", err)
		}
		after := now(t, c)
		if renewed.ExpiresAt.Before(before.Add(ttl)) || renewed.ExpiresAt.After(after.Add(ttl)) {
			t.Errorf("renewed until %s, want %s from now (%s)", renewed.ExpiresAt, ttl, after)
		}
		same(t, "fence", renewed.Fence, lease.Fence)
		same(t, "owner", renewed.Owner, lease.Owner)
		lease = renewed
	}
	same(t, "held", held(t, c), [][2]string{{"db:1", "aaaa"}})
}

func testRenewLost(t *testing.T, b Bench) {
	c := b.Open(t)
	old := acquire(t, c, "aaaa", "db:1")
	b.Advance(t, ttl)
	taken := acquire(t, c, "bbbb", "db:1")
	released := acquire(t, c, "aaaa", "db:2")
	if err := c.Release(t.Context(), released); err != nil {
		t.Fatalf("Release: %v", err)
	}
	for name, lease := range map[string]catalog.Lease{
		"taken by another": old, "released": released, "never taken": {Name: "db:3", Owner: ownerOf("aaaa"), Fence: 1},
	} {
		if _, err := c.Renew(t.Context(), lease, ttl); !errors.Is(err, catalog.ErrLost) {
			t.Errorf("Renew of a lease %s: %v, want ErrLost", name, err)
		}
	}
	if _, err := c.Renew(t.Context(), taken, ttl); err != nil {
		t.Errorf("Renew by the new owner: %v", err)
	}
}

func testRenewExpired(t *testing.T, b Bench) {
	c := b.Open(t)
	lease := acquire(t, c, "aaaa", "db:1")
	b.Advance(t, 2*ttl)
	if _, err := c.Renew(t.Context(), lease, ttl); err != nil {
		t.Fatalf("Renew of an expired lease that nobody took: %v", err)
	}
	if _, err := c.Acquire(t.Context(), []string{"db:1"}, ownerOf("bbbb"), ttl); !errors.Is(err, catalog.ErrHeld) {
		t.Errorf("Acquire after it: %v, want ErrHeld", err)
	}
}

func testRelease(t *testing.T, b Bench) {
	one, two := b.Open(t), b.Open(t)
	lease := acquire(t, one, "aaaa", "db:1")
	if err := two.Release(t.Context(), lease); err != nil { // any handle may
		t.Fatalf("Release: %v", err)
	}
	same(t, "held after release", held(t, one), [][2]string{})
	taken := acquire(t, two, "bbbb", "db:1")
	for name, gone := range map[string]catalog.Lease{
		"released and taken": lease, "never taken": {Name: "db:9", Owner: ownerOf("aaaa"), Fence: 1},
	} {
		if err := one.Release(t.Context(), gone); err != nil {
			t.Errorf("Release of a lease %s: %v, want success", name, err)
		}
	}
	same(t, "held by the new owner", held(t, one), [][2]string{{"db:1", "bbbb"}})
	for range 2 {
		if err := two.Release(t.Context(), taken); err != nil {
			t.Errorf("Release: %v", err)
		}
	}
}

func testAskForNothing(t *testing.T, b Bench) {
	c := b.Open(t)
	lease := acquire(t, c, "aaaa", "db:1")
	for name, ask := range map[string]func() error{
		"no names":   func() error { _, err := c.Acquire(t.Context(), nil, ownerOf("a"), ttl); return err },
		"empty name": func() error { _, err := c.Acquire(t.Context(), []string{""}, ownerOf("a"), ttl); return err },
		"no time":    func() error { _, err := c.Acquire(t.Context(), []string{"x"}, ownerOf("a"), 0); return err },
		"renew for no time": func() error {
			_, err := c.Renew(t.Context(), lease, -time.Second)
			return err
		},
	} {
		if err := ask(); err == nil || errors.Is(err, catalog.ErrHeld) || errors.Is(err, catalog.ErrUnavailable) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}
