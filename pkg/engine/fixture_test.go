package engine_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/litecatalog"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/secret"
	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/dirstore"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/r2fake"
)

const (
	account = "test-account"
	token   = "test-token"
)

// bench is a D1, a store and a catalogue, at which engines of several hosts
// can work.
type bench struct {
	t       *testing.T
	d1      *sandbox.Server
	baseURL string
	// network carries the requests to D1 that no other transport was asked for;
	// nil means the real one.
	network http.RoundTripper
	store   store.Store
	dir     string
	catalog string
	begin   time.Time
	started time.Time
	hosts   atomic.Int32
	ids     map[string]string
}

// newBench makes a bench with the databases named, on Sunday 2024-12-08 at the
// time of the night.
func newBench(t *testing.T, databases ...string) *bench {
	t.Helper()
	return newBenchWith(t, func(*sandbox.Options) {}, databases...)
}

// newBenchWith is newBench with a D1 that is otherwise.
func newBenchWith(t *testing.T, change func(*sandbox.Options), databases ...string) *bench {
	t.Helper()
	b := newSilentBench(t, change)
	listening, err := b.d1.Listen(context.WithoutCancel(t.Context()), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listening.Close() })
	b.baseURL = listening.BaseURL
	for _, name := range databases {
		b.seed(name, "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO t VALUES(1,'"+name+"')")
	}
	return b
}

// newMemoryBench is newBenchWith for a bubble of testing/synctest: D1 is reached
// over connections in memory, and waits cost no time.
func newMemoryBench(t *testing.T, change func(*sandbox.Options)) *bench {
	t.Helper()
	b := newSilentBench(t, change)
	b.baseURL, b.network = "http://localhost/client/v4", byHost{
		"localhost": r2fake.ServeInMemory(t, b.d1.API()), "127.0.0.1": r2fake.ServeInMemory(t, b.d1.Files()),
	}
	b.d1.SetFilesURL("http://127.0.0.1")
	return b
}

// byHost carries a request to the server of its host.
type byHost map[string]http.RoundTripper

func (b byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	return b[r.URL.Hostname()].RoundTrip(r)
}

// newSilentBench is a bench whose D1 nobody can reach yet.
func newSilentBench(t *testing.T, change func(*sandbox.Options)) *bench {
	t.Helper()
	b := &bench{
		t: t, dir: filepath.Join(t.TempDir(), "bucket"), catalog: filepath.Join(t.TempDir(), "catalog.db"),
		begin: time.Date(2024, 12, 8, 3, 0, 5, 0, time.UTC), started: time.Now(), ids: map[string]string{},
	}
	opts := sandbox.Options{Dir: t.TempDir(), AccountID: account, Token: token, Now: time.Now, PollTimeout: time.Second}
	change(&opts)
	server, err := sandbox.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	b.d1 = server
	dir, err := dirstore.Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	b.store = dir
	return b
}

func (b *bench) seed(name string, statements ...string) {
	b.t.Helper()
	id, err := b.d1.Seed(b.t.Context(), name, statements...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.ids[name] = id
}

func (b *bench) now() time.Time { return b.begin.Add(time.Since(b.started)) }

// setClock moves the time of all hosts.
func (b *bench) setClock(at time.Time) { b.begin, b.started = at, time.Now() }

// openCatalog opens the bench's catalogue once more.
func (b *bench) openCatalog() catalog.Catalog {
	b.t.Helper()
	opened, err := litecatalog.Open(b.t.Context(), litecatalog.Options{Path: b.catalog, Now: b.now})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = opened.Close() })
	return opened
}

// client makes a D1 client whose requests all go by a transport, if not nil.
func (b *bench) client(network http.RoundTripper) *d1.Client {
	b.t.Helper()
	if network == nil {
		network = b.network
	}
	client, err := d1.New(d1.Options{
		BaseURL: b.baseURL, AccountID: account, Token: secret.New(token), Now: time.Now, Transport: network, DownloadTransport: network,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return client
}

// host makes the engine of one more host; change may alter its options.
func (b *bench) host(change func(*engine.Options)) *engine.Engine {
	b.t.Helper()
	client := b.client(nil)
	n := b.hosts.Add(1)
	runs := atomic.Int32{}
	opts := engine.Options{
		Store: b.store, D1: client, Catalog: b.openCatalog(),
		Select:   func(names []string) ([]string, []string) { return slices.Clone(names), nil },
		Excluded: func(string) bool { return false },
		Nightly:  "0 3 * * *", Weekly: "0 4 * * 0", Concurrency: 2,
		ExportTimeout: 5 * time.Second, Deadline: time.Minute, Packing: seal.Packing{Compression: seal.None},
		Host: fmt.Sprintf("host-%d", n), Process: int(n), Tool: "patina test", Version: "test",
		Now:      b.now,
		NewRunID: func() backup.RunID { return backup.RunID(fmt.Sprintf("%02x%02x", 0xa0+n, runs.Add(1))) },
		Log:      slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&opts)
	}
	made, err := engine.New(opts)
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

// night runs the night's backups on a host.
func (b *bench) night(e *engine.Engine) engine.BackupResult {
	b.t.Helper()
	result, err := e.Backup(b.t.Context(), engine.BackupRequest{Trigger: backup.TriggerSchedule, LockWait: time.Minute})
	if err != nil {
		b.t.Fatalf("backup: %v", err)
	}
	return result
}

// list is what can be restored.
func (b *bench) list(e *engine.Engine) engine.ListResult {
	b.t.Helper()
	list, err := e.List(b.t.Context(), engine.ListRequest{})
	if err != nil {
		b.t.Fatalf("list: %v", err)
	}
	return list
}

// wantEqual downloads each listed backup and holds it against the database.
func (b *bench) wantEqual(e *engine.Engine, list engine.ListResult) {
	b.t.Helper()
	if len(list.Entries) == 0 {
		b.t.Fatal("nothing is listed")
	}
	for _, entry := range list.Entries {
		var got, want strings.Builder
		if err := e.Download(b.t.Context(), entry, &got); err != nil {
			b.t.Errorf("download %s: %v", entry.Key, err)
			continue
		}
		if err := b.d1.Dump(b.t.Context(), entry.Brief.Database, &want); err != nil {
			b.t.Fatal(err)
		}
		if got.String() != want.String() {
			b.t.Errorf("%s came back as\n%s\nwant\n%s", entry.Key, got.String(), want.String())
		}
	}
}

// wantOutcomes holds the result's databases against outcomes by name.
func wantOutcomes(t *testing.T, r engine.BackupResult, want map[string]engine.Outcome) {
	t.Helper()
	if len(r.Databases) != len(want) {
		t.Errorf("%d databases in the result, want %d", len(r.Databases), len(want))
	}
	for _, d := range r.Databases {
		if d.Outcome != want[d.Database.Name] {
			t.Errorf("%s is %s (%v), want %s", d.Database.Name, d.Outcome, d.Err, want[d.Database.Name])
		}
	}
}

// tampered is a store in which calls can be made to go wrong. Each hook may be
// nil; one that returns false leaves the call as it is.
type tampered struct {
	store.Store
	put  func(key string, real func() (store.Receipt, error)) (store.Receipt, error, bool)
	stat func(key string, real store.Info) store.Info
	// get is asked before a read, and remove before a deletion; an error is its
	// outcome.
	get, remove func(key string) error
}

func (s tampered) Get(ctx context.Context, key string, opts store.GetOptions) (io.ReadCloser, store.Info, error) {
	if s.get != nil {
		if err := s.get(key); err != nil {
			return nil, store.Info{}, err
		}
	}
	return s.Store.Get(ctx, key, opts)
}

func (s tampered) Delete(ctx context.Context, key string) error {
	if s.remove != nil {
		if err := s.remove(key); err != nil {
			return err
		}
	}
	return s.Store.Delete(ctx, key)
}

func (s tampered) Put(ctx context.Context, key string, body io.Reader, opts store.PutOptions) (store.Receipt, error) {
	real := func() (store.Receipt, error) { return s.Store.Put(ctx, key, body, opts) }
	if s.put != nil {
		if receipt, err, done := s.put(key, real); done {
			return receipt, err
		}
	}
	return real()
}

func (s tampered) Stat(ctx context.Context, key string) (store.Info, error) {
	info, err := s.Store.Stat(ctx, key)
	if s.stat != nil && err == nil {
		info = s.stat(key, info)
	}
	return info, err
}

func (s tampered) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return s.Store.List(ctx, prefix)
}
