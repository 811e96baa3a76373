package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"
)

// Sum is the length and the SHA-256 of a run of bytes.
type Sum struct {
	Bytes int64 `json:"bytes"`
	// SHA256 is in lower-case hexadecimal, as sha256sum prints it; empty where
	// it may not be told.
	SHA256 string `json:"sha256,omitempty"`
}

// Meter counts and hashes what is written to it.
type Meter struct {
	hash  hash.Hash
	bytes int64
}

// NewMeter makes a Meter.
func NewMeter() *Meter { return &Meter{hash: sha256.New()} }

// Write never fails.
func (m *Meter) Write(p []byte) (int, error) {
	m.bytes += int64(len(p))
	return m.hash.Write(p)
}

// Bytes is how much was written so far.
func (m *Meter) Bytes() int64 { return m.bytes }

// Sum is that of all that was written so far.
func (m *Meter) Sum() Sum {
	return Sum{Bytes: m.bytes, SHA256: hex.EncodeToString(m.hash.Sum(nil))}
}

// Packing is what is done to plain bytes before they are stored: compression,
// and then encryption where there are recipients.
type Packing struct {
	Compression Compression
	Recipients  Recipients
}

// Extension is what a stored object's key ends in, dots included.
func (p Packing) Extension() string {
	if p.Recipients.IsZero() {
		return p.Compression.Extension()
	}
	return p.Compression.Extension() + EncryptedExtension
}

// ContentType is the media type of a dump packed so.
func (p Packing) ContentType() string {
	if p.Recipients.IsZero() {
		return p.Compression.ContentType()
	}
	return "application/octet-stream"
}

// plain says whether what is stored is what was given.
func (p Packing) plain() bool { return p.Compression == None && p.Recipients.IsZero() }

// Writer packs plain bytes into dst.
type Writer struct {
	packer io.WriteCloser
	sealer io.WriteCloser // nil without recipients
	plain  *Meter
	stored *Meter // the same as plain where nothing lies between them
	closed bool
}

// NewWriter makes a Writer. The caller must Close it after the last byte, and
// must not after a failure: an archive without its end is then known as cut.
// With recipients, NewWriter itself writes the head of the encrypted stream.
func NewWriter(dst io.Writer, p Packing) (*Writer, error) {
	w := &Writer{plain: NewMeter()}
	w.stored = w.plain
	if !p.plain() {
		w.stored = NewMeter()
		dst = io.MultiWriter(w.stored, dst)
	}
	if !p.Recipients.IsZero() {
		sealer, err := age.Encrypt(dst, p.Recipients.keys...)
		if err != nil {
			return nil, fmt.Errorf("encrypt: %w", err)
		}
		w.sealer, dst = sealer, sealer
	}
	packer, err := p.Compression.compressor(dst)
	if err != nil {
		return nil, err
	}
	w.packer = packer
	return w, nil
}

// Write packs p.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.packer.Write(p)
	// What the packer took is counted even when it failed: the sums of a
	// failed writer are never used.
	_, _ = w.plain.Write(p[:n])
	return n, err
}

// Close writes what is still held back and leaves dst open.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	if err := w.packer.Close(); err != nil || w.sealer == nil {
		return err
	}
	return w.sealer.Close()
}

// Plain is the sum of the bytes before packing. It is final after Close.
func (w *Writer) Plain() Sum { return w.plain.Sum() }

// Stored is the sum of the bytes after packing. It is final after Close.
func (w *Writer) Stored() Sum { return w.stored.Sum() }

// SumOf is the sum of bytes at hand.
func SumOf(b []byte) Sum {
	m := NewMeter()
	_, _ = m.Write(b)
	return m.Sum()
}
