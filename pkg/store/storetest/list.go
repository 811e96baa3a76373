package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// tricky is keys for which the order of folders is not the order of bytes.
func tricky() []string {
	return []string{
		"a-b", "a.b", "a/b", "a/c-d", "a/c.d/e", "a/c/d", "a/c/e/f", "a/c0",
		"a0", "a~", "B", "daily/2024-12-08/x.json", "daily/2024-12-08/x.sql", "daily/2024-12-08.txt", "z",
	}
}

func (s Suite) listOrder(t *testing.T) {
	st := s.Open(t)
	want := tricky()
	for _, key := range want {
		put(t, st, key, []byte(key))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, keys(t, st, "")); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	for _, info := range list(t, st, "") {
		stat, err := st.Stat(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		// A listing may tell parts of a second that a HEAD does not.
		stat.ModifiedAt, info.ModifiedAt = stat.ModifiedAt.Truncate(time.Second), info.ModifiedAt.Truncate(time.Second)
		if diff := cmp.Diff(stat, info); diff != "" {
			t.Errorf("%s: Stat and List differ (-stat +list):\n%s", info.Key, diff)
		}
	}
}

func (s Suite) listPrefix(t *testing.T) {
	st := s.Open(t)
	all := tricky()
	for _, key := range all {
		put(t, st, key, nil)
	}
	slices.Sort(all)
	prefixes := []string{"a", "a/", "a/c", "a/c/", "a/c/e", "a-", "daily/2024-12-08", "daily/2024-12-08/", "z", "zz", "nothing/here/", "/"}
	for _, prefix := range prefixes {
		want := []string{}
		for _, key := range all {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		if diff := cmp.Diff(want, keys(t, st, prefix)); diff != "" {
			t.Errorf("List(%q) (-want +got):\n%s", prefix, diff)
		}
	}
}

func (s Suite) listEmpty(t *testing.T) {
	st := s.Open(t)
	for _, prefix := range []string{"", "daily/", "x"} {
		if got := keys(t, st, prefix); len(got) != 0 {
			t.Errorf("List(%q) = %q, want nothing", prefix, got)
		}
	}
}

// listEarlyBreak leaves listings early and looks for goroutines left behind.
func (s Suite) listEarlyBreak(t *testing.T) {
	const rounds = 20
	st := s.Open(t)
	for i := range 5 {
		put(t, st, fmt.Sprintf("k%d", i), nil)
	}
	ctx := pprof.WithLabels(t.Context(), pprof.Labels("storetest", t.Name()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		pprof.SetGoroutineLabels(ctx) // goroutines started from here inherit them
		for range rounds {
			for _, err := range st.List(ctx, "") {
				if err != nil {
					t.Error(err)
				}
				break
			}
		}
	}()
	<-done
	// An idle connection or two may stay. A leak would be one each round.
	left := labelled(t, t.Name())
	for tries := 0; left >= rounds/2 && tries < 1000; tries++ {
		<-time.After(10 * time.Millisecond)
		left = labelled(t, t.Name())
	}
	if left >= rounds/2 {
		t.Errorf("%d goroutines are left of %d listings", left, rounds)
	}
}

// labelled counts the goroutines with the label that listEarlyBreak sets.
func labelled(t *testing.T, label string) int {
	t.Helper()
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		t.Fatal(err)
	}
	total := 0
	groups := regexp.MustCompile(`(?m)^(\d+) @.*\n# labels: .*` + regexp.QuoteMeta(strconv.Quote(label)))
	for _, match := range groups.FindAllStringSubmatch(profile.String(), -1) {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}

func (s Suite) listCancelled(t *testing.T) {
	st := s.Open(t)
	for i := range 5 {
		put(t, st, fmt.Sprintf("k%d", i), nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs []error
	for _, err := range st.List(ctx, "") {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
		t.Errorf("List yields %v, want one context.Canceled", errs)
	}
}

// listCancelledWithin ends the context in the middle of a listing, which must
// not look complete then.
func (s Suite) listCancelledWithin(t *testing.T) {
	st := s.Open(t)
	for i := range 5 {
		put(t, st, fmt.Sprintf("k%d", i), nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs []error
	for _, err := range st.List(ctx, "") {
		cancel()
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
		t.Errorf("List yields the errors %v, want one context.Canceled", errs)
	}
}

// listBesideWriters lists while other keys come and go: what was there before
// and is there after must be in every listing.
func (s Suite) listBesideWriters(t *testing.T) {
	st := s.Open(t)
	want := []string{"a/1/x", "a/2/x", "b/1", "c/1/2/x"}
	for _, key := range want {
		put(t, st, key, nil)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				churn(t, st, fmt.Sprintf("a/%d/churn", 1+i%4))
			}
		}
	}()
	defer func() { close(stop); <-done }()
	for range 20 {
		got := slices.DeleteFunc(keys(t, st, ""), func(key string) bool { return strings.HasSuffix(key, "/churn") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("List (-want +got):\n%s", diff)
		}
	}
}

// churn writes and deletes one key, from any goroutine.
func churn(t *testing.T, st store.Store, key string) {
	if _, err := st.Put(t.Context(), key, strings.NewReader("x"), store.PutOptions{}); err != nil {
		t.Errorf("Put(%q): %v", key, err)
	}
	if err := st.Delete(t.Context(), key); err != nil {
		t.Errorf("Delete(%q): %v", key, err)
	}
}
