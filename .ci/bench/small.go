package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/secret"
)

// smallDatabases are made once: real tables, exported from a real engine.
func (b *bench) smallDatabases(ctx context.Context) ([]string, error) {
	names := make([]string, smallDatabases)
	for i := range names {
		names[i] = fmt.Sprintf("small-%03d", i)
		if b.ids[names[i]] != "" {
			continue
		}
		id, err := b.server.Seed(ctx, names[i],
			"CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)",
			fmt.Sprintf("INSERT INTO notes WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d) SELECT i, hex(randomblob(32)) FROM n", smallBytes/105))
		if err != nil {
			return nil, err
		}
		b.ids[names[i]] = id
	}
	return names, nil
}

func smallCase(ctx context.Context, b *bench) ([]row, error) {
	names, err := b.smallDatabases(ctx)
	if err != nil {
		return nil, err
	}
	set := settings("none", names...)
	set["PATINA_BACKUP_CONCURRENCY"] = "8"
	before := len(b.server.Journal())
	all, err := b.compare(ctx, contender{"small", b.patinaSays(set, "backup")})
	if err != nil {
		return nil, err
	}
	calls := (len(b.server.Journal()) - before) / (b.runs + 1)
	rate := float64(len(names)) / medianWall(all["small"]).Seconds()
	return []row{{
		what: fmt.Sprintf("%d databases of %d KiB, 8 at once", len(names), smallBytes>>10), figure: fmt.Sprintf("%.0f a second", rate),
		against: fmt.Sprintf("%d requests of a budget of 1200", calls), target: "at least 30 a second, budget never overdrawn",
		met: rate >= 30 && calls <= 1200,
	}}, nil
}

const (
	// scaledLimit and scaledWindow are D1's 1,200 requests in 300 s, a fifth of
	// each: the pace is the real one. A window of a few seconds would measure
	// that resets are told in whole seconds.
	scaledLimit  = 240
	scaledWindow = 60 * time.Second
)

// limitCase exports as fast as a small limit allows, and measures how long it
// takes from one use of the whole limit to the next.
func limitCase(ctx context.Context, b *bench) (rows []row, err error) {
	dir := filepath.Join(b.dir, "limited")
	server, err := sandbox.New(sandbox.Options{
		Dir: dir, AccountID: account, Token: token, Now: time.Now, RateLimit: scaledLimit, RateWindow: scaledWindow, ExportPolls: -1,
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = server.Close(); _ = os.RemoveAll(dir) }()
	listening, err := server.Listen(context.WithoutCancel(ctx), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = listening.Close() }()
	ids := make([]string, 16)
	for i := range ids {
		if ids[i], err = server.Seed(ctx, fmt.Sprintf("small-%d", i), "CREATE TABLE t(v)", "INSERT INTO t VALUES(1)"); err != nil {
			return nil, err
		}
	}
	counted := newCountedTransport(b.runs)
	client, err := d1.New(d1.Options{
		BaseURL: listening.BaseURL, AccountID: account, Token: secret.New(token), Now: time.Now, Transport: counted,
		Requests: scaledLimit, Window: scaledWindow, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	if err := useLimit(ctx, counted, client, ids); err != nil {
		return nil, err
	}
	share := scaledWindow.Seconds() / median(counted.turns()).Seconds()
	return []row{{
		what:    fmt.Sprintf("a limit of %d requests in %s", scaledLimit, scaledWindow),
		figure:  fmt.Sprintf("%.1f %% used, %d refused", 100*share, counted.refused.Load()),
		against: "the limit", target: "at least 95 % used, none refused", met: share >= 0.95 && counted.refused.Load() == 0,
	}}, nil
}

// useLimit exports, 8 databases at once, until the limit was used as often as is
// counted.
func useLimit(ctx context.Context, counted *countedTransport, client *d1.Client, ids []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(counted.done, cancel)
	errs := make(chan error, 8)
	for worker := range 8 {
		go func() { errs <- exportUntil(ctx, client, ids[worker*2:][:2]) }()
	}
	var all []error
	for range 8 {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// countedTransport counts the requests, and those that were refused for want of
// budget. It notes when each turn of the limit began.
type countedTransport struct {
	refused atomic.Int64
	// done ends when all turns have begun.
	done context.Context
	end  context.CancelFunc

	mu       sync.Mutex
	requests int
	begun    []time.Time
	wanted   int
}

func newCountedTransport(turns int) *countedTransport {
	done, end := context.WithCancel(context.Background())
	return &countedTransport{done: done, end: end, wanted: turns + 1}
}

// RoundTrip makes the request.
func (c *countedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	c.count()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		c.refused.Add(1)
	}
	return resp, err
}

func (c *countedTransport) count() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests%scaledLimit == 0 {
		c.begun = append(c.begun, time.Now())
	}
	c.requests++
	if len(c.begun) == c.wanted {
		c.end()
	}
}

// turns are how long each use of the whole limit took, to the beginning of the
// next one.
func (c *countedTransport) turns() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var turns []time.Duration
	for i := 1; i < len(c.begun); i++ {
		turns = append(turns, c.begun[i].Sub(c.begun[i-1]))
	}
	return turns
}

func exportUntil(ctx context.Context, client *d1.Client, ids []string) error {
	for n := 0; ctx.Err() == nil; n++ {
		made, err := client.Export(ctx, d1.ExportRequest{DatabaseID: ids[n%len(ids)], Silence: time.Minute})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		body, err := client.Download(ctx, made, d1.DownloadRequest{Silence: time.Minute})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, body); err != nil && ctx.Err() == nil {
			return err
		}
		_ = body.Close()
	}
	return nil
}
