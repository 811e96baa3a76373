package engine_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/retention"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// prepared is a bucket of many nights that lies in no memory: its listing and its
// manifests are made as they are asked for.
type prepared struct {
	databases, days int
	reads           atomic.Int64
}

func (p *prepared) day(n int) time.Time { return day("2024-01-01").AddDate(0, 0, n) }

func (p *prepared) Put(context.Context, string, io.Reader, store.PutOptions) (store.Receipt, error) {
	return store.Receipt{}, store.ErrDenied
}

func (p *prepared) Delete(context.Context, string) error { return store.ErrDenied }

func (p *prepared) Stat(context.Context, string) (store.Info, error) {
	return store.Info{}, store.ErrNotFound
}

func (p *prepared) List(_ context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if prefix != "" && prefix != backup.DailyPrefix {
			return // no archives, and no records
		}
		for d := range p.days {
			for db := range p.databases {
				name := p.name(d, db)
				info := store.Info{Key: name.Manifest(), Bytes: 2000, ETag: etag, ModifiedAt: p.day(d)}
				object := info
				object.Key, object.Bytes = name.Object(), 1<<20
				if !yield(info, nil) || !yield(object, nil) {
					return
				}
			}
		}
	}
}

// etag is that of every object: none ever changes.
const etag = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"

func (p *prepared) name(d, db int) backup.Name {
	return backup.Name{Day: p.day(d), Database: fmt.Sprintf("tenant-%05d", db)}
}

// Get makes a manifest such as a night writes, of a database with 20 tables.
func (p *prepared) Get(_ context.Context, key string, _ store.GetOptions) (io.ReadCloser, store.Info, error) {
	p.reads.Add(1)
	name, _, err := backup.ParseName(key)
	if err != nil {
		return nil, store.Info{}, store.ErrNotFound
	}
	job := backup.NightJob(name.Day.Add(3 * time.Hour))
	sum := seal.Sum{Bytes: 1 << 20, SHA256: strings.Repeat("5a", 32)}
	m := manifest.Backup{
		Database: backup.Database{ID: "9e3779b9-7f4a-4c15-87c1-" + name.Database, Name: name.Database, Region: "WEUR"},
		JobID:    job.ID, RunID: "7f3a", Trigger: job.Trigger, Night: job.Night, Host: "backup-host", Tool: "patina v1.2.0",
		StartedAt: job.Night, EndedAt: job.Night.Add(time.Second),
		Export: manifest.Export{Method: "export", Why: "no virtual tables", Bookmark: "00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683", Attempts: 1},
		Object: manifest.Object{Key: name.Object(), Stored: sum, ETag: strings.Repeat("5a", 16), Parts: 1, Compression: seal.None},
		Plain:  sum, Source: sum, Statements: 1000, Fidelity: backup.FidelityUnchecked,
		Proof: manifest.Proof{Level: manifest.LevelScan, At: job.Night},
	}
	for i := range 20 {
		m.Tables = append(m.Tables, backup.Table{Name: fmt.Sprintf("table_%d", i), Rows: int64(i)})
	}
	body, err := manifest.Encode(m)
	return io.NopCloser(strings.NewReader(string(body))), store.Info{Key: key, Bytes: int64(len(body)), ETag: etag}, err
}

// BenchmarkPrunePlan plans for a bucket of many objects. "B/object" is the greatest
// heap and must not grow with their number; "reads/object" is what it reads of the
// store.
func BenchmarkPrunePlan(b *testing.B) {
	for _, days := range []int{18, 175} {
		bucket := &prepared{databases: 1000, days: days}
		objects := 2 * bucket.databases * days
		b.Run(fmt.Sprintf("objects=%d", objects), func(b *testing.B) {
			defer debug.SetGCPercent(debug.SetGCPercent(50)) // as the program does
			now := bucket.day(days).Add(4 * time.Hour)
			e, err := engine.New(engine.Options{
				Store: bucket, Retention: func(string) retention.Policy { return retention.Policy{Daily: 7, Weekly: 12} },
				Concurrency: 3, Now: func() time.Time { return now }, NewRunID: func() backup.RunID { return "beef" },
				Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				runtime.GC()
				peak := watchHeap()
				result, err := e.Prune(context.Background(), engine.PruneRequest{Trigger: backup.TriggerManual, DryRun: true})
				heap := peak()
				if err != nil || len(result.Items) != objects/2 {
					b.Fatalf("%d items, %v", len(result.Items), err)
				}
				b.ReportMetric(float64(heap)/float64(objects), "B/object")
				b.ReportMetric(float64(heap)/(1<<20), "MiB")
			}
			b.ReportMetric(float64(bucket.reads.Swap(0))/float64(objects)/float64(b.N), "reads/object")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// watchHeap looks at the heap until the returned function is called, which tells
// how much there was of it at most.
func watchHeap() func() uint64 {
	done, most := make(chan struct{}), make(chan uint64)
	go func() {
		var peak uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			select {
			case <-done:
				most <- peak
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		close(done)
		return <-most
	}
}
