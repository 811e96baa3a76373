package s3store

import (
	"context"
	"crypto/md5" // it is what S3's ETags are made of
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// upload is a multipart upload at work.
type upload struct {
	*writing
	id    string
	parts []minio.CompletePart
	sums  [][md5.Size]byte
	size  int64
	// limit is how many parts may be in flight; it only goes down, once for
	// each message in pressed.
	limit   int
	pressed chan struct{}
}

// multipart writes a body whose first chunk is not its last.
func (w *writing) multipart(ctx context.Context, first chunk, src *source) (store.Receipt, error) {
	id, err := w.create(ctx)
	if err != nil {
		first.free()
		return store.Receipt{}, asExists(err)
	}
	u := w.newUpload(id)
	if err := u.send(ctx, first, src); err != nil {
		return store.Receipt{}, u.abort(ctx, err)
	}
	sent := u.complete(ctx)
	receipt, err := u.settle(ctx, sent)
	if err == nil {
		return receipt, nil
	}
	// The abort comes first: after it no late try can publish any more.
	err = u.abort(ctx, err)
	if sent.maybeDone() {
		err = u.retract(ctx, err)
	}
	return store.Receipt{}, err
}

func (w *writing) newUpload(id string) *upload {
	return &upload{writing: w, id: id, limit: w.s.partsInFlight, pressed: make(chan struct{}, 1)}
}

// createGrace is how long an answer with an upload's id is waited for when ctx
// has ended: without the id, nobody can abort the upload.
const createGrace = 5 * time.Second

// create begins an upload. The condition here saves sending a body for which
// there is no room; it is the one of complete that counts.
func (w *writing) create(ctx context.Context) (string, error) {
	var id string
	err := w.s.retry(ctx, op{name: "create upload", timeout: callTimeout}, func(ctx context.Context) error {
		ctx, cancel := outlive(ctx, createGrace)
		defer cancel()
		var err error
		id, err = w.s.core.NewMultipartUpload(ctx, w.s.bucket, w.name, w.putOptions())
		return err
	})
	if err == nil && id == "" {
		return "", errors.New("create upload: store gave no upload id")
	}
	return id, err
}

// outlive is a context that ends when ctx has been over for a while.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// sentPart is what became of a part.
type sentPart struct {
	number int
	etag   string
	md5    [md5.Size]byte
	err    error
}

// send sends all parts. When it returns, no part is in flight any more.
func (u *upload) send(ctx context.Context, first chunk, src *source) error {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan sentPart)
	inFlight := 0
	defer func() {
		cancel()
		for ; inFlight > 0; inFlight-- {
			<-results
		}
	}()
	start := func(c chunk) {
		u.grow(c)
		inFlight++
		go func() { results <- u.sendPart(ctx, c) }()
	}
	start(first)
	for last := false; !last || inFlight > 0; {
		chunks := src.chunks
		if last || inFlight >= u.limit {
			chunks = nil
		}
		select {
		case c, ok := <-chunks:
			if !ok {
				return src.err
			}
			if c.number > u.s.maxParts {
				c.free()
				return fmt.Errorf("body is longer than the %d bytes that %d parts of %d bytes hold: set larger parts", u.size, u.s.maxParts, u.s.partBytes)
			}
			last = c.last
			start(c)
		case sent := <-results:
			inFlight--
			if sent.err != nil {
				return sent.err
			}
			u.parts[sent.number-1].ETag = sent.etag
			u.sums[sent.number-1] = sent.md5
		case <-u.pressed:
			u.lower(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// grow makes room for the next part.
func (u *upload) grow(c chunk) {
	u.parts = append(u.parts, minio.CompletePart{PartNumber: c.number})
	u.sums = append(u.sums, [md5.Size]byte{})
	u.size += int64(len(c.data))
}

// lower has fewer parts in flight from now on.
func (u *upload) lower(ctx context.Context) {
	if u.limit == 1 {
		return
	}
	u.limit--
	u.s.log.InfoContext(ctx, "sending fewer parts at once", "key", u.key, "parts_in_flight", u.limit)
}

// sendPart sends one part, one try after the other, and frees its chunk.
func (u *upload) sendPart(ctx context.Context, c chunk) sentPart {
	defer c.free()
	sums := sumsOf(c.data)
	sent := sentPart{number: c.number, md5: sums.md5}
	sent.err = u.s.retry(ctx, op{
		name:    "put part " + strconv.Itoa(c.number),
		timeout: transferTimeout(int64(len(c.data))),
		failed:  u.failedPart,
	}, func(ctx context.Context) error {
		body := newGuard(c.data)
		defer body.detach()
		part, err := u.s.core.PutObjectPart(ctx, u.s.bucket, u.name, u.id, c.number, body, int64(len(c.data)), minio.PutObjectPartOptions{
			Md5Base64:            sums.md5Base64(),
			Sha256Hex:            sums.sha256Hex(),
			DisableContentSha256: true, // as in putOptions
		})
		sent.etag = part.ETag
		return err
	})
	return sent
}

// failedPart tells send when a part failed for a reason that fewer parts in
// flight may mend.
func (u *upload) failedPart(err error) {
	if !isPressed(err) {
		return
	}
	select {
	case u.pressed <- struct{}{}:
	default: // it is told already
	}
}

// isPressed says whether the store may have been asked for too much at once.
func isPressed(err error) bool {
	var answer *replyError
	return errors.As(err, &answer) && (answer.status >= http.StatusInternalServerError || answer.status == http.StatusTooManyRequests)
}

// complete publishes the object, if the key is free.
func (u *upload) complete(ctx context.Context) outcome {
	sent := outcome{want: expected{bytes: u.size, etag: multipartETag(u.sums), partBytes: u.s.partBytes, parts: u.sums}}
	// Complete takes no metadata; it is that of create.
	opts := minio.PutObjectOptions{}
	opts.SetMatchETagExcept("*")
	sent.err = u.s.retry(ctx, op{
		name:    "complete upload",
		timeout: completeTimeout,
		failed:  func(error) { sent.uncertain = true },
	}, func(ctx context.Context) error {
		_, err := u.s.core.CompleteMultipartUpload(ctx, u.s.bucket, u.name, u.id, u.parts, opts)
		return err
	})
	return sent
}

// multipartETag is the MD5 of the parts' MD5s, and their number.
func multipartETag(sums [][md5.Size]byte) string {
	hash := md5.New()
	for _, sum := range sums {
		hash.Write(sum[:])
	}
	return hex.EncodeToString(hash.Sum(nil)) + "-" + strconv.Itoa(len(sums))
}

// abort gives the parts back, whether ctx has ended or not, since Put fails
// with cause.
func (u *upload) abort(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := u.s.abort(ctx, u.name, u.id); err != nil {
		return fmt.Errorf("%w (and its upload %s remains: %w)", cause, u.id, err)
	}
	return cause
}

// abort aborts an upload. One that is gone is success.
func (s *Store) abort(ctx context.Context, name, id string) error {
	err := s.retry(ctx, op{name: "abort upload", timeout: callTimeout}, func(ctx context.Context) error {
		return s.core.AbortMultipartUpload(ctx, s.bucket, name, id)
	})
	if hasStatus(err, http.StatusNotFound) && !hasCode(err, "NoSuchBucket") {
		return nil
	}
	return err
}
