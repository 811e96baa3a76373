package sandbox_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

func TestEstateHasTheSizesOfTheRealOne(t *testing.T) {
	t.Parallel()
	server, err := sandbox.New(sandbox.Options{Dir: t.TempDir(), AccountID: "a", Token: "t", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	estate := sandbox.Estate()
	if len(estate) != 6 {
		t.Fatalf("%d databases, want 6", len(estate))
	}
	for _, db := range estate {
		if _, err := server.Seed(t.Context(), db.Name, db.Statements...); err != nil {
			t.Fatal(err)
		}
		var dump bytes.Buffer
		if err := server.Dump(t.Context(), db.Name, &dump); err != nil {
			t.Fatal(err)
		}
		if n := dump.Len(); n < 45_000 || n > 364_000 {
			t.Errorf("%s has a dump of %d bytes, want 45,000 to 364,000", db.Name, n)
		}
	}
}
