package engine

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

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

// recallers is how many calls of the catalogue recall at once: one waits for it
// while another makes of what it got what it is asked for.
const recallers = 2

// recalling asks for what is remembered of the manifests of dailies while they are
// being listed.
type recalling struct {
	memory *memory
	asking errgroup.Group
	// asked is how many were asked for, and briefs what is remembered of them: nil
	// for one that is not.
	asked  int
	briefs [][]*manifest.Brief
}

func (m *memory) recalling() *recalling {
	r := &recalling{memory: m}
	r.asking.SetLimit(recallers)
	return r
}

// follow asks for what was listed by now, where that is worth a call. A listing
// that nothing is recalled of has a nil one.
func (r *recalling) follow(ctx context.Context, dailies []dailyInfo) {
	if r != nil && len(dailies)-r.asked >= recallAtOnce {
		r.ask(ctx, dailies[r.asked:])
	}
}

func (r *recalling) ask(ctx context.Context, some []dailyInfo) {
	briefs := make([]*manifest.Brief, len(some))
	r.asked += len(some)
	r.briefs = append(r.briefs, briefs)
	if r.memory == nil || r.memory.silent.Load() {
		return
	}
	r.asking.Go(func() error {
		r.memory.recall(ctx, some, briefs)
		return nil // what is not recalled is read
	})
}

// rest is what is remembered of each of the dailies, of which it asks for those
// that were not asked for yet.
func (r *recalling) rest(ctx context.Context, dailies []dailyInfo) []*manifest.Brief {
	if r.memory.usable(len(dailies)) {
		for some := range slices.Chunk(dailies[r.asked:], recallAtOnce) {
			r.ask(ctx, some)
		}
	}
	r.wait()
	return append(slices.Concat(r.briefs...), make([]*manifest.Brief, len(dailies)-r.asked)...)
}

func (r *recalling) wait() { _ = r.asking.Wait() } // none fails

// recall sets the briefs of those dailies that are remembered. They are in the
// order of their keys, as is what is recalled.
func (m *memory) recall(ctx context.Context, dailies []dailyInfo, briefs []*manifest.Brief) {
	if m.silent.Load() {
		return
	}
	documents, err := m.documents.Recall(ctx, dailies[0].Key, dailies[len(dailies)-1].Key)
	if m.gaveUp(ctx, err) {
		return
	}
	all := make([]manifest.Brief, len(documents))
	for i := range dailies {
		daily := &dailies[i].Info
		for len(documents) > 0 && documents[0].Key < daily.Key {
			documents, all = documents[1:], all[1:]
		}
		if len(documents) == 0 {
			return
		}
		if d := &documents[0]; d.Key == daily.Key && d.ETag == daily.ETag && all[0].Unpack(d.Body) {
			briefs[i] = &all[0]
		}
	}
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
