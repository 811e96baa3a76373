package s3store

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// Upload is a multipart upload that was neither completed nor aborted. It may
// be at work: only its age and the owner of its key can tell.
type Upload struct {
	// Key is relative to the store's prefix.
	Key string
	// ID is the store's name for the upload.
	ID string
	// StartedAt is by the store's clock.
	StartedAt time.Time
}

// Uploads yields the open uploads whose key begins with prefix, and ends with
// one error when not all could be listed.
func (s *Store) Uploads(ctx context.Context, prefix string) iter.Seq2[Upload, error] {
	return func(yield func(Upload, error) bool) {
		var key, id string
		for {
			page, err := s.uploadsAfter(ctx, prefix, key, id)
			if err != nil {
				yield(Upload{}, fmt.Errorf("list uploads %q: %w", prefix, err))
				return
			}
			for _, u := range page.Uploads {
				if !yield(Upload{Key: strings.TrimPrefix(u.Key, s.prefix), ID: u.UploadID, StartedAt: u.Initiated.UTC()}, nil) {
					return
				}
			}
			if !page.IsTruncated {
				return
			}
			if page.NextKeyMarker == key && page.NextUploadIDMarker == id {
				yield(Upload{}, fmt.Errorf("list uploads %q: %w: same page twice", prefix, errOrder))
				return
			}
			key, id = page.NextKeyMarker, page.NextUploadIDMarker
		}
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

// AbortUpload ends an upload and frees its parts. One that is gone is success.
func (s *Store) AbortUpload(ctx context.Context, u Upload) error {
	name, err := s.object(u.Key)
	if err == nil {
		err = s.abort(ctx, name, u.ID)
	}
	if err != nil {
		return fmt.Errorf("abort upload of %s: %w", u.Key, err)
	}
	return nil
}
