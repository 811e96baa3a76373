package storetest

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/store"
)

func (s Suite) putRace(t *testing.T) { s.race(t, 50, 100) }

func (s Suite) putRaceOfParts(t *testing.T) { s.race(t, 8, s.PartBytes+1) }

// race has many writers create one key at once: one must win, and the object
// must be the winner's.
func (s Suite) race(t *testing.T, writers int, size int64) {
	st := s.Open(t)
	errs := make([]error, writers)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			body := bytes.NewReader(noise(size, uint64(i)))
			<-start
			_, errs[i] = st.Put(t.Context(), "jobs/race/contested", body, store.PutOptions{})
		})
	}
	close(start)
	group.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("writers %d and %d both won", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, store.ErrExists):
			t.Errorf("writer %d: %v, want ErrExists", i, err)
		}
	}
	if winner < 0 {
		t.Fatal("no writer won")
	}
	if !bytes.Equal(get(t, st, "jobs/race/contested"), noise(size, uint64(winner))) {
		t.Errorf("the object is not that of writer %d, who won", winner)
	}
	if got := keys(t, st, ""); len(got) != 1 {
		t.Errorf("store holds %q, want one key", got)
	}
}
