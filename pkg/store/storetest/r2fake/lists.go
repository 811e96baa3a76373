package r2fake

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// keys is the keys under a prefix, sorted; the caller holds mu.
func (s *Server) keys(prefix string) []string {
	keys := []string{}
	for key := range s.objects {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// listedObject is an entry of ListObjectsV2.
type listedObject struct {
	Key          string
	LastModified string
	ETag         string
	Size         int
	StorageClass string
}

func (s *Server) listObjects(c *call) *answer {
	result := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Name                  string
		Prefix                string
		EncodingType          string `xml:",omitempty"`
		KeyCount              int
		MaxKeys               int
		IsTruncated           bool
		NextContinuationToken string         `xml:",omitempty"`
		Contents              []listedObject `xml:"Contents"`
	}{Name: c.bucket, EncodingType: c.query.Get("encoding-type"), MaxKeys: s.pageSize(c, "max-keys")}
	encode := encoder(c)
	result.Prefix = encode(c.query.Get("prefix"))
	after := c.query.Get("start-after")
	if token := c.query.Get("continuation-token"); token != "" {
		last, ok := strings.CutPrefix(token, tokenPrefix)
		if !ok {
			return refuse(http.StatusBadRequest, "InvalidArgument", "The continuation token provided is incorrect.")
		}
		after = last
	}
	last := ""
	for _, key := range s.keys(c.query.Get("prefix")) {
		if key <= after {
			continue
		}
		if len(result.Contents) == result.MaxKeys {
			result.IsTruncated = true
			result.NextContinuationToken = tokenPrefix + last
			break
		}
		o := s.objects[key]
		result.Contents = append(result.Contents, listedObject{
			Key: encode(key), LastModified: o.modifiedAt.Format("2006-01-02T15:04:05.000Z"), ETag: strconv.Quote(o.etag),
			Size: len(o.data), StorageClass: "STANDARD",
		})
		last = key
	}
	result.KeyCount = len(result.Contents)
	return document(http.StatusOK, result)
}

// tokenPrefix makes a continuation token differ from a key.
const tokenPrefix = "r2fake-after:"

// pageSize is the greatest number of entries that the client wants and gets.
func (s *Server) pageSize(c *call, name string) int {
	asked, err := strconv.Atoi(c.query.Get(name))
	if err != nil || asked <= 0 {
		return s.opts.PageKeys
	}
	return min(asked, s.opts.PageKeys)
}

// encoder encodes keys as the client asks for.
func encoder(c *call) func(string) string {
	if c.query.Get("encoding-type") == "url" {
		return url.QueryEscape
	}
	return func(key string) string { return key }
}

// listedUpload is an entry of ListMultipartUploads.
type listedUpload struct {
	Key       string
	UploadID  string `xml:"UploadId"`
	Initiated string
}

func (s *Server) listUploads(c *call) *answer {
	result := struct {
		XMLName            xml.Name `xml:"ListMultipartUploadsResult"`
		Bucket             string
		EncodingType       string `xml:",omitempty"`
		NextKeyMarker      string
		NextUploadIDMarker string `xml:"NextUploadIdMarker"`
		IsTruncated        bool
		Uploads            []listedUpload `xml:"Upload"`
	}{Bucket: c.bucket, EncodingType: c.query.Get("encoding-type")}
	var all []listedUpload
	for id, u := range s.uploads {
		if strings.HasPrefix(u.key, c.query.Get("prefix")) {
			all = append(all, listedUpload{Key: u.key, UploadID: id, Initiated: u.startedAt.Format(time.RFC3339)})
		}
	}
	slices.SortFunc(all, func(a, b listedUpload) int { return strings.Compare(a.Key+"\x00"+a.UploadID, b.Key+"\x00"+b.UploadID) })
	after := c.query.Get("key-marker") + "\x00" + c.query.Get("upload-id-marker")
	encode := encoder(c)
	size := s.pageSize(c, "max-uploads")
	for _, u := range all {
		if u.Key+"\x00"+u.UploadID <= after {
			continue
		}
		if len(result.Uploads) == size {
			result.IsTruncated = true
			break
		}
		result.NextKeyMarker, result.NextUploadIDMarker = encode(u.Key), u.UploadID
		u.Key = encode(u.Key)
		result.Uploads = append(result.Uploads, u)
	}
	return document(http.StatusOK, result)
}
