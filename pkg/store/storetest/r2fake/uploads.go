package r2fake

import (
	"crypto/md5" // it is what ETags are made of
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (s *Server) createUpload(c *call) *answer {
	if problem := s.mayBegin(c, s.opts.CompleteIgnoresCondition); problem != nil {
		return problem
	}
	s.serial++
	id := fmt.Sprintf("upload-%06d", s.serial)
	s.uploads[id] = &upload{
		key: c.key, contentType: c.header.Get("Content-Type"), meta: metaOf(c), startedAt: s.opts.Now().UTC(),
		parts: map[int]*part{}, busy: map[int]bool{},
	}
	return document(http.StatusOK, struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{Bucket: c.bucket, Key: c.key, UploadID: id})
}

func noSuchUpload() *answer {
	return refuse(http.StatusNotFound, "NoSuchUpload", "The specified multipart upload does not exist.")
}

// uploadOf is the upload that a call names, or nil.
func (s *Server) uploadOf(c *call) *upload {
	u := s.uploads[c.query.Get("uploadId")]
	if u == nil || u.key != c.key {
		return nil
	}
	return u
}

// partOf is the upload and the part number that a call names.
func (s *Server) partOf(c *call) (*upload, int) {
	number, err := strconv.Atoi(c.query.Get("partNumber"))
	if err != nil {
		return nil, 0
	}
	return s.uploadOf(c), number
}

// enterPart notes that a part is being received, and returns what notes its
// end.
func (s *Server) enterPart(c *call) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight++
	s.peak = max(s.peak, s.inFlight)
	u, number := s.partOf(c)
	if u == nil {
		return s.leavePart(nil, 0)
	}
	if u.busy[number] {
		s.violations = append(s.violations, fmt.Sprintf("two tries at once of part %d of %s", number, c.key))
	}
	u.busy[number] = true
	return s.leavePart(u, number)
}

func (s *Server) leavePart(u *upload, number int) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.inFlight--
		if u != nil {
			u.busy[number] = false
		}
	}
}

func (s *Server) uploadPart(c *call) *answer {
	u, number := s.partOf(c)
	if u == nil {
		return noSuchUpload()
	}
	if number < 1 || number > s.opts.MaxParts {
		return refuse(http.StatusBadRequest, "InvalidArgument", fmt.Sprintf("Part number must be an integer between 1 and %d.", s.opts.MaxParts))
	}
	p := &part{data: c.body, md5: md5.Sum(c.body)}
	p.etag = s.etag(c.body)
	u.parts[number] = p
	a := reply(http.StatusOK)
	a.header.Set("ETag", strconv.Quote(p.etag))
	return a
}

// completeBody is what a client sends to complete an upload.
type completeBody struct {
	Parts []struct {
		PartNumber int
		ETag       string
	} `xml:"Part"`
}

func (s *Server) completeUpload(c *call) *answer {
	u := s.uploadOf(c)
	if u == nil {
		return noSuchUpload()
	}
	var body completeBody
	if err := xml.Unmarshal(c.body, &body); err != nil || len(body.Parts) == 0 {
		return refuse(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well formed.")
	}
	parts, problem := s.chooseParts(u, body)
	if problem != nil {
		return problem
	}
	if problem := s.mayWrite(c, s.opts.CompleteIgnoresCondition); problem != nil {
		if problem.status == http.StatusPreconditionFailed {
			// Release note of 2023-08-11: the upload is aborted by it.
			delete(s.uploads, c.query.Get("uploadId"))
		}
		return problem
	}
	o := s.join(parts)
	o.contentType, o.meta = u.contentType, u.meta
	s.store(c.key, o)
	delete(s.uploads, c.query.Get("uploadId"))
	return document(http.StatusOK, struct {
		XMLName  xml.Name `xml:"CompleteMultipartUploadResult"`
		Location string
		Bucket   string
		Key      string
		ETag     string
	}{Location: "/" + c.bucket + "/" + c.key, Bucket: c.bucket, Key: c.key, ETag: strconv.Quote(o.etag)})
}

// chooseParts finds the parts that a client names and checks their sizes.
func (s *Server) chooseParts(u *upload, body completeBody) ([]*part, *answer) {
	var parts []*part
	for i, named := range body.Parts {
		p := u.parts[named.PartNumber]
		if p == nil || p.etag != strings.Trim(named.ETag, `"`) {
			return nil, refuse(http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found.")
		}
		if i > 0 && named.PartNumber <= body.Parts[i-1].PartNumber {
			return nil, refuse(http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order.")
		}
		parts = append(parts, p)
	}
	size := len(parts[0].data)
	for i, p := range parts {
		last := i == len(parts)-1
		if !last && int64(len(p.data)) < s.opts.MinPartBytes {
			return nil, refuse(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size.")
		}
		if !last && len(p.data) != size || last && len(p.data) > size {
			return nil, refuse(http.StatusBadRequest, "InvalidPart", "All non-trailing parts must have the same length.")
		}
	}
	return parts, nil
}

// join makes an object of parts, with an ETag as R2 makes it.
func (s *Server) join(parts []*part) *object {
	o := &object{}
	hash := md5.New()
	for _, p := range parts {
		o.data = append(o.data, p.data...)
		hash.Write(p.md5[:])
	}
	o.etag = hex.EncodeToString(hash.Sum(nil)) + "-" + strconv.Itoa(len(parts))
	if s.opts.OpaqueETags {
		o.etag = s.opaque(hash.Sum(nil))
	}
	return o
}

func (s *Server) abortUpload(c *call) *answer {
	if s.uploadOf(c) == nil {
		return noSuchUpload()
	}
	delete(s.uploads, c.query.Get("uploadId"))
	return reply(http.StatusNoContent)
}

// listedPart is an entry of ListParts.
type listedPart struct {
	PartNumber int
	ETag       string
	Size       int
}

func (s *Server) listParts(c *call) *answer {
	u := s.uploadOf(c)
	if u == nil {
		return noSuchUpload()
	}
	after, _ := strconv.Atoi(c.query.Get("part-number-marker")) // absent means 0
	result := struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		Bucket               string
		Key                  string
		UploadID             string `xml:"UploadId"`
		NextPartNumberMarker int
		IsTruncated          bool
		Parts                []listedPart `xml:"Part"`
	}{Bucket: c.bucket, Key: c.key, UploadID: c.query.Get("uploadId")}
	var numbers []int
	for number := range u.parts {
		if number > after {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		if len(result.Parts) == s.opts.PageKeys {
			result.IsTruncated = true
			break
		}
		p := u.parts[number]
		result.Parts = append(result.Parts, listedPart{PartNumber: number, ETag: strconv.Quote(p.etag), Size: len(p.data)})
		result.NextPartNumberMarker = number
	}
	return document(http.StatusOK, result)
}
