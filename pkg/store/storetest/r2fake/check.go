package r2fake

import (
	"crypto/md5" // it is what Content-MD5 is
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
)

// maxMeta is the limit for the metadata of an object
// (https://developers.cloudflare.com/r2/platform/limits/).
const maxMeta = 8192

// refusedHeaders are beginnings of headers that R2 does not implement
// (https://developers.cloudflare.com/r2/api/s3/api/).
func refusedHeaders() []string {
	return []string{
		"X-Amz-Tagging", "X-Amz-Acl", "X-Amz-Grant-", "X-Amz-Object-Lock-", "X-Amz-Server-Side-Encryption-Aws-Kms-",
		"X-Amz-Website-Redirect-Location", "X-Amz-Request-Payer", "X-Amz-Expected-Bucket-Owner", "X-Amz-Mfa",
		"X-Amz-Bypass-Governance-Retention", "X-Amz-Trailer", "X-Amz-Decoded-Content-Length", "X-Minio-",
	}
}

// checkHeaders refuses what R2 answers with 501.
func checkHeaders(c *call) *answer {
	refusal := func(what string) *answer {
		return refuse(http.StatusNotImplemented, "NotImplemented", what+" is not implemented")
	}
	for name := range c.header {
		for _, refused := range refusedHeaders() {
			if strings.HasPrefix(name, refused) {
				return refusal("Header " + name)
			}
		}
		if c.operation == UploadPart && (name == "X-Amz-Checksum-Sha1" || name == "X-Amz-Checksum-Sha256") {
			return refusal("Header " + name + " on a part")
		}
	}
	if strings.HasPrefix(c.header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return refusal(c.header.Get("X-Amz-Content-Sha256"))
	}
	if strings.Contains(c.header.Get("Content-Encoding"), "aws-chunked") {
		return refusal("aws-chunked")
	}
	switch c.header.Get("X-Amz-Storage-Class") {
	case "", "STANDARD", "STANDARD_IA":
	default:
		return refusal("Storage class")
	}
	return checkMeta(c)
}

func checkMeta(c *call) *answer {
	size := 0
	for name, values := range c.header {
		if rest, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			size += len(rest) + len(strings.Join(values, ","))
		}
	}
	if size > maxMeta {
		return refuse(http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.")
	}
	return nil
}

// checkSums compares the body with what its head says of it. As on R2, a
// second try of a part that fails loses what the first had stored.
func (s *Server) checkSums(c *call) *answer {
	problem := compareSums(c)
	if problem != nil && c.operation == UploadPart {
		s.mu.Lock()
		defer s.mu.Unlock()
		if u, number := s.partOf(c); u != nil {
			delete(u.parts, number)
		}
	}
	return problem
}

func compareSums(c *call) *answer {
	sha := c.header.Get("X-Amz-Content-Sha256")
	sum := sha256.Sum256(c.body)
	if sha != "UNSIGNED-PAYLOAD" && sha != hex.EncodeToString(sum[:]) {
		return refuse(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The body is not the one that was signed.")
	}
	text := c.header.Get("Content-Md5")
	if text == "" {
		return nil
	}
	told, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(told) != md5.Size {
		return refuse(http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified is not valid.")
	}
	if [md5.Size]byte(told) != md5.Sum(c.body) {
		return refuse(http.StatusBadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	return nil
}
