package r2fake

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// answer is what the server will send.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func reply(status int) *answer { return &answer{status: status, header: http.Header{}} }

// errorBody is S3's form of an error.
type errorBody struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
}

func refuse(status int, code, message string) *answer {
	return document(status, errorBody{Code: code, Message: message, RequestID: "r2fake"})
}

// document is an answer with an XML body.
func document(status int, body any) *answer {
	a := reply(status)
	text, err := xml.Marshal(body)
	if err != nil {
		panic(err) // the bodies are ours
	}
	a.body = append([]byte(xml.Header), text...)
	a.header.Set("Content-Type", "application/xml")
	return a
}

// call is a request as the operations see it.
type call struct {
	operation Operation
	bucket    string
	key       string
	query     url.Values
	header    http.Header
	body      []byte
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, problem := parse(r)
	s.count(c.operation, r.Header)
	if problem != nil {
		s.send(w, r, problem, nil)
		return
	}
	if c.operation == UploadPart {
		defer s.enterPart(c)()
	}
	fault := s.meet(c.operation)
	if fault != nil && s.before(w, r, fault) {
		return
	}
	if problem := s.check(r, c); problem != nil {
		s.send(w, r, problem, nil)
		return
	}
	s.send(w, r, s.do(c), fault)
}

// before carries out a fault that replaces the operation, and says whether it
// did.
func (s *Server) before(w http.ResponseWriter, r *http.Request, fault *Fault) bool {
	if fault.Hook != nil {
		fault.Hook(r)
	}
	switch fault.Kind {
	case Refuse, Page, ErrorIn200:
		// The body is read, as by a server that refuses late.
		_, _ = io.Copy(io.Discard, r.Body)
		s.send(w, r, fault.answer(), nil)
	case Reset:
		hangUp(w)
	case Stall:
		s.wait(r)
	default:
		return false
	}
	return true
}

// check reads the body and checks everything that R2 checks of any request.
func (s *Server) check(r *http.Request, c *call) *answer {
	if problem := checkHeaders(c); problem != nil {
		return problem
	}
	if r.ContentLength < 0 {
		return refuse(http.StatusLengthRequired, "MissingContentLength", "bodies need a length")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return refuse(http.StatusBadRequest, "IncompleteBody", err.Error())
	}
	c.body = body
	if problem := s.checkSignature(r, c); problem != nil {
		return problem
	}
	if problem := s.checkSums(c); problem != nil {
		return problem
	}
	if c.bucket != Bucket {
		return refuse(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.")
	}
	return nil
}

// send sends an answer, spoilt by the fault if there is one.
func (s *Server) send(w http.ResponseWriter, r *http.Request, a *answer, fault *Fault) {
	half := len(a.body)
	if fault != nil {
		switch fault.Kind {
		case RefuseAfter:
			a = fault.answer()
			half = len(a.body)
		case ResetAfter:
			hangUp(w)
			return
		case StallAfter:
			s.wait(r)
			return
		case Truncate, Pause:
			half /= 2
		default:
		}
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Date", s.opts.Now().UTC().Format(http.TimeFormat))
	w.Header().Set("Cf-Ray", "r2fake-ray")
	if w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(a.body[:half]) // the client may have gone
	if half == len(a.body) {
		return
	}
	_ = http.NewResponseController(w).Flush()
	if fault.Kind == Pause {
		s.wait(r)
	}
	panic(http.ErrAbortHandler)
}

func (s *Server) count(operation Operation, header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[operation]++
	s.headers[operation] = header.Clone()
}

// parse names the operation of a request.
func parse(r *http.Request) (*call, *answer) {
	c := &call{header: r.Header, query: r.URL.Query()}
	c.bucket, c.key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	name := r.Method + " " + subresource(c)
	operation, ok := map[string]Operation{
		"PUT object":      PutObject,
		"GET object":      GetObject,
		"HEAD object":     HeadObject,
		"DELETE object":   DeleteObject,
		"POST uploads":    CreateMultipartUpload,
		"PUT part":        UploadPart,
		"POST upload":     CompleteMultipartUpload,
		"DELETE upload":   AbortMultipartUpload,
		"GET upload":      ListParts,
		"GET list":        ListObjectsV2,
		"GET all uploads": ListMultipartUploads,
		"HEAD bucket":     HeadBucket,
	}[name]
	c.operation = operation
	if !ok {
		c.operation = Operation(name)
		return c, refuse(http.StatusNotImplemented, "NotImplemented", fmt.Sprintf("%s with the query %q", name, r.URL.RawQuery))
	}
	return c, nil
}

// subresource is what a request is about, by its path and query.
func subresource(c *call) string {
	has := func(names ...string) bool {
		for _, name := range names {
			if !c.query.Has(name) {
				return false
			}
		}
		return true
	}
	switch {
	case c.key != "" && len(c.query) == 0:
		return "object"
	case c.key != "" && has("uploads"):
		return "uploads"
	case c.key != "" && has("uploadId", "partNumber"):
		return "part"
	case c.key != "" && has("uploadId"):
		return "upload"
	case c.key == "" && c.query.Get("list-type") == "2" && c.query.Get("delimiter") == "":
		return "list"
	case c.key == "" && has("uploads") && c.query.Get("delimiter") == "":
		return "all uploads"
	case c.key == "" && len(c.query) == 0:
		return "bucket"
	}
	return "unknown"
}

// do carries out an operation.
func (s *Server) do(c *call) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.operation {
	case PutObject:
		return s.putObject(c)
	case GetObject, HeadObject:
		return s.getObject(c)
	case DeleteObject:
		return s.deleteObject(c)
	case ListObjectsV2:
		return s.listObjects(c)
	case CreateMultipartUpload:
		return s.createUpload(c)
	case UploadPart:
		return s.uploadPart(c)
	case CompleteMultipartUpload:
		return s.completeUpload(c)
	case AbortMultipartUpload:
		return s.abortUpload(c)
	case ListParts:
		return s.listParts(c)
	case ListMultipartUploads:
		return s.listUploads(c)
	case HeadBucket:
		return reply(http.StatusOK)
	}
	return refuse(http.StatusNotImplemented, "NotImplemented", string(c.operation))
}
