package r2fake

import (
	"crypto/md5" // it is what ETags are made of
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

const maxKey = 1024

// mayWrite is R2's answer to a write under a key that it refuses, else nil.
func (s *Server) mayWrite(c *call, ignoreCondition bool) *answer {
	old := s.objects[c.key]
	if last, ok := s.lastWrites[c.key]; ok && s.opts.Now().Sub(last) < s.opts.WriteInterval {
		return refuse(http.StatusTooManyRequests, "TooManyRequests", "Reduce your rate of simultaneous writes to the same object.")
	}
	if problem := s.mayBegin(c, ignoreCondition); problem != nil {
		return problem
	}
	if old != nil && s.isLocked(c.key) {
		return locked()
	}
	return nil
}

// mayBegin is the part of mayWrite that also counts for beginning an upload.
func (s *Server) mayBegin(c *call, ignoreCondition bool) *answer {
	if len(c.key) > maxKey {
		return refuse(http.StatusBadRequest, "KeyTooLongError", "Your key is too long.")
	}
	if !ignoreCondition && !s.conditionHolds(c, s.objects[c.key]) {
		return refuse(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
	}
	return nil
}

func locked() *answer {
	return refuse(http.StatusForbidden, "ObjectLockedByBucketPolicy", "The object is locked by the bucket policy.")
}

func (s *Server) isLocked(key string) bool {
	for _, prefix := range s.locks {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// conditionHolds judges If-Match and If-None-Match.
func (s *Server) conditionHolds(c *call, o *object) bool {
	if want := c.header.Get("If-Match"); want != "" && (o == nil || !tagMatches(want, o.etag)) {
		return false
	}
	unwanted := c.header.Get("If-None-Match")
	return unwanted == "" || o == nil || !tagMatches(unwanted, o.etag)
}

func tagMatches(list, etag string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || strings.Trim(tag, `"`) == etag {
			return true
		}
	}
	return false
}

func (s *Server) putObject(c *call) *answer {
	if problem := s.mayWrite(c, s.opts.PutIgnoresCondition); problem != nil {
		return problem
	}
	o := &object{data: c.body, etag: s.etag(c.body), contentType: c.header.Get("Content-Type"), meta: metaOf(c)}
	s.store(c.key, o)
	a := reply(http.StatusOK)
	a.header.Set("ETag", strconv.Quote(o.etag))
	return a
}

// etag is the tag of bytes written in one piece.
func (s *Server) etag(data []byte) string {
	sum := md5.Sum(data)
	if s.opts.OpaqueETags {
		return s.opaque(sum[:])
	}
	return hex.EncodeToString(sum[:])
}

// opaque is a tag that tells nothing and differs for every writing.
func (s *Server) opaque(sum []byte) string {
	s.serial++
	return fmt.Sprintf("opaque-%x-%d", sum[:4], s.serial)
}

func metaOf(c *call) http.Header {
	meta := http.Header{}
	for name, values := range c.header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			meta[name] = values
		}
	}
	return meta
}

func (s *Server) getObject(c *call) *answer {
	o := s.objects[c.key]
	if o == nil {
		return refuse(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	}
	if !s.conditionHolds(c, o) {
		return refuse(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
	}
	a := reply(http.StatusOK)
	a.body = o.data
	size := int64(len(o.data))
	if text := c.header.Get("Range"); text != "" {
		first, last, ok := parseRange(text, size)
		if !ok {
			return refuse(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
		}
		a.status = http.StatusPartialContent
		a.body = o.data[first : last+1]
		a.header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
	}
	a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	a.header.Set("ETag", strconv.Quote(o.etag))
	a.header.Set("Last-Modified", o.modifiedAt.Format(http.TimeFormat))
	a.header.Set("Content-Type", o.contentType)
	for name, values := range o.meta {
		a.header[name] = values
	}
	return a
}

// parseRange reads "bytes=a-b" and "bytes=a-". As servers do, it shortens what
// reaches beyond the end.
func parseRange(text string, size int64) (int64, int64, bool) {
	from, to, ok := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if !ok || err != nil || first >= size {
		return 0, 0, false
	}
	last, err := strconv.ParseInt(to, 10, 64)
	if to == "" {
		last, err = size-1, nil
	}
	return first, min(last, size-1), err == nil && last >= first
}

func (s *Server) deleteObject(c *call) *answer {
	if s.objects[c.key] != nil && s.isLocked(c.key) {
		return locked()
	}
	delete(s.objects, c.key)
	return reply(http.StatusNoContent)
}
