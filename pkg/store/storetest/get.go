package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/store"
)

func (s Suite) getRanges(t *testing.T) {
	st := s.Open(t)
	data := noise(s.PartBytes+100, 1)
	size := int64(len(data))
	receipt := put(t, st, "k", data)
	good := []store.GetOptions{
		{},
		{Length: 1},
		{Length: size},
		{Offset: 1},
		{Offset: size - 1},
		{Offset: size - 1, Length: 1},
		{Offset: s.PartBytes - 1, Length: 2},
		{Offset: 10, Length: size - 10},
	}
	for _, opts := range good {
		opts.IfMatch = receipt.ETag
		want := data[opts.Offset:]
		if opts.Length > 0 {
			want = want[:opts.Length]
		}
		if got, err := read(t, st, "k", opts); err != nil || !bytes.Equal(got, want) {
			t.Errorf("Get(%+v) = %d bytes, %v, want %d bytes", opts, len(got), err, len(want))
		}
	}
	bad := []store.GetOptions{
		{Offset: size},
		{Offset: size + 1},
		{Offset: size - 1, Length: 2},
		{Length: size + 1},
		{Offset: -1},
		{Length: -1},
		{Offset: -5, Length: 5},
	}
	for _, opts := range bad {
		if got, err := read(t, st, "k", opts); err == nil {
			t.Errorf("Get(%+v) = %d bytes, want an error", opts, len(got))
		}
	}
	put(t, st, "empty", nil)
	for _, opts := range []store.GetOptions{{Length: 1}, {Offset: 1}} {
		if _, err := read(t, st, "empty", opts); err == nil {
			t.Errorf("Get(%+v) of an empty object succeeds, want an error", opts)
		}
	}
}

func (s Suite) getIfMatch(t *testing.T) {
	st := s.Open(t)
	old := put(t, st, "daily/k", []byte("first writing"))
	body, info, err := st.Get(t.Context(), "daily/k", store.GetOptions{IfMatch: old.ETag})
	if err != nil {
		t.Fatalf("Get with the right ETag: %v", err)
	}
	defer body.Close() //nolint:errcheck // it was only read
	info.ModifiedAt = old.ModifiedAt
	if diff := cmp.Diff(old.Info, info); diff != "" {
		t.Errorf("receipt and Get differ (-receipt +get):\n%s", diff)
	}
	if got, err := io.ReadAll(body); err != nil || string(got) != "first writing" {
		t.Errorf("body = %q, %v", got, err)
	}
	if _, err := read(t, st, "daily/k", store.GetOptions{IfMatch: "0123"}); !errors.Is(err, store.ErrChanged) {
		t.Errorf("Get with a wrong ETag: %v, want ErrChanged", err)
	}
	if err := st.Delete(t.Context(), "daily/k"); err != nil {
		t.Fatal(err)
	}
	renewed := put(t, st, "daily/k", []byte("other writing")) // of the same length
	if renewed.ETag == old.ETag {
		t.Errorf("two writings have the ETag %s", old.ETag)
	}
	for _, opts := range []store.GetOptions{{}, {Offset: 2}, {Offset: 2, Length: 3}} {
		opts.IfMatch = old.ETag
		if _, err := read(t, st, "daily/k", opts); !errors.Is(err, store.ErrChanged) {
			t.Errorf("Get(%+v) of another writing: %v, want ErrChanged", opts, err)
		}
	}
}

func (s Suite) getMissing(t *testing.T) {
	st := s.Open(t)
	put(t, st, "daily/there", []byte("x"))
	for _, key := range []string{"missing", "daily", "daily/missing", "daily/there/below", "daily/the"} {
		if _, err := st.Stat(t.Context(), key); !isMissing(err) {
			t.Errorf("Stat(%q) = %v, want ErrNotFound", key, err)
		}
		for _, opts := range []store.GetOptions{{}, {Offset: 1, Length: 1}, {IfMatch: "0123"}} {
			if _, err := read(t, st, key, opts); !isMissing(err) {
				t.Errorf("Get(%q, %+v) = %v, want ErrNotFound", key, opts, err)
			}
		}
	}
}

func isMissing(err error) bool {
	return errors.Is(err, store.ErrNotFound) && errors.Is(err, fs.ErrNotExist)
}

// getCancelled ends the context while a body is being read.
func (s Suite) getCancelled(t *testing.T) {
	st := s.Open(t)
	put(t, st, "k", noise(3*s.PartBytes, 1))
	ctx, cancel := context.WithCancel(t.Context())
	body, _, err := st.Get(ctx, "k", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close() //nolint:errcheck // it was only read
	if _, err := io.ReadFull(body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	n, err := io.Copy(io.Discard, body)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("reading on gave %d bytes and %v, want context.Canceled", n, err)
	}
	if _, _, err := st.Get(ctx, "k", store.GetOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Get = %v, want context.Canceled", err)
	}
	if _, err := st.Stat(ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("Stat = %v, want context.Canceled", err)
	}
	if err := st.Delete(ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete = %v, want context.Canceled", err)
	}
	if got := fmt.Sprint(keys(t, st, "")); got != "[k]" {
		t.Errorf("store holds %s, want [k]", got)
	}
}
