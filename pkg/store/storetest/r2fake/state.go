package r2fake

import (
	"net/http"
	"slices"
	"time"
)

// Operation is a call of the S3 API.
type Operation string

// The operations that the server implements.
const (
	PutObject               Operation = "PutObject"
	GetObject               Operation = "GetObject"
	HeadObject              Operation = "HeadObject"
	DeleteObject            Operation = "DeleteObject"
	ListObjectsV2           Operation = "ListObjectsV2"
	CreateMultipartUpload   Operation = "CreateMultipartUpload"
	UploadPart              Operation = "UploadPart"
	CompleteMultipartUpload Operation = "CompleteMultipartUpload"
	AbortMultipartUpload    Operation = "AbortMultipartUpload"
	ListParts               Operation = "ListParts"
	ListMultipartUploads    Operation = "ListMultipartUploads"
	HeadBucket              Operation = "HeadBucket"
)

// Count is how many requests of an operation came, those that failed included.
func (s *Server) Count(operation Operation) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[operation]
}

// Header is the head of the latest request of an operation; nil before one.
func (s *Server) Header(operation Operation) http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.headers[operation].Clone()
}

// OpenUploads is how many multipart uploads are neither completed nor aborted.
func (s *Server) OpenUploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// PeakParts is the greatest number of UploadPart requests at one time.
func (s *Server) PeakParts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// ResetPeak begins the count of PeakParts anew.
func (s *Server) ResetPeak() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peak = s.inFlight
}

// Keys is all keys in the bucket, sorted.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys("")
}

// Object is what lies under a key.
func (s *Server) Object(key string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return nil, false
	}
	return slices.Clone(o.data), true
}

// SetObject puts an object under a key as if another client had written it.
func (s *Server) SetObject(key string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(key, &object{data: slices.Clone(data), etag: s.etag(data), meta: http.Header{}})
}

// Alter changes the bytes of a stored object, and its ETag with them, but not
// its metadata: a store that did not keep what it was given.
func (s *Server) Alter(key string, change func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects[key]; o != nil {
		o.data = change(slices.Clone(o.data))
		o.etag = s.etag(o.data)
	}
}

// Lock puts a lock without end on all objects whose key begins with prefix.
func (s *Server) Lock(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locks = append(s.locks, prefix)
}

// store keeps an object; the caller holds mu.
func (s *Server) store(key string, o *object) {
	o.modifiedAt = s.opts.Now().UTC().Truncate(time.Second)
	s.objects[key] = o
	s.lastWrites[key] = s.opts.Now()
}
