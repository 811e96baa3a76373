package pgcatalog_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands between the catalogue and Postgres, and breaks what a test
// tells it to break. It reads the plain protocol, so the URL must not ask for
// TLS.
type proxy struct {
	mu sync.Mutex
	// cutBefore and cutAfter are texts of the client on which the connection
	// is cut once: before they reach the server, or when it has answered.
	cutBefore, cutAfter []byte
	// freezeBefore is a text of the client from which on nothing passes any
	// more, and nothing is closed: the host is suspended.
	freezeBefore []byte
	frozen       bool
	ended        chan struct{}
}

// newProxy starts a proxy and gives the URL of the database through it.
func newProxy(t *testing.T, database string) (*proxy, string) {
	t.Helper()
	at, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	server := at.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ended: make(chan struct{})}
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { close(p.ended) })
	t.Cleanup(func() { _ = listener.Close() })
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = client.Close() })
			all.Go(func() { p.serve(client, server) })
		}
	})
	at.Host = listener.Addr().String()
	return p, at.String()
}

func (p *proxy) do(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// serve passes bytes on until one side ends.
func (p *proxy) serve(client net.Conn, server string) {
	defer func() { _ = client.Close() }()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer func() {
		if p.isFrozen() {
			<-p.ended
		}
		_ = upstream.Close()
	}()
	var cut sync.Once
	cutting := make(chan struct{})
	go func() {
		defer func() { _ = client.Close() }()
		buffer := make([]byte, 64<<10)
		for {
			n, err := upstream.Read(buffer)
			if err != nil {
				return
			}
			select {
			case <-cutting:
				return
			default:
			}
			if !p.isFrozen() {
				_, _ = client.Write(buffer[:n])
			}
		}
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if p.hit(&p.freezeBefore, buffer[:n]) {
			p.do(func() { p.frozen = true })
		}
		if p.hit(&p.cutBefore, buffer[:n]) {
			return
		}
		if p.hit(&p.cutAfter, buffer[:n]) {
			cut.Do(func() { close(cutting) })
		}
		if !p.isFrozen() {
			_, _ = upstream.Write(buffer[:n])
		}
	}
}

func (p *proxy) isFrozen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen
}

// hit says whether the bytes hold the text, and forgets the text if they do.
func (p *proxy) hit(text *[]byte, sent []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(*text) == 0 || !bytes.Contains(sent, *text) {
		return false
	}
	*text = nil
	return true
}
