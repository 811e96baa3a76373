package pgcatalog_test

import (
	"fmt"
	"net/url"
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

func TestSuite(t *testing.T) {
	t.Parallel()
	catalogtest.Run(t, func(t *testing.T) catalogtest.Bench { return bench(pgtest.New(t)) })
}
