package litecatalog_test

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/catalogtest"
	"github.com/AutumnsGrove/patina/pkg/catalog/litecatalog"
)

// clock is a clock that only the test moves.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time {
	return time.Date(2024, 12, 8, 3, 0, 0, 123_456_789, time.UTC).Add(time.Duration(c.offset.Load()))
}

func (c *clock) Advance(by time.Duration) { c.offset.Add(int64(by)) }

// open opens a catalogue that is closed when the test ends.
func open(t testing.TB, path string, now func() time.Time) *litecatalog.Catalog {
	t.Helper()
	c, err := litecatalog.Open(t.Context(), litecatalog.Options{Path: path, Now: now})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestSuite(t *testing.T) {
	t.Parallel()
	catalogtest.Run(t, func(t *testing.T) catalogtest.Bench {
		var hands clock
		path := filepath.Join(t.TempDir(), "state", "catalog.db")
		return catalogtest.Bench{
			Open:    func(t testing.TB) catalog.Catalog { return open(t, path, hands.Now) },
			Advance: func(_ testing.TB, by time.Duration) { hands.Advance(by) },
		}
	})
}
