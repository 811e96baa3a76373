package seal_test

import (
	stdgzip "compress/gzip"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/seal"
)

// The ratios to read: none to sha256 (nothing but the hash should be left),
// gzip and zstd to stdgzip-6. "ratio" is stored bytes per plain byte.

func BenchmarkWriter(b *testing.B) {
	plain := text(8 << 20)
	for _, c := range packings(b) {
		b.Run(c.String(), func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			var stored int64
			for b.Loop() {
				w, err := seal.NewWriter(io.Discard, c.Packing)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := w.Write(plain); err != nil {
					b.Fatal(err)
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
				stored = w.Stored().Bytes
			}
			b.ReportMetric(float64(stored)/float64(len(plain)), "ratio")
		})
	}
	b.Run("sha256", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		for b.Loop() {
			sha256.Sum256(plain)
		}
	})
	b.Run("stdgzip-6", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		var stored counter
		for b.Loop() {
			stored = 0
			w := stdgzip.NewWriter(&stored)
			if _, err := w.Write(plain); err != nil {
				b.Fatal(err)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(stored)/float64(len(plain)), "ratio")
	})
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
