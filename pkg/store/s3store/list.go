package s3store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// List implements store.Store. A page that fails is asked for again, from the
// last key on.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		l := listing{s: s, prefix: prefix, yield: yield}
		err := s.retry(ctx, op{name: "list objects"}, l.run)
		if err != nil {
			yield(store.Info{}, fmt.Errorf("list %q: %w", prefix, err))
		}
	}
}

// listing is a listing at work, over all its tries.
type listing struct {
	s      *Store
	prefix string
	yield  func(store.Info, error) bool
	// last is the name of the last object seen.
	last string
}

// errOrder says that a listing cannot be trusted to be complete.
var errOrder = errors.New("store lists keys out of order")

// run lists from the last object on. Each page must come within callTimeout;
// the time that the caller takes between objects does not count.
func (l *listing) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stall := time.AfterFunc(callTimeout, cancel)
	defer stall.Stop()
	no := false
	for object := range l.s.core.ListObjectsIter(ctx, l.s.bucket, minio.ListObjectsOptions{
		Prefix:     l.s.prefix + l.prefix,
		Recursive:  true,
		StartAfter: l.last,
		FetchOwner: &no,
	}) {
		if !stall.Stop() {
			return silence(callTimeout)
		}
		if object.Err != nil {
			return object.Err
		}
		if object.Key <= l.last {
			return &finalError{fmt.Errorf("%w: %q after %q", errOrder, object.Key, l.last)}
		}
		l.last = object.Key
		if !l.tell(object) {
			return nil
		}
		stall.Reset(callTimeout)
	}
	if !stall.Stop() {
		return silence(callTimeout)
	}
	// The iterator ends without an error when ctx does.
	return ctx.Err()
}

// tell yields an object and says whether to go on.
func (l *listing) tell(object minio.ObjectInfo) bool {
	key := strings.TrimPrefix(object.Key, l.s.prefix)
	if key == "" {
		return true // the mark that consoles make for the prefix as a folder
	}
	return l.yield(infoOf(key, object), nil)
}
