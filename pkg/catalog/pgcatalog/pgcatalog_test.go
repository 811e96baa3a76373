package pgcatalog_test

import (
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/catalogtest"
	"github.com/AutumnsGrove/patina/pkg/catalog/catalogtest/pgtest"
	"github.com/AutumnsGrove/patina/pkg/catalog/pgcatalog"
	"github.com/AutumnsGrove/patina/pkg/secret"
)

// open opens a catalogue that is closed when the test ends.
func open(t testing.TB, database string) *pgcatalog.Catalog {
	t.Helper()
	c, err := pgcatalog.Open(t.Context(), pgcatalog.Options{URL: secret.New(database), Version: "1.2.3"})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// with is a connection string with one more parameter.
func with(t testing.TB, database, key, value string) string {
	t.Helper()
	at, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	query.Set(key, value)
	at.RawQuery = query.Encode()
	return at.String()
}

// bench moves what the server's clock wrote into the past, instead of waiting.
func bench(database string) catalogtest.Bench {
	return catalogtest.Bench{
		Open: func(t testing.TB) catalog.Catalog { return open(t, database) },
		Advance: func(t testing.TB, by time.Duration) {
			back := fmt.Sprintf("interval '%d microseconds'", by.Microseconds())
			pgtest.Exec(t, database,
				"UPDATE patina.runs SET heartbeat_at = heartbeat_at - "+back+", ended_at = ended_at - "+back,
				"UPDATE patina.jobs SET ended_at = ended_at - "+back,
				"UPDATE patina.leases SET acquired_at = acquired_at - "+back+
					", expires_at = expires_at - "+back+", released_at = released_at - "+back)
		},
	}
}

// shelf keeps databases for the cases of a suite. To make one costs many times
// what a case does, so cases that leave nothing but rows behind take turns.
type shelf struct {
	t    *testing.T
	mu   sync.Mutex
	free []string
}

// take gives a catalogue without rows, for as long as the test lasts.
func (s *shelf) take(t *testing.T) string {
	t.Helper()
	database, found := s.pop()
	if !found {
		database = pgtest.New(s.t)
	}
	pgtest.Exec(t, database, "TRUNCATE patina.jobs, patina.runs, patina.backups, patina.leases, patina.documents")
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.free = append(s.free, database)
	})
	return database
}

func (s *shelf) pop() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) == 0 {
		return "", false
	}
	database := s.free[0]
	s.free = s.free[1:]
	return database, true
}

func TestSuite(t *testing.T) {
	t.Parallel()
	pgtest.Admin(t) // skips or fails here, not in a case
	databases := &shelf{t: t}
	catalogtest.Run(t, func(t *testing.T) catalogtest.Bench { return bench(databases.take(t)) })
}
