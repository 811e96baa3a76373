package s3store_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/AutumnsGrove/patina/pkg/secret"
	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/s3store"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/r2fake"
)

// partBytes is a size of parts that keeps tests fast.
const partBytes = 64 << 10

// r2Options are those of a store on a fake R2.
func r2Options(server *r2fake.Server) s3store.Options {
	return s3store.Options{
		Endpoint:        server.Endpoint,
		Transport:       server.Transport,
		Bucket:          r2fake.Bucket,
		AccessKeyID:     r2fake.AccessKeyID,
		SecretAccessKey: secret.New(r2fake.SecretKey),
		PartBytes:       partBytes,
	}
}

func openR2(t *testing.T, opts s3store.Options) *s3store.Store {
	t.Helper()
	s, err := s3store.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// inBubble runs a test with a fake R2 and a store on it, in a bubble where
// waiting takes no time.
func inBubble(t *testing.T, opts r2fake.Options, test func(*testing.T, *r2fake.Server, *s3store.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		opts.MinPartBytes = partBytes
		server := r2fake.StartInMemory(t, opts)
		test(t, server, openR2(t, r2Options(server)))
	})
}

// plainMinio is minio-go as it comes, to show the traps that are in it.
func plainMinio(t *testing.T, server *r2fake.Server) *minio.Client {
	t.Helper()
	client, err := minio.New(server.Endpoint[len("https://"):], &minio.Options{
		Creds:     plainCredentials(),
		Secure:    true,
		Region:    r2fake.Region,
		Transport: server.Transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// plainMinioCore is minio-go's single calls.
func plainMinioCore(t *testing.T, server *r2fake.Server) *minio.Core {
	t.Helper()
	return &minio.Core{Client: plainMinio(t, server)}
}

func putNothing() minio.PutObjectOptions { return minio.PutObjectOptions{} }

func plainCredentials() *credentials.Credentials {
	return credentials.NewStaticV4(r2fake.AccessKeyID, r2fake.SecretKey, "")
}

func noise(n int) []byte {
	data := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(data) // never fails
	return data
}

func putBytes(t *testing.T, s store.Store, key string, data []byte) (store.Receipt, error) {
	t.Helper()
	return s.Put(t.Context(), key, bytes.NewReader(data), store.PutOptions{})
}

// wantObject fails unless the server holds exactly this under a key.
func wantObject(t *testing.T, server *r2fake.Server, key string, want []byte) {
	t.Helper()
	if got, ok := server.Object(key); !ok || !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes (there: %v), want the %d bytes written", key, len(got), ok, len(want))
	}
	wantNoUploads(t, server)
}

// wantNone fails if an object or an upload is left.
func wantNone(t *testing.T, server *r2fake.Server) {
	t.Helper()
	if got := server.Keys(); len(got) != 0 {
		t.Errorf("server holds %q, want nothing", got)
	}
	wantNoUploads(t, server)
}

func wantNoUploads(t *testing.T, server *r2fake.Server) {
	t.Helper()
	if got := server.OpenUploads(); got != 0 {
		t.Errorf("%d uploads are open, want none", got)
	}
}

// brokenAt gives n bytes and then the bare error of a source that broke off.
func brokenAt(n int) io.Reader {
	return io.MultiReader(bytes.NewReader(noise(n)), errReader{io.ErrUnexpectedEOF})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

var errOther = errors.New("other")
