package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/AutumnsGrove/patina/pkg/seal"
)

// chunk is a size at whose borders packers cut their work.
const chunk = 1 << 16

// packing is a way of packing, and what opens it.
type packing struct {
	seal.Packing
	identities seal.Identities
}

// String names the way in failures.
func (p packing) String() string { return string(p.Compression) + p.Extension() }

// packings are all ways, each plain and encrypted.
func packings(t testing.TB) []packing {
	t.Helper()
	key := newX25519(t)
	to, by := recipients(t, key.public), identities(t, key.private)
	var all []packing
	for _, c := range seal.Compressions() {
		all = append(all, packing{Packing: seal.Packing{Compression: c}},
			packing{Packing: seal.Packing{Compression: c, Recipients: to}, identities: by})
	}
	return all
}

// pack stores plain bytes in pieces and returns what was stored.
func pack(t testing.TB, c packing, plain []byte, piece int) ([]byte, seal.Expect) {
	t.Helper()
	var stored bytes.Buffer
	w, err := seal.NewWriter(&stored, c.Packing)
	if err != nil {
		t.Fatal(err)
	}
	for rest := plain; len(rest) > 0; {
		n := min(piece, len(rest))
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return stored.Bytes(), seal.Expect{
		Compression: c.Compression, Encrypted: !c.Recipients.IsZero(), Stored: w.Stored(), Plain: w.Plain(),
	}
}

// unpack reads a stored stream to its end.
func unpack(c packing, src io.Reader, expect seal.Expect) ([]byte, error) {
	r, err := seal.NewReader(src, expect, c.identities)
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(r)
	return plain, errors.Join(err, r.Close())
}

// text is n bytes that compress like a dump.
func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "INSERT INTO \"users\" (\"id\",\"name\") VALUES(%d,'user %d');\n", i, i*7919%1000)
	}
	return b.Bytes()[:n]
}

func TestWhatIsStoredComesBack(t *testing.T) {
	t.Parallel()
	for _, c := range packings(t) {
		for _, size := range []int{1, 31, chunk - 1, chunk, chunk + 1, 3 * chunk} {
			for _, piece := range []int{1 << 20, 4096, 7} {
				plain := text(size)
				stored, expect := pack(t, c, plain, piece)
				if got := seal.SumOf(plain); expect.Plain != got {
					t.Errorf("%s, %d bytes: plain sum %v, want %v", c, size, expect.Plain, got)
				}
				if got := seal.SumOf(stored); expect.Stored != got {
					t.Errorf("%s, %d bytes: stored sum %v, want %v", c, size, expect.Stored, got)
				}
				for name, src := range map[string]io.Reader{
					"whole": bytes.NewReader(stored), "halves": iotest.HalfReader(bytes.NewReader(stored)),
					"data with the end": iotest.DataErrReader(bytes.NewReader(stored)),
				} {
					got, err := unpack(c, src, expect)
					if err != nil || !bytes.Equal(got, plain) {
						t.Errorf("%s, %d bytes, read by %s: %d bytes, %v", c, size, name, len(got), err)
					}
				}
			}
		}
	}
}

func TestReaderKeepsTheRulesOfReaders(t *testing.T) {
	t.Parallel()
	for _, c := range packings(t) {
		plain := text(3000)
		stored, expect := pack(t, c, plain, 100)
		r, err := seal.NewReader(bytes.NewReader(stored), expect, c.identities)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(r, plain); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
}

// wantDamage holds a read against the promise: an error that says damage, and
// that no caller can take for an end.
func wantDamage(t *testing.T, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s: read to a clean end", what)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		t.Errorf("%s: %v can be taken for an end", what, err)
	case !errors.Is(err, seal.ErrDamaged):
		t.Errorf("%s: %v is no damage", what, err)
	}
}

func TestEveryFlippedBitAndEveryTruncationIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range packings(t) {
		stored, expect := pack(t, c, text(700), 100)
		for i := range stored {
			for _, mask := range []byte{0x01, 0x80, 0xff} {
				damaged := bytes.Clone(stored)
				damaged[i] ^= mask
				_, err := unpack(c, bytes.NewReader(damaged), expect)
				wantDamage(t, fmt.Sprintf("%s: byte %d flipped by %#x", c, i, mask), err)
			}
			_, err := unpack(c, bytes.NewReader(stored[:i]), expect)
			wantDamage(t, fmt.Sprintf("%s: cut to %d bytes", c, i), err)
		}
		for name, more := range map[string][]byte{"a byte": {0}, "itself": stored} {
			_, err := unpack(c, bytes.NewReader(append(bytes.Clone(stored), more...)), expect)
			wantDamage(t, fmt.Sprintf("%s: followed by %s", c, name), err)
		}
	}
}

func TestAFailingSourceIsNoDamage(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, c := range packings(t) {
		stored, expect := pack(t, c, text(100_000), 4096)
		src := io.MultiReader(bytes.NewReader(stored[:len(stored)/2]), iotest.ErrReader(broken))
		_, err := unpack(c, src, expect)
		if !errors.Is(err, broken) || errors.Is(err, seal.ErrDamaged) {
			t.Errorf("%s: %v, want the source's error and no damage", c, err)
		}
	}
}

func TestMoreThanRecordedStopsAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range packings(t) {
		if c.Compression == seal.None {
			continue // as long as it says it is
		}
		// 64 MiB of zeros in a few kilobytes, recorded as 10 bytes.
		stored, expect := pack(t, c, make([]byte, 64<<20), 1<<20)
		expect.Plain.Bytes = 10
		r, err := seal.NewReader(bytes.NewReader(stored), expect, c.identities)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		wantDamage(t, c.String(), err)
		if n > 1<<20 {
			t.Errorf("%s: %d bytes were handed out", c, n)
		}
	}
}

func TestNothingBetweenMeansOneHash(t *testing.T) {
	t.Parallel()
	_, expect := pack(t, packing{Packing: seal.Packing{Compression: seal.None}}, text(1000), 100)
	if expect.Plain != expect.Stored {
		t.Errorf("plain %v, stored %v", expect.Plain, expect.Stored)
	}
}

func TestCompressionNames(t *testing.T) {
	t.Parallel()
	if len(seal.Compressions()) != 3 {
		t.Fatal("not three ways of packing")
	}
	for _, c := range seal.Compressions() {
		if got, err := seal.ParseCompression(string(c)); got != c || err != nil {
			t.Errorf("ParseCompression(%q) = %q, %v", c, got, err)
		}
	}
	for _, c := range packings(t) {
		key := "daily/2024-12-08/a.sql" + c.Extension()
		if got, encrypted := seal.PackingOfKey(key); got != c.Compression || encrypted != !c.Recipients.IsZero() {
			t.Errorf("%s is taken for %s, encrypted %t", key, got, encrypted)
		}
	}
	if _, err := seal.ParseCompression("lz4"); err == nil || !strings.Contains(err.Error(), "none, gzip or zstd") {
		t.Errorf("lz4 gives %v", err)
	}
	if _, err := seal.NewWriter(io.Discard, seal.Packing{Compression: "lz4"}); err == nil {
		t.Error("a writer of lz4 is made")
	}
}

func FuzzReader(f *testing.F) {
	seeds := 0
	for _, c := range seal.Compressions() {
		stored, _ := pack(f, packing{Packing: seal.Packing{Compression: c}}, text(200), 50)
		f.Add(string(c), stored)
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	plain := text(200)
	f.Fuzz(func(t *testing.T, name string, stored []byte) {
		compression, err := seal.ParseCompression(name)
		if err != nil {
			return
		}
		c := packing{Packing: seal.Packing{Compression: compression}}
		want, expect := pack(t, c, plain, 50)
		got, err := unpack(c, bytes.NewReader(stored), expect)
		if err == nil && (!bytes.Equal(stored, want) || !bytes.Equal(got, plain)) {
			t.Errorf("%d other bytes are read as those that were stored", len(stored))
		}
	})
}
