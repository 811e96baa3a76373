package r2fake

import (
	"context"
	"net"
	"sync"
)

// PipeListener accepts connections that are pipes, for servers that share a
// bubble of testing/synctest with their clients. Make one with NewPipeListener.
type PipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewPipeListener makes a listener that nobody has dialled yet.
func NewPipeListener() *PipeListener {
	return &PipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *PipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *PipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *PipeListener) Addr() net.Addr { return pipeAddr{} }

// Dial connects to the listener, whatever the address; it fits
// http.Transport.DialContext.
func (l *PipeListener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return newSocket(client), nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// socket is a client's end of a pipe with room for what it has sent and the server
// has not read, as a kernel gives. Without it a write of a few bytes may wait for
// a server that does not read, and in that wait net/http holds a lock (it says
// goodbye on a connection that it closes), behind which a bubble's time stands
// still.
type socket struct {
	net.Conn
	mu     sync.Mutex
	queue  [][]byte
	bytes  int
	err    error
	sent   chan struct{} // has a message when there is more in the queue
	room   chan struct{} // has one when there is less
	closed chan struct{}
	once   sync.Once
}

const (
	// socketRoom is how much may wait in a socket. A write of goodbyeBytes or
	// less always finds room.
	socketRoom   = 64 << 10
	goodbyeBytes = 512
)

func newSocket(pipe net.Conn) *socket {
	s := &socket{Conn: pipe, sent: make(chan struct{}, 1), room: make(chan struct{}, 1), closed: make(chan struct{})}
	go s.carry()
	return s
}

// Write implements net.Conn. It waits only for room.
func (s *socket) Write(p []byte) (int, error) {
	for {
		done, err := s.enqueue(p)
		if err != nil {
			return 0, err
		}
		if done {
			return len(p), nil
		}
		select {
		case <-s.room:
		case <-s.closed:
			return 0, net.ErrClosed
		}
	}
}

func (s *socket) enqueue(p []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false, s.err
	}
	if s.bytes > 0 && s.bytes+len(p) > socketRoom && len(p) > goodbyeBytes {
		return false, nil
	}
	s.queue = append(s.queue, append([]byte(nil), p...))
	s.bytes += len(p)
	post(s.sent)
	return true, nil
}

// post leaves a message, if there is none.
func post(box chan struct{}) {
	select {
	case box <- struct{}{}:
	default:
	}
}

// carry moves what was written into the pipe.
func (s *socket) carry() {
	for {
		select {
		case <-s.sent:
		case <-s.closed:
			return
		}
		for chunk := s.next(); chunk != nil; chunk = s.next() {
			_, err := s.Conn.Write(chunk)
			s.took(chunk, err)
			if err != nil {
				return
			}
		}
	}
}

func (s *socket) next() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	chunk := s.queue[0]
	s.queue = s.queue[1:]
	return chunk
}

func (s *socket) took(chunk []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= len(chunk)
	s.err = err
	post(s.room)
}

// Close implements net.Conn. What was not read by then is lost.
func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return certificateHost + ":443" }
