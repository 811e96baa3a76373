package catalog

import "context"

// Document is a document of the bucket as it was read.
type Document struct {
	Key, ETag string
	Body      []byte
}

// Documents remembers documents of the bucket, to save reading them again. They
// never change, so what lies there under a key with an ETag is what is remembered
// under both. Nothing rests on it: whoever is not sure reads the bucket.
type Documents interface {
	// Recall must return what is remembered under the keys from first to last,
	// both included, in byte order of the keys.
	Recall(ctx context.Context, first, last string) ([]Document, error)

	// Remember must keep all of the documents or none, each in place of what was
	// remembered under its key.
	Remember(ctx context.Context, documents []Document) error

	// Forget must drop what is remembered under these keys. A key of which nothing
	// is remembered is success.
	Forget(ctx context.Context, keys []string) error
}
