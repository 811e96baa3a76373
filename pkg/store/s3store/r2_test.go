package s3store_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/storetest"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/r2fake"
)

func TestSuiteR2(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]r2fake.Options{
		"plain":        {},
		"small pages":  {PageKeys: 2},
		"opaque ETags": {OpaqueETags: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts.MinPartBytes = partBytes
			server := r2fake.Start(t, opts)
			var opened atomic.Int64
			storetest.Suite{
				PartBytes: partBytes,
				Open: func(t *testing.T) store.Store {
					t.Helper()
					options := r2Options(server)
					options.Prefix = fmt.Sprintf("suite/%d", opened.Add(1))
					return openR2(t, options)
				},
			}.Run(t)
			t.Cleanup(func() { wantNoUploads(t, server) })
		})
	}
}

// TestHeads checks what is told of an object beside its bytes.
func TestHeads(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{MinPartBytes: partBytes})
	opts := r2Options(server)
	opts.UserAgent = "patina/1.2.3"
	s := openR2(t, opts)
	for operation, size := range map[r2fake.Operation]int{r2fake.PutObject: smallBytes, r2fake.CreateMultipartUpload: largeBytes} {
		for contentType, want := range map[string]string{"": "application/octet-stream", "application/json": "application/json"} {
			key := fmt.Sprintf("%s/%d", want, size)
			if _, err := s.Put(t.Context(), key, bytes.NewReader(noise(size)), store.PutOptions{ContentType: contentType}); err != nil {
				t.Fatal(err)
			}
			header := server.Header(operation)
			if got := header.Get("Content-Type"); got != want {
				t.Errorf("%s has the content type %q, want %q", operation, got, want)
			}
			if got := header.Get("User-Agent"); !strings.HasSuffix(got, " patina/1.2.3") {
				t.Errorf("%s has the user agent %q", operation, got)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
