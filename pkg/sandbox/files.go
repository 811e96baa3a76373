package sandbox

import (
	"crypto/subtle"
	"encoding/xml"
	"net/http"
	"os"
	"strings"
	"time"
)

// bucketPath is where production keeps finished dumps.
const bucketPath = "/d1-sqlio-outgoing-prod/"

// Files is the host of signed URLs. It takes no Authorization header, as R2
// does not beside a signature in the query.
func (s *Server) Files() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isUpload(r) {
			s.receive(w, r)
			return
		}
		name, file := s.dumpOf(r.URL.Path)
		s.note(Call{Name: "download", Database: name, Authorized: r.Header.Get("Authorization") != ""})
		if f := s.takeFault("download", name); f != nil && f.download(w, r, file) {
			return
		}
		s.serve(w, r, file)
	})
}

// dumpOf finds the dump under a path, and the name of its database.
func (s *Server) dumpOf(path string) (string, *dumpFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, _ := strings.CutPrefix(path, bucketPath)
	for _, d := range s.databases {
		if strings.HasPrefix(key, d.id+"-") {
			return d.name, s.dumps[key]
		}
	}
	return "", nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, file *dumpFile) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuseXML(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	case r.Header.Get("Authorization") != "":
		refuseXML(w, http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed")
	case file == nil:
		refuseXML(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	case !sameSignature(r, file.signature):
		refuseXML(w, http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
	case s.opts.Now().After(file.expiresAt):
		refuseXML(w, http.StatusForbidden, "ExpiredRequest", "Request has expired")
	default:
		serveDump(w, r, file)
	}
}

func sameSignature(r *http.Request, wanted string) bool {
	return subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("X-Amz-Signature")), []byte(wanted)) == 1
}

// serveDump serves the file with its ETag; http.ServeContent keeps the rules of
// Range and If-Match.
func serveDump(w http.ResponseWriter, r *http.Request, file *dumpFile) {
	f, err := os.Open(file.path)
	if err != nil {
		refuseXML(w, http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
		return
	}
	defer func() { _ = f.Close() }() // read only
	w.Header().Set("ETag", file.etag)
	w.Header().Set("Content-Type", "application/sql")
	http.ServeContent(w, r, "", time.Time{}, f)
}

type xmlError struct {
	XMLName xml.Name `xml:"Error"`
	Code    string   `xml:"Code"`
	Message string   `xml:"Message"`
}

func refuseXML(w http.ResponseWriter, status int, code, message string) {
	text, err := xml.Marshal(xmlError{Code: code, Message: message})
	if err != nil {
		panic(err) // two strings can be marshalled
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), text...))
}
