package s3store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/s3store"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/r2fake"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/versity"
)

// The tests of this file are the seven things that go wrong with minio-go and
// R2 when nothing is done about them. Where minio-go itself can be shown to go
// wrong quickly, the test does so first: when that fails one day, the
// protection may no longer be needed.

// Fact 1: a source that breaks off with io.ErrUnexpectedEOF is taken for a
// complete one.
func TestFact1TruncatedSource(t *testing.T) {
	t.Parallel()
	t.Run("trap", func(t *testing.T) {
		t.Parallel()
		server := r2fake.Start(t, r2fake.Options{})
		_, err := plainMinio(t, server).PutObject(t.Context(), r2fake.Bucket, "stump", brokenAt(1000), -1, minio.PutObjectOptions{PartSize: 5 << 20})
		if _, there := server.Object("stump"); err != nil || !there {
			t.Errorf("minio-go now notices a truncated source: %v", err)
		}
	})
	for _, size := range []int{0, 1, partBytes - 1, partBytes, partBytes + 1, 2 * partBytes, 3*partBytes + 1} {
		server := r2fake.Start(t, r2fake.Options{MinPartBytes: partBytes})
		s := openR2(t, r2Options(server))
		_, err := s.Put(t.Context(), "daily/x.sql", brokenAt(size), store.PutOptions{})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Put of a source cut after %d bytes: %v, want io.ErrUnexpectedEOF", size, err)
		}
		wantNone(t, server)
		if n := server.Count(r2fake.PutObject) + server.Count(r2fake.CompleteMultipartUpload); n != 0 {
			t.Errorf("a source cut after %d bytes was published %d times", size, n)
		}
	}
}

// Fact 2: sizes that were declared are not compared with what is stored.
func TestFact2SizesAreCompared(t *testing.T) {
	t.Parallel()
	t.Run("trap", func(t *testing.T) {
		t.Parallel()
		server := r2fake.Start(t, r2fake.Options{})
		const declared = 12 << 20
		_, err := plainMinio(t, server).PutObject(t.Context(), r2fake.Bucket, "short", bytes.NewBuffer(noise(6<<20)), declared,
			minio.PutObjectOptions{PartSize: 5 << 20, ConcurrentStreamParts: true, NumThreads: 2})
		if got, _ := server.Object("short"); err != nil || len(got) != 6<<20 {
			t.Errorf("minio-go now notices that %d bytes are not the %d declared: %v", len(got), declared, err)
		}
	})
	for _, size := range []int{10, 2*partBytes + 10} {
		for name, change := range map[string]func([]byte) []byte{
			"short":   func(data []byte) []byte { return data[:len(data)-1] },
			"long":    func(data []byte) []byte { return append(data, 0) },
			"damaged": func(data []byte) []byte { data[len(data)-1] ^= 1; return data },
		} {
			for _, opaque := range []bool{false, true} {
				server := r2fake.Start(t, r2fake.Options{MinPartBytes: partBytes, OpaqueETags: opaque})
				server.Fault(r2fake.Fault{Operation: r2fake.HeadObject, Kind: r2fake.Hook, Hook: func(*http.Request) { server.Alter("k", change) }})
				if _, err := putBytes(t, openR2(t, r2Options(server)), "k", noise(size)); err == nil {
					t.Errorf("Put of %d bytes that were stored %s succeeds", size, name)
				}
				wantNone(t, server)
			}
		}
	}
}

// Fact 3: a condition does not reach the request that publishes a multipart
// object.
func TestFact3ConditionOnComplete(t *testing.T) {
	t.Parallel()
	t.Run("trap", func(t *testing.T) {
		t.Parallel()
		server := r2fake.Start(t, r2fake.Options{})
		client := plainMinio(t, server)
		server.Fault(r2fake.Fault{
			Operation: r2fake.CompleteMultipartUpload, Kind: r2fake.Hook,
			Hook: func(*http.Request) { server.SetObject("k", []byte("another's")) },
		})
		opts := minio.PutObjectOptions{PartSize: 5 << 20}
		opts.SetMatchETagExcept("*")
		_, err := client.PutObject(t.Context(), r2fake.Bucket, "k", bytes.NewBuffer(noise(6<<20)), -1, opts)
		if got, _ := server.Object("k"); err != nil || len(got) != 6<<20 {
			t.Errorf("minio-go now sends the condition with CompleteMultipartUpload: %v", err)
		}
	})
	server := r2fake.Start(t, r2fake.Options{MinPartBytes: partBytes})
	server.Fault(r2fake.Fault{
		Operation: r2fake.CompleteMultipartUpload, Kind: r2fake.Hook,
		Hook: func(*http.Request) { server.SetObject("k", []byte("another's")) },
	})
	_, err := putBytes(t, openR2(t, r2Options(server)), "k", noise(2*partBytes))
	if !errors.Is(err, store.ErrExists) {
		t.Errorf("Put = %v, want ErrExists", err)
	}
	wantObject(t, server, "k", []byte("another's"))
	for _, operation := range []r2fake.Operation{r2fake.CreateMultipartUpload, r2fake.CompleteMultipartUpload} {
		if got := server.Header(operation).Get("If-None-Match"); got != "*" {
			t.Errorf("%s has If-None-Match %q, want *", operation, got)
		}
	}
}

// Fact 4: a body of unknown length costs minio-go half a gigabyte. (It is not
// shown here: it would cost that.)
func TestFact4Memory(t *testing.T) {
	t.Parallel()
	inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
		server.Fault(r2fake.Fault{Operation: r2fake.UploadPart, Kind: r2fake.Stall, Times: s3store.DefaultPartsInFlight})
		ctx, cancel := context.WithCancel(t.Context())
		body := &counting{r: endless{}}
		ended := make(chan error, 1)
		go func() {
			_, err := s.Put(ctx, "k", body, store.PutOptions{})
			ended <- err
		}()
		synctest.Wait()
		if want := int64((s3store.DefaultPartsInFlight+1)*partBytes + 1); body.n > want {
			t.Errorf("Put has read %d bytes while no part was taken, want at most %d", body.n, want)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Put = %v, want context.Canceled", err)
		}
		wantNone(t, server)
	})
}

// Fact 4 on a real server: 256 MiB are pushed to another process, and the heap
// is looked at while they are read. It does not run beside other tests, whose
// heap it would count.
func TestFact4Memory256MiB(t *testing.T) {
	const size, limit = 256 << 20, 64 << 20
	s := openR2(t, versityOptions(versity.Start(t), "memory"))
	body := &heapWatch{r: io.LimitReader(endless{}, size)}
	receipt, err := s.Put(t.Context(), "k", body, store.PutOptions{})
	if err != nil || receipt.Bytes != size {
		t.Fatalf("Put = %+v, %v", receipt, err)
	}
	t.Logf("heap at its peak: %d MiB", body.peak>>20)
	if body.peak > limit {
		t.Errorf("heap grew to %d MiB, want at most %d", body.peak>>20, limit>>20)
	}
}

// heapWatch notes the greatest heap seen while it is read.
type heapWatch struct {
	r     io.Reader
	peak  uint64
	reads int
}

func (h *heapWatch) Read(p []byte) (int, error) {
	if h.reads++; h.reads%16 == 0 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		h.peak = max(h.peak, stats.HeapAlloc)
	}
	return h.r.Read(p[:min(len(p), 64<<10)])
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// Fact 5: a source that blocks outlives the context.
func TestFact5BlockedSource(t *testing.T) {
	t.Parallel()
	t.Run("trap", func(t *testing.T) {
		t.Parallel()
		inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, _ *s3store.Store) {
			client := plainMinio(t, server)
			ctx, cancel := context.WithCancel(t.Context())
			body, feed := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				_, err := client.PutObject(ctx, r2fake.Bucket, "k", body, -1, minio.PutObjectOptions{PartSize: 5 << 20})
				ended <- err
			}()
			synctest.Wait()
			cancel()
			select {
			case err := <-ended:
				t.Errorf("minio-go now ends with its context: %v", err)
			case <-time.After(time.Hour):
				_ = feed.CloseWithError(errOther)
				<-ended
			}
		})
	})
	for _, size := range []int{0, 10, partBytes, 2*partBytes + 10} {
		inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
			ctx, cancel := context.WithCancel(t.Context())
			body, feed := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				_, err := s.Put(ctx, "k", body, store.PutOptions{})
				ended <- err
			}()
			if _, err := feed.Write(noise(size)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			began := time.Now()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Put = %v, want context.Canceled", err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("Put took %s to end", took)
			}
			wantNone(t, server)
			// The bubble fails if the reading goroutine does not end now.
			_ = feed.Close()
		})
	}
}

// Fact 6: R2 wants equal parts, and at most 10,000 of them.
func TestFact6EqualParts(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{MinPartBytes: partBytes})
	s := openR2(t, r2Options(server))
	data := noise(5*partBytes + 7)
	body := iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(data)))
	receipt, err := s.Put(t.Context(), "uneven", body, store.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if receipt.PartBytes != partBytes || receipt.Parts != 6 {
		t.Errorf("receipt tells %d parts of %d bytes, want 6 of %d", receipt.Parts, receipt.PartBytes, partBytes)
	}
	wantObject(t, server, "uneven", data)

	s.SetMaxParts(3)
	if _, err := putBytes(t, s, "full", noise(3*partBytes)); err != nil {
		t.Errorf("Put of as many parts as there may be: %v", err)
	}
	_, err = putBytes(t, s, "over", noise(3*partBytes+1))
	if err == nil || !strings.Contains(err.Error(), "longer than the 196608 bytes") {
		t.Errorf("Put of too many parts: %v, want an error that tells the size reached", err)
	}
	if _, there := server.Object("over"); there {
		t.Error("an object with too many parts was published")
	}
	wantNoUploads(t, server)
}

// Fact 7: R2 refuses aws-chunked bodies and trailing checksums.
func TestFact7PlainBodies(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"https", "http"} {
		server := r2fake.Start(t, r2fake.Options{MinPartBytes: partBytes})
		opts := r2Options(server)
		if scheme == "http" {
			plain := httptest.NewServer(server)
			t.Cleanup(plain.Close)
			opts.Endpoint, opts.Transport = plain.URL, nil
			trap, err := minio.New(plain.Listener.Addr().String(), &minio.Options{Creds: plainCredentials(), Region: r2fake.Region})
			if err != nil {
				t.Fatal(err)
			}
			_, err = trap.PutObject(t.Context(), r2fake.Bucket, "trap", strings.NewReader("x"), 1, minio.PutObjectOptions{})
			if minio.ToErrorResponse(err).StatusCode != http.StatusNotImplemented {
				t.Errorf("minio-go over plain http now sends something else: %v", err)
			}
		}
		s := openR2(t, opts)
		for key, size := range map[string]int{"small": 10, "large": 2 * partBytes} {
			if _, err := putBytes(t, s, key, noise(size)); err != nil {
				t.Errorf("Put of %d bytes over %s: %v", size, scheme, err)
			}
		}
		for _, operation := range []r2fake.Operation{r2fake.PutObject, r2fake.UploadPart} {
			header := server.Header(operation)
			if sum := header.Get("X-Amz-Content-Sha256"); len(sum) != 64 {
				t.Errorf("%s over %s has the payload hash %q, want a SHA-256", operation, scheme, sum)
			}
			if header.Get("Content-Md5") == "" {
				t.Errorf("%s over %s has no Content-MD5", operation, scheme)
			}
			for name := range header {
				if strings.HasPrefix(name, "X-Amz-Checksum") || strings.HasPrefix(name, "X-Amz-Sdk") || name == "X-Amz-Trailer" || name == "Content-Encoding" {
					t.Errorf("%s over %s has the header %s", operation, scheme, name)
				}
			}
		}
	}
}
