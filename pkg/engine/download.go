package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// Download writes the plain dump of a backup to dst, held against its
// manifest to the last byte. When it returns an error, what dst got must not
// be used.
func (e *Engine) Download(ctx context.Context, entry Entry, dst io.Writer) error {
	return e.fetch(ctx, entry, func(body io.Reader) error {
		reader, err := seal.NewReader(body, entry.Manifest.Expect())
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
		reader, err := seal.NewReader(body, expect)
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
