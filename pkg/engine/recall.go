package engine

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/store"
)

const (
	// recallAtOnce is how many documents are recalled, or remembered, in one call
	// of the catalogue, which has a few seconds for it.
	recallAtOnce = 500
	// worthwhile is the least number of documents for which the catalogue is asked.
	worthwhile = 8
)

// memory is what a catalogue remembers of the manifests of dailies, of which there
// are many. It is asked as long as it answers.
type memory struct {
	documents catalog.Documents
	silent    atomic.Bool
	mu        sync.Mutex
	fresh     []catalog.Document
}

// newMemory is nil where there is no catalogue.
func newMemory(c catalog.Catalog) *memory {
	if c == nil {
		return nil
	}
	return &memory{documents: c}
}

// usable says whether the memory is worth asking for so many documents.
func (m *memory) usable(n int) bool { return m != nil && n >= worthwhile && !m.silent.Load() }

// gaveUp takes note of a failure, after which nothing is asked any more.
func (m *memory) gaveUp(ctx context.Context, err error) bool {
	if err != nil && ctx.Err() == nil {
		m.silent.Store(true)
	}
	return err != nil
}

// recall hands the manifests that are remembered to use, which is called from
// several goroutines, and returns the places of those that are not.
func (m *memory) recall(ctx context.Context, infos []store.Info, use func(i int, b manifest.Backup)) []int {
	all := make([]int, len(infos))
	for i := range all {
		all[i] = i
	}
	if !m.usable(len(infos)) {
		return all
	}
	var missing []int
	for some := range slices.Chunk(all, recallAtOnce) {
		missing = append(missing, m.recallSome(ctx, infos, some, use)...)
	}
	return missing
}

func (m *memory) recallSome(ctx context.Context, infos []store.Info, some []int, use func(i int, b manifest.Backup)) []int {
	if m.silent.Load() {
		return some
	}
	first, last := infos[some[0]].Key, infos[some[0]].Key
	for _, i := range some {
		first, last = min(first, infos[i].Key), max(last, infos[i].Key)
	}
	documents, err := m.documents.Recall(ctx, first, last)
	if m.gaveUp(ctx, err) {
		return some
	}
	known := make(map[string]catalog.Document, len(documents))
	for _, d := range documents {
		known[d.Key] = d
	}
	var missing []int
	for _, i := range some {
		d, ok := known[infos[i].Key]
		b, whole := manifest.Unpack(d.Body)
		if !ok || !whole || d.ETag != infos[i].ETag {
			missing = append(missing, i)
			continue
		}
		use(i, b)
	}
	return missing
}

// remember keeps a manifest that was read, sooner or later: see flush.
func (m *memory) remember(ctx context.Context, info store.Info, b manifest.Backup) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fresh = append(m.fresh, catalog.Document{Key: info.Key, ETag: info.ETag, Body: manifest.Pack(b)})
	if len(m.fresh) >= recallAtOnce {
		m.keep(ctx)
	}
}

// flush keeps what is not kept yet.
func (m *memory) flush(ctx context.Context) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(ctx)
}

func (m *memory) keep(ctx context.Context) {
	if len(m.fresh) > 0 && !m.silent.Load() {
		m.gaveUp(ctx, m.documents.Remember(ctx, m.fresh))
	}
	m.fresh = nil
}

// forget drops what is remembered of documents that are gone.
func (m *memory) forget(ctx context.Context, keys []string) {
	if m == nil || m.silent.Load() || len(keys) == 0 {
		return
	}
	m.gaveUp(ctx, m.documents.Forget(ctx, keys))
}

// withoutMemory is the engine that reads the bucket itself.
func (e *Engine) withoutMemory() *Engine { return &Engine{opts: e.opts} }
