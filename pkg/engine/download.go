package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// Open is an entry with what its manifest tells only to those who can open the
// dump; one that is not encrypted is returned as it is.
func (e *Engine) Open(ctx context.Context, entry Entry) (Entry, error) {
	if !entry.Manifest.Encrypted() {
		return entry, nil
	}
	identities, err := e.identities(ctx)
	if err != nil {
		return Entry{}, err
	}
	opened, err := entry.Manifest.Open(identities)
	switch {
	case errors.Is(err, seal.ErrNoIdentity):
		return Entry{}, fault.Wrap(fault.Usage, "name the file of a private key with --identity, or set backup.encryption.identity",
			fmt.Errorf("%s: %w; its recipients are %s", entry.ID(), err, recipientsOf(entry)))
	case errors.Is(err, seal.ErrOtherIdentity):
		return Entry{}, fault.Wrap(fault.Usage, "", fmt.Errorf("%s: %w; its recipients are %s", entry.ID(), err, recipientsOf(entry)))
	case errors.Is(err, seal.ErrDamaged):
		return Entry{}, fault.Wrap(fault.Proof, "", fmt.Errorf("%s: the sealed part: %w", entry.Key, err))
	case err != nil:
		return Entry{}, fmt.Errorf("%s: %w", entry.ID(), err)
	}
	entry.Manifest = opened
	return entry, nil
}

func recipientsOf(entry Entry) string {
	return strings.Join(entry.Manifest.Object.Recipients, ", ")
}

func (e *Engine) identities(ctx context.Context) (seal.Identities, error) {
	if e.opts.Identities == nil {
		return seal.Identities{}, nil
	}
	return e.opts.Identities(ctx)
}

// Download writes the plain dump of a backup to dst, held against its
// manifest to the last byte. When it returns an error, what dst got must not
// be used. An encrypted one has to be opened before: see Open.
func (e *Engine) Download(ctx context.Context, entry Entry, dst io.Writer) error {
	var by seal.Identities
	if entry.Manifest.Encrypted() {
		var err error
		if by, err = e.identities(ctx); err != nil {
			return err
		}
	}
	return e.fetch(ctx, entry, func(body io.Reader) error {
		reader, err := seal.NewReader(body, entry.Manifest.Expect(), by)
		if err != nil {
			return err
		}
		if err := e.copyOut(entry, dst, reader, entry.Manifest.Plain.Bytes); err != nil {
			_ = reader.Close()
			return err
		}
		return reader.Close()
	})
}

// DownloadRaw writes the stored bytes of a backup to dst as they are, held
// against the recorded length and hash all the same.
func (e *Engine) DownloadRaw(ctx context.Context, entry Entry, dst io.Writer) error {
	stored := entry.Manifest.Object.Stored
	expect := seal.Expect{Compression: seal.None, Stored: stored, Plain: stored}
	return e.fetch(ctx, entry, func(body io.Reader) error {
		reader, err := seal.NewReader(body, expect, seal.Identities{})
		if err != nil {
			return err
		}
		return e.copyOut(entry, dst, reader, stored.Bytes)
	})
}

// fetch opens the object that the manifest names, and no other.
func (e *Engine) fetch(ctx context.Context, entry Entry, read func(io.Reader) error) error {
	object := entry.Manifest.Object
	body, info, err := e.opts.Store.Get(ctx, object.Key, store.GetOptions{})
	if errors.Is(err, store.ErrNotFound) {
		return fault.Wrap(fault.Proof, "", fmt.Errorf("the dump of %s is gone: %w", entry.ID(), err))
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", object.Key, err)
	}
	defer func() { _ = body.Close() }() // it was read to its end, or failed
	if info.Bytes != object.Stored.Bytes {
		return fault.Wrap(fault.Proof, "", fmt.Errorf("%s: %w: it has %d bytes, the manifest says %d",
			object.Key, seal.ErrDamaged, info.Bytes, object.Stored.Bytes))
	}
	err = read(body)
	if errors.Is(err, seal.ErrDamaged) {
		return fault.Wrap(fault.Proof, "", fmt.Errorf("%s: %w", object.Key, err))
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", object.Key, err)
	}
	return nil
}

func (e *Engine) copyOut(entry Entry, dst io.Writer, src io.Reader, total int64) error {
	watched := &watchedReader{src: src, seen: func(n int64) {
		e.opts.Observer.Observe(Event{
			Database: entry.Manifest.Database.Name, Phase: PhaseDownloading, Bytes: n, Total: total,
		})
	}}
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, watched, make([]byte, copyBuffer))
	return err
}
