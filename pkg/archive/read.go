package archive

import (
	"errors"
	"io"

	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// Unpack reads the plain dump of one member out of the member's bytes, which are
// at m.Offset of the archive and m.Packed.Bytes long, and needs nothing else of
// it. What is read ends in io.EOF only if everything is as the member says; the
// error wraps seal.ErrDamaged where it is not. The manifest in an encrypted member
// must have been opened before, by the same identities: see manifest.Backup.Open.
// It leaves body open.
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
