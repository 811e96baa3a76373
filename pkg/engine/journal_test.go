package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// hanging is a catalogue of which one call reaches its time limit, when all that
// the test makes are waiting; the others wait for as long as they are let.
type hanging struct {
	catalog.Catalog
	waiting sync.WaitGroup
	mu      sync.Mutex
	calls   int
}

func (h *hanging) SetBackup(ctx context.Context, _ catalog.Backup) error {
	h.mu.Lock()
	h.calls++
	first := h.calls == 1
	h.mu.Unlock()
	h.waiting.Done()
	if first {
		h.waiting.Wait()
		return fmt.Errorf("set backup: %w", catalog.ErrUnavailable)
	}
	<-ctx.Done()
	return ctx.Err()
}

// TestAHangingCatalogueCostsOneLimitInAll makes calls side by side. When one has
// waited in vain, none of the others waits any longer, and no more are made.
func TestAHangingCatalogueCostsOneLimitInAll(t *testing.T) {
	t.Parallel()
	const together = 8
	h := &hanging{}
	h.waiting.Add(together)
	j := newJournal(h, nil, slog.New(slog.DiscardHandler))
	var calls sync.WaitGroup
	for i := range together {
		calls.Go(func() { j.set(t.Context(), catalog.Backup{Database: fmt.Sprint(i)}, backup.RunID("7f3a")) })
	}
	calls.Wait()
	j.set(t.Context(), catalog.Backup{Database: "one more"}, "7f3a")
	if h.calls != together || j.usable() {
		t.Errorf("%d calls were made, want %d; the catalogue is still used: %t", h.calls, together, j.usable())
	}
}
