package dump_test

import (
	"bufio"
	"bytes"
	"io"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
)

const benchChunk = 256 << 10

func feed(b *testing.B, w io.Writer, text []byte) {
	b.Helper()
	for len(text) > 0 {
		n := min(benchChunk, len(text))
		if _, err := w.Write(text[:n]); err != nil {
			b.Fatal(err)
		}
		text = text[n:]
	}
}

// BenchmarkFilter compares, for each kind of dump, the filter with what a
// program would do that only looks at lines, with a loop over the bytes that
// knows quotes only, and with the one search that any reader must do.
func BenchmarkFilter(b *testing.B) {
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
		ways := []struct {
			name string
			run  func(b *testing.B, text []byte)
		}{
			{"filter", func(b *testing.B, text []byte) {
				f := dump.NewFilter(io.Discard, dump.Options{})
				feed(b, f, text)
				if err := f.Finish(); err != nil {
					b.Fatal(err)
				}
			}},
			{"withhold", func(b *testing.B, text []byte) {
				f := dump.NewFilter(io.Discard, dump.Options{HoldTail: true, Withhold: func(dump.Row) bool { return false }})
				feed(b, f, text)
				if err := f.Finish(); err != nil {
					b.Fatal(err)
				}
			}},
			{"lines", countLines},
			{"bytes", countQuoted},
			{"search", countSemicolons},
		}
		for _, way := range ways {
			b.Run(kind.name+"/"+way.name, func(b *testing.B) {
				b.SetBytes(int64(len(kind.text)))
				b.ReportAllocs()
				for b.Loop() {
					way.run(b, kind.text)
				}
			})
		}
	}
}

// countLines reads lines with bufio.Scanner and looks at how they begin. It
// knows nothing of values.
func countLines(b *testing.B, text []byte) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(make([]byte, 64<<10), 16<<20)
	inserts := 0
	for lines.Scan() {
		if line := lines.Bytes(); len(line) > 0 && line[0]|0x20 == 'i' {
			inserts++
		}
	}
	if inserts == 0 || lines.Err() != nil {
		b.Fatal(inserts, lines.Err())
	}
}

// countQuoted looks at each byte and knows quotes and semicolons only.
func countQuoted(b *testing.B, text []byte) {
	statements, quoted := 0, false
	for _, c := range text {
		switch {
		case c == '\'':
			quoted = !quoted
		case c == ';' && !quoted:
			statements++
		}
	}
	if statements == 0 {
		b.Fatal("no statements")
	}
}

// countSemicolons is one search with bytes.Count, which no reader can beat.
func countSemicolons(b *testing.B, text []byte) {
	if bytes.Count(text, []byte{';'}) == 0 {
		b.Fatal("no semicolons")
	}
}
