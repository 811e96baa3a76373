package archive_test

import (
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/archive"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// BenchmarkWriter archives a week of different dumps of 8 MiB: the bytes are
// plain ones. "ratio" is packed to plain.
func BenchmarkWriter(b *testing.B) {
	to, _ := keyPair(b)
	for _, c := range []struct {
		name string
		p    seal.Packing
	}{
		{"plain", seal.Packing{Compression: seal.None}},
		{"gzip", seal.Packing{Compression: seal.Gzip}},
		{"zstd", seal.Packing{Compression: seal.Zstd}},
		{"encrypted", seal.Packing{Compression: seal.Zstd, Recipients: to}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var dailies []daily
			var plain int64
			for day := range 7 {
				d := newDaily(b, 2+day, "groveauth", sql(8<<20, uint64(day)), c.p)
				dailies = append(dailies, d)
				plain += d.Manifest.Plain.Bytes
			}
			b.SetBytes(plain)
			b.ReportAllocs()
			var packed int64
			for b.Loop() {
				w := archive.NewWriter(io.Discard, archive.Options{Workers: runtime.GOMAXPROCS(0), At: time.Unix(0, 0)})
				for _, d := range dailies {
					if err := w.WriteDump(d.Dump, d.open, false); err != nil {
						b.Fatal(err)
					}
				}
				contents, err := w.Close()
				if err != nil {
					b.Fatal(err)
				}
				packed = contents.Stored.Bytes
			}
			b.ReportMetric(float64(packed)/float64(plain), "ratio")
		})
	}
}
