package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
)

// errCut is what every call meets when the network is gone.
var errCut = fmt.Errorf("dial tcp 192.0.2.1:443: connect: %w", syscall.ENETUNREACH)

// cable carries requests until it is pulled: then none, and no byte more of the
// answers under way.
type cable struct {
	next   http.RoundTripper
	pulled atomic.Bool
	// order is what it is pulled at; nil for nothing.
	order *killOrder
}

// RoundTrip carries a request.
func (c *cable) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.order != nil && c.order.request != requestDownload && c.order.meets(r) {
		c.order.kill()
	}
	if c.pulled.Load() {
		return nil, errCut
	}
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if c.pulled.Load() {
		_ = resp.Body.Close()
		return nil, errCut
	}
	resp.Body = &cutBody{ReadCloser: resp.Body, cable: c, isDump: strings.HasPrefix(r.URL.Host, "127.0.0.1") && !strings.HasPrefix(r.URL.Path, "/client/")}
	return resp, nil
}

// cutBody is an answer that ends where the cable is pulled.
type cutBody struct {
	io.ReadCloser
	cable  *cable
	isDump bool
	read   int
}

// Read reads what still comes.
func (b *cutBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += n
	if order := b.cable.order; order != nil && order.request == requestDownload && b.isDump && b.read > 1<<20 {
		order.kill()
	}
	if b.cable.pulled.Load() {
		return 0, errCut
	}
	return n, err
}

// TestTheNetworkIsLostAtEachPoint pulls the cable at each point at which a run may
// die: it ends by itself and says why, and what is left is whole. When the network
// is back, the next run completes the night.
func TestTheNetworkIsLostAtEachPoint(t *testing.T) {
	t.Parallel()
	points := deaths()
	if len(points) == 0 {
		t.Fatal("there is no point")
	}
	for n, d := range points {
		if d.second || !sampled(n+1) {
			continue // a run that another overtook has nothing to lose
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { loseNetwork(t, d) })
		})
	}
}

func loseNetwork(t *testing.T, d death) {
	w := newWorld(t, true)
	c := &cable{next: w}
	pull := func() { c.pulled.Store(true) }
	w.network = c
	if d.request != "" {
		c.order = &killOrder{d.request, pull}
	} else {
		at, err := parsePoint(d.at)
		if err != nil {
			t.Fatal(err)
		}
		w.wrapStore = (&trap{springs: []*spring{{at: at, do: pull}}, record: io.Discard}).wrap
	}
	got := w.run("backup", "--trigger", "schedule")
	if !c.pulled.Load() {
		t.Fatalf("the point was not reached; it ended with %d:\n%s", got.status, got.stderr)
	}
	c.pulled.Store(false)
	c.order, w.wrapStore = nil, nil
	listed := w.wantEqualBackupsOf(w.d1)
	if err := endsCut(got, len(listed.Backups)); err != nil {
		t.Errorf("it ended with %d, and %d backups are listed: %v\n%s", got.status, len(listed.Backups), err, got.stderr)
	}
	w.lost = true // an upload cannot be aborted without a network
	w.patina(0, "backup", "--trigger", "schedule", "--if-due")
	w.wantBackups("alpha", "beta")
}

// endsCut holds how a run ended that lost the network against what it published.
func endsCut(got outcome, published int) error {
	want := map[int][]int{0: {1}, 1: {3, 1}, 2: {0, 3, 1}}[published]
	for _, status := range want {
		if got.status != status {
			continue
		}
		if status != 0 && !strings.Contains(got.stderr, syscall.ENETUNREACH.Error()) {
			return errors.New("it does not say why")
		}
		return nil
	}
	return fmt.Errorf("want one of %v", want)
}
