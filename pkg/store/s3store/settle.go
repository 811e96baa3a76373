package s3store

import (
	"context"
	"crypto/md5" // it is what S3's ETags are made of
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// expected is what the object must be if it is ours and whole.
type expected struct {
	bytes int64
	// etag is what R2 and plain S3 make of the parts' MD5s.
	etag string
	// partBytes is the size of all parts but the last; 0 for a single PUT.
	partBytes int64
	parts     [][md5.Size]byte
}

// outcome is how the request that publishes an object ended.
type outcome struct {
	want expected
	err  error
	// uncertain is true when some try may have been done unseen.
	uncertain bool
}

// maybeDone says whether there may be an object of ours.
func (o outcome) maybeDone() bool { return o.err == nil || o.uncertain }

// settle finds out what became of the publishing request, by looking, and
// makes the receipt.
func (w *writing) settle(ctx context.Context, sent outcome) (store.Receipt, error) {
	if !sent.maybeDone() {
		return store.Receipt{}, asExists(sent.err)
	}
	found, err := w.look(ctx)
	switch {
	case errors.Is(err, store.ErrNotFound) && sent.err != nil:
		return store.Receipt{}, asExists(sent.err)
	case err != nil && sent.err != nil:
		return store.Receipt{}, fmt.Errorf("%w (and it is unknown what came of it: %w)", sent.err, err)
	case err != nil:
		return store.Receipt{}, fmt.Errorf("look at what was written: %w", err)
	case !found.ours:
		return store.Receipt{}, fmt.Errorf("%w: another writer's lies there", store.ErrExists)
	}
	if err := w.verify(ctx, found.Info, sent.want); err != nil {
		return store.Receipt{}, err
	}
	return store.Receipt{Info: found.Info, PartBytes: sent.want.partBytes, Parts: len(sent.want.parts)}, nil
}

// asExists marks the errors that say that the key is taken.
func asExists(err error) error {
	if isTaken(err) {
		return fmt.Errorf("%w: %w", store.ErrExists, err)
	}
	return err
}

// sighting is an object, and whether this Put wrote it.
type sighting struct {
	store.Info
	ours bool
}

// look tells what lies under the key.
func (w *writing) look(ctx context.Context) (sighting, error) {
	object, err := w.s.stat(ctx, w.name)
	if err != nil {
		return sighting{}, err
	}
	for name, value := range object.UserMetadata {
		if strings.EqualFold(name, tokenName) && value == w.token {
			return sighting{Info: infoOf(w.key, object), ours: true}, nil
		}
	}
	return sighting{Info: infoOf(w.key, object)}, nil
}

// verify compares what is stored with what was read from the body.
func (w *writing) verify(ctx context.Context, got store.Info, want expected) error {
	if got.Bytes != want.bytes {
		return fmt.Errorf("store holds %d bytes of %d", got.Bytes, want.bytes)
	}
	if got.ETag == want.etag {
		return nil
	}
	w.s.log.InfoContext(ctx, "reading the object back, since its ETag is not made of MD5s", "key", w.key, "etag", got.ETag)
	rest := want.bytes
	for i, sum := range want.parts {
		length := rest
		if i < len(want.parts)-1 {
			length = want.partBytes
		}
		if err := w.compare(ctx, got.ETag, want.bytes-rest, length, sum); err != nil {
			return fmt.Errorf("read back part %d: %w", i+1, err)
		}
		rest -= length
	}
	return nil
}

// errDamaged says that the store gives other bytes than it was given.
var errDamaged = errors.New("stored bytes are not those that were sent")

// compare reads a range back and compares its MD5.
func (w *writing) compare(ctx context.Context, etag string, offset, length int64, want [md5.Size]byte) error {
	if length == 0 {
		return nil
	}
	hash := md5.New()
	err := w.s.retry(ctx, op{name: "read back", timeout: transferTimeout(length)}, func(ctx context.Context) error {
		hash.Reset()
		opts := minio.GetObjectOptions{}
		if err := errors.Join(opts.SetMatchETag(etag), opts.SetRange(offset, offset+length-1)); err != nil {
			return err
		}
		body, _, _, err := w.s.core.GetObject(ctx, w.s.bucket, w.name, opts)
		if err != nil {
			return err
		}
		_, err = io.Copy(hash, body)
		return errors.Join(err, body.Close())
	})
	if err != nil {
		return err
	}
	if [md5.Size]byte(hash.Sum(nil)) != want {
		return errDamaged
	}
	return nil
}

// retract removes the object if it is this Put's, since Put fails with cause.
// It does so whether ctx has ended or not.
func (w *writing) retract(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	found, err := w.look(ctx)
	if errors.Is(err, store.ErrNotFound) || err == nil && !found.ours {
		return cause
	}
	if err == nil {
		err = w.s.remove(ctx, w.name)
	}
	if err != nil {
		return fmt.Errorf("%w (and an object of this writing may remain: %w)", cause, err)
	}
	return cause
}
