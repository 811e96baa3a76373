package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
)

// words are what the text of the rows is made of.
var words = []string{
	"the", "of", "and", "garden", "letter", "stone", "a", "to", "in", "river", "window", "was", "it", "for", "winter",
	"silver", "on", "that", "is", "with", "answer", "morning", "as", "at", "by", "from", "paper", "green", "quiet", "lantern",
}

// writeDump writes a dump in D1's form: a table of users, and one of events with
// numbers, text and JSON. The same size gives the same bytes.
func writeDump(path string, bytes int64) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriterSize(file, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	n := int64(0)
	put := func(format string, args ...any) {
		written, _ := fmt.Fprintf(w, format, args...) // Flush tells
		n += int64(written)
	}
	put("PRAGMA defer_foreign_keys=TRUE;\n")
	put("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT, created_at TEXT, settings TEXT);\n")
	put("CREATE TABLE events (id INTEGER PRIMARY KEY, user_id INTEGER, kind TEXT, at INTEGER, amount REAL, body TEXT);\n")
	for id := 1; n < bytes/5; id++ {
		put("INSERT INTO \"users\" VALUES(%d,'%s.%s%d@example.org','%s','2024-%02d-%02dT%02d:%02d:00Z','{\"theme\":\"%s\",\"n\":%d}');\n",
			id, pick(random), pick(random), random.IntN(1e6), pick(random), 1+id%12, 1+id%28, id%24, id%60, pick(random), random.IntN(100))
	}
	for id := 1; n < bytes-200; id++ {
		put("INSERT INTO \"events\" VALUES(%d,%d,'%s',%d,%.2f,'", id, random.IntN(1e6), pick(random), 1700000000+random.IntN(3e7), random.Float64()*1000)
		for range 10 + random.IntN(40) {
			put("%s ", pick(random))
		}
		put("%x');\n", random.Uint64())
	}
	put("CREATE INDEX events_by_user ON events(user_id, at);\n")
	return w.Flush()
}

func pick(random *rand.Rand) string { return words[random.IntN(len(words))] }
