package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/AutumnsGrove/patina/pkg/archive"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// write carries dailies from the store into an archive in the store, in one
// pass. After any error nothing lies under the key. An error that is a *badDaily
// is one of a daily.
func (w *weekRun) write(ctx context.Context, key string, dailies []Entry) (archive.Contents, store.Receipt, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pipeOut, pipeIn := io.Pipe()
	// A writer that waits for the store is freed from outside.
	stop := context.AfterFunc(ctx, func() { _ = pipeIn.CloseWithError(context.Cause(ctx)) })
	defer stop()
	var contents archive.Contents
	produced := make(chan error, 1)
	go func() {
		var err error
		contents, err = w.produce(ctx, pipeIn, dailies)
		// A plain Close after a failure would look like the end of the archive.
		_ = pipeIn.CloseWithError(err)
		produced <- err
	}()
	receipt, putErr := w.e.opts.Store.Put(ctx, key, pipeOut, store.PutOptions{ContentType: seal.Gzip.ContentType()})
	if putErr != nil {
		putErr = &sinkError{fmt.Errorf("store %s: %w", key, putErr)}
		cancel(putErr)
	}
	_ = pipeOut.CloseWithError(cmp.Or(putErr, errNotRead))
	if err := cause(<-produced, putErr); err != nil {
		return archive.Contents{}, store.Receipt{}, err
	}
	if receipt.Bytes != contents.Stored.Bytes {
		return archive.Contents{}, store.Receipt{}, fmt.Errorf("the store holds %d bytes of %d", receipt.Bytes, contents.Stored.Bytes)
	}
	return contents, receipt, nil
}

// produce writes the archive to dst.
func (w *weekRun) produce(ctx context.Context, dst io.Writer, dailies []Entry) (archive.Contents, error) {
	writer := archive.NewWriter(dst, archive.Options{Workers: runtime.GOMAXPROCS(0), At: w.startedAt})
	err := w.fill(ctx, writer, dailies)
	contents, closeErr := writer.Close()
	if err = cmp.Or(err, closeErr); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return contents, err
}

func (w *weekRun) fill(ctx context.Context, writer *archive.Writer, dailies []Entry) error {
	index, err := w.describe(dailies)
	if err != nil {
		return err
	}
	if err := writer.WriteIndex(index); err != nil {
		return err
	}
	ahead := w.e.readAhead(ctx, dailies)
	defer ahead.close()
	checks := w.newChecks()
	defer checks.wait()
	var total, read atomic.Int64
	for _, entry := range dailies {
		total.Add(entry.Brief.StoredBytes)
	}
	for i, entry := range dailies {
		source := ahead.get(i)
		document, err := source.document()
		if err != nil {
			return w.judge(ctx, entry, err)
		}
		opened := false
		open := func() (io.ReadCloser, error) {
			opened = true
			body, err := source.open()
			if err != nil {
				return nil, err
			}
			return watchedCloser{&watchedReader{src: body, seen: func(n int64) {
				w.observe(w.name.Week, PhaseDownloading, read.Load()+n, total.Load(), entry.ID())
			}}, body}, nil
		}
		repeated := i+1 < len(dailies) && sameFile(entry, dailies[i+1])
		dump := archive.Dump{Key: entry.Key, Manifest: entry.Manifest(), Document: document}
		if err := writer.WriteDump(dump, open, repeated); err != nil {
			return w.judge(ctx, entry, err)
		}
		if !opened {
			checks.read(ctx, entry)
		}
		read.Add(entry.Brief.StoredBytes)
	}
	return nil
}

// checks read dailies that were written from memory, because they are what the
// one before is: the archive does not need them, but their damage is found like
// that of all others.
type checks struct {
	w      *weekRun
	mu     sync.Mutex
	found  []*badDaily
	number errgroup.Group
}

func (w *weekRun) newChecks() *checks {
	c := &checks{w: w}
	c.number.SetLimit(2) // beside what is read ahead
	return c
}

func (c *checks) read(ctx context.Context, entry Entry) {
	c.number.Go(func() error {
		err := c.w.e.hash(ctx, entry, entry.place(KindDaily), func(r io.Reader) io.Reader { return r })
		if err == nil || ctx.Err() != nil {
			return nil
		}
		var bad *badDaily
		if err = c.w.judge(ctx, entry, err); !errors.As(err, &bad) {
			bad = &badDaily{entry: entry, err: err, unread: true}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.found = append(c.found, bad)
		return nil
	})
}

// wait tells the run what was found.
func (c *checks) wait() {
	_ = c.number.Wait() // it never fails
	c.w.suspects = append(c.w.suspects, c.found...)
}

type watchedCloser struct {
	io.Reader
	io.Closer
}

func sameFile(a, b Entry) bool {
	return archive.Dump{Manifest: a.Manifest()}.Content() == archive.Dump{Manifest: b.Manifest()}.Content()
}

// judge tells a daily that is damaged or gone from one that could not be read.
func (w *weekRun) judge(ctx context.Context, entry Entry, err error) error {
	gone := errors.Is(err, store.ErrNotFound)
	if !isDamage(err) && !gone {
		return err
	}
	if free, statErr := w.e.isFree(ctx, entry.Key); statErr != nil {
		return errors.Join(err, statErr)
	} else if free {
		return &badDaily{entry: entry, err: err, gone: true}
	}
	return &badDaily{entry: entry, err: err}
}

const (
	// aheadDailies is how many dailies are read ahead of the one that is being
	// written, so that many small ones do not each wait for the store.
	aheadDailies = 4
	// aheadChunk and aheadChunks bound what is held of each.
	aheadChunk  = 256 << 10
	aheadChunks = 4
)

// readAhead reads dailies before their turn.
type readAhead struct {
	sources []*source
	started int
	cancel  context.CancelFunc
}

func (e *Engine) readAhead(ctx context.Context, dailies []Entry) *readAhead {
	ctx, cancel := context.WithCancel(ctx)
	r := &readAhead{cancel: cancel}
	spare := make(chan []byte, aheadDailies*aheadChunks)
	for i, entry := range dailies {
		// A repeat is written from memory, as a rule.
		again := i > 0 && sameFile(dailies[i-1], entry)
		r.sources = append(r.sources, &source{
			e: e, ctx: ctx, entry: entry, again: again, read: make(chan struct{}), ended: make(chan struct{}),
			chunks: make(chan []byte, aheadChunks), spare: spare,
		})
	}
	return r
}

// get returns a daily, and begins to read those that follow.
func (r *readAhead) get(i int) *source {
	for ; r.started < len(r.sources) && r.started <= i+aheadDailies; r.started++ {
		go r.sources[r.started].run()
	}
	return r.sources[i]
}

// close ends all reading, and waits for it.
func (r *readAhead) close() {
	r.cancel()
	for _, s := range r.sources[:r.started] {
		<-s.ended
	}
}

// source is a daily that is read by a goroutine of its own.
type source struct {
	e     *Engine
	ctx   context.Context
	entry Entry
	again bool

	read  chan struct{} // closed when the manifest was read
	body  []byte
	err   error
	ended chan struct{} // closed when the goroutine ended

	chunks  chan []byte // closed after the last one, when bodyErr is set
	bodyErr error
	// chunk is being read, and rest is what is left of it.
	chunk, rest []byte
	// spare are chunks that were read, of all sources.
	spare chan []byte
}

func (s *source) run() {
	defer close(s.ended)
	s.body, s.err = s.e.readDocument(s.ctx, s.entry.Key)
	close(s.read)
	if s.err == nil && !s.again {
		s.pump()
	}
}

// document is the daily's manifest as it lies in the store.
func (s *source) document() ([]byte, error) {
	select {
	case <-s.read:
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
	if s.err != nil {
		return nil, s.err
	}
	if m, err := manifest.Decode[manifest.Backup](s.body); err != nil || m.Object.Stored != s.entry.Manifest().Object.Stored {
		return nil, errors.Join(seal.ErrDamaged, errors.New("its manifest is not what it was"), err)
	}
	return s.body, nil
}

// open is the stored bytes.
func (s *source) open() (io.ReadCloser, error) {
	if s.again {
		return s.e.open(s.ctx, s.entry, s.entry.place(KindDaily))
	}
	return s, nil
}

// pump reads the stored bytes until they end, or nobody wants them.
func (s *source) pump() {
	defer close(s.chunks)
	body, err := s.e.open(s.ctx, s.entry, s.entry.place(KindDaily))
	if err != nil {
		s.bodyErr = err
		return
	}
	stop := context.AfterFunc(s.ctx, func() { _ = body.Close() })
	defer stop()
	defer func() { _ = body.Close() }() // it was read to its end, or failed
	for s.bodyErr == nil {
		chunk, n := s.newChunk(), 0
		for n < len(chunk) && s.bodyErr == nil {
			var m int
			m, s.bodyErr = body.Read(chunk[n:])
			n += m
		}
		select {
		case s.chunks <- chunk[:n]:
		case <-s.ctx.Done():
			s.bodyErr = context.Cause(s.ctx)
		}
	}
}

// newChunk is memory for a chunk; a small daily needs less than a whole one.
func (s *source) newChunk() []byte {
	if need := s.entry.Brief.StoredBytes + 1; need < aheadChunk {
		return make([]byte, need)
	}
	select {
	case used := <-s.spare:
		return used
	default:
		return make([]byte, aheadChunk)
	}
}

// Read reads stored bytes.
func (s *source) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if cap(s.chunk) == aheadChunk {
			select {
			case s.spare <- s.chunk[:aheadChunk]:
			default:
			}
		}
		chunk, ok := <-s.chunks
		if !ok {
			s.chunk = nil
			return 0, s.bodyErr
		}
		s.chunk, s.rest = chunk, chunk
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Close leaves what was not read: readAhead's close ends it.
func (s *source) Close() error { return nil }
