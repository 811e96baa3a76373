package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"
)

// FaultKind is what goes wrong with a call.
type FaultKind string

// The kinds. Those of the API's calls come first, those of downloads and
// uploads last; FaultReset and FaultStall are for both.
const (
	// FaultStatus answers with Status, Code and Message in the envelope.
	FaultStatus FaultKind = "status"
	// FaultHTML answers with Status (502 if 0) and a page.
	FaultHTML FaultKind = "html"
	// FaultChallenge answers with a challenge page of Cloudflare's.
	FaultChallenge FaultKind = "challenge"
	// FaultInner answers an export or import, of which nothing is done, with a
	// success that holds a failure.
	FaultInner FaultKind = "inner"
	// FaultFlat tells the signed URL one level higher than usual.
	FaultFlat FaultKind = "flat"
	// FaultLost does what was asked for, and the answer is lost. It is for
	// uploads as well.
	FaultLost FaultKind = "lost"
	// FaultReset cuts the connection before anything is done.
	FaultReset FaultKind = "reset"
	// FaultStall never answers.
	FaultStall FaultKind = "stall"
	// FaultCut ends a body after Bytes, short of its length. An upload is cut
	// when so many bytes of it were read, and leaves nothing.
	FaultCut FaultKind = "cut"
	// FaultShort tells a length that is Bytes less than the dump's and ends
	// there, as if that were all. An upload loses its last Bytes.
	FaultShort FaultKind = "short"
	// FaultEmpty answers with an empty body.
	FaultEmpty FaultKind = "empty"
	// FaultXML answers 200 with an error page in the place of the dump.
	FaultXML FaultKind = "xml"
	// FaultExpired answers as for a URL that has expired.
	FaultExpired FaultKind = "expired"
	// FaultFreeze sends Bytes of a body and then nothing more.
	FaultFreeze FaultKind = "freeze"
)

// Fault is an order for calls to come.
type Fault struct {
	// Call is "list", "get", "create", "delete", "query", "raw", "export"
	// or "import" (their starts and their polls), "bookmark", "restore",
	// "verify", "download", "upload", or "*".
	Call string
	// Database limits the order to one database; empty means any.
	Database string
	// Times is how many calls it is for; 0 means 1.
	Times int
	// After is how many calls that match pass unharmed before.
	After int
	Kind  FaultKind
	// Status, Code, Message and RetryAfter are those of the answer.
	Status, Code int
	Message      string
	RetryAfter   time.Duration
	// Bytes is how much of a body is sent or left out.
	Bytes int64
}

// AddFault orders a fault. Orders are met first come, first served.
func (s *Server) AddFault(f Fault) {
	f.Times = max(1, f.Times)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// ClearFaults takes all orders back, and returns how many calls they had left:
// a test whose fault was never met has tested nothing.
func (s *Server) ClearFaults() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := 0
	for _, f := range s.faults {
		left += f.Times
	}
	s.faults = nil
	return left
}

// takeFault is what was ordered for a call, if anything.
func (s *Server) takeFault(call, database string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Call != call && f.Call != "*" || f.Database != "" && f.Database != database {
			continue
		}
		if f.After > 0 {
			f.After--
			continue
		}
		met := *f
		if f.Times--; f.Times == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return &met
	}
	return nil
}

// before answers in the place of the call, and says whether it did.
func (f *Fault) before(x *exchange) bool {
	if f.RetryAfter > 0 {
		x.w.Header().Set("Retry-After", strconv.Itoa(seconds(f.RetryAfter)))
	}
	switch f.Kind {
	case FaultStatus:
		text, err := json.Marshal(envelope{Errors: []message{{f.Code, f.Message}}, Messages: []message{}})
		if err != nil {
			panic(err) // a number and a text can be marshalled
		}
		x.w.Header().Set("Content-Type", "application/json")
		x.w.WriteHeader(f.Status)
		_, _ = x.w.Write(text)
	case FaultHTML:
		page(x.w, f.Status, "<html><head><title>502 Bad Gateway</title></head><body><center>cloudflare</center></body></html>\n")
	case FaultChallenge:
		x.w.Header().Set("cf-mitigated", "challenge")
		page(x.w, http.StatusForbidden, "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>\n")
	case FaultReset:
		reset(x.w)
	case FaultStall:
		<-x.r.Context().Done()
	default:
		return false
	}
	return true
}

// after answers in the place of the answer, and says whether it did.
func (f *Fault) after(x *exchange) bool {
	if f.Kind != FaultLost {
		return false
	}
	reset(x.w)
	return true
}

func page(w http.ResponseWriter, status int, text string) {
	if status == 0 {
		status = http.StatusBadGateway
	}
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprint(w, text)
}

// reset cuts the connection without an answer.
func reset(http.ResponseWriter) { panic(http.ErrAbortHandler) }

// download answers in the place of a download, and says whether it did.
func (f *Fault) download(w http.ResponseWriter, r *http.Request, file *dumpFile) bool {
	switch f.Kind {
	case FaultStatus:
		refuseXML(w, f.Status, "InternalError", f.Message)
	case FaultHTML:
		page(w, f.Status, "<html><body>Bad Gateway</body></html>\n")
	case FaultReset:
		reset(w)
	case FaultStall:
		<-r.Context().Done()
	case FaultEmpty:
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	case FaultXML:
		refuseXML(w, http.StatusOK, "InternalError", "We encountered an internal error. Please try again.")
	case FaultExpired:
		refuseXML(w, http.StatusForbidden, "ExpiredRequest", "Request has expired")
	case FaultCut, FaultFreeze, FaultShort:
		if file == nil {
			return false
		}
		f.partly(w, r, file)
	default:
		return false
	}
	return true
}

// partly serves the beginning of a dump.
func (f *Fault) partly(w http.ResponseWriter, r *http.Request, file *dumpFile) {
	text, err := os.ReadFile(file.path)
	if err != nil {
		refuseXML(w, http.StatusInternalServerError, "InternalError", err.Error())
		return
	}
	length, sent := len(text), int(min(f.Bytes, int64(len(text))))
	if f.Kind == FaultShort {
		length -= sent
		sent = length
	}
	w.Header().Set("ETag", file.etag)
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(text[:sent])
	_ = http.NewResponseController(w).Flush() // a client that is gone is not served
	if f.Kind == FaultFreeze {
		<-r.Context().Done()
	}
	if f.Kind == FaultCut {
		reset(w)
	}
}
