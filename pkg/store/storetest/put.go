package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/store"
)

func (s Suite) putSizes(t *testing.T) {
	part := s.PartBytes
	for i, size := range []int64{0, 1, part - 1, part, part + 1, 2 * part, 3*part - 1, 3 * part} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			st := s.Open(t)
			data := noise(size, uint64(i))
			receipt := put(t, st, "daily/size", data)
			if receipt.Key != "daily/size" || receipt.Bytes != size || receipt.ETag == "" || receipt.ModifiedAt.IsZero() {
				t.Errorf("receipt = %+v", receipt)
			}
			checkParts(t, receipt)
			if got := get(t, st, "daily/size"); !bytes.Equal(got, data) {
				t.Errorf("got %d bytes back that are not the %d written", len(got), size)
			}
			info, err := st.Stat(t.Context(), "daily/size")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]store.Info{info}, list(t, st, "")); diff != "" {
				t.Errorf("Stat and List differ (-stat +list):\n%s", diff)
			}
			info.ModifiedAt = receipt.ModifiedAt // HTTP tells it in coarser steps
			if diff := cmp.Diff(receipt.Info, info); diff != "" {
				t.Errorf("receipt and Stat differ (-receipt +stat):\n%s", diff)
			}
		})
	}
}

// checkParts checks that a receipt's parts add up to its length.
func checkParts(t *testing.T, r store.Receipt) {
	t.Helper()
	want := int64(1)
	if r.PartBytes > 0 {
		want = (r.Bytes + r.PartBytes - 1) / r.PartBytes
	}
	if int64(r.Parts) != want {
		t.Errorf("receipt of %d bytes has %d parts of %d bytes, want %d", r.Bytes, r.Parts, r.PartBytes, want)
	}
}

// putReaders writes from readers that keep the letter of io.Reader only.
func (s Suite) putReaders(t *testing.T) {
	data := noise(s.PartBytes+s.PartBytes/2, 1)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"end with data": iotest.DataErrReader,
		"half":          iotest.HalfReader,
		"empty reads":   func(r io.Reader) io.Reader { return &hesitant{r: r} },
		"one byte": func(r io.Reader) io.Reader {
			return io.MultiReader(iotest.OneByteReader(io.LimitReader(r, 1000)), r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := s.Open(t)
			if _, err := st.Put(t.Context(), "k", wrap(bytes.NewReader(data)), store.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := get(t, st, "k"); !bytes.Equal(got, data) {
				t.Errorf("got %d bytes back that are not the %d written", len(got), len(data))
			}
		})
	}
}

// hesitant returns nothing on every second read.
type hesitant struct {
	r     io.Reader
	reads int
}

func (h *hesitant) Read(p []byte) (int, error) {
	if h.reads++; h.reads%2 == 0 {
		return 0, nil
	}
	return h.r.Read(p)
}

func (s Suite) putCreateOnly(t *testing.T) {
	for _, size := range []int64{0, 10, s.PartBytes + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			st := s.Open(t)
			first := noise(size, 1)
			receipt := put(t, st, "daily/taken", first)
			for _, again := range []int64{size, 5, s.PartBytes + 2} {
				_, err := st.Put(t.Context(), "daily/taken", bytes.NewReader(noise(again, 2)), store.PutOptions{})
				if !errors.Is(err, store.ErrExists) || !errors.Is(err, fs.ErrExist) {
					t.Errorf("second Put of %d bytes: %v, want ErrExists", again, err)
				}
			}
			if got := get(t, st, "daily/taken"); !bytes.Equal(got, first) {
				t.Error("the object is not the first writer's any more")
			}
			info, err := st.Stat(t.Context(), "daily/taken")
			if err != nil || info.ETag != receipt.ETag {
				t.Errorf("Stat = %+v, %v, want ETag %s", info, err, receipt.ETag)
			}
		})
	}
}
