package engine_test

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/litecatalog"
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

// forgetting is a catalogue whose memory answers a few times only.
type forgetting struct {
	catalog.Catalog
	answers atomic.Int64
}

func (f *forgetting) Recall(ctx context.Context, first, last string) ([]catalog.Document, error) {
	if f.answers.Add(-1) < 0 {
		return nil, catalog.ErrUnavailable
	}
	return f.Catalog.Recall(ctx, first, last)
}

// TestAListingIsTheSameHoweverMuchIsRemembered lists more backups than are recalled
// at once, when none, all and some of them are remembered.
func TestAListingIsTheSameHoweverMuchIsRemembered(t *testing.T) {
	t.Parallel()
	bucket := &prepared{databases: 450, days: 3}
	now := func() time.Time { return bucket.day(bucket.days) }
	opened, err := litecatalog.Open(t.Context(), litecatalog.Options{Path: filepath.Join(t.TempDir(), "catalog.db"), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	silent := &forgetting{Catalog: opened}
	silent.answers.Store(1)
	var want []engine.Entry
	for _, c := range []struct {
		what        string
		memory      catalog.Catalog
		least, most int64
	}{
		{"without a catalogue", nil, 1350, 1350},
		{"of nothing remembered", opened, 1350, 1350},
		{"of all remembered", opened, 0, 0},
		{"of a catalogue that goes silent after 500, or after 350", silent, 850, 1000},
	} {
		e, err := engine.New(engine.Options{
			Store: bucket, Catalog: c.memory, Now: now, NewRunID: func() backup.RunID { return "beef" }, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		bucket.reads.Store(0)
		list, err := e.List(t.Context(), engine.ListRequest{})
		if reads := bucket.reads.Load(); err != nil || reads > c.most || reads < c.least {
			t.Errorf("%s: %d are read, want %d to %d; %v", c.what, reads, c.least, c.most, err)
		}
		if want == nil {
			want = list.Entries
			wantNewestFirst(t, want, bucket.databases*bucket.days)
		}
		wantSameEntries(t, c.what, list.Entries, want)
	}
}

func wantNewestFirst(t *testing.T, entries []engine.Entry, n int) {
	t.Helper()
	newestFirst := func(a, b engine.Entry) int {
		return cmp.Or(b.Manifest().StartedAt.Compare(a.Manifest().StartedAt), cmp.Compare(a.Key, b.Key))
	}
	if len(entries) != n || !slices.IsSortedFunc(entries, newestFirst) {
		t.Errorf("%d are listed, want %d, newest first: %t", len(entries), n, slices.IsSortedFunc(entries, newestFirst))
	}
}

func wantSameEntries(t *testing.T, what string, got, want []engine.Entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d are listed, want %d", what, len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i].Manifest(), want[i].Manifest()) {
			t.Fatalf("%s: the manifest of %s is\n%+v\nwant\n%+v", what, want[i].Key, got[i].Manifest(), want[i].Manifest())
		}
		a, b := got[i], want[i]
		a.Brief, b.Brief = nil, nil
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%s: got %+v, want %+v", what, a, b)
		}
	}
}
