package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// Sum is the length and the SHA-256 of a run of bytes.
type Sum struct {
	Bytes int64 `json:"bytes"`
	// SHA256 is in lower-case hexadecimal, as sha256sum prints it.
	SHA256 string `json:"sha256"`
}

// meter counts and hashes what is written to it.
type meter struct {
	hash  hash.Hash
	bytes int64
}

func newMeter() *meter { return &meter{hash: sha256.New()} }

// Write never fails.
func (m *meter) Write(p []byte) (int, error) {
	m.bytes += int64(len(p))
	return m.hash.Write(p)
}

func (m *meter) sum() Sum {
	return Sum{Bytes: m.bytes, SHA256: hex.EncodeToString(m.hash.Sum(nil))}
}

// Writer packs plain bytes into dst.
type Writer struct {
	packer io.WriteCloser
	plain  *meter
	stored *meter // the same as plain where nothing lies between them
	closed bool
}

// NewWriter makes a Writer. The caller must Close it after the last byte, and
// must not after a failure: an archive without its end is then known as cut.
func NewWriter(dst io.Writer, c Compression) (*Writer, error) {
	w := &Writer{plain: newMeter()}
	w.stored = w.plain
	if c != None {
		w.stored = newMeter()
		dst = io.MultiWriter(w.stored, dst)
	}
	packer, err := c.compressor(dst)
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
	return w.packer.Close()
}

// Plain is the sum of the bytes before packing. It is final after Close.
func (w *Writer) Plain() Sum { return w.plain.sum() }

// Stored is the sum of the bytes after packing. It is final after Close.
func (w *Writer) Stored() Sum { return w.stored.sum() }

// SumOf is the sum of bytes at hand.
func SumOf(b []byte) Sum {
	m := newMeter()
	_, _ = m.Write(b)
	return m.sum()
}
