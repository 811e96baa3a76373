package dump_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// usersDump is a dump as D1 writes it, of rows as an application has them:
// ids, e-mail addresses, times, reals, NULLs, JSON, and now and then a text of
// some hundred bytes.
func usersDump(size int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString("PRAGMA defer_foreign_keys=TRUE;\n")
	b.WriteString("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT, created_at TEXT, last_seen INTEGER, score REAL, settings TEXT, bio TEXT);\n")
	for id := 1; b.Len() < size; id++ {
		bio := "NULL"
		if id%3 == 0 {
			bio = "'" + strings.Repeat("She said it''s a long way to the grove, and so on. ", 1+r.IntN(6)) + "'"
		}
		fmt.Fprintf(&b, `INSERT INTO "users" ("id","email","name","created_at","last_seen","score","settings","bio") VALUES(%d,'user%d@example.com','Robin Q%d','2024-%02d-%02dT%02d:%02d:%02d.%03dZ',%d,%v,'{"theme":"dark","lang":"en","tags":["a","b%d"],"n":%d}',%s);`+"\n",
			id, id, r.IntN(100000), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1000),
			1700000000000+r.IntN(1e9), float64(r.IntN(100000))/100, r.IntN(1000), r.IntN(100), bio)
	}
	b.WriteString("CREATE INDEX users_email ON users(email);\n")
	return b.Bytes()
}

// countersDump has rows of nothing but short numbers.
func countersDump(size int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	var b bytes.Buffer
	b.WriteString("PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE hits (id INTEGER PRIMARY KEY, page INTEGER, n INTEGER, at INTEGER);\n")
	for id := 1; b.Len() < size; id++ {
		fmt.Fprintf(&b, `INSERT INTO "hits" ("id","page","n","at") VALUES(%d,%d,%d,%d);`+"\n", id, r.IntN(500), r.IntN(1e6), 1700000000+r.IntN(1e7))
	}
	return b.Bytes()
}

// postsDump has long texts with line feeds.
func postsDump(size int) []byte {
	r := rand.New(rand.NewPCG(5, 6))
	var b bytes.Buffer
	b.WriteString("PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE posts (id INTEGER PRIMARY KEY, slug TEXT, body TEXT);\n")
	for id := 1; b.Len() < size; id++ {
		fmt.Fprintf(&b, `INSERT INTO "posts" ("id","slug","body") VALUES(%d,'post-%d',replace('%s','\n',char(10)));`+"\n", id, id,
			strings.Repeat(`The trees don''t hurry; they have time. It goes on like this for a while, and then\n`, 5+r.IntN(60)))
	}
	return b.Bytes()
}

// filesDump has texts and blobs of some ten kilobytes.
func filesDump(size int) []byte {
	var b bytes.Buffer
	b.WriteString("PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE files (id INTEGER PRIMARY KEY, source TEXT, data BLOB);\n")
	for id := 1; b.Len() < size; id++ {
		fmt.Fprintf(&b, `INSERT INTO "files" ("id","source","data") VALUES(%d,'%s',X'%s');`+"\n", id,
			strings.Repeat("func main() { return; } // (so, and so) ", 1000), strings.Repeat("00ff1a", 8000))
	}
	return b.Bytes()
}

// foreignDump has several rows to a statement and spaces between values, as
// D1 never writes it.
func foreignDump(size int) []byte {
	var b bytes.Buffer
	b.WriteString("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, at TEXT);\n")
	for id := 1; b.Len() < size; id += 3 {
		fmt.Fprintf(&b, "insert into t (id, name, at) values (%d, 'name %d', '2024-12-08 10:15:00'), (%d, 'it''s', NULL),\n (%d, NULL, '');\n", id, id, id+1, id+2)
	}
	return b.Bytes()
}

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
		{"users", usersDump(size)},
		{"counters", countersDump(size)},
		{"posts", postsDump(size)},
		{"files", filesDump(size)},
		{"foreign", foreignDump(size)},
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
