package seal

import (
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
)

const (
	// frameBytes is how much plain text makes one frame. Smaller ones forget
	// more of what came before, larger ones take memory.
	frameBytes = 1 << 20
	// frameWorkers is how many frames are compressed at once at most, whatever
	// the number of cores: several databases are under way at once as a rule,
	// and memory must be known beforehand.
	frameWorkers = 2
)

// frames compresses a stream as a row of zstd frames, which every zstd reads as
// one, so that several can be compressed at once. What is written to dst is the
// same whatever the number of cores. The work for one frame ends by itself, so
// that a writer that is given up leaves nothing behind.
type frames struct {
	dst     io.Writer
	encoder *zstd.Encoder
	workers int
	// present is being filled; nil when nothing came since the last one.
	present *frame
	// pending are frames at work, in order.
	pending []*frame
	// free are frames that can be used again.
	free  []*frame
	began bool
	err   error
}

// frame is plain text and what becomes of it.
type frame struct {
	plain, packed []byte
	// done gets a value when packed is whole.
	done chan struct{}
}

func newFrames(dst io.Writer) (*frames, error) {
	workers := min(frameWorkers, runtime.GOMAXPROCS(0))
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(workers), zstd.WithEncoderCRC(true),
		zstd.WithWindowSize(frameBytes))
	if err != nil {
		return nil, err
	}
	return &frames{dst: dst, encoder: encoder, workers: workers}, nil
}

// Write takes in p, and writes the frames that are done.
func (f *frames) Write(p []byte) (int, error) {
	taken := 0
	for taken < len(p) && f.err == nil {
		if f.present == nil {
			f.present = f.newFrame()
		}
		n := min(len(p)-taken, frameBytes-len(f.present.plain))
		f.present.plain = append(f.present.plain, p[taken:taken+n]...)
		taken += n
		if len(f.present.plain) == frameBytes {
			f.err = f.submit()
		}
	}
	return taken, f.err
}

// Close writes what is left. Nothing at all becomes one empty frame.
func (f *frames) Close() error {
	if f.err == nil && !f.began && f.present == nil {
		f.present = f.newFrame()
	}
	if f.err == nil && f.present != nil {
		f.err = f.submit()
	}
	for len(f.pending) > 0 && f.err == nil {
		f.err = f.writeOldest()
	}
	return f.err
}

// submit has the present frame compressed. It waits for the oldest one when each
// worker has one to do and one more waits to be written.
func (f *frames) submit() error {
	next := f.present
	f.present, f.began = nil, true
	go func() {
		next.packed = f.encoder.EncodeAll(next.plain, next.packed[:0])
		next.done <- struct{}{}
	}()
	f.pending = append(f.pending, next)
	if len(f.pending) <= f.workers {
		return nil
	}
	return f.writeOldest()
}

func (f *frames) writeOldest() error {
	oldest := f.pending[0]
	f.pending = f.pending[1:]
	<-oldest.done
	_, err := f.dst.Write(oldest.packed)
	oldest.plain = oldest.plain[:0]
	f.free = append(f.free, oldest)
	return err
}

func (f *frames) newFrame() *frame {
	if last := len(f.free) - 1; last >= 0 {
		used := f.free[last]
		f.free = f.free[:last]
		return used
	}
	return &frame{
		plain: make([]byte, 0, frameBytes), packed: make([]byte, 0, frameBytes/2), done: make(chan struct{}, 1),
	}
}
