package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/catalog/catalogtest/pgtest"
)

// TestFaultMatrixOfTheCatalogue is the last row of the matrix. It runs against
// a real Postgres, behind a proxy that does to its protocol what the faults do
// to HTTP: once, to the first row that a run writes of a database, and always,
// from the first connection on.
func TestFaultMatrixOfTheCatalogue(t *testing.T) {
	t.Parallel()
	cells := 0
	for _, c := range matrix() {
		if c.call != callCatalogue {
			continue
		}
		for times, want := range map[int]ending{1: c.once, -1: c.always} {
			cells++
			t.Run(fmt.Sprintf("%s/%s", c.fault, often(times)), func(t *testing.T) {
				t.Parallel()
				holdCatalogueCell(t, c, times, want)
			})
		}
	}
	if cells != 20 {
		t.Errorf("%d cells, want 20", cells)
	}
}

func holdCatalogueCell(t *testing.T, c cell, times int, want ending) {
	database := pgtest.New(t)
	i, server := sandboxed(t, "alpha", "beta")
	p := newSpoiler(t, database, c.fault, times)
	i.env["PATINA_CATALOG_URL"] = p.url
	// Postgres has a clock of its own, which with it, and not without it, says
	// which night it is. No tick of the schedule is near.
	now := time.Now().UTC()
	i.setClock(now.Format(time.RFC3339))
	i.env["PATINA_SCHEDULE_NIGHTLY"] = fmt.Sprintf("0 %d * * *", (now.Hour()+12)%24)
	got := i.run("backup", "--trigger", "schedule")
	if p.met() == 0 {
		t.Fatalf("the fault was not met; it ended with %d and\n%s", got.status, got.stderr)
	}
	if status := statusOf(c, want); got.status != status {
		t.Fatalf("it ended with %d, want %d; it says\n%s", got.status, status, got.stderr)
	}
	if want == untold {
		call := "set backup: "
		if times < 0 {
			call = "open catalogue: "
		}
		for _, text := range []string{"every backup is safe in the bucket, but the catalogue was not written: " + call, saidByPostgres(c.fault, times)} {
			if !strings.Contains(got.stderr, text) {
				t.Errorf("it does not say %q:\n%s", text, got.stderr)
			}
		}
	} else if got.stderr != "" {
		t.Errorf("a run in which all went well says\n%s", got.stderr)
	}
	p.end()
	i.wantEqualBackups(server, "alpha", "beta")
	i.patina(0, "backup", "--trigger", "schedule")
	i.wantEqualBackups(server, "alpha", "beta")
}

// saidByPostgres is what an error tells of a fault.
func saidByPostgres(fault string, times int) string {
	if fault == faultLength && times > 0 {
		return "body must have length of 0"
	}
	return map[string]string{
		fault429: "too many clients already", fault500: "internal error", fault502: "invalid body length",
		fault503: "the database system is starting up", faultReset: "connection reset by peer",
		faultStall: "did not answer in time", faultCut: "unexpected EOF", faultLength: "bad authentication message size",
		faultExpired: "idle-session timeout",
	}[fault]
}

// spoiler stands between the program and Postgres. It reads the plain protocol
// (https://www.postgresql.org/docs/current/protocol-message-formats.html).
type spoiler struct {
	url    string
	server string
	fault  string
	ended  chan struct{}

	mu     sync.Mutex
	left   int
	always bool
	hits   int
}

// trigger is in the first statement that the fault befalls once.
const trigger = "patina.backups"

func newSpoiler(t *testing.T, database, fault string, times int) *spoiler {
	t.Helper()
	at, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &spoiler{server: at.Host, fault: fault, left: times, always: times < 0, ended: make(chan struct{})}
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { close(s.ended) })
	t.Cleanup(func() { _ = listener.Close() })
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.serve(client) })
		}
	})
	at.Host = listener.Addr().String()
	query := at.Query()
	query.Set("sslmode", "disable")
	at.RawQuery = query.Encode()
	s.url = at.String()
	return s
}

func (s *spoiler) met() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits
}

// end has everything pass from now on.
func (s *spoiler) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.always = 0, false
}

// meets says whether these bytes of a client meet the fault.
func (s *spoiler) meets(sent []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 || !s.always && !bytes.Contains(sent, []byte(trigger)) {
		return false
	}
	s.left--
	s.hits++
	return true
}

// serve carries one connection. Each batch of the client's is answered before
// the next, as pgx works, so that one goroutine sees both sides in order.
func (s *spoiler) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	upstream, err := net.Dial("tcp", s.server)
	if err != nil {
		return
	}
	defer func() { _ = upstream.Close() }()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // frees both reads when the test ends
		select {
		case <-s.ended:
			_, _ = client.Close(), upstream.Close()
		case <-stop:
		}
	}()
	spoilt := make(chan string, 1)
	go s.answers(upstream, client, spoilt)
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if s.meets(buffer[:n]) {
			pass := s.spoil(client, spoilt)
			if !pass {
				return
			}
			if s.fault == fault500 && !s.isAlways() {
				continue // the server never saw it
			}
		}
		if _, err := upstream.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (s *spoiler) isAlways() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.always
}

// spoil does what the fault does before the server is asked, and says whether
// the connection goes on.
func (s *spoiler) spoil(client net.Conn, spoilt chan<- string) bool {
	switch s.fault {
	case fault429:
		_, _ = client.Write(postgresError("FATAL", "53300", "sorry, too many clients already"))
	case fault500:
		if s.isAlways() {
			_, _ = client.Write(postgresError("FATAL", "XX000", "internal error, ordered by the test"))
			return false
		}
		_, _ = client.Write(append(postgresError("ERROR", "XX000", "internal error, ordered by the test"), 'Z', 0, 0, 0, 5, 'E'))
		return true
	case fault502:
		_, _ = io.WriteString(client, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html></html>")
	case fault503:
		_, _ = client.Write(postgresError("FATAL", "57P03", "the database system is starting up"))
	case faultReset:
		_ = client.(*net.TCPConn).SetLinger(0)
	case faultStall:
		<-s.ended
	case faultCut, faultLength, faultSlow:
		select {
		case spoilt <- s.fault:
		default: // it is told already
		}
		return true
	case faultExpired:
		_, _ = client.Write(postgresError("FATAL", "57P05", "terminating connection due to idle-session timeout"))
	}
	return false
}

// answers passes the server's answers on, and spoils those it is told to.
func (s *spoiler) answers(upstream, client net.Conn, spoilt <-chan string) {
	defer func() { _ = client.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := upstream.Read(buffer)
		if err != nil {
			return
		}
		fault := ""
		select {
		case fault = <-spoilt:
		default:
		}
		switch fault {
		case faultCut:
			_, _ = client.Write(buffer[:n/2])
			return
		case faultLength: // a message that takes the first byte of the next one
			length := binary.BigEndian.Uint32(buffer[1:5])
			binary.BigEndian.PutUint32(buffer[1:5], length+1)
		case faultSlow:
			time.Sleep(30 * time.Millisecond)
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// postgresError is an ErrorResponse.
func postgresError(severity, code, message string) []byte {
	body := "S" + severity + "\x00V" + severity + "\x00C" + code + "\x00M" + message + "\x00\x00"
	return append(binary.BigEndian.AppendUint32([]byte{'E'}, uint32(len(body)+4)), body...)
}
