package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// stallTimeout is how long a body may give nothing before it is given up.
const stallTimeout = 2 * time.Minute

// Stat implements store.Store. Since HEAD answers have no body, a missing
// bucket looks like a missing object.
func (s *Store) Stat(ctx context.Context, key string) (store.Info, error) {
	name, err := s.object(key)
	if err != nil {
		return store.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	object, err := s.stat(ctx, name)
	if err != nil {
		return store.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	return infoOf(key, object), nil
}

func (s *Store) stat(ctx context.Context, name string) (minio.ObjectInfo, error) {
	var object minio.ObjectInfo
	err := s.retry(ctx, op{name: "head object", timeout: callTimeout}, func(ctx context.Context) error {
		var err error
		object, err = s.core.StatObject(ctx, s.bucket, name, minio.StatObjectOptions{})
		return err
	})
	return object, err
}

func infoOf(key string, object minio.ObjectInfo) store.Info {
	return store.Info{Key: key, Bytes: object.Size, ETag: object.ETag, ModifiedAt: object.LastModified.UTC()}
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string, opts store.GetOptions) (io.ReadCloser, store.Info, error) {
	name, err := s.object(key)
	if err != nil {
		return nil, store.Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	b, info, err := s.get(ctx, name, key, opts)
	if err != nil {
		return nil, store.Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	return b, info, nil
}

func (s *Store) get(ctx context.Context, name, key string, opts store.GetOptions) (*body, store.Info, error) {
	request, err := getOptions(opts)
	if err != nil {
		return nil, store.Info{}, err
	}
	var b *body
	var info store.Info
	err = s.retry(ctx, op{name: "get object", timeout: callTimeout}, func(once context.Context) error {
		b, info, err = s.open(ctx, once, name, key, request)
		return err
	})
	if hasStatus(err, http.StatusPreconditionFailed) {
		return nil, store.Info{}, fmt.Errorf("%w: %w", store.ErrChanged, err)
	}
	if err != nil {
		return nil, store.Info{}, err
	}
	if opts.IfMatch != "" && opts.IfMatch != info.ETag {
		err = fmt.Errorf("%w: ETag is %s, want %s", store.ErrChanged, info.ETag, opts.IfMatch)
	} else {
		err = b.expect(opts, info.Bytes)
	}
	if err != nil {
		_ = b.Close() // nothing was read from it
		return nil, store.Info{}, err
	}
	return b, info, nil
}

func getOptions(opts store.GetOptions) (minio.GetObjectOptions, error) {
	var request minio.GetObjectOptions
	if opts.Offset < 0 || opts.Length < 0 {
		return request, fmt.Errorf("range of %d bytes at %d", opts.Length, opts.Offset)
	}
	if opts.IfMatch != "" {
		if err := request.SetMatchETag(opts.IfMatch); err != nil {
			return request, err
		}
	}
	switch {
	case opts.Length > 0:
		return request, request.SetRange(opts.Offset, opts.Offset+opts.Length-1)
	case opts.Offset > 0:
		return request, request.SetRange(opts.Offset, 0)
	}
	return request, nil
}

// open sends the request. The body lives with ctx, while the wait for its
// head ends with once.
func (s *Store) open(ctx, once context.Context, name, key string, opts minio.GetObjectOptions) (*body, store.Info, error) {
	request, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(once, cancel)
	request = context.WithValue(request, replyKey{}, replyOf(once))
	stream, object, header, err := s.core.GetObject(request, s.bucket, name, opts)
	if !unlink() && err == nil {
		// once ended in between, and with it the stream.
		_ = stream.Close()
		err = once.Err()
	}
	if err != nil {
		cancel()
		return nil, store.Info{}, err
	}
	b := &body{ctx: ctx, key: key, stream: stream, cancel: cancel, length: object.Size}
	b.stall = time.AfterFunc(stallTimeout, cancel)
	b.stall.Stop()
	info := infoOf(key, object)
	if text := header.Get("Content-Range"); text != "" {
		b.ranged = true
		if _, err := fmt.Sscanf(text, "bytes %d-%d/%d", &b.first, &b.last, &info.Bytes); err != nil {
			_ = b.Close()
			return nil, store.Info{}, &finalError{fmt.Errorf("unreadable Content-Range %q", text)}
		}
	}
	return b, info, nil
}

// body reads an answer and insists on all of it.
type body struct {
	// ctx is the caller's: a body may be in memory already when it ends.
	ctx         context.Context
	key         string
	stream      io.ReadCloser
	cancel      context.CancelFunc
	stall       *time.Timer
	ranged      bool
	first, last int64
	// length is the Content-Length, -1 when there is none.
	length int64
	done   int64
}

// expect compares the answer's range with what was asked for. Servers shorten
// a range that reaches beyond the end, and may ignore it altogether.
func (b *body) expect(opts store.GetOptions, size int64) error {
	asked := opts.Offset > 0 || opts.Length > 0
	if asked != b.ranged {
		return fmt.Errorf("asked for %d bytes at %d, and the answer is of another range", opts.Length, opts.Offset)
	}
	want := size - opts.Offset
	if opts.Length > 0 {
		want = opts.Length
	}
	if b.ranged && (b.first != opts.Offset || b.last-b.first+1 != want) {
		return fmt.Errorf("range of %d bytes at %d is not within %d bytes", want, opts.Offset, size)
	}
	if b.length != want {
		return fmt.Errorf("answer of %d bytes, want %d", b.length, want)
	}
	return nil
}

// Read reads on until the last byte.
func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, fmt.Errorf("read %s after %d of %d bytes: %w", b.key, b.done, b.length, err)
	}
	b.stall.Reset(stallTimeout)
	n, err := b.stream.Read(p)
	onTime := b.stall.Stop()
	b.done += int64(n)
	switch {
	case err == io.EOF && b.done == b.length: // only the bare error is an end
		return n, io.EOF
	case err == io.EOF:
		return n, fmt.Errorf("read %s: %w after %d of %d bytes", b.key, io.ErrUnexpectedEOF, b.done, b.length)
	case err != nil && !onTime:
		return n, fmt.Errorf("read %s: no bytes within %s after %d of %d bytes", b.key, stallTimeout, b.done, b.length)
	case err != nil:
		return n, fmt.Errorf("read %s after %d of %d bytes: %w", b.key, b.done, b.length, err)
	}
	return n, nil
}

// Close ends the request, also in the middle of a body.
func (b *body) Close() error {
	b.stall.Stop()
	err := b.stream.Close()
	b.cancel()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
