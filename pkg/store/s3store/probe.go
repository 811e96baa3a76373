package s3store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// Now implements store.Clock by the Date of an answer.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := s.retry(ctx, op{name: "read the store's clock", timeout: callTimeout}, func(ctx context.Context) error {
		// A HEAD of what is not there is the cheapest call that any token may make.
		_, err := s.core.StatObject(ctx, s.bucket, s.prefix+".patina-clock", minio.StatObjectOptions{})
		at, status, dateErr := replyOf(ctx).clock()
		if status != http.StatusNotFound && err != nil {
			return err
		}
		if dateErr != nil {
			return &finalError{fmt.Errorf("answer without a date: %w", dateErr)}
		}
		now = at
		return nil
	})
	return now, err
}

// Probe implements store.Prober. It writes a few bytes in one piece and as a
// multipart object, each twice, and leaves the key free.
func (s *Store) Probe(ctx context.Context, key string) (store.Conditions, error) {
	name, err := s.object(key)
	if err != nil {
		return store.Conditions{}, fmt.Errorf("probe %s: %w", key, err)
	}
	found, err := s.probe(ctx, key, name)
	if err != nil {
		return store.Conditions{}, fmt.Errorf("probe %s: %w", key, err)
	}
	return found, nil
}

func (s *Store) probe(ctx context.Context, key, name string) (store.Conditions, error) {
	single, err := s.probeSingle(ctx, key, name)
	if err != nil {
		return store.Conditions{}, err
	}
	multipart, err := s.probeMultipart(ctx, key, name)
	if err != nil {
		return store.Conditions{}, err
	}
	return store.Conditions{Single: single, Multipart: multipart}, nil
}

// probeSingle writes one object twice by PUT.
func (s *Store) probeSingle(ctx context.Context, key, name string) (bool, error) {
	if _, err := s.Put(ctx, key, strings.NewReader("first"), store.PutOptions{}); err != nil {
		return false, err
	}
	second := s.newProbe(key, name)
	data := []byte("second")
	err := s.retry(ctx, op{name: "put object again", timeout: callTimeout}, func(ctx context.Context) error {
		return second.putOnce(ctx, data, sumsOf(data))
	})
	return s.refused(ctx, name, err)
}

// probeMultipart begins two uploads while the key is free, and completes both.
func (s *Store) probeMultipart(ctx context.Context, key, name string) (bool, error) {
	var uploads []*upload
	for range 2 {
		u, err := s.probeUpload(ctx, key, name)
		if err != nil {
			return false, errors.Join(err, s.abandon(ctx, uploads))
		}
		uploads = append(uploads, u)
	}
	if _, err := uploads[0].settle(ctx, uploads[0].complete(ctx)); err != nil {
		return false, errors.Join(err, s.abandon(ctx, uploads))
	}
	holds, err := s.refused(ctx, name, uploads[1].complete(ctx).err)
	return holds, errors.Join(err, s.abandon(ctx, uploads[1:]))
}

// refused removes the object, and tells whether the error of its second
// writing was the condition.
func (s *Store) refused(ctx context.Context, name string, second error) (bool, error) {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	err := s.remove(cleanup, name)
	if second != nil && !isTaken(second) {
		err = errors.Join(second, err)
	}
	return second != nil, err
}

func (s *Store) newProbe(key, name string) *writing {
	return &writing{s: s, key: key, name: name, token: rand.Text()}
}

// probeUpload is an upload with one small part, ready to be completed.
func (s *Store) probeUpload(ctx context.Context, key, name string) (*upload, error) {
	w := s.newProbe(key, name)
	id, err := w.create(ctx)
	if err != nil {
		return nil, err
	}
	u := w.newUpload(id)
	c := chunk{number: 1, data: []byte(w.token), last: true, free: func() {}}
	u.grow(c)
	sent := u.sendPart(ctx, c)
	if sent.err != nil {
		return nil, u.abort(ctx, sent.err)
	}
	u.parts[0].ETag, u.sums[0] = sent.etag, sent.md5
	return u, nil
}

// abandon aborts uploads; those that are gone already are no trouble.
func (s *Store) abandon(ctx context.Context, uploads []*upload) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	var errs []error
	for _, u := range uploads {
		errs = append(errs, s.abort(ctx, u.name, u.id))
	}
	return errors.Join(errs...)
}
