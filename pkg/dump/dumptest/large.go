package dumptest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Users is a dump as D1 writes it, of rows as an application has them:
// ids, e-mail addresses, times, reals, NULLs, JSON, and now and then a text of
// some hundred bytes.
func Users(size int) []byte {
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

// Counters has rows of nothing but short numbers.
func Counters(size int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	var b bytes.Buffer
	b.WriteString("PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE hits (id INTEGER PRIMARY KEY, page INTEGER, n INTEGER, at INTEGER);\n")
	for id := 1; b.Len() < size; id++ {
		fmt.Fprintf(&b, `INSERT INTO "hits" ("id","page","n","at") VALUES(%d,%d,%d,%d);`+"\n", id, r.IntN(500), r.IntN(1e6), 1700000000+r.IntN(1e7))
	}
	return b.Bytes()
}

// Posts has long texts with line feeds.
func Posts(size int) []byte {
	r := rand.New(rand.NewPCG(5, 6))
	var b bytes.Buffer
	b.WriteString("PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE posts (id INTEGER PRIMARY KEY, slug TEXT, body TEXT);\n")
	for id := 1; b.Len() < size; id++ {
		fmt.Fprintf(&b, `INSERT INTO "posts" ("id","slug","body") VALUES(%d,'post-%d',replace('%s','\n',char(10)));`+"\n", id, id,
			strings.Repeat(`The trees don''t hurry; they have time. It goes on like this for a while, and then\n`, 5+r.IntN(60)))
	}
	return b.Bytes()
}

// Files has texts and blobs of some ten kilobytes.
func Files(size int) []byte {
	var b bytes.Buffer
	b.WriteString("PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE files (id INTEGER PRIMARY KEY, source TEXT, data BLOB);\n")
	for id := 1; b.Len() < size; id++ {
		fmt.Fprintf(&b, `INSERT INTO "files" ("id","source","data") VALUES(%d,'%s',X'%s');`+"\n", id,
			strings.Repeat("func main() { return; } // (so, and so) ", 1000), strings.Repeat("00ff1a", 8000))
	}
	return b.Bytes()
}

// Foreign has several rows to a statement and spaces between values, as
// D1 never writes it.
func Foreign(size int) []byte {
	var b bytes.Buffer
	b.WriteString("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, at TEXT);\n")
	for id := 1; b.Len() < size; id += 3 {
		fmt.Fprintf(&b, "insert into t (id, name, at) values (%d, 'name %d', '2024-12-08 10:15:00'), (%d, 'it''s', NULL),\n (%d, NULL, '');\n", id, id, id+1, id+2)
	}
	return b.Bytes()
}
