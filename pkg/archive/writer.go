package archive

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

const (
	// blockBytes is how much of a dump goes into one gzip member. Smaller ones
	// lose size, larger ones memory and, of dumps of a few megabytes, the other
	// processors.
	blockBytes = 1 << 20
	// maxWorkers bounds the memory on hosts of many processors.
	maxWorkers = 8
	// rememberedBytes is the greatest packed length of a dump that is kept for
	// its repeats.
	rememberedBytes = 32 << 20
)

// Options are how an archive is written.
type Options struct {
	// Workers is how many blocks are compressed at once, at most 8; it does not
	// show in what is written.
	Workers int
	// At is the time of the index in the tar.
	At time.Time
}

// Contents is what was written.
type Contents struct {
	// Members are in the order of the file.
	Members []manifest.Member
	Stored  seal.Sum
}

// Writer writes an archive. Its methods are called from one goroutine. After an
// error the archive is worth nothing, and every further call but Close fails.
type Writer struct {
	options Options
	packers sync.WaitGroup
	work    chan *block // to be packed
	free    chan *block
	out     *output
	// repeat is the content of which the output remembers the packed bytes, as
	// far as it was told to; zero where it was not.
	repeat seal.Sum
	err    error
}

// NewWriter makes a Writer, whose Close must be called, whatever happens.
func NewWriter(dst io.Writer, o Options) *Writer {
	o.Workers = min(max(o.Workers, 1), maxWorkers)
	// One for each worker, one that is filled, and one that is written.
	depth := o.Workers + 2
	w := &Writer{
		options: o, work: make(chan *block, depth), free: make(chan *block, depth),
		out: newOutput(dst, depth),
	}
	for range depth {
		w.free <- &block{ready: make(chan struct{}, 1)}
	}
	for range o.Workers {
		w.packers.Go(func() {
			for b := range w.work {
				b.pack()
			}
		})
	}
	go w.out.run(w.free)
	return w
}

// WriteIndex writes the index. It must be the first file.
func (w *Writer) WriteIndex(index manifest.Index) error {
	body, err := manifest.Encode(index)
	if err != nil {
		return w.fail(err)
	}
	return w.file(IndexName, w.options.At, body)
}

// WriteDump writes a dump and its manifest. The stored bytes are read from what
// open opens, and held against the manifest; it is not called where the dump
// before was the same, was announced to be repeated, and was small enough to be
// remembered. Repeated announces that the next dump has the same content. An
// error that wraps seal.ErrDamaged says that the stored bytes are not those of
// the manifest; others are of open, of what it opened, or of writing.
func (w *Writer) WriteDump(d Dump, open func() (io.ReadCloser, error), repeated bool) error {
	if w.err != nil {
		return w.err
	}
	name, err := d.Name()
	if err != nil {
		return w.fail(err)
	}
	content := d.Content()
	if err := w.head(name, content.Bytes, d.Manifest.StartedAt); err != nil {
		return err
	}
	m := &manifest.Member{
		Name: name, Content: content, ManifestKey: d.Key, Manifest: seal.SumOf(d.Document), Backup: d.Manifest,
	}
	remembered := w.repeat == content && content.SHA256 != "" && w.remembers()
	w.repeat = seal.Sum{}
	if repeated {
		w.repeat = content
	}
	if remembered {
		err = w.submit(func(b *block) { b.kind, b.member, b.last, b.remember = kindRepeat, m, true, repeated })
	} else {
		err = w.content(d, m, open, repeated)
	}
	if err != nil {
		return err
	}
	if err := w.small(padding(content.Bytes)); err != nil {
		return err
	}
	return w.file(d.DocumentName(), d.Manifest.StartedAt, d.Document)
}

// remembers waits until all is written so far, and says whether the last dump's
// packed bytes are still at hand.
func (w *Writer) remembers() bool {
	answer := make(chan bool, 1)
	err := w.submit(func(b *block) { b.kind, b.answer = kindAsk, answer })
	return err == nil && <-answer
}

// content writes a file's content, block by block.
func (w *Writer) content(d Dump, m *manifest.Member, open func() (io.ReadCloser, error), repeated bool) error {
	body, err := open()
	if err != nil {
		return w.fail(err)
	}
	err = w.blocks(d, m, body, repeated)
	// What was read to its end was held against the manifest already.
	return errors.Join(err, w.fail(body.Close()))
}

func (w *Writer) blocks(d Dump, m *manifest.Member, body io.Reader, repeated bool) error {
	expect, kind := d.Manifest.Expect(), kindPack
	if d.Manifest.Encrypted() || d.carried() {
		expect = seal.Expect{Compression: seal.None, Stored: expect.Stored, Plain: expect.Stored}
		kind = kindWrap
	}
	if d.carried() {
		kind = kindCarry
	}
	reader, err := seal.NewReader(body, expect, seal.Identities{})
	if err != nil {
		return w.fail(err)
	}
	defer func() { _ = reader.Close() }() // it never fails
	for last := false; !last; {
		err := w.submit(func(b *block) {
			b.kind, b.member, b.remember = kind, m, repeated
			last, w.err = b.fill(reader)
			b.last = last
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// file writes a small file.
func (w *Writer) file(name string, at time.Time, body []byte) error {
	if err := w.head(name, int64(len(body)), at); err != nil {
		return err
	}
	for rest := body; len(rest) > 0; {
		n := min(len(rest), blockBytes)
		if err := w.small(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return w.small(padding(int64(len(body))))
}

func (w *Writer) head(name string, length int64, at time.Time) error {
	head, err := tarHeader(name, length, at)
	if err != nil {
		return w.fail(err)
	}
	return w.small(head)
}

// small writes bytes as one gzip member, and nothing for none.
func (w *Writer) small(p []byte) error {
	if len(p) == 0 {
		return w.err
	}
	return w.submit(func(b *block) { b.kind, b.in = kindPack, append(b.in, p...) })
}

// submit fills a free block and hands it on. The order of the calls is that of
// the file.
func (w *Writer) submit(fill func(*block)) error {
	if w.err != nil {
		return w.err
	}
	b := <-w.free
	b.reset()
	if err := w.out.failed(); err != nil {
		w.err = err
	} else {
		fill(b)
	}
	if w.err != nil {
		w.free <- b
		return w.err
	}
	w.out.queue <- b // never full: there are no more blocks than it holds
	w.work <- b
	return nil
}

// fail keeps the first error.
func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return err
}

// Close ends the archive, unless anything failed before: then it only frees
// what the Writer holds, and returns that error. It leaves dst open.
func (w *Writer) Close() (Contents, error) {
	endErr := w.small(tarEnd())
	close(w.work)
	w.packers.Wait()
	close(w.out.queue)
	<-w.out.done
	if err := cmp.Or(endErr, w.out.failed()); err != nil {
		return Contents{}, fmt.Errorf("write the archive: %w", err)
	}
	return Contents{Members: w.out.members, Stored: w.out.all.Sum()}, nil
}
