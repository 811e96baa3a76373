package s3store

import (
	"context"
	"fmt"
	"io"
)

// maxEmptyReads is how often in a row a body may return nothing at all.
const maxEmptyReads = 100

// chunk is one part of a body, in a buffer that is the holder's until free.
type chunk struct {
	number int // from 1
	data   []byte
	last   bool
	free   func()
}

// partBuffers are buffers of parts that nobody uses. A sync.Pool would lose them to
// the collector at its turns, and new ones be made while the old still count: a
// long upload then holds more of them than a short one.
type partBuffers struct {
	bytes int64
	spare chan []byte
}

// maxSpare is how many buffers are kept: those of a few uploads at once.
const maxSpare = 16

func newPartBuffers(bytes int64) *partBuffers {
	return &partBuffers{bytes: bytes, spare: make(chan []byte, maxSpare)}
}

func (b *partBuffers) get() []byte {
	select {
	case buf := <-b.spare:
		return buf
	default:
		return make([]byte, b.bytes)
	}
}

func (b *partBuffers) put(buf []byte) {
	select {
	case b.spare <- buf:
	default:
	}
}

// source cuts a body into chunks of equal size, in a goroutine of its own, so
// that a body that blocks does not keep Put from ending. It is never more than
// one chunk ahead of who takes them.
type source struct {
	s      *Store
	body   io.Reader
	chunks chan chunk
	// err is why there is no further chunk, once chunks is closed; nil after
	// the last.
	err error
	// peeked is a byte read to see whether a full chunk was the last.
	peeked    [1]byte
	hasPeeked bool
	ended     bool
	size      int64
}

func (s *Store) newSource(body io.Reader) *source {
	return &source{
		s:    s,
		body: body,
		// Without a buffer: one chunk waits here, those taken are in flight.
		chunks: make(chan chunk),
	}
}

// run reads the body until its end, an error, or the end of ctx. A Read that
// blocks is waited for: then run ends as soon as it returns.
func (src *source) run(ctx context.Context) {
	defer close(src.chunks)
	for number := 1; ; number++ {
		c, err := src.next(ctx, number)
		if err != nil {
			src.err = err
			return
		}
		select {
		case src.chunks <- c:
		case <-ctx.Done():
			c.free()
			src.err = ctx.Err()
			return
		}
		if c.last {
			return
		}
	}
}

// take waits for the next chunk, which is the caller's to free.
func (src *source) take(ctx context.Context) (chunk, error) {
	select {
	case c, ok := <-src.chunks:
		if !ok {
			return chunk{}, src.err
		}
		return c, nil
	case <-ctx.Done():
		return chunk{}, ctx.Err()
	}
}

// next reads one chunk into a buffer of the pool.
func (src *source) next(ctx context.Context, number int) (chunk, error) {
	buf := src.s.buffers.get()
	c := chunk{number: number, free: func() { src.s.buffers.put(buf) }}
	n, last, err := src.fill(ctx, buf)
	if err != nil {
		c.free()
		return chunk{}, err
	}
	c.data, c.last = buf[:n], last
	return c, nil
}

// fill reads until buf is full or the body has ended, and says which. It does
// not use io.ReadFull, which tells a short last part and a source that broke
// off by the same error.
func (src *source) fill(ctx context.Context, buf []byte) (int, bool, error) {
	n := 0
	if src.hasPeeked {
		n = copy(buf, src.peeked[:])
		src.hasPeeked = false
	}
	for n < len(buf) {
		got, last, err := src.read(ctx, buf[n:])
		n += got
		if err != nil || last {
			return n, last, err
		}
	}
	got, last, err := src.read(ctx, src.peeked[:])
	src.hasPeeked = got > 0
	// The byte may come together with the end: then a chunk of it follows.
	return n, last && got == 0, err
}

// read reads at least one byte, unless the body ends or fails.
func (src *source) read(ctx context.Context, p []byte) (int, bool, error) {
	if src.ended {
		return 0, true, nil
	}
	for range maxEmptyReads {
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		n, err := src.body.Read(p)
		if n < 0 || n > len(p) {
			return 0, false, fmt.Errorf("body returned the count %d for %d bytes", n, len(p))
		}
		src.size += int64(n)
		if err == io.EOF { // only the bare error is an end
			src.ended = true
			return n, true, nil
		}
		if err != nil {
			return n, false, fmt.Errorf("body after %d bytes: %w", src.size, err)
		}
		if n > 0 {
			return n, false, nil
		}
	}
	return 0, false, fmt.Errorf("body after %d bytes: %w", src.size, io.ErrNoProgress)
}
