// Package r2fake is an S3 server in memory that enforces the rules of
// Cloudflare R2, for tests. No real server that runs here has them.
//
// It is strict: a request that R2 would refuse is refused, with the code that
// R2 gives (https://developers.cloudflare.com/r2/api/error-codes/), and what
// R2's documentation does not settle is a switch in Options. It speaks TLS and
// path style only, and checks that
//
//   - requests carry a valid signature of version 4 for the region auto,
//   - bodies are neither aws-chunked nor of unknown length, and match their
//     Content-MD5 and X-Amz-Content-Sha256,
//   - there are no tags, ACLs, locks, SSE-KMS or other headers that R2 does not
//     implement, and no SHA-1 or SHA-256 checksum headers on parts,
//   - all parts but the last have one size of at least 5 MiB, at most 10,000,
//   - conditions hold, where a failed one destroys the multipart upload,
//   - a part number has one try at a time; a second try that fails loses what
//     the first had stored,
//   - an object under a locked prefix is neither replaced nor deleted, and one
//     key is not written more than once in WriteInterval.
//
// Faults are ordered with Server.Fault. Counts of calls, open uploads and
// stored objects are there for assertions. What must never happen, such as two
// tries of one part at once, fails the test when it ends.
package r2fake

import (
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// What every Server has.
const (
	Region      = "auto"
	Bucket      = "patina-test"
	AccessKeyID = "r2fake-access-key-id"
	SecretKey   = "r2fake-secret-access-key"
)

// Options switch what R2's documentation leaves open, and make tests fast.
// The zero Options are R2 as documented.
type Options struct {
	// MinPartBytes is the least size of a part that is not the last; 0 means
	// 5 MiB.
	MinPartBytes int64
	// MaxParts is the greatest part number; 0 means 10,000.
	MaxParts int
	// PageKeys is the greatest number of entries in a page of a listing; 0
	// means 1,000.
	PageKeys int
	// CompleteIgnoresCondition has CompleteMultipartUpload replace an object
	// in spite of If-None-Match.
	CompleteIgnoresCondition bool
	// PutIgnoresCondition is the same for PutObject.
	PutIgnoresCondition bool
	// OpaqueETags are not made of MD5s.
	OpaqueETags bool
	// WriteInterval is the least time between two writes of one key; sooner
	// ones get 429. R2 has one second; 0 means none.
	WriteInterval time.Duration
	// Between stands between the server and its clients, such as for faults
	// that Server.Fault does not know; nil means nothing does.
	Between func(http.Handler) http.Handler
	// Now is the server's clock; nil means the wall clock (or that of the
	// synctest bubble).
	Now func() time.Time
}

// Server is a fake R2 at work. Make one with Start or StartInMemory.
type Server struct {
	// Endpoint is a URL, and Transport trusts its certificate.
	Endpoint  string
	Transport *http.Transport
	// Certificate is that of a server on a real port, in PEM, for other
	// processes to trust.
	Certificate []byte

	opts Options
	// ended is closed with the test.
	ended chan struct{}

	mu         sync.Mutex
	objects    map[string]*object
	uploads    map[string]*upload
	locks      []string
	lastWrites map[string]time.Time
	faults     []*armed
	counts     map[Operation]int
	headers    map[Operation]http.Header
	inFlight   int
	peak       int
	violations []string
	serial     int
}

// object is what lies under a key.
type object struct {
	data        []byte
	etag        string
	contentType string
	meta        http.Header
	modifiedAt  time.Time
}

// upload is a multipart upload that is open.
type upload struct {
	key         string
	contentType string
	meta        http.Header
	startedAt   time.Time
	parts       map[int]*part
	busy        map[int]bool
}

// part is one part of an upload.
type part struct {
	data []byte
	md5  [16]byte
	etag string
}

// Start starts a server on the loopback interface. It ends with the test.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	s := newServer(opts)
	server := httptest.NewUnstartedServer(s.handler())
	quiet(server)
	server.StartTLS()
	s.Endpoint = server.URL
	s.Transport = clientTransport(server)
	s.Certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	s.cleanup(t, server)
	return s
}

// StartInMemory starts a server on connections that are pipes, so that test
// and server can share a bubble of testing/synctest. It ends with the test.
func StartInMemory(t testing.TB, opts Options) *Server {
	t.Helper()
	s := newServer(opts)
	listener := NewPipeListener()
	server := httptest.NewUnstartedServer(s.handler())
	_ = server.Listener.Close() // the one that NewUnstartedServer opened
	server.Listener = listener
	quiet(server)
	server.StartTLS()
	s.Endpoint = "https://" + certificateHost
	s.Transport = clientTransport(server)
	s.Transport.DialContext = listener.Dial
	s.cleanup(t, server)
	return s
}

// handler is what answers requests: the server itself, or what stands before it.
func (s *Server) handler() http.Handler {
	if s.opts.Between == nil {
		return s
	}
	return s.opts.Between(s)
}

// certificateHost is a name in httptest's certificate.
const certificateHost = "example.com"

func clientTransport(server *httptest.Server) *http.Transport {
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return &http.Transport{
		TLSClientConfig:    &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableCompression: true,
	}
}

// quiet keeps off what net/http has to say of connections that faults cut.
func quiet(server *httptest.Server) {
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
}

func newServer(opts Options) *Server {
	if opts.MinPartBytes == 0 {
		opts.MinPartBytes = 5 << 20
	}
	if opts.MaxParts == 0 {
		opts.MaxParts = 10_000
	}
	if opts.PageKeys == 0 {
		opts.PageKeys = 1000
	}
	if opts.Now == nil {
		opts.Now = time.Now //nolint:forbidigo // it is a server of its own, with a clock of its own
	}
	return &Server{
		opts:       opts,
		ended:      make(chan struct{}),
		objects:    map[string]*object{},
		uploads:    map[string]*upload{},
		lastWrites: map[string]time.Time{},
		counts:     map[Operation]int{},
		headers:    map[Operation]http.Header{},
	}
}

// cleanup ends the server with the test and reports what must not happen.
func (s *Server) cleanup(t testing.TB, server *httptest.Server) {
	t.Helper()
	t.Cleanup(func() {
		close(s.ended)
		s.Transport.CloseIdleConnections()
		server.CloseClientConnections()
		server.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, violation := range s.violations {
			t.Errorf("r2fake: %s", violation)
		}
		for _, fault := range s.faults {
			if fault.left > 0 {
				t.Errorf("r2fake: the fault %q of %s was never met", fault.Kind, fault.Operation)
			}
		}
	})
}
