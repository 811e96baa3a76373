package r2fake

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
)

// FaultKind is what goes wrong.
type FaultKind string

// The faults. Those named After happen when the request has had its effect, so
// that its answer is lost.
const (
	// Refuse answers with Status and Code instead of doing anything.
	Refuse FaultKind = "refuse"
	// Page answers with Status and an HTML page instead of doing anything, as
	// Cloudflare's edge does.
	Page FaultKind = "page"
	// Reset closes the connection instead of doing anything.
	Reset FaultKind = "reset"
	// Stall takes the request and does not answer until the client goes away.
	Stall FaultKind = "stall"
	// RefuseAfter, ResetAfter and StallAfter do it after the effect.
	RefuseAfter FaultKind = "refuse after"
	ResetAfter  FaultKind = "reset after"
	StallAfter  FaultKind = "stall after"
	// ErrorIn200 answers with status 200 and an error in the body, as S3 may
	// when a long call fails late.
	ErrorIn200 FaultKind = "error in 200"
	// Truncate sends half of the answer's body and closes the connection.
	Truncate FaultKind = "truncate"
	// Pause sends half of the answer's body and then nothing until the client
	// goes away.
	Pause FaultKind = "pause"
	// Hook only calls Hook.
	Hook FaultKind = "hook"
)

// Fault is something that goes wrong with some requests of an operation.
type Fault struct {
	Operation Operation
	Kind      FaultKind
	// After is how many requests of the operation pass before it, counted
	// from the call of Server.Fault.
	After int
	// Times is how many requests it befalls; 0 means 1.
	Times int
	// Status, Code and Message are those of the answer; 0 means 500 and "" the
	// code that goes with it.
	Status  int
	Code    string
	Message string
	// RetryAfter is the header of the answer; empty means none.
	RetryAfter string
	// Hook, if set, is called before anything else, without a lock held.
	Hook func(*http.Request)
}

// armed is a fault and how often it is still to happen.
type armed struct {
	Fault
	skip, left int
}

// Fault orders a fault. A test in which it is never met fails.
func (s *Server) Fault(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &armed{Fault: fault, skip: fault.After, left: max(fault.Times, 1)})
}

// meet returns the fault that befalls this request, or nil.
func (s *Server) meet(operation Operation) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fault := range s.faults {
		if fault.Operation != operation || fault.left == 0 {
			continue
		}
		if fault.skip > 0 {
			fault.skip--
			continue
		}
		fault.left--
		return &fault.Fault
	}
	return nil
}

// answer is the fault's own answer.
func (f *Fault) answer() *answer {
	status := f.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	a := refuse(status, codeOf(status, f.Code), cmp.Or(f.Message, "ordered by the test"))
	switch f.Kind {
	case Page:
		a.body = fmt.Appendf(nil, "<!DOCTYPE html><html><head><title>%d</title></head><body>Error %d</body></html>", status, status)
		a.header.Set("Content-Type", "text/html; charset=UTF-8")
	case ErrorIn200:
		a.status = http.StatusOK
	default:
	}
	if f.RetryAfter != "" {
		a.header.Set("Retry-After", f.RetryAfter)
	}
	return a
}

func codeOf(status int, code string) string {
	if code != "" {
		return code
	}
	switch status {
	case http.StatusServiceUnavailable:
		return "SlowDown"
	case http.StatusTooManyRequests:
		return "TooManyRequests"
	case http.StatusForbidden:
		return "AccessDenied"
	}
	return "InternalError"
}

// hangUp closes the client's connection without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if outer, ok := conn.(interface{ NetConn() net.Conn }); ok {
		if tcp, ok := outer.NetConn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset in place of a clean end
		}
	}
	_ = conn.Close()
}

// wait blocks until the client goes away or the test ends. net/http notices
// the former only once the body is read.
func (s *Server) wait(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	select {
	case <-r.Context().Done():
	case <-s.ended:
	}
}
