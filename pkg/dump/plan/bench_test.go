package plan_test

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
)

// BenchmarkPlan compares reading, planning and writing a dump anew with a
// program that only copies its lines, which is what putting tables before rows
// by grep and sort comes to, twice: once to find and once to write.
func BenchmarkPlan(b *testing.B) {
	const size = 32 << 20
	for _, kind := range []struct {
		name string
		text []byte
	}{
		{"users", dumptest.Users(size)},
		{"counters", dumptest.Counters(size)},
		{"posts", dumptest.Posts(size)},
		{"files", dumptest.Files(size)},
		{"foreign", dumptest.Foreign(size)},
	} {
		b.Run(kind.name+"/plan", func(b *testing.B) {
			b.SetBytes(int64(len(kind.text)))
			b.ReportAllocs()
			for b.Loop() {
				p, err := plan.Read(bytes.NewReader(kind.text), int64(len(kind.text)))
				if err != nil {
					b.Fatal(err)
				}
				if err := p.WriteSQL(b.Context(), func([]byte, int) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(kind.name+"/lines", func(b *testing.B) {
			b.SetBytes(int64(len(kind.text)))
			for b.Loop() {
				copyLines(b, kind.text)
				copyLines(b, kind.text)
			}
		})
	}
}

func copyLines(b *testing.B, text []byte) {
	b.Helper()
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(make([]byte, 64<<10), 16<<20)
	var out []byte
	for lines.Scan() {
		if len(out) > 64<<10 {
			out = out[:0]
		}
		out = append(out, lines.Bytes()...)
	}
	if lines.Err() != nil {
		b.Fatal(lines.Err())
	}
}
