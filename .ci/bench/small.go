package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
	scaledLimit  = 240
	scaledWindow = 6 * time.Second
	// scaledWindows is over how many windows the use is measured.
	scaledWindows = 5
)

// limitCase exports as fast as a small limit allows, and counts how much of it
// is used over whole windows, and what was refused.
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
	counted := &countedTransport{}
	client, err := d1.New(d1.Options{
		BaseURL: listening.BaseURL, AccountID: account, Token: secret.New(token), Now: time.Now, Transport: counted,
		Requests: scaledLimit, Window: scaledWindow, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	var shares []float64
	for range b.runs {
		share, err := useLimit(ctx, counted, client, ids)
		if err != nil {
			return nil, err
		}
		shares = append(shares, share)
	}
	refused := counted.refused.Load()
	share := median(shares)
	return []row{{
		what: fmt.Sprintf("a limit of %d requests in %s", scaledLimit, scaledWindow), figure: fmt.Sprintf("%.1f %% used, %d refused", 100*share, refused),
		against: "the limit", target: "at least 95 % used, none refused", met: share >= 0.95 && refused == 0,
	}}, nil
}

// useLimit exports for some windows and returns the share of the limit that was
// used in them, the first request's time to the last's.
func useLimit(ctx context.Context, counted *countedTransport, client *d1.Client, ids []string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, scaledWindows*scaledWindow)
	defer cancel()
	before := counted.requests.Load()
	start := time.Now()
	errs := make(chan error, 8)
	for worker := range 8 {
		go func() { errs <- exportUntil(ctx, client, slices.Concat(ids[worker*2:], ids[:worker*2])[:2]) }()
	}
	for range 8 {
		if err := <-errs; err != nil {
			return 0, err
		}
	}
	used := float64(counted.requests.Load() - before)
	allowed := scaledLimit * time.Since(start).Seconds() / scaledWindow.Seconds()
	return used / allowed, nil
}

// countedTransport counts the requests, and those that were refused for want of
// budget.
type countedTransport struct{ requests, refused atomic.Int64 }

// RoundTrip makes the request.
func (c *countedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		c.refused.Add(1)
	}
	return resp, err
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
