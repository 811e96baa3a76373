package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (s Suite) deleteObject(t *testing.T) {
	st := s.Open(t)
	for _, key := range []string{"a/b/c", "a/b/d", "e"} {
		put(t, st, key, noise(10, 1))
	}
	for _, key := range []string{"a/b/c", "a/b/d", "e"} {
		if err := st.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete(%q): %v", key, err)
		}
		if _, err := st.Stat(t.Context(), key); !isMissing(err) {
			t.Errorf("Stat(%q) after Delete: %v, want ErrNotFound", key, err)
		}
	}
	wantNothing(t, st, "a/b/c")
	put(t, st, "a/b/c", []byte("again"))
	if got := string(get(t, st, "a/b/c")); got != "again" {
		t.Errorf("the key holds %q after it was written again", got)
	}
	if err := st.Delete(t.Context(), "a/b/c"); err != nil {
		t.Fatal(err)
	}
	put(t, st, "a/b", nil) // also a folder may hold it once nothing lies below
}

func (s Suite) deleteMissing(t *testing.T) {
	st := s.Open(t)
	put(t, st, "a/b/c", nil)
	for _, key := range []string{"missing", "a", "a/b", "a/b/missing", "a/x/y", "a/b/c/d"} {
		if err := st.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete(%q) = %v, want success", key, err)
		}
	}
	if diff := cmp.Diff([]string{"a/b/c"}, keys(t, st, "")); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

// deleteBesideWriters has writers and deleters meet beside an object that
// stays. (Of a folder that is empty again and again, dirstore has a test of its
// own: versitygw does not get that right.)
func (s Suite) deleteBesideWriters(t *testing.T) {
	st := s.Open(t)
	put(t, st, "one/folder/stays", []byte("stays"))
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for range 25 {
				churn(t, st, fmt.Sprintf("one/folder/%d", i))
			}
		})
	}
	group.Wait()
	if diff := cmp.Diff([]string{"one/folder/stays"}, keys(t, st, "")); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}
