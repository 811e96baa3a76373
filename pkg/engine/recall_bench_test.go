package engine_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // for the plain query

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog/litecatalog"
	"github.com/AutumnsGrove/patina/pkg/engine"
)

// BenchmarkRemembered lists 100,000 backups that the catalogue remembers, and tells
// the state. "x-query" is
// how much longer that takes than a plain SQL query for the same rows, which nothing is done to.
func BenchmarkRemembered(b *testing.B) {
	bucket := &prepared{databases: 500, days: 200}
	now := func() time.Time { return bucket.day(bucket.days) }
	path := filepath.Join(b.TempDir(), "catalog.db")
	opened, err := litecatalog.Open(b.Context(), litecatalog.Options{Path: path, Now: now})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	e, err := engine.New(engine.Options{
		Store: bucket, Catalog: opened, Nightly: "0 3 * * *", Weekly: "0 4 * * 0", Now: now,
		NewRunID: func() backup.RunID { return "beef" }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	verbs := map[string]func() (int, error){
		"list": func() (int, error) {
			r, err := e.List(b.Context(), engine.ListRequest{})
			return len(r.Entries), err
		},
		"status": func() (int, error) {
			r, err := e.Status(b.Context(), engine.StatusRequest{})
			return r.DailyBackups, err
		},
	}
	if _, err := verbs["list"](); err != nil { // what is read is remembered
		b.Fatal(err)
	}
	for name, verb := range verbs {
		b.Run(fmt.Sprintf("%s of %d", name, bucket.databases*bucket.days), func(b *testing.B) {
			bucket.reads.Store(0)
			var query, whole time.Duration
			for b.Loop() {
				begun := time.Now()
				rows := plainQuery(b, path)
				query += time.Since(begun)
				begun = time.Now()
				n, err := verb()
				whole += time.Since(begun)
				if err != nil || n != rows || n == 0 {
					b.Fatalf("%d of %d, %v", n, rows, err)
				}
			}
			b.ReportMetric(whole.Seconds()/query.Seconds(), "x-query")
			b.ReportMetric(float64(bucket.reads.Load())/float64(b.N), "reads/op")
		})
	}
}

// plainQuery reads every row with nothing done to it.
func plainQuery(b *testing.B, path string) int {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(context.Background(), "SELECT key, etag, body FROM documents ORDER BY key")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for rows.Next() {
		var key, etag string
		var body []byte
		if err := rows.Scan(&key, &etag, &body); err != nil {
			b.Fatal(err)
		}
		n++
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return n
}
