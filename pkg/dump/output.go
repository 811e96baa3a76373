package dump

import (
	"fmt"
	"io"
)

// maxHeld is how much of one statement is kept until it is decided whether it
// goes on. D1's engine keeps no value over 4 MiB (2,000,000 bytes by its
// documentation); as hexadecimal, or with every quote doubled, such a value is
// twice as long. So every row of a D1 export fits.
const maxHeld = 16 << 20

// defaultTailLimit is far above any schema: a statement that D1 takes has at
// most 100,000 bytes.
const defaultTailLimit = 64 << 20

// output passes chunks on, as far as it is decided that they go.
type output struct {
	dst       io.Writer
	tailLimit int64

	chunk []byte
	from  int // the first byte of the chunk that was not passed on yet

	undecided bool   // about the statement that begins at open
	open      int    // in the chunk; 0 if it began in an earlier one
	held      []byte // what earlier chunks had of that statement

	dropping bool // the rest of the statement at hand is not passed on
	lineEnd  lineEnd

	inTail bool
	tail   []byte
}

// lineEnd is what may still come of the line end of a withheld statement.
type lineEnd uint8

const (
	lineEndNone lineEnd = iota
	lineEndAny          // an optional CR, then LF
	lineEndLF           // LF
)

// begin takes the next chunk.
func (o *output) begin(chunk []byte) {
	o.chunk, o.from, o.open = chunk, 0, 0
	o.skipLineEnd()
}

// end passes on what is left of the chunk.
func (o *output) end() error {
	switch {
	case o.dropping:
		return nil
	case !o.undecided:
		return o.emit(o.chunk[o.from:])
	}
	if err := o.emit(o.chunk[o.from:o.open]); err != nil {
		return err
	}
	o.held = append(o.held, o.chunk[o.open:]...)
	return nil
}

func (o *output) emit(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if !o.inTail {
		_, err := o.dst.Write(b)
		return err
	}
	if int64(len(o.tail)+len(b)) > o.tailLimit {
		return fmt.Errorf("%w of %d bytes", ErrTailTooLong, o.tailLimit)
	}
	o.tail = append(o.tail, b...)
	return nil
}

// hold keeps the statement that begins at i until keep, drop or startTail.
func (o *output) hold(i int) { o.undecided, o.open = true, i }

// pending is how much is kept of the held statement.
func (o *output) pending() int { return len(o.held) + len(o.chunk) - o.open }

// keep lets the held statement go on.
func (o *output) keep() error {
	o.undecided = false
	err := o.emit(o.held)
	o.held = o.held[:0]
	return err
}

// startTail keeps everything from the held statement on in the tail.
func (o *output) startTail() error {
	if len(o.held) == 0 {
		if err := o.emit(o.chunk[o.from:o.open]); err != nil {
			return err
		}
		o.from = o.open
	}
	o.inTail = true
	return o.keep()
}

// statement is the text of the held statement, whose end is at end.
func (o *output) statement(end int) []byte {
	if len(o.held) == 0 {
		return o.chunk[o.open:end]
	}
	o.held = append(o.held, o.chunk[o.from:end]...)
	o.from = end
	return o.held
}

// drop withholds the held statement, of which the rest is still to come.
func (o *output) drop() error {
	o.undecided = false
	o.dropping = true
	if len(o.held) > 0 {
		o.held = o.held[:0]
		return nil
	}
	return o.emit(o.chunk[o.from:o.open])
}

// dropped ends what drop began: the statement ends at end.
func (o *output) dropped(end int) {
	o.dropping = false
	o.from = end
	o.lineEnd = lineEndAny
	o.skipLineEnd()
}

func (o *output) skipLineEnd() {
	for o.lineEnd != lineEndNone && o.from < len(o.chunk) {
		switch c := o.chunk[o.from]; {
		case c == '\n':
			o.lineEnd = lineEndNone
		case c == '\r' && o.lineEnd == lineEndAny:
			o.lineEnd = lineEndLF
		default:
			o.lineEnd = lineEndNone
			return
		}
		o.from++
	}
}

// keepIf is keep if a statement is held.
func (o *output) keepIf() error {
	if !o.undecided {
		return nil
	}
	return o.keep()
}
