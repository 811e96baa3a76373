package s3store

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// Uploads implements store.Sweeper.
func (s *Store) Uploads(ctx context.Context, prefix string) iter.Seq2[store.Upload, error] {
	return func(yield func(store.Upload, error) bool) {
		var key, id string
		for {
			page, err := s.uploadsAfter(ctx, prefix, key, id)
			if err != nil {
				yield(store.Upload{}, fmt.Errorf("list uploads %q: %w", prefix, err))
				return
			}
			for _, u := range page.Uploads {
				if !yield(s.openUpload(u), nil) {
					return
				}
			}
			if !page.IsTruncated {
				return
			}
			if page.NextKeyMarker == key && page.NextUploadIDMarker == id {
				yield(store.Upload{}, fmt.Errorf("list uploads %q: %w: same page twice", prefix, errOrder))
				return
			}
			key, id = page.NextKeyMarker, page.NextUploadIDMarker
		}
	}
}

// openUpload is an upload as it was listed.
func (s *Store) openUpload(u minio.ObjectMultipartInfo) store.Upload {
	return store.Upload{
		Key: strings.TrimPrefix(u.Key, s.prefix), StartedAt: u.Initiated.UTC(),
		Abort: func(ctx context.Context) error {
			if err := s.abort(ctx, u.Key, u.UploadID); err != nil {
				return fmt.Errorf("abort upload of %s: %w", u.Key, err)
			}
			return nil
		},
	}
}

func (s *Store) uploadsAfter(ctx context.Context, prefix, key, id string) (minio.ListMultipartUploadsResult, error) {
	var page minio.ListMultipartUploadsResult
	err := s.retry(ctx, op{name: "list uploads", timeout: callTimeout}, func(ctx context.Context) error {
		var err error
		page, err = s.core.ListMultipartUploads(ctx, s.bucket, s.prefix+prefix, key, id, "", 1000)
		return err
	})
	return page, err
}
