package catalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func TestHeldError(t *testing.T) {
	t.Parallel()
	var err error = &catalog.HeldError{Lease: catalog.Lease{
		Name:       catalog.DatabaseLease("2b4e"),
		Owner:      catalog.Owner{JobID: "night-20241208T0300Z", RunID: "7f3a", Host: "elm", Process: 4711},
		AcquiredAt: time.Date(2024, 12, 8, 12, 0, 0, 5000, time.FixedZone("", 9*3600)),
	}}
	const want = "db:2b4e is held by run 7f3a of night-20241208T0300Z (process 4711 on elm) since 2024-12-08T03:00:00Z"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if !errors.Is(err, catalog.ErrHeld) {
		t.Error("a HeldError is not ErrHeld")
	}
}
