// Package storetest is the suite that every store.Store must pass.
//
// New semantics of a store go into this suite first. Each case is independent:
// it opens a store of its own, and nothing may be left in it by an earlier
// case. What only one kind of store promises is tested beside that store, and
// r2fake and versity are the two S3 servers that such tests run against.
package storetest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// A Suite says how to open the store under test, and what to know of it.
type Suite struct {
	// Open returns an empty store. It is called once for each case.
	Open func(t *testing.T) store.Store
	// PartBytes is where the store cuts large objects, or any size at which
	// something changes in it; 0 means 256 KiB. Bodies are made up to three
	// times as long.
	PartBytes int64
}

// Run runs the suite over a store for which the size of parts says nothing.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	Suite{Open: open}.Run(t)
}

// Run runs all cases as subtests of t.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	if s.PartBytes == 0 {
		s.PartBytes = 256 << 10
	}
	cases := []struct {
		name string
		run  func(*testing.T)
	}{
		{"put/sizes", s.putSizes},
		{"put/readers", s.putReaders},
		{"put/create only", s.putCreateOnly},
		{"put/race", s.putRace},
		{"put/race of parts", s.putRaceOfParts},
		{"put/body fails", s.putBodyFails},
		{"put/body without progress", s.putNoProgress},
		{"put/cancelled before", s.putCancelledBefore},
		{"put/cancelled while body blocks", s.putCancelledBlocked},
		{"put/cancelled while body flows", s.putCancelledFlowing},
		{"get/ranges", s.getRanges},
		{"get/if match", s.getIfMatch},
		{"get/missing", s.getMissing},
		{"get/cancelled", s.getCancelled},
		{"list/order", s.listOrder},
		{"list/prefix", s.listPrefix},
		{"list/empty", s.listEmpty},
		{"list/early break", s.listEarlyBreak},
		{"list/cancelled", s.listCancelled},
		{"list/cancelled within", s.listCancelledWithin},
		{"list/beside writers", s.listBesideWriters},
		{"delete/object", s.deleteObject},
		{"delete/missing", s.deleteMissing},
		{"delete/beside writers", s.deleteBesideWriters},
		{"keys/odd", s.keysOdd},
		{"keys/bad", s.keysBad},
		{"keys/object and folder", s.keysObjectAndFolder},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

// noise is n bytes that compress badly and differ for every seed.
func noise(n int64, seed uint64) []byte {
	data := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = source.Read(data) // never fails
	return data
}

// put writes an object that must be writable.
func put(t *testing.T, s store.Store, key string, data []byte) store.Receipt {
	t.Helper()
	receipt, err := s.Put(t.Context(), key, bytes.NewReader(data), store.PutOptions{})
	if err != nil {
		t.Fatalf("Put(%q) of %d bytes: %v", key, len(data), err)
	}
	return receipt
}

// get reads a whole object that must be readable.
func get(t *testing.T, s store.Store, key string) []byte {
	t.Helper()
	data, err := read(t, s, key, store.GetOptions{})
	if err != nil {
		t.Fatalf("Get(%q): %v", key, err)
	}
	return data
}

// read gets and reads, and returns the first error of it.
func read(t *testing.T, s store.Store, key string, opts store.GetOptions) ([]byte, error) {
	t.Helper()
	body, _, err := s.Get(t.Context(), key, opts)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	return data, errors.Join(err, body.Close())
}

// list is all infos under a prefix, of a listing that must succeed.
func list(t *testing.T, s store.Store, prefix string) []store.Info {
	t.Helper()
	var infos []store.Info
	for info, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("List(%q) after %d objects: %v", prefix, len(infos), err)
		}
		infos = append(infos, info)
	}
	return infos
}

// keys is the keys of a listing that must succeed.
func keys(t *testing.T, s store.Store, prefix string) []string {
	t.Helper()
	keys := []string{}
	for _, info := range list(t, s, prefix) {
		keys = append(keys, info.Key)
	}
	return keys
}

// wantNothing fails unless the store holds no object and none under key.
func wantNothing(t *testing.T, s store.Store, key string) {
	t.Helper()
	if info, err := s.Stat(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Stat(%q) = %+v, %v, want ErrNotFound", key, info, err)
	}
	if got := keys(t, s, ""); len(got) != 0 {
		t.Errorf("store holds %q, want nothing", got)
	}
}
