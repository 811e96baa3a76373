package engine_test

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// readingStore counts the documents that are read of it.
type readingStore struct {
	store.Store
	documents atomic.Int64
}

func (s *readingStore) Get(ctx context.Context, key string, opts store.GetOptions) (io.ReadCloser, store.Info, error) {
	if strings.HasSuffix(key, ".json") {
		s.documents.Add(1)
	}
	return s.Store.Get(ctx, key, opts)
}

// TestWhatWasReadIsRemembered lists twice: the second time nothing is read, but
// what came since, and what is not what it was.
func TestWhatWasReadIsRemembered(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	b.nightsTo(day("2024-12-13"), 12)
	b.newCatalog() // one that has seen nothing
	list := func() (engine.ListResult, int64) {
		counting := &readingStore{Store: b.store}
		listed := b.list(b.host(func(o *engine.Options) { o.Store = counting }))
		return listed, counting.documents.Load()
	}
	first, cold := list()
	second, warm := list()
	// Archives are too few to ask for.
	if cold < 24 || warm > 2 || len(second.Entries) != len(first.Entries) || len(second.Entries) != 24 {
		t.Errorf("%d, and then %d documents are read for %d and %d backups", cold, warm, len(first.Entries), len(second.Entries))
	}
	b.wantEqual(b.host(nil), second)
	b.setClock(day("2024-12-14").Add(3 * 3600e9))
	b.night(b.host(nil))
	const changed = "daily/2024-12-13/alpha.json"
	body := b.read(changed)
	b.remove(changed)
	b.write(changed, []byte(strings.Replace(string(body), "host-1", "host-9", 1)))
	third, again := list()
	if got := again - warm; got != 3 || len(third.Entries) != 26 {
		t.Errorf("%d documents are read after 2 came and 1 changed, for %d backups", got, len(third.Entries))
	}
	for _, entry := range third.Entries {
		if entry.Key == changed && entry.Manifest().Host != "host-9" {
			t.Errorf("%s is told as it was", changed)
		}
	}
}

// forgetful is a catalogue whose memory does not answer.
type forgetful struct{ catalog.Catalog }

func (forgetful) Recall(context.Context, string, string) ([]catalog.Document, error) {
	return nil, catalog.ErrUnavailable
}

func (forgetful) Remember(context.Context, []catalog.Document) error { return catalog.ErrUnavailable }

// TestAMemoryThatDoesNotAnswer costs no listing.
func TestAMemoryThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	b.nightsTo(day("2024-12-13"), 12)
	listed := b.list(b.host(func(o *engine.Options) { o.Catalog = forgetful{o.Catalog} }))
	if len(listed.Entries) != 24 {
		t.Errorf("%d backups are listed", len(listed.Entries))
	}
}

// TestPruneForgetsWhatItRemoves leaves nothing in the catalogue of what is gone.
func TestPruneForgetsWhatItRemoves(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	b.nightsTo(day("2024-12-10"), 9)
	e := b.pruning(weekly(), nil)
	b.list(e)
	done := b.prune(e, engine.PruneRequest{})
	remembered, err := b.openCatalog().Recall(t.Context(), "", "z")
	if err != nil || len(remembered) == 0 {
		t.Fatalf("%d documents, %v", len(remembered), err)
	}
	for _, item := range done.Items {
		for _, d := range remembered {
			if item.Outcome == engine.ItemDeleted && item.Key == d.Key {
				t.Errorf("%s is gone, and remembered", d.Key)
			}
		}
	}
}
