package s3store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/AutumnsGrove/patina/pkg/secret"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// What Options have when a field is zero.
const (
	DefaultPartBytes     = 5 << 20
	DefaultPartsInFlight = 2
	DefaultRegion        = "auto"
)

const (
	// maxParts and maxPartBytes are R2's and S3's limits
	// (https://developers.cloudflare.com/r2/platform/limits/).
	maxParts     = 10_000
	maxPartBytes = 5<<30 - 5<<20
)

// Options say which bucket a Store works in and how.
type Options struct {
	// Endpoint is "host", "host:port" or a URL without a path; without a
	// scheme it is https. See R2Endpoint.
	Endpoint string
	// Region is part of every signature; R2's is "auto", the default.
	Region string
	Bucket string
	// Prefix is put before every key, with a slash between; may be empty.
	Prefix string

	AccessKeyID     string
	SecretAccessKey secret.String
	// SessionToken belongs to temporary credentials; else it is empty.
	SessionToken secret.String

	// PartBytes is the size of all parts of a multipart object but the last.
	// 10,000 parts are the limit, so the default of 5 MiB reaches 48 GiB. R2
	// and S3 refuse less than 5 MiB when an upload is completed.
	PartBytes int64
	// PartsInFlight is how many parts of one Put are sent at once. R2 answers
	// more than two or three with errors.
	PartsInFlight int

	// Transport carries the requests; nil means HTTP/1.1 connections of the
	// Store's own. It must neither follow redirects nor decompress.
	Transport http.RoundTripper
	// UserAgent is sent after minio-go's own, in the form "name/version".
	UserAgent string
	// Now is the local time. It is only used to read a Retry-After date from
	// a server that does not tell its own time; nil ignores such dates.
	Now func() time.Time
	// Log gets a line for every try that is repeated; nil means none.
	Log *slog.Logger
}

// Store is a store.Store in a bucket. Make one with Open.
type Store struct {
	core *minio.Core
	// own is the transport when it is not the options'.
	own           *http.Transport
	bucket        string
	prefix        string
	partBytes     int64
	partsInFlight int
	maxParts      int
	now           func() time.Time
	log           *slog.Logger
	redactor      *strings.Replacer
	buffers       *partBuffers
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Clock   = (*Store)(nil)
	_ store.Prober  = (*Store)(nil)
	_ store.Sweeper = (*Store)(nil)
)

// Open checks the options. It sends no request.
func Open(opts Options) (*Store, error) {
	s, err := open(opts)
	if err != nil {
		return nil, fmt.Errorf("open S3 store: %w", err)
	}
	return s, nil
}

func open(opts Options) (*Store, error) {
	opts = withDefaults(opts)
	if err := checkOptions(opts); err != nil {
		return nil, err
	}
	host, secure, err := parseEndpoint(opts.Endpoint)
	if err != nil {
		return nil, err
	}
	prefix, err := cleanPrefix(opts.Prefix)
	if err != nil {
		return nil, err
	}
	var own *http.Transport
	if opts.Transport == nil {
		if own, err = newTransport(secure); err != nil {
			return nil, err
		}
		opts.Transport = own
	}
	core, err := newCore(opts, host, secure)
	if err != nil {
		return nil, err
	}
	return &Store{
		core:          core,
		own:           own,
		bucket:        opts.Bucket,
		prefix:        prefix,
		partBytes:     opts.PartBytes,
		partsInFlight: opts.PartsInFlight,
		maxParts:      maxParts,
		now:           opts.Now,
		log:           opts.Log,
		redactor:      newRedactor(opts),
		buffers:       newPartBuffers(opts.PartBytes),
	}, nil
}

func withDefaults(opts Options) Options {
	if opts.Region == "" {
		opts.Region = DefaultRegion
	}
	if opts.PartBytes == 0 {
		opts.PartBytes = DefaultPartBytes
	}
	if opts.PartsInFlight == 0 {
		opts.PartsInFlight = DefaultPartsInFlight
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return opts
}

func checkOptions(opts Options) error {
	switch {
	case opts.Bucket == "":
		return errors.New("no bucket given")
	case opts.AccessKeyID == "":
		return errors.New("no access key id given")
	case opts.SecretAccessKey.IsZero():
		return errors.New("no secret access key given")
	case opts.PartBytes < 1 || opts.PartBytes > maxPartBytes:
		return fmt.Errorf("part size is %d bytes, want 1 to %d", opts.PartBytes, int64(maxPartBytes))
	case opts.PartsInFlight < 1:
		return fmt.Errorf("%d parts in flight, want at least 1", opts.PartsInFlight)
	}
	return nil
}

// cleanPrefix gives a prefix the slash that stands between it and the keys.
func cleanPrefix(prefix string) (string, error) {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return "", nil
	}
	if err := store.CheckKey(prefix); err != nil {
		return "", fmt.Errorf("prefix: %w", err)
	}
	return prefix + "/", nil
}

func newCore(opts Options, host string, secure bool) (*minio.Core, error) {
	core, err := minio.NewCore(host, &minio.Options{
		Creds: credentials.NewStaticV4(
			opts.AccessKeyID, opts.SecretAccessKey.Reveal(), opts.SessionToken.Reveal()),
		Secure:       secure,
		Transport:    &observer{next: opts.Transport},
		Region:       opts.Region,
		BucketLookup: minio.BucketLookupPath,
		MaxRetries:   1,
		UploadLimits: &minio.UploadLimits{MinPartSize: 1, MaxPartSize: maxPartBytes, MaxSinglePutObjectSize: maxPartBytes},
	})
	if err != nil {
		return nil, err
	}
	if name, version, ok := strings.Cut(opts.UserAgent, "/"); ok {
		core.SetAppInfo(name, version)
	}
	return core, nil
}

// Close closes the connections that are idle, unless they belong to
// Options.Transport. Requests at work go on.
func (s *Store) Close() error {
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
	return nil
}

// object is the name in the bucket of what the store's users call key.
func (s *Store) object(key string) (string, error) {
	if err := store.CheckKey(key); err != nil {
		return "", err
	}
	name := s.prefix + key
	if err := store.CheckKey(name); err != nil {
		return "", fmt.Errorf("with the prefix: %w", err)
	}
	return name, nil
}

// Delete implements store.Store. It wraps store.ErrLocked when a bucket lock
// keeps the object.
func (s *Store) Delete(ctx context.Context, key string) error {
	name, err := s.object(key)
	if err == nil {
		err = s.remove(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, name string) error {
	err := s.retry(ctx, op{name: "delete object", timeout: callTimeout}, func(ctx context.Context) error {
		return s.core.RemoveObject(ctx, s.bucket, name, minio.RemoveObjectOptions{})
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
