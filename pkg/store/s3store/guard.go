package s3store

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// guard reads from a pooled buffer until it is detached. net/http may go on
// reading a request's body after the answer or an error was returned; by then
// the buffer can belong to another part.
type guard struct {
	mu sync.Mutex
	r  *bytes.Reader
}

var errDetached = errors.New("request is over")

func newGuard(data []byte) *guard { return &guard{r: bytes.NewReader(data)} }

// Read implements io.Reader.
func (g *guard) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.r == nil {
		return 0, errDetached
	}
	return g.r.Read(p)
}

// detach waits for a Read at work and lets go of the buffer.
func (g *guard) detach() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.r = nil
}

var _ io.Reader = (*guard)(nil)
