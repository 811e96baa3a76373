package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Version is what this program writes, and the newest it reads.
const Version = 1

// MaxBytes bounds what is read as one document. A manifest of a database with
// the greatest number of tables that D1 is known to hold stays far below it.
const MaxBytes = 64 << 20

var (
	// ErrNewer says that a document was written by a newer Patina.
	ErrNewer = errors.New("written by a newer version of patina")
	// ErrForeign says that a document is none of ours, or is damaged.
	ErrForeign = errors.New("not a document of patina")
)

// Format names what a document is.
type Format string

// The formats.
const (
	FormatBackup     Format = "patina.backup"
	FormatBegin      Format = "patina.begin"
	FormatEnd        Format = "patina.end"
	FormatCapability Format = "patina.capability"
	FormatProof      Format = "patina.proof"
	FormatArchive    Format = "patina.archive"
	FormatIndex      Format = "patina.index"
	FormatPin        Format = "patina.pin"
	FormatUnpin      Format = "patina.unpin"
	FormatAccept     Format = "patina.accept"
	FormatForget     Format = "patina.forget"
)

// header is how every document begins.
type header struct {
	Format  Format `json:"format"`
	Version int    `json:"version"`
}

// Document is a type that can be read and written here.
type Document interface {
	format() Format
	// check returns what makes the document useless, if anything.
	check() error
}

// filler is a document with lists. Those that are empty are written as [] and
// never as null, so that no reader has to tell the two apart.
type filler[D Document] interface {
	filled() D
}

func filledList[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Encode writes a document, indented, with a line feed at the end.
func Encode[D Document](d D) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("encode %s: %w", d.format(), err)
	}
	if f, ok := any(d).(filler[D]); ok {
		d = f.filled()
	}
	body, err := marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", d.format(), err)
	}
	head, err := marshal(header{Format: d.format(), Version: Version})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", d.format(), err)
	}
	// One object: the header's fields, then the document's own.
	joined := append(bytes.TrimSuffix(head, []byte("\n}\n")), ",\n"...)
	return append(joined, bytes.TrimPrefix(body, []byte("{\n"))...), nil
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Decode reads a document of type D. The error wraps ErrNewer or ErrForeign.
func Decode[D Document](body []byte) (D, error) {
	var d, zero D
	var h header
	if err := json.Unmarshal(body, &h); err != nil {
		return zero, fmt.Errorf("%w: %s", ErrForeign, err.Error())
	}
	if h.Format != d.format() {
		return zero, fmt.Errorf("%w: format is %q, want %q", ErrForeign, h.Format, d.format())
	}
	if h.Version > Version {
		return zero, fmt.Errorf("%w: version %d, this one reads %d", ErrNewer, h.Version, Version)
	}
	if err := json.Unmarshal(body, &d); err != nil {
		return zero, fmt.Errorf("%w: %s", ErrForeign, err.Error())
	}
	if err := d.check(); err != nil {
		return zero, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return d, nil
}

// ReadAll reads one document's bytes, refusing more than MaxBytes.
func ReadAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > MaxBytes {
		return nil, fmt.Errorf("%w: over %d bytes", ErrForeign, MaxBytes)
	}
	return body, nil
}
