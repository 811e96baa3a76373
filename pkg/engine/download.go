package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/archive"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// Open is an entry with what its manifest tells only to those who can open the
// dump; one that is not encrypted is returned as it is.
func (e *Engine) Open(ctx context.Context, entry Entry) (Entry, error) {
	if !entry.Manifest().Encrypted() {
		return entry, nil
	}
	identities, err := e.identities(ctx)
	if err != nil {
		return Entry{}, err
	}
	opened, err := entry.Manifest().Open(identities)
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
	entry.Brief = manifest.NewBrief(opened)
	return entry, nil
}

func recipientsOf(entry Entry) string {
	return strings.Join(entry.Manifest().Object.Recipients, ", ")
}

func (e *Engine) identities(ctx context.Context) (seal.Identities, error) {
	if e.opts.Identities == nil {
		return seal.Identities{}, nil
	}
	return e.opts.Identities(ctx)
}

// Download writes the plain dump of a backup to dst, held against its
// manifest to the last byte: from the daily, or else out of an archive, of which
// no more is read than the backup. When it returns an error, what dst got must
// not be used. An encrypted one has to be opened before: see Open.
func (e *Engine) Download(ctx context.Context, entry Entry, dst io.Writer) error {
	var by seal.Identities
	if entry.Manifest().Encrypted() {
		var err error
		if by, err = e.identities(ctx); err != nil {
			return err
		}
	}
	return e.fetch(ctx, entry, func(body io.Reader, from place) error {
		reader, err := from.unpack(body, by)
		if err != nil {
			return err
		}
		return e.copyOut(entry, dst, reader, entry.Manifest().Plain.Bytes)
	})
}

// DownloadRaw writes the stored bytes of a backup to dst as they are, held
// against the recorded length and hash all the same. Those of an archive's
// member are the file that was packed, where it is encrypted, and else the gzip
// that holds it.
func (e *Engine) DownloadRaw(ctx context.Context, entry Entry, dst io.Writer) error {
	return e.fetch(ctx, entry, func(body io.Reader, from place) error {
		if from.stream {
			return fault.New(fault.Usage, "leave out --raw, or fetch the archive itself",
				"%s is in an archive of which no part can be had as it is stored", entry.ID())
		}
		raw := from.raw()
		reader, err := seal.NewReader(body, raw, seal.Identities{})
		if err != nil {
			return err
		}
		return e.copyOut(entry, dst, reader, raw.Plain.Bytes)
	})
}

// RawExtension is what a file of DownloadRaw's bytes ends in, such as
// ".sql.gz".
func (e Entry) RawExtension() string {
	if !e.Daily && !e.Manifest().Encrypted() {
		return ".sql" + seal.Gzip.Extension()
	}
	_, extension, _ := strings.Cut(e.Brief.Object, ".sql")
	return ".sql" + extension
}

// place is where the bytes of a backup are read.
type place struct {
	key  string
	part store.GetOptions
	// outer is what the bytes must be; of a member of an archive, the file.
	outer seal.Expect
	// member is what an archive holds there; nil for a daily.
	member *manifest.Member
	// stream says that the archive is one stream, so that the bytes are all of
	// it.
	stream bool
}

// places are where a backup can be read, the best first.
func (e Entry) places() []place {
	var all []place
	m := e.Manifest()
	if e.Daily {
		all = append(all, place{key: m.Object.Key, outer: m.Expect()})
	}
	if e.Archived != nil {
		key, part := e.Archived.member()
		member := e.Archived.Member
		member.Backup = m // opened, perhaps, unlike the archive's
		from := place{key: key, part: part, outer: member.Expect(), member: &member}
		if e.Archived.Stream {
			whole := e.Archived.Object.Stored
			from.outer = seal.Expect{Compression: seal.None, Stored: whole, Plain: whole}
			from.stream = true
		}
		all = append(all, from)
	}
	return all
}

// unpack reads the plain dump out of the bytes at the place.
func (p place) unpack(body io.Reader, by seal.Identities) (io.ReadCloser, error) {
	switch {
	case p.member == nil:
		return seal.NewReader(body, p.outer, by)
	case p.stream:
		return seal.Within(body, p.member.Offset, p.member.Content)
	}
	return archive.Unpack(body, *p.member, by)
}

// kind is the kind of place.
func (p place) kind() Kind {
	if p.member == nil {
		return KindDaily
	}
	return KindWeekly
}

// raw is what the bytes at the place are, as far as they are unpacked without
// any key.
func (p place) raw() seal.Expect {
	if p.member != nil && p.member.Backup.Encrypted() {
		return p.outer
	}
	return p.asStored()
}

// asStored is what the bytes at the place are, with nothing unpacked.
func (p place) asStored() seal.Expect {
	return seal.Expect{Compression: seal.None, Stored: p.outer.Stored, Plain: p.outer.Stored}
}

// fetch opens what the manifest names, and nothing else. Where a daily is gone,
// or is no longer what it was by its length, the archive's copy is read.
func (e *Engine) fetch(ctx context.Context, entry Entry, read func(io.Reader, place) error) error {
	var errs []error
	for _, from := range entry.places() {
		body, err := e.open(ctx, entry, from)
		if fault.KindOf(err) == fault.Proof {
			errs = append(errs, err)
			continue
		}
		if err != nil {
			return err
		}
		if len(errs) > 0 {
			e.opts.Log.Warn("read from the archive instead", "backup", entry.ID(), "archive", from.key, "error", errs[0])
		}
		return readFrom(from, body, read)
	}
	return errors.Join(errs...)
}

// fetchFrom opens one place that holds a backup, and no other.
func (e *Engine) fetchFrom(ctx context.Context, entry Entry, from place, read func(io.Reader, place) error) error {
	body, err := e.open(ctx, entry, from)
	if err != nil {
		return err
	}
	return readFrom(from, body, read)
}

// open begins to read at a place. An error of kind fault.Proof says that what
// was stored there is there no more.
func (e *Engine) open(ctx context.Context, entry Entry, from place) (io.ReadCloser, error) {
	body, info, err := e.opts.Store.Get(ctx, from.key, from.part)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.Wrap(fault.Proof, "", fmt.Errorf("the dump of %s is gone: %w", entry.ID(), err))
	}
	if errors.Is(err, store.ErrChanged) {
		return nil, fault.Wrap(fault.Proof, "", fmt.Errorf("%s: %w: %w", from.key, seal.ErrDamaged, err))
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", from.key, err)
	}
	// Of a part of an object the store tells the whole length.
	if want := from.outer.Stored.Bytes; from.member == nil && info.Bytes != want {
		_ = body.Close()
		return nil, fault.Wrap(fault.Proof, "", fmt.Errorf("%s: %w: it has %d bytes, the manifest says %d",
			from.key, seal.ErrDamaged, info.Bytes, want))
	}
	return body, nil
}

// readFrom reads a body and closes it. What is wrong with its bytes is an error
// of kind fault.Proof.
func readFrom(from place, body io.ReadCloser, read func(io.Reader, place) error) error {
	defer func() { _ = body.Close() }() // it was read to its end, or failed
	err := read(body, from)
	if errors.Is(err, seal.ErrDamaged) {
		return fault.Wrap(fault.Proof, "", fmt.Errorf("%s: %w", from.key, err))
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", from.key, err)
	}
	return nil
}

// copyOut copies src, closes it, and tells how far it is.
func (e *Engine) copyOut(entry Entry, dst io.Writer, src io.ReadCloser, total int64) error {
	watched := &watchedReader{src: src, seen: func(n int64) {
		e.opts.Observer.Observe(Event{
			Database: entry.Brief.Database, Phase: PhaseDownloading, Bytes: n, Total: total,
		})
	}}
	return copyAll(dst, watched, src)
}

// copyAll copies src to its end, and closes what is under it.
func copyAll(dst io.Writer, src io.Reader, under io.Closer) error {
	if _, err := io.CopyBuffer(struct{ io.Writer }{dst}, src, make([]byte, copyBuffer)); err != nil {
		_ = under.Close() // the first error is the one to tell
		return err
	}
	return under.Close()
}
