package s3store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/s3store"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/r2fake"
)

const (
	smallBytes = 1000
	largeBytes = 3*partBytes + 1
)

// TestPutSurvives has requests fail in every way that may pass, at every step
// of a Put: the object must be there once, whole, and nothing beside it.
func TestPutSurvives(t *testing.T) {
	t.Parallel()
	passing := []r2fake.Fault{
		{Kind: r2fake.Refuse, Times: 3},
		{Kind: r2fake.Refuse, Status: 503},
		{Kind: r2fake.Refuse, Status: 429},
		{Kind: r2fake.Page, Status: 502},
		{Kind: r2fake.Page, Status: 520},
		{Kind: r2fake.Page, Status: 522, Times: 2},
		{Kind: r2fake.Page, Status: 527},
		{Kind: r2fake.Page, Status: 530},
		{Kind: r2fake.Reset, Times: 2},
		{Kind: r2fake.Stall},
		{Kind: r2fake.RefuseAfter},
		{Kind: r2fake.RefuseAfter, Status: 429},
		{Kind: r2fake.ResetAfter},
		{Kind: r2fake.StallAfter},
	}
	// These are told by their code, which a HEAD does not get to see.
	damaged := r2fake.Fault{Kind: r2fake.Refuse, Status: 400, Code: "BadDigest"}
	slow := r2fake.Fault{Kind: r2fake.Refuse, Status: 400, Code: "RequestTimeout"}
	late := r2fake.Fault{Kind: r2fake.ErrorIn200}
	steps := []struct {
		operation r2fake.Operation
		size      int
		extra     []r2fake.Fault
		// orphans is whether a lost answer leaves an upload that nobody knows.
		orphans bool
	}{
		{operation: r2fake.PutObject, size: smallBytes, extra: []r2fake.Fault{damaged, slow}},
		{operation: r2fake.HeadObject, size: smallBytes},
		{operation: r2fake.CreateMultipartUpload, size: largeBytes, orphans: true},
		{operation: r2fake.UploadPart, size: largeBytes, extra: []r2fake.Fault{damaged, slow}},
		{operation: r2fake.CompleteMultipartUpload, size: largeBytes, extra: []r2fake.Fault{late}},
		{operation: r2fake.HeadObject, size: largeBytes},
	}
	for _, step := range steps {
		for _, fault := range append(step.extra, passing...) {
			fault.Operation = step.operation
			name := fmt.Sprintf("%s/%d/%s %d %s", step.operation, step.size, fault.Kind, fault.Status, fault.Code)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
					server.Fault(fault)
					receipt, err := putBytes(t, s, "daily/k", noise(step.size))
					if err != nil {
						t.Fatal(err)
					}
					if receipt.Bytes != int64(step.size) {
						t.Errorf("receipt = %+v", receipt)
					}
					if step.orphans {
						abortAll(t, s)
					}
					wantObject(t, server, "daily/k", noise(step.size))
				})
			})
		}
	}
}

// abortAll aborts what Uploads finds, as a later clean-up would.
func abortAll(t *testing.T, s *s3store.Store) {
	t.Helper()
	for u, err := range s.Uploads(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Abort(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestPutFails has requests fail for good: an error, nothing left, and no more
// tries than are of use.
func TestPutFails(t *testing.T) {
	t.Parallel()
	const all = 10 // tries
	cases := []struct {
		fault r2fake.Fault
		size  int
		want  error
		tries int
	}{
		{r2fake.Fault{Operation: r2fake.PutObject, Kind: r2fake.Refuse, Times: all}, smallBytes, nil, all},
		{r2fake.Fault{Operation: r2fake.PutObject, Kind: r2fake.Stall, Times: all}, smallBytes, nil, all},
		{r2fake.Fault{Operation: r2fake.PutObject, Kind: r2fake.Refuse, Status: 403}, smallBytes, store.ErrDenied, 1},
		{r2fake.Fault{Operation: r2fake.PutObject, Kind: r2fake.Refuse, Status: 403, Code: "SignatureDoesNotMatch"}, smallBytes, store.ErrDenied, 1},
		{r2fake.Fault{Operation: r2fake.PutObject, Kind: r2fake.Refuse, Status: 403, Code: "InvalidAccessKeyId"}, smallBytes, store.ErrDenied, 1},
		{r2fake.Fault{Operation: r2fake.PutObject, Kind: r2fake.Refuse, Status: 401, Code: "Unauthorized"}, smallBytes, store.ErrDenied, 1},
		{r2fake.Fault{Operation: r2fake.PutObject, Kind: r2fake.Page, Status: 403}, smallBytes, store.ErrDenied, 1},
		{r2fake.Fault{Operation: r2fake.PutObject, Kind: r2fake.Refuse, Status: 501, Code: "NotImplemented"}, smallBytes, nil, 1},
		{r2fake.Fault{Operation: r2fake.PutObject, Kind: r2fake.Refuse, Status: 403, Code: "ObjectLockedByBucketPolicy"}, smallBytes, store.ErrExists, 1},
		{r2fake.Fault{Operation: r2fake.PutObject, Kind: r2fake.Refuse, Status: 503, RetryAfter: "3600"}, smallBytes, nil, 1},
		{r2fake.Fault{Operation: r2fake.CreateMultipartUpload, Kind: r2fake.Refuse, Times: all}, largeBytes, nil, all},
		{r2fake.Fault{Operation: r2fake.CreateMultipartUpload, Kind: r2fake.Refuse, Status: 403}, largeBytes, store.ErrDenied, 1},
		{r2fake.Fault{Operation: r2fake.UploadPart, Kind: r2fake.Refuse, Status: 403, After: 3}, largeBytes, store.ErrDenied, 4},
		{r2fake.Fault{Operation: r2fake.UploadPart, Kind: r2fake.Page, Status: 522, After: 3, Times: all}, largeBytes, nil, 3 + all},
		{r2fake.Fault{Operation: r2fake.CompleteMultipartUpload, Kind: r2fake.Refuse, Times: all}, largeBytes, nil, all},
		{r2fake.Fault{Operation: r2fake.CompleteMultipartUpload, Kind: r2fake.ErrorIn200, Times: all}, largeBytes, nil, all},
		{r2fake.Fault{Operation: r2fake.CompleteMultipartUpload, Kind: r2fake.Refuse, Status: 404, Code: "NoSuchUpload"}, largeBytes, nil, 1},
		{r2fake.Fault{Operation: r2fake.CompleteMultipartUpload, Kind: r2fake.Refuse, Status: 400, Code: "InvalidPart"}, largeBytes, nil, 1},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s %s %d %s", c.fault.Operation, c.fault.Kind, c.fault.Status, c.fault.Code), func(t *testing.T) {
			t.Parallel()
			inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
				server.Fault(c.fault)
				_, err := putBytes(t, s, "daily/k", noise(c.size))
				if err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("Put = %v, want %v", err, c.want)
				}
				if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
					t.Errorf("Put = %v: ctx has not ended", err)
				}
				if got := server.Count(c.fault.Operation); got != c.tries {
					t.Errorf("%d tries, want %d", got, c.tries)
				}
				wantNone(t, server)
			})
		})
	}
}

// TestPutLostForGood loses every answer of the request that publishes: the
// object is there all the same, and the look afterwards finds it.
func TestPutLostForGood(t *testing.T) {
	t.Parallel()
	for operation, size := range map[r2fake.Operation]int{r2fake.PutObject: smallBytes, r2fake.CompleteMultipartUpload: largeBytes} {
		inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
			server.Fault(r2fake.Fault{Operation: operation, Kind: r2fake.RefuseAfter, Times: 10})
			if _, err := putBytes(t, s, "k", noise(size)); err != nil {
				t.Errorf("Put with all answers to %s lost: %v", operation, err)
			}
			wantObject(t, server, "k", noise(size))
		})
	}
}

// TestPutLosesRaceUnseen has another writer take the key while our own tries
// are lost. What lies there is the other's, and stays, even if it has the very
// same bytes.
func TestPutLosesRaceUnseen(t *testing.T) {
	t.Parallel()
	for operation, size := range map[r2fake.Operation]int{r2fake.PutObject: smallBytes, r2fake.CompleteMultipartUpload: largeBytes} {
		for name, theirs := range map[string][]byte{"other": []byte("another's"), "same": noise(size)} {
			inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
				server.Fault(r2fake.Fault{Operation: operation, Kind: r2fake.Reset, Hook: func(*http.Request) { mustPut(t, s, "k", theirs) }})
				if _, err := putBytes(t, s, "k", noise(size)); !errors.Is(err, store.ErrExists) {
					t.Errorf("Put beside one of %s bytes = %v, want ErrExists", name, err)
				}
				wantObject(t, server, "k", theirs)
			})
			inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
				server.Fault(r2fake.Fault{Operation: operation, Kind: r2fake.Reset, Hook: func(*http.Request) { server.SetObject("k", theirs) }})
				if _, err := putBytes(t, s, "k", noise(size)); !errors.Is(err, store.ErrExists) {
					t.Errorf("Put beside a stranger's of %s bytes = %v, want ErrExists", name, err)
				}
				wantObject(t, server, "k", theirs)
			})
		}
	}
}

// mustPut is another writer.
func mustPut(t *testing.T, s *s3store.Store, key string, data []byte) {
	if _, err := s.Put(t.Context(), key, bytes.NewReader(data), store.PutOptions{}); err != nil {
		t.Errorf("the other writer's Put: %v", err)
	}
}

// TestPutWithoutConditions writes to a store that ignores conditions, where
// another writer's object replaces ours. The look afterwards tells.
func TestPutWithoutConditions(t *testing.T) {
	t.Parallel()
	opts := r2fake.Options{PutIgnoresCondition: true, CompleteIgnoresCondition: true}
	for _, size := range []int{smallBytes, largeBytes} {
		inBubble(t, opts, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
			server.Fault(r2fake.Fault{
				Operation: r2fake.HeadObject, Kind: r2fake.Hook,
				Hook: func(*http.Request) { mustPut(t, s, "k", noise(size)) },
			})
			if _, err := putBytes(t, s, "k", noise(size)); !errors.Is(err, store.ErrExists) {
				t.Errorf("Put = %v, want ErrExists", err)
			}
			wantObject(t, server, "k", noise(size))
		})
	}
}

// TestPutCancelled ends ctx at every step. Nothing may stay, not even where
// the object was published already.
func TestPutCancelled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		operation r2fake.Operation
		size      int
		kinds     []r2fake.FaultKind
	}{
		{r2fake.PutObject, smallBytes, []r2fake.FaultKind{r2fake.Stall, r2fake.StallAfter, r2fake.Refuse, r2fake.ResetAfter}},
		{r2fake.HeadObject, smallBytes, []r2fake.FaultKind{r2fake.Stall, r2fake.Refuse}},
		{r2fake.UploadPart, largeBytes, []r2fake.FaultKind{r2fake.Stall, r2fake.StallAfter, r2fake.Refuse, r2fake.ResetAfter}},
		{r2fake.CompleteMultipartUpload, largeBytes, []r2fake.FaultKind{r2fake.Stall, r2fake.StallAfter, r2fake.Refuse, r2fake.ResetAfter}},
		{r2fake.HeadObject, largeBytes, []r2fake.FaultKind{r2fake.Stall, r2fake.Refuse}},
	} {
		for _, kind := range c.kinds {
			t.Run(fmt.Sprintf("%s/%d/%s", c.operation, c.size, kind), func(t *testing.T) {
				t.Parallel()
				inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
					ctx, cancel := context.WithCancel(t.Context())
					server.Fault(r2fake.Fault{
						Operation: c.operation, Kind: kind, Hook: func(*http.Request) { time.AfterFunc(time.Second, cancel) },
						RetryAfter: "60",
					})
					began := time.Now()
					_, err := s.Put(ctx, "k", bytes.NewReader(noise(c.size)), store.PutOptions{})
					if !errors.Is(err, context.Canceled) {
						// ResetAfter may be overcome before the second is over.
						if kind != r2fake.ResetAfter || err != nil {
							t.Errorf("Put = %v, want context.Canceled", err)
						}
						wantObject(t, server, "k", noise(c.size))
						return
					}
					if took := time.Since(began); took > 5*time.Second {
						t.Errorf("Put took %s to end", took)
					}
					wantNone(t, server)
				})
			})
		}
	}
}

// TestPutCancelledInCreate ends ctx while the server makes an upload: its id
// is waited for, and the upload aborted.
func TestPutCancelledInCreate(t *testing.T) {
	t.Parallel()
	inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		server.Fault(r2fake.Fault{Operation: r2fake.CreateMultipartUpload, Kind: r2fake.Hook, Hook: func(*http.Request) {
			cancel()
			time.Sleep(time.Second)
		}})
		if _, err := s.Put(ctx, "k", bytes.NewReader(noise(largeBytes)), store.PutOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Put = %v, want context.Canceled", err)
		}
		wantNone(t, server)
		if got := server.Count(r2fake.AbortMultipartUpload); got != 1 {
			t.Errorf("%d aborts, want 1", got)
		}
	})
}

// TestRetryAfter checks that the wait which a server asks for is kept.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
		for _, form := range []func() string{
			func() string { return "90" },
			func() string { return time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat) },
		} {
			text := form()
			server.Fault(r2fake.Fault{Operation: r2fake.HeadObject, Kind: r2fake.Page, Status: 503, RetryAfter: text})
			began := time.Now()
			if _, err := s.Stat(t.Context(), "k"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Stat = %v, want ErrNotFound", err)
			}
			if took := time.Since(began); took < 89*time.Second || took > 95*time.Second {
				t.Errorf("Retry-After %q: tried again after %s, want 90 s", text, took)
			}
		}
	})
}

// TestFewerPartsUnderPressure checks that two parts go at once, and after a
// server error only one.
func TestFewerPartsUnderPressure(t *testing.T) {
	t.Parallel()
	inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
		// Parts take a second each, so that those in flight meet.
		slow := r2fake.Fault{Operation: r2fake.UploadPart, Kind: r2fake.Hook, Times: 10, Hook: func(*http.Request) { time.Sleep(time.Second) }}
		server.Fault(slow)
		if _, err := putBytes(t, s, "calm", noise(10*partBytes)); err != nil {
			t.Fatal(err)
		}
		if got := server.PeakParts(); got != s3store.DefaultPartsInFlight {
			t.Errorf("%d parts at once, want %d", got, s3store.DefaultPartsInFlight)
		}
		server.Fault(r2fake.Fault{Operation: r2fake.UploadPart, Kind: r2fake.Refuse})
		// The part beside the refused one, and its second try, are in flight.
		slow.Times = 2
		server.Fault(slow)
		server.Fault(r2fake.Fault{Operation: r2fake.UploadPart, Kind: r2fake.Hook, Hook: func(*http.Request) { server.ResetPeak() }})
		slow.Times = 7
		server.Fault(slow)
		if _, err := putBytes(t, s, "pressed", noise(10*partBytes)); err != nil {
			t.Fatal(err)
		}
		if got := server.PeakParts(); got != 1 {
			t.Errorf("%d parts at once after a server error, want 1", got)
		}
	})
}

// TestWriteInterval races writers for a key on a server that takes one write
// a second: all but one are told that the key is taken.
func TestWriteInterval(t *testing.T) {
	t.Parallel()
	inBubble(t, r2fake.Options{WriteInterval: time.Second}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
		errs := make(chan error)
		for i := range 10 {
			go func() {
				_, err := putBytes(t, s, "k", noise(smallBytes+i))
				errs <- err
			}()
		}
		winners := 0
		for range 10 {
			if err := <-errs; err == nil {
				winners++
			} else if !errors.Is(err, store.ErrExists) {
				t.Errorf("Put = %v, want ErrExists", err)
			}
		}
		if winners != 1 {
			t.Errorf("%d writers won, want 1", winners)
		}
		wantNoUploads(t, server)
	})
}
