package d1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// maxBarren bounds the requests in a row that brought no byte.
const maxBarren = 5

// Body is a dump being downloaded. A body that is cut off or falls silent is
// resumed where the server's answer allows it to be known that the rest belongs
// to it. Read returns io.EOF only when all that was promised was read; any
// other end is an error, after which the dump must be begun at byte 0.
//
// One goroutine may read; Close may be called from any, and ends a Read that
// waits.
type Body struct {
	c       *Client
	link    secret.String
	silence time.Duration
	ctx     context.Context //nolint:containedctx // a body lives as long as its download's context
	cancel  context.CancelFunc
	// length is what the first answer promised, -1 if nothing; etag is its
	// strong ETag, empty if none.
	length int64
	etag   string
	// n counts the bytes handed out. barren counts requests since the last
	// one, silences those of them that brought silence.
	n                int64
	barren, silences int
	// err is what every further Read returns.
	err error

	mu     sync.Mutex
	part   *part
	closed bool
}

// part is one request of a download and the body it brought.
type part struct {
	ctx     context.Context //nolint:containedctx // ends the request that it was made for
	cancel  context.CancelCauseFunc
	silence time.Duration
	timer   *time.Timer
	resp    *http.Response
}

func newPart(ctx context.Context, silence time.Duration) *part {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &part{ctx: ctx, cancel: cancel, silence: silence}
	p.timer = time.AfterFunc(silence, func() { cancel(ErrSilence) })
	p.timer.Stop()
	return p
}

// watch begins to wait for the network, rest ends that.
func (p *part) watch() { p.timer.Reset(p.silence) }
func (p *part) rest()  { p.timer.Stop() }

// close ends the request and frees its connection.
func (p *part) close() {
	p.timer.Stop()
	p.cancel(context.Canceled)
	if p.resp != nil {
		_ = p.resp.Body.Close() // it is not read on
	}
}

// Length is the number of bytes that the server promised, -1 if it did not.
// A body without a length cannot be resumed.
func (b *Body) Length() int64 { return b.length }

// Read reads the next bytes, resuming the body where it can.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := b.read(p)
		if n > 0 || err != nil {
			b.err = err
			return n, err
		}
	}
}

// read reads from the part at hand. It returns no bytes and no error when the
// body was resumed.
func (b *Body) read(p []byte) (int, error) {
	b.part.watch()
	n, err := b.part.resp.Body.Read(p)
	b.part.rest()
	if n > 0 {
		b.n += int64(n)
		b.barren, b.silences = 0, 0
	}
	if b.length >= 0 && b.n > b.length {
		return 0, b.final(fmt.Sprintf("the body is longer than the %d bytes promised", b.length))
	}
	switch {
	case err == nil:
		return n, nil
	case b.n == b.length, b.length < 0 && err == io.EOF: // a wrapped EOF is no clean end
		return n, io.EOF
	case n > 0:
		// These bytes are good, whatever becomes of the rest.
		return n, b.mend(err)
	}
	return 0, b.mend(err)
}

// mend goes on after a failure in the middle, or says why it cannot.
func (b *Body) mend(cause error) error {
	failed := b.interpret(b.part, cause)
	b.part.close()
	for {
		var e *Error
		switch {
		case !errors.As(failed, &e) || e.final:
			return failed
		case b.length < 0 || b.etag == "":
			return &Error{
				Op: opDownload, Class: ClassRetry, Err: e.Err, final: true,
				Message: fmt.Sprintf("cut off after %d bytes, and the server gave nothing to resume by", b.n),
			}
		}
		b.barren++
		if errors.Is(e, ErrSilence) {
			b.silences++
		}
		if b.barren > maxBarren || b.silences > 1 {
			return failed
		}
		// The first resume goes at once: a cut connection is no overload.
		if b.barren > 1 {
			if err := sleep(b.ctx, max(backoff(b.barren-2), e.RetryAfter)); err != nil {
				return b.ended(err)
			}
		}
		if failed = b.resume(); failed == nil {
			return nil
		}
	}
}

// interpret is the error of a request or a read that failed below HTTP.
func (b *Body) interpret(p *part, err error) error {
	if b.ctx.Err() != nil {
		return b.ended(context.Cause(b.ctx))
	}
	failed := &Error{Op: opDownload, Class: ClassRetry}
	if errors.Is(context.Cause(p.ctx), ErrSilence) {
		failed.Message, failed.Err = fmt.Sprintf("timeout after %s", b.silence), ErrSilence
		return failed
	}
	failed.Err = redacted(plain(err), linkSecrets(b.link.Reveal())...)
	return failed
}

// ended is the error after the caller's context ended, or Close.
func (b *Body) ended(cause error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return fmt.Errorf("%s: %w", opDownload, errClosed)
	}
	return fmt.Errorf("%s: %w", opDownload, cause)
}

var errClosed = errors.New("read from a closed body")

// install makes a part the one that is read from. After Close none is.
func (b *Body) install(p *part) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.part = p
	if b.closed {
		p.close()
	}
}

// Close ends the download and frees its connection. It may be called more than
// once.
func (b *Body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	b.cancel()
	if b.part != nil {
		b.part.close()
	}
	return nil
}
