package sandbox

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"time"
)

const (
	// incomingPath is where production keeps files to import.
	incomingPath = "/d1-sqlio-incoming-prod/"
	// maxUpload is the most that R2 takes in one piece.
	maxUpload = 5 << 30
)

// upload is a place for a file to import, and the file once it is there.
type upload struct {
	database  *database
	signature string
	expiresAt time.Time
	// path is empty until the file has come; sum is its MD5.
	path, sum string
}

// uploadName is what D1 calls a file to import: it derives from the database
// and the file.
func uploadName(d *database, etag string) string {
	sum := md5.Sum([]byte(d.id + etag))
	return d.id + "." + hex.EncodeToString(sum[:8]) + ".sql"
}

// uploaded is the file that has come under a name, if its content is what the
// etag says.
func (s *Server) uploaded(d *database, name, etag string) (file string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[name]
	if u == nil || u.database != d || u.path == "" || u.sum != etag {
		return "", false
	}
	return u.path, true
}

// invite makes a URL that a file can be put to.
func (s *Server) invite(d *database, name string, now time.Time) string {
	u := &upload{database: d, signature: newSignature(), expiresAt: now.Add(s.opts.URLLifetime)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads[name] = u
	return s.presigned(incomingPath+name, u.signature, now)
}

// forgetUploads removes a database's uploaded files. It is called with the
// server's lock held.
func (s *Server) forgetUploads(d *database) {
	for name, u := range s.uploads {
		if u.database != d {
			continue
		}
		if u.path != "" {
			_ = os.Remove(u.path) // the folder is temporary
		}
		delete(s.uploads, name)
	}
}

// receive is the host of upload URLs.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	key := path.Base(r.URL.Path)
	s.mu.Lock()
	u := s.uploads[key]
	s.mu.Unlock()
	name := ""
	if u != nil {
		name = u.database.name
	}
	s.note(Call{Name: "upload", Database: name, Authorized: r.Header.Get("Authorization") != ""})
	f := s.takeFault("upload", name)
	if f != nil && f.upload(w, r) {
		return
	}
	if code, status, message := s.refuseUpload(r, u); code != "" {
		refuseXML(w, status, code, message)
		return
	}
	etag, err := s.store(r, u, f)
	if err != nil {
		refuseXML(w, http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly.")
		return
	}
	if f != nil && f.Kind == FaultLost {
		reset(w)
	}
	w.Header().Set("ETag", `"`+etag+`"`)
	w.WriteHeader(http.StatusOK)
}

// refuseUpload says why a request may put nothing: an empty code means that it
// may.
func (s *Server) refuseUpload(r *http.Request, u *upload) (code string, status int, message string) {
	switch {
	case r.Header.Get("Authorization") != "":
		return "InvalidArgument", http.StatusBadRequest, "Only one auth mechanism allowed"
	case u == nil, r.Method != http.MethodPut, !sameSignature(r, u.signature):
		// What is not put is signed otherwise.
		return "SignatureDoesNotMatch", http.StatusForbidden, "The request signature we calculated does not match the signature you provided."
	case s.opts.Now().After(u.expiresAt):
		return "ExpiredRequest", http.StatusForbidden, "Request has expired"
	case r.ContentLength < 0:
		return "MissingContentLength", http.StatusLengthRequired, "You must provide the Content-Length HTTP header."
	case r.ContentLength > maxUpload:
		return "EntityTooLarge", http.StatusBadRequest, "Your proposed upload exceeds the maximum allowed object size."
	}
	return "", 0, ""
}

// store keeps what is put, and returns its MD5. Under FaultShort the end of it
// is left out.
func (s *Server) store(r *http.Request, u *upload, f *Fault) (etag string, err error) {
	file, err := os.CreateTemp(s.opts.Dir, "import-*.sql")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			_ = os.Remove(file.Name()) // the first error is what counts
		}
	}()
	wanted := r.ContentLength
	if f != nil && f.Kind == FaultShort {
		wanted = max(0, wanted-f.Bytes)
	}
	sum := md5.New()
	n, err := io.Copy(io.MultiWriter(file, sum), io.LimitReader(r.Body, wanted))
	if err != nil {
		return "", err
	}
	if n != wanted {
		return "", fmt.Errorf("%d of %d bytes: %w", n, wanted, io.ErrUnexpectedEOF)
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return "", err
	}
	etag = hex.EncodeToString(sum.Sum(nil))
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.path != "" {
		_ = os.Remove(u.path) // it was replaced
	}
	u.path, u.sum = file.Name(), etag
	return etag, nil
}

// upload answers in the place of an upload, and says whether it did.
func (f *Fault) upload(w http.ResponseWriter, r *http.Request) bool {
	if f.Kind == FaultCut {
		_, _ = io.CopyN(io.Discard, r.Body, f.Bytes) // the connection is cut anyway
		reset(w)
	}
	if f.Kind == FaultShort || f.Kind == FaultLost {
		return false
	}
	return f.download(w, r, nil)
}

// isUpload says whether a request is for the place of files to import.
func isUpload(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, incomingPath) }
