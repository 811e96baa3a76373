package r2fake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxSkew is how far a request's date may be from the server's.
const maxSkew = 15 * time.Minute

// checkSignature checks a signature of version 4
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
func (s *Server) checkSignature(r *http.Request, c *call) *answer {
	denied := func(code, message string) *answer { return refuse(http.StatusForbidden, code, message) }
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return denied("AccessDenied", "no signature of version 4")
	}
	auth := map[string]string{}
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		auth[name] = value
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil {
		return denied("AccessDenied", "no date")
	}
	if skew := s.opts.Now().Sub(at).Abs(); skew > maxSkew {
		return denied("RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.")
	}
	key, scope, _ := strings.Cut(auth["Credential"], "/")
	if key != AccessKeyID {
		return denied("InvalidAccessKeyId", "The access key id you provided does not exist.")
	}
	if want := date[:8] + "/" + Region + "/s3/aws4_request"; scope != want {
		return denied("AuthorizationHeaderMalformed", fmt.Sprintf("scope is %q, want %q", scope, want))
	}
	signed := strings.Split(auth["SignedHeaders"], ";")
	if missing := unsigned(r, signed); missing != "" {
		return denied("AccessDenied", "header not signed: "+missing)
	}
	text := strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, hashHex(canonical(r, c, signed))}, "\n")
	if !hmac.Equal([]byte(auth["Signature"]), []byte(hex.EncodeToString(mac(signingKey(date[:8]), text)))) {
		return denied("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
	}
	return nil
}

// unsigned is a header that must be signed and is not.
func unsigned(r *http.Request, signed []string) string {
	must := []string{"host", "x-amz-content-sha256", "x-amz-date"}
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") || lower == "content-md5" || strings.HasPrefix(lower, "if-") {
			must = append(must, lower)
		}
	}
	for _, name := range must {
		if !slices.Contains(signed, name) {
			return name
		}
	}
	return ""
}

// canonical is the canonical form of a request.
func canonical(r *http.Request, c *call, signed []string) string {
	var query []string
	for name, values := range c.query {
		for _, value := range values {
			query = append(query, escape(name)+"="+escape(value))
		}
	}
	slices.Sort(query)
	var headers strings.Builder
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		if name == "content-length" {
			value = fmt.Sprint(r.ContentLength)
		}
		headers.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	path := strings.ReplaceAll(escape(r.URL.Path), "%2F", "/")
	return strings.Join([]string{
		r.Method, path, strings.Join(query, "&"), headers.String(), strings.Join(signed, ";"), r.Header.Get("X-Amz-Content-Sha256"),
	}, "\n")
}

// escape encodes every byte but the unreserved ones of RFC 3986.
func escape(s string) string {
	return strings.NewReplacer("+", "%20", "%7E", "~").Replace(url.QueryEscape(s))
}

func signingKey(day string) []byte {
	key := []byte("AWS4" + SecretKey)
	for _, step := range []string{day, Region, "s3", "aws4_request"} {
		key = mac(key, step)
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hashHex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
