package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/AutumnsGrove/patina/pkg/store"
)

var errSource = errors.New("source broke")

// putBodyFails ends bodies with every kind of error at every kind of place.
func (s Suite) putBodyFails(t *testing.T) {
	part := s.PartBytes
	kinds := map[string]error{
		"bare unexpected EOF":    io.ErrUnexpectedEOF,
		"wrapped unexpected EOF": fmt.Errorf("unzip: %w", io.ErrUnexpectedEOF),
		"wrapped EOF":            fmt.Errorf("download: %w", io.EOF),
		"other":                  errSource,
		"closed pipe":            io.ErrClosedPipe,
	}
	for kind, cause := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			st := s.Open(t)
			for _, size := range []int64{0, 1, part - 1, part, part + 1, 2 * part, 2*part + 1} {
				after := io.MultiReader(bytes.NewReader(noise(size, 1)), iotest.ErrReader(cause))
				with := &failing{data: noise(size, 1), err: cause}
				for _, body := range []io.Reader{after, with} {
					_, err := st.Put(t.Context(), "daily/broken", body, store.PutOptions{})
					if !errors.Is(err, cause) {
						t.Errorf("Put of a body that ends after %d bytes: %v, want %v", size, err, cause)
					}
					if err == cause { //nolint:errorlint // the bare error is the point
						t.Errorf("the body's error comes back bare: %v", err)
					}
				}
			}
			wantNothing(t, st, "daily/broken")
			put(t, st, "daily/broken", []byte("the key is still free"))
		})
	}
}

// failing returns its error together with its last bytes.
type failing struct {
	data []byte
	err  error
}

func (f *failing) Read(p []byte) (int, error) {
	n := copy(p, f.data)
	if f.data = f.data[n:]; len(f.data) == 0 {
		return n, f.err
	}
	return n, nil
}

// putNoProgress has a body that never ends and never gives anything.
func (s Suite) putNoProgress(t *testing.T) {
	st := s.Open(t)
	_, err := st.Put(t.Context(), "k", readerFunc(func([]byte) (int, error) { return 0, nil }), store.PutOptions{})
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("Put = %v, want io.ErrNoProgress", err)
	}
	wantNothing(t, st, "k")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (s Suite) putCancelledBefore(t *testing.T) {
	st := s.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, size := range []int64{0, 1, s.PartBytes + 1} {
		_, err := st.Put(ctx, "k", bytes.NewReader(noise(size, 1)), store.PutOptions{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Put of %d bytes = %v, want context.Canceled", size, err)
		}
	}
	wantNothing(t, st, "k")
}

// putCancelledBlocked ends the context while the body blocks. As the contract
// has it, the caller then unblocks the body.
func (s Suite) putCancelledBlocked(t *testing.T) {
	for _, size := range []int64{0, 1, s.PartBytes, s.PartBytes + 1, 2*s.PartBytes + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			st := s.Open(t)
			ctx, cancel := context.WithCancel(t.Context())
			body, feed := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				_, err := st.Put(ctx, "k", body, store.PutOptions{})
				ended <- err
			}()
			if _, err := feed.Write(noise(size, 1)); err != nil {
				t.Fatal(err)
			}
			cancel()
			_ = feed.Close() // not even a clean end may publish now
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Put = %v, want context.Canceled", err)
			}
			wantNothing(t, st, "k")
		})
	}
}

// putCancelledFlowing ends the context while the body gives bytes for ever.
func (s Suite) putCancelledFlowing(t *testing.T) {
	st := s.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	given := int64(0)
	endless := readerFunc(func(p []byte) (int, error) {
		if given += int64(len(p)); given > 2*s.PartBytes {
			cancel()
		}
		return len(p), nil
	})
	if _, err := st.Put(ctx, "k", endless, store.PutOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put = %v, want context.Canceled", err)
	}
	wantNothing(t, st, "k")
}
