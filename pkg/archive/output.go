package archive

import (
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// kind is what is done with a block.
type kind int

const (
	// kindPack compresses, kindWrap makes gzip of what does not compress, and
	// kindCarry leaves what is gzip already.
	kindPack kind = iota
	kindWrap
	kindCarry
	// kindRepeat writes what is remembered, and kindAsk only answers whether
	// anything is.
	kindRepeat
	kindAsk
)

// block is a piece of the file. It is filled by the caller's goroutine, packed
// by a worker, written by the output, and then used again.
type block struct {
	kind kind
	in   []byte
	// packed is memory for what in was packed into; out is what is written.
	packed, out []byte
	err         error
	ready       chan struct{}
	// member is the file whose content the block is a part of, nil for what is
	// no content; last says that no more follows.
	member   *manifest.Member
	last     bool
	remember bool
	answer   chan<- bool
}

func (b *block) reset() {
	*b = block{in: b.in[:0], packed: b.packed[:0], ready: b.ready}
}

// fill reads a block's worth, and says whether that was the end. Only io.EOF
// itself is an end.
func (b *block) fill(src io.Reader) (last bool, err error) {
	if cap(b.in) < blockBytes {
		b.in = make([]byte, 0, blockBytes)
	}
	for len(b.in) < blockBytes {
		n, err := src.Read(b.in[len(b.in):blockBytes])
		b.in = b.in[:len(b.in)+n]
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// pack makes what is written of what was read.
func (b *block) pack() {
	switch {
	case b.kind == kindCarry:
		b.out = b.in
	case b.kind == kindPack && len(b.in) > 0:
		b.packed = slices.Grow(b.packed, len(b.in)/4)
		b.packed, b.err = seal.AppendGzip(b.packed, b.in, seal.GzipPacked)
		b.out = b.packed
	case b.kind == kindWrap && len(b.in) > 0:
		b.packed = slices.Grow(b.packed, len(b.in)+len(b.in)/100+100)
		b.packed, b.err = seal.AppendGzip(b.packed, b.in, seal.GzipStored)
		b.out = b.packed
	}
	b.ready <- struct{}{}
}

// output writes blocks in their order, and knows where everything lies.
type output struct {
	dst   io.Writer
	queue chan *block
	done  chan struct{}

	// What follows is the run's own until done.
	all     *seal.Meter
	members []manifest.Member
	inside  bool        // whether a member is being written
	content *seal.Meter // of that member
	memory  memory

	mu  sync.Mutex
	err error
}

func newOutput(dst io.Writer, depth int) *output {
	return &output{dst: dst, queue: make(chan *block, depth), done: make(chan struct{}), all: seal.NewMeter()}
}

// run writes until the queue ends. After a failure it only gives the blocks
// back.
func (o *output) run(free chan<- *block) {
	defer close(o.done)
	for b := range o.queue {
		<-b.ready
		if o.failed() == nil {
			o.note(o.write(b))
		}
		if b.answer != nil {
			b.answer <- o.failed() == nil && o.memory.whole
		}
		free <- b
	}
}

func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func (o *output) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *output) write(b *block) error {
	switch {
	case b.err != nil:
		return b.err
	case b.kind == kindAsk:
		return nil
	case b.kind == kindRepeat:
		return o.repeat(b)
	case b.member == nil:
		return o.put(b.out)
	}
	if !o.inside {
		b.member.Offset = o.all.Bytes()
		o.inside, o.content = true, seal.NewMeter()
		o.memory = memory{whole: b.remember}
	}
	if b.kind != kindCarry {
		_, _ = o.content.Write(b.out) // it never fails
	}
	o.memory.add(b.out)
	if err := o.put(b.out); err != nil {
		return err
	}
	if b.last {
		b.member.Packed = o.content.Sum()
		if b.kind == kindCarry {
			// The reader has just held these bytes against that.
			b.member.Packed = b.member.Backup.Object.Stored
		}
		o.memory.packed, o.inside = b.member.Packed, false
		o.members = append(o.members, *b.member)
	}
	return nil
}

// repeat writes a member once more.
func (o *output) repeat(b *block) error {
	b.member.Offset, b.member.Packed = o.all.Bytes(), o.memory.packed
	for _, piece := range o.memory.pieces {
		if err := o.put(piece); err != nil {
			return err
		}
	}
	if !b.remember {
		o.memory = memory{}
	}
	o.members = append(o.members, *b.member)
	return nil
}

func (o *output) put(p []byte) error {
	_, _ = o.all.Write(p) // it never fails
	n, err := o.dst.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// memory is the packed content of one member.
type memory struct {
	pieces [][]byte
	bytes  int
	packed seal.Sum
	// whole is false where nothing is to be remembered, or it was too much.
	whole bool
}

func (m *memory) add(p []byte) {
	if !m.whole {
		return
	}
	if m.bytes+len(p) > rememberedBytes {
		*m = memory{}
		return
	}
	m.bytes += len(p)
	m.pieces = append(m.pieces, append([]byte(nil), p...))
}
