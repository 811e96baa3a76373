package s3store

import (
	"context"
	"crypto/md5" // it is what S3's ETags and Content-MD5 are made of
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/AutumnsGrove/patina/pkg/store"
)

const (
	// tokenName is the metadata that tells our own writing from another's.
	tokenName = "patina-upload"
	// readerGrace is how long Put waits for a Read of the body to return
	// after everything else has ended.
	readerGrace = 250 * time.Millisecond
	// cleanupTimeout is for what is done after a failure, with ctx or without.
	cleanupTimeout = time.Minute
)

// writing is one Put.
type writing struct {
	s     *Store
	key   string
	name  string
	token string
	opts  store.PutOptions
}

// Put implements store.Store. It returns promptly when ctx ends, also when
// body blocks; then a goroutine waits for that one Read, reads no more, and
// lets its buffer go.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, opts store.PutOptions) (store.Receipt, error) {
	name, err := s.object(key)
	if err != nil {
		return store.Receipt{}, fmt.Errorf("put %s: %w", key, err)
	}
	w := &writing{s: s, key: key, name: name, token: rand.Text(), opts: opts}
	receipt, err := w.run(ctx, body)
	if err == nil {
		return receipt, nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		// The caller unblocks the body when ctx ends, so the body's error
		// may be the later one.
		err = fmt.Errorf("%w (%w)", ended, err)
	}
	return store.Receipt{}, fmt.Errorf("put %s: %w", key, err)
}

func (w *writing) run(ctx context.Context, body io.Reader) (store.Receipt, error) {
	src := w.s.newSource(body)
	reading, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		src.run(reading)
	}()
	defer func() {
		stop()
		waitFor(done, readerGrace)
	}()
	first, err := src.take(ctx)
	if err != nil {
		return store.Receipt{}, err
	}
	if first.last {
		return w.single(ctx, first)
	}
	return w.multipart(ctx, first, src)
}

// waitFor waits until done is closed, but not for long.
func waitFor(done <-chan struct{}, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// single writes the only chunk of a body by one conditional request.
func (w *writing) single(ctx context.Context, c chunk) (store.Receipt, error) {
	defer c.free()
	sums := sumsOf(c.data)
	sent := outcome{want: expected{bytes: int64(len(c.data)), etag: hex.EncodeToString(sums.md5[:]), parts: [][md5.Size]byte{sums.md5}}}
	sent.err = w.s.retry(ctx, op{
		name:    "put object",
		timeout: transferTimeout(int64(len(c.data))),
		failed:  func(error) { sent.uncertain = true },
	}, func(ctx context.Context) error { return w.putOnce(ctx, c.data, sums) })
	receipt, err := w.settle(ctx, sent)
	if err != nil && sent.maybeDone() {
		err = w.retract(ctx, err)
	}
	return receipt, err
}

func (w *writing) putOnce(ctx context.Context, data []byte, sums sums) error {
	body := newGuard(data)
	defer body.detach()
	_, err := w.s.core.PutObject(ctx, w.s.bucket, w.name, body, int64(len(data)), sums.md5Base64(), sums.sha256Hex(), w.putOptions())
	return err
}

// putOptions are those of every request that creates or publishes: only if
// the key is free.
func (w *writing) putOptions() minio.PutObjectOptions {
	opts := minio.PutObjectOptions{
		ContentType:  w.opts.ContentType,
		UserMetadata: map[string]string{tokenName: w.token},
		// The hash of the whole request is given. Without this, minio-go
		// would ignore it over plain http and send aws-chunked.
		DisableContentSha256: true,
	}
	opts.SetMatchETagExcept("*")
	return opts
}

// sums are the hashes that go with a request.
type sums struct {
	md5    [md5.Size]byte
	sha256 [sha256.Size]byte
}

func sumsOf(data []byte) sums {
	return sums{md5: md5.Sum(data), sha256: sha256.Sum256(data)}
}

func (s sums) md5Base64() string { return base64.StdEncoding.EncodeToString(s.md5[:]) }

func (s sums) sha256Hex() string { return hex.EncodeToString(s.sha256[:]) }

// isTaken says whether a request was refused because the key is taken. A
// bucket lock refuses only what would replace an object.
func isTaken(err error) bool {
	return hasStatus(err, http.StatusPreconditionFailed) || hasCode(err, "PreconditionFailed") || errors.Is(err, store.ErrLocked)
}
