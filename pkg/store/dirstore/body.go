package dirstore

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// body reads a range of a file and insists on all of it.
type body struct {
	ctx  context.Context
	file *os.File
	key  string
	left int64
}

// newBody checks the options against the file and goes to the range's start.
func newBody(ctx context.Context, file *os.File, info store.Info, opts store.GetOptions) (*body, error) {
	if opts.IfMatch != "" && opts.IfMatch != info.ETag {
		return nil, fmt.Errorf("%w: ETag is %s, want %s", store.ErrChanged, info.ETag, opts.IfMatch)
	}
	left, err := rangeBytes(info.Bytes, opts)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(opts.Offset, io.SeekStart); err != nil {
		return nil, err
	}
	return &body{ctx: ctx, file: file, key: info.Key, left: left}, nil
}

// rangeBytes is the length of the range asked for. As in HTTP a range must
// have a first byte; only the whole of an object may be empty.
func rangeBytes(size int64, opts store.GetOptions) (int64, error) {
	if opts == (store.GetOptions{IfMatch: opts.IfMatch}) {
		return size, nil
	}
	rest := size - opts.Offset
	if opts.Offset < 0 || opts.Length < 0 || rest <= 0 || opts.Length > rest {
		return 0, fmt.Errorf("range of %d bytes at %d is not within %d bytes", opts.Length, opts.Offset, size)
	}
	if opts.Length > 0 {
		return opts.Length, nil
	}
	return rest, nil
}

// Read reads on until the range's last byte.
func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, fmt.Errorf("read %s: %w", b.key, err)
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.file.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == io.EOF {
		return n, fmt.Errorf("read %s: %w: file ends %d bytes early", b.key, io.ErrUnexpectedEOF, b.left)
	}
	if err != nil {
		return n, fmt.Errorf("read %s: %w", b.key, err)
	}
	return n, nil
}

// Close closes the file.
func (b *body) Close() error { return b.file.Close() }
