package r2fake

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// ServeInMemory serves any handler on connections that are pipes, until the test
// ends, and returns what carries requests to it: for tests in which R2 is not the
// only server of a bubble of testing/synctest.
func ServeInMemory(t testing.TB, h http.Handler) http.RoundTripper {
	t.Helper()
	listener := NewPipeListener()
	server := httptest.NewUnstartedServer(h)
	_ = server.Listener.Close() // the one that NewUnstartedServer opened
	server.Listener = listener
	quiet(server)
	server.Start()
	transport := &http.Transport{DialContext: listener.Dial, DisableCompression: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.CloseClientConnections()
		server.Close()
	})
	return transport
}
