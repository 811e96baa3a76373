package seal

import (
	"errors"
	"fmt"
	"io"
)

// ErrDamaged is wrapped by every error that says that stored bytes are not
// those that were written.
var ErrDamaged = errors.New("stored bytes are damaged")

// Expect is what is known beforehand of a stored stream.
type Expect struct {
	Compression Compression
	// Encrypted says that the stored bytes are encrypted with age.
	Encrypted bool
	Stored    Sum
	Plain     Sum
}

// asStored says whether what is stored is what is read.
func (e Expect) asStored() bool { return e.Compression == None && !e.Encrypted }

// Reader unpacks a stored stream and holds it against what was recorded.
type Reader struct {
	expect   Expect
	source   *meteredReader
	unpacker io.ReadCloser
	plain    *Meter
	err      error
}

// NewReader makes a Reader of src; the identities open it where it is
// encrypted. Its Read returns io.EOF only when both sides are as expected to the
// last byte. The caller closes it; src stays open. The error wraps ErrDamaged,
// ErrNoIdentity or ErrOtherIdentity, or is the source's own.
func NewReader(src io.Reader, expect Expect, identities Identities) (*Reader, error) {
	source := &meteredReader{src: src, meter: NewMeter()}
	var packed io.Reader = source
	if expect.Encrypted {
		opened, err := identities.decryptor(source)
		if errors.Is(err, ErrOtherIdentity) {
			// A head that was damaged looks like one for somebody else.
			return nil, errors.Join(finishedAs(source, "stored", expect.Stored), err)
		}
		if err != nil {
			return nil, err
		}
		packed = opened
	}
	unpacker, err := expect.Compression.decompressor(packed)
	if err != nil {
		return nil, damaged(source, err)
	}
	r := &Reader{expect: expect, source: source, unpacker: unpacker, plain: source.meter}
	if !expect.asStored() {
		r.plain = NewMeter()
	}
	return r, nil
}

// Read reads plain bytes.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.unpacker.Read(p)
	if r.plain != r.source.meter {
		_, _ = r.plain.Write(p[:n])
	}
	if r.plain.bytes > r.expect.Plain.Bytes {
		r.err = fmt.Errorf("%w: more than the recorded %d bytes", ErrDamaged, r.expect.Plain.Bytes)
		return 0, r.err
	}
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		r.err = r.finish()
	default:
		r.err = damaged(r.source, err)
	}
	return n, r.err
}

// finish compares both sides and returns io.EOF if they are as expected.
func (r *Reader) finish() error {
	if err := finishedAs(r.source, "stored", r.expect.Stored); err != nil {
		return err
	}
	if err := compare("plain", r.plain.Sum(), r.expect.Plain); err != nil {
		return err
	}
	return io.EOF
}

// finishedAs reads a source to its end and compares it. The unpacker stops where
// its stream says it ends; whatever follows is counted here, and found to be too
// much.
func finishedAs(source *meteredReader, side string, want Sum) error {
	if _, err := io.Copy(io.Discard, source); err != nil {
		return fmt.Errorf("read stored bytes: %w", err)
	}
	return compare(side, source.meter.Sum(), want)
}

func compare(side string, got, want Sum) error {
	if got.Bytes != want.Bytes {
		return fmt.Errorf("%w: %d %s bytes, want %d", ErrDamaged, got.Bytes, side, want.Bytes)
	}
	if got.SHA256 != want.SHA256 {
		return fmt.Errorf("%w: SHA-256 of the %s bytes is %s, want %s", ErrDamaged, side, got.SHA256, want.SHA256)
	}
	return nil
}

// Close frees the unpacker. It never fails: what is wrong with the stream is
// told by Read, and the unpacker's own Close would only repeat it as an
// io.ErrUnexpectedEOF that looks like something else.
func (r *Reader) Close() error {
	_ = r.unpacker.Close()
	return nil
}

// damaged tells an error of the source, such as a lost connection, from one of
// the stored bytes themselves.
func damaged(source *meteredReader, err error) error {
	if source.err != nil {
		return fmt.Errorf("read stored bytes: %w", source.err)
	}
	// The unpacker's own error stays text: it may be io.EOF or
	// io.ErrUnexpectedEOF, which must not be found in this one.
	return fmt.Errorf("%w: %s", ErrDamaged, err.Error())
}

// meteredReader counts and hashes what is read, and remembers the source's own
// failure apart from the unpacker's.
type meteredReader struct {
	src   io.Reader
	meter *Meter
	err   error
}

// Read reads from the source.
func (m *meteredReader) Read(p []byte) (int, error) {
	n, err := m.src.Read(p)
	_, _ = m.meter.Write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

// Measure reads a stored stream of which nothing is known but how it is packed,
// and writes what it unpacks to into dst. It returns both sides' sums. A stream
// that is not what it should be is an error wrapping ErrDamaged, and what dst
// got must not be used then.
func Measure(dst io.Writer, src io.Reader, c Compression) (stored, plain Sum, err error) {
	source := &meteredReader{src: src, meter: NewMeter()}
	unpacker, err := c.decompressor(source)
	if err != nil {
		return Sum{}, Sum{}, damaged(source, err)
	}
	side := NewMeter()
	_, err = io.Copy(io.MultiWriter(side, dst), unpacker)
	_ = unpacker.Close()
	if err != nil {
		return Sum{}, Sum{}, damaged(source, err)
	}
	// What follows the end of the packed stream is not unpacked by anybody.
	if n, err := io.Copy(io.Discard, source); err != nil || n > 0 {
		return Sum{}, Sum{}, damaged(source, fmt.Errorf("%d bytes follow its end", n))
	}
	return source.meter.Sum(), side.Sum(), nil
}

// Within reads a run of bytes out of a gzip stream, by its offset in what the
// stream unpacks to, and holds it against what was recorded of it. What lies
// behind it is not read. The error wraps ErrDamaged or is the source's own.
func Within(src io.Reader, offset int64, want Sum) (io.ReadCloser, error) {
	source := &meteredReader{src: src, meter: NewMeter()}
	unpacker, err := Gzip.decompressor(source)
	if err != nil {
		return nil, damaged(source, err)
	}
	if _, err := io.CopyN(io.Discard, unpacker, offset); err != nil {
		_ = unpacker.Close()
		return nil, damaged(source, err)
	}
	// The bytes are plain already: they are held against one sum only.
	inner, err := NewReader(io.LimitReader(unpacker, want.Bytes), Expect{Compression: None, Stored: want, Plain: want}, Identities{})
	if err != nil {
		_ = unpacker.Close()
		return nil, err
	}
	return within{inner, unpacker, source}, nil
}

type within struct {
	*Reader
	unpacker io.Closer
	source   *meteredReader
}

// Read reads bytes of the run.
func (w within) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, ErrDamaged) {
		err = damaged(w.source, err)
	}
	return n, err
}

// Close frees the unpacker.
func (w within) Close() error {
	_ = w.unpacker.Close()
	return w.Reader.Close()
}
