// Package store is the contract of a backup store: a flat space of keys that
// are created once, read, listed and deleted.
//
// Its rules are those that R2, any S3 and a plain directory can all keep, and
// that publishing (docs/publishing.md) rests on: a key is never overwritten,
// nothing appears under a key before the whole object is there, an early end
// of a body is an error and never an end, and a listing that broke off says so.
// What an implementation can do beyond that is told by the optional one-method
// interfaces Clock, Prober and Sweeper, found by type assertion.
//
// The package holds no implementation: see s3store and dirstore. It knows
// nothing of backups, and nothing in it may rely on object metadata, versions,
// tags or access lists, because a directory has none and R2 does not keep them.
package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"time"
)

var (
	// ErrNotFound wraps fs.ErrNotExist: there is no object under the key.
	ErrNotFound = &sentinel{"no such object", fs.ErrNotExist}
	// ErrExists wraps fs.ErrExist: the key was taken by another writer.
	ErrExists = &sentinel{"object exists already", fs.ErrExist}
	// ErrChanged says that an If-Match condition did not hold: the object is
	// not the one that was asked for.
	ErrChanged = errors.New("object is not the one expected")
	// ErrLocked says that the store's own rules (an R2 bucket lock) keep the
	// object from being deleted or replaced for now.
	ErrLocked = errors.New("object is locked by the store")
	// ErrDenied says that the store refused the credentials or what they may do.
	ErrDenied = errors.New("access to the store denied")
	// ErrKey says that a key cannot be used: empty, rooted, with an empty,
	// "." or ".." element, a backslash or a control character.
	ErrKey = errors.New("bad key")
)

// Info is what a store knows of an object.
type Info struct {
	// Key is relative to the store's prefix.
	Key string
	// Bytes is the object's length.
	Bytes int64
	// ETag identifies the object's content or its writing; opaque, without
	// quotes. Two objects written at different times under one key differ in
	// it unless their bytes are equal.
	ETag string
	// ModifiedAt is when the object was written, by the store's clock.
	ModifiedAt time.Time
}

// Receipt is what Put proves of an object it wrote.
type Receipt struct {
	Info
	// PartBytes is the size of all parts but the last, and Parts their
	// number; PartBytes is 0 and Parts 1 for an object written in one piece.
	// The ETag of a multipart object depends on them.
	PartBytes int64
	Parts     int
}

// PutOptions describe an object to be written.
type PutOptions struct {
	// ContentType is the media type; empty means application/octet-stream.
	ContentType string
}

// GetOptions choose what is read of an object.
type GetOptions struct {
	// Offset is the first byte to read. Length is how many; 0 means to the
	// end. A range that begins at or reaches beyond the end is an error; the
	// whole of an empty object is not.
	Offset, Length int64
	// IfMatch is the ETag the object must have; empty accepts any.
	IfMatch string
}

// Store is a backup store. Its methods may be called from many goroutines.
// Errors tell the operation and the key, and wrap one of the package's
// sentinels where one fits; a missing object wraps fs.ErrNotExist everywhere.
type Store interface {
	// Put must write the whole body under a key that is free, or nothing:
	// no object may appear before the last byte is stored, and none at all
	// when the body ends with any error but a bare io.EOF (an
	// io.ErrUnexpectedEOF included) or ctx ends. It must return an error
	// wrapping ErrExists when the key is taken, and where the store can hold
	// a condition (see Prober), exactly one of several writers at once wins.
	// An answer that was lost is resolved by looking: if what lies there is
	// this very writing, Put succeeds. Before it returns it has compared the
	// stored length and content with what it read from body. Put reads body
	// but does not close it; when ctx ends while body blocks, it is the
	// caller who unblocks body.
	//
	// A request that a remote store still holds when Put gives up cannot be
	// called back, so an object may yet appear after an error that says so.
	// That is why a key is written by one attempt only, and why an object
	// counts only when a manifest names it. A store may refuse, with ErrKey,
	// a key that lies below another object's ("a" and "a/b"): a directory
	// cannot hold both.
	Put(ctx context.Context, key string, body io.Reader, opts PutOptions) (Receipt, error)

	// Get opens an object. The caller closes the body. The body must end in
	// io.EOF only after the last byte asked for, and an early end must be an
	// error other than a bare io.EOF or io.ErrUnexpectedEOF.
	Get(ctx context.Context, key string, opts GetOptions) (io.ReadCloser, Info, error)

	// Stat tells what Get would open.
	Stat(ctx context.Context, key string) (Info, error)

	// List yields all objects whose key begins with prefix, in byte order of
	// their keys. It ends with one error, and nothing after, when the listing
	// could not be finished; a listing without an error is complete. Leaving
	// the loop early frees everything.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes an object. A missing object is success.
	Delete(ctx context.Context, key string) error
}

// Clock is implemented by stores that have a clock of their own.
type Clock interface {
	// Now is the time by the store's clock, to the second.
	Now(ctx context.Context) (time.Time, error)
}

// Conditions tells for which ways of writing a store was seen to keep the
// create-only condition.
type Conditions struct {
	// Single is true when the second writer of an object written in one
	// piece is refused.
	Single bool `json:"single"`
	// Multipart is true when completing a second upload is refused.
	Multipart bool `json:"multipart"`
}

// Prober is implemented by stores of which it must be tried whether they keep
// conditions. A store without it keeps them always.
type Prober interface {
	// Probe tries conditional writes under a key that nobody else uses, and
	// removes what it wrote.
	Probe(ctx context.Context, key string) (Conditions, error)
}

// Upload is one that was neither completed nor aborted. It may be at work: only
// its age, and who writes under its key, can tell.
type Upload struct {
	// Key is relative to the store's prefix.
	Key string
	// StartedAt is by the store's clock.
	StartedAt time.Time
	// Abort ends the upload and frees its parts. One that is gone is success.
	Abort func(context.Context) error
}

// Sweeper is implemented by stores in which a writer that dies leaves an upload,
// which is paid for and which no listing of objects shows.
type Sweeper interface {
	// Uploads yields the open uploads whose key begins with prefix, and ends
	// with one error when not all could be listed.
	Uploads(ctx context.Context, prefix string) iter.Seq2[Upload, error]
}

// sentinel is an error with a second identity, so that callers may ask with
// the words of io/fs or of this package.
type sentinel struct {
	text  string
	under error
}

// Error is the sentinel's text.
func (s *sentinel) Error() string { return s.text }

// Unwrap is the error of io/fs that the sentinel stands for.
func (s *sentinel) Unwrap() error { return s.under }
