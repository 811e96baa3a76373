package archive

import (
	"errors"
	"io"

	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// Range opens a part of the archive: length bytes from offset on. The body must
// end in io.EOF only after the last of them.
type Range func(offset, length int64) (io.ReadCloser, error)

// Open reads the plain dump of one member, and nothing else of the archive. What
// is read ends in io.EOF only if everything is as the member says; the error
// wraps seal.ErrDamaged where it is not. The manifest in an encrypted member must
// have been opened before, by the same identities: see manifest.Backup.Open.
// Closing the reader closes what read opened.
func Open(read Range, m manifest.Member, by seal.Identities) (io.ReadCloser, error) {
	body, err := read(m.Offset, m.Packed.Bytes)
	if err != nil {
		return nil, err
	}
	reader, err := Unpack(body, m, by)
	if err != nil {
		return nil, errors.Join(err, body.Close())
	}
	return layers{reader, []io.Closer{reader, body}}, nil
}

// Unpack is Open for bytes that were opened already: those of the member, and no
// others. It leaves body open.
func Unpack(body io.Reader, m manifest.Member, by seal.Identities) (io.ReadCloser, error) {
	file, err := seal.NewReader(body, m.Expect(), seal.Identities{})
	if err != nil || !m.Backup.Encrypted() {
		return file, err
	}
	dump, err := seal.NewReader(file, m.Backup.Expect(), by)
	if err != nil {
		_ = file.Close() // it never fails
		return nil, err
	}
	return layers{dump, []io.Closer{dump, file}}, nil
}

// layers is a reader over others.
type layers struct {
	io.Reader
	closers []io.Closer
}

// Close closes all, the innermost last.
func (l layers) Close() error {
	var errs []error
	for _, c := range l.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
