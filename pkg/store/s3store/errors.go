package s3store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// maxMessage is how much of a server's words goes into an error.
const maxMessage = 300

// replyError is an error that the server told.
type replyError struct {
	status  int
	code    string
	message string
	// request is what the provider's support asks for: R2's cf-ray, or the
	// request id.
	request string
	// kind is a sentinel of package store, or nil.
	kind error
}

// Error tells the status, the code, the server's words and the request.
func (e *replyError) Error() string {
	var b strings.Builder
	if e.kind != nil {
		b.WriteString(e.kind.Error() + ": ")
	}
	fmt.Fprintf(&b, "HTTP %d", e.status)
	if e.code != "" {
		b.WriteString(" " + e.code)
	}
	if e.message != "" {
		b.WriteString(": " + e.message)
	}
	if e.request != "" {
		b.WriteString(" (request " + e.request + ")")
	}
	return b.String()
}

// Unwrap is the sentinel that the error stands for.
func (e *replyError) Unwrap() error { return e.kind }

// interpret turns an error of minio-go into one that callers may see: with a
// sentinel where one fits, and without secrets.
func (s *Store) interpret(err error, r *reply) error {
	var final *finalError
	if errors.As(err, &final) {
		return final
	}
	var silent *transferError
	if errors.As(err, &silent) {
		return silent
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		// The address that url.Error adds is long and tells nothing new.
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if strings.HasPrefix(err.Error(), "Connection closed by foreign host") {
			// minio-go's words for an end of input: an address, and advice.
			err = errCut
		}
		return &transferError{cause: err}
	}
	e := &replyError{
		status:  answer.StatusCode,
		code:    answer.Code,
		message: answer.Message,
		request: answer.RequestID,
		kind:    kindOf(answer),
	}
	if ray := r.cfRay(); ray != "" {
		e.request = ray
	}
	if strings.HasPrefix(e.code, fmt.Sprint(e.status)) {
		// The answer was no XML: minio-go made up a code, and the message is
		// the page, of which nothing is known.
		e.code, e.message = "", http.StatusText(e.status)
	}
	switch e.code {
	case "NoSuchBucket":
		e.message = fmt.Sprintf("there is no bucket %q at this endpoint", s.bucket)
	case "RequestTimeTooSkewed":
		e.message = "the clock of this machine is wrong"
	}
	e.message = s.redactor.Replace(e.message)
	if len(e.message) > maxMessage {
		e.message = e.message[:maxMessage] + "..."
	}
	return e
}

// kindOf is the sentinel for an answer.
func kindOf(answer minio.ErrorResponse) error {
	switch answer.Code {
	case "NoSuchKey":
		return store.ErrNotFound
	case "ObjectLockedByBucketPolicy":
		return store.ErrLocked
	case "NoSuchBucket", "NoSuchUpload":
		return nil
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return denied()
	case http.StatusNotFound:
		return store.ErrNotFound
	}
	return nil
}

// denied is store.ErrDenied as the program's user meets it.
func denied() error {
	return fault.Wrap(fault.Unauthorized,
		"check the store's credentials: they need to read, write and delete objects in this bucket", store.ErrDenied)
}

// newRedactor removes the options' secrets from texts of the server, in case
// something on the way repeats requests in its error pages.
func newRedactor(opts Options) *strings.Replacer {
	var pairs []string
	for _, hidden := range []string{opts.SecretAccessKey.Reveal(), opts.SessionToken.Reveal()} {
		if hidden != "" {
			pairs = append(pairs, hidden, "[redacted]")
		}
	}
	return strings.NewReplacer(pairs...)
}

// transferError is a request without an answer: it may have been done or not.
type transferError struct{ cause error }

// errCut is the end of a connection before the end of an answer.
var errCut = errors.New("the connection ended early")

// Error is the cause's text.
func (e *transferError) Error() string { return "no answer: " + e.cause.Error() }

// Unwrap is the cause.
func (e *transferError) Unwrap() error { return e.cause }

// finalError is an error found on this side, which another try would not mend.
type finalError struct{ cause error }

// Error is the cause's text.
func (e *finalError) Error() string { return e.cause.Error() }

// Unwrap is the cause.
func (e *finalError) Unwrap() error { return e.cause }

// hasCode says whether the server answered with one of the codes.
func hasCode(err error, codes ...string) bool {
	var answer *replyError
	if !errors.As(err, &answer) {
		return false
	}
	for _, code := range codes {
		if answer.code == code {
			return true
		}
	}
	return false
}

// hasStatus says whether the server answered with the status.
func hasStatus(err error, status int) bool {
	var answer *replyError
	return errors.As(err, &answer) && answer.status == status
}

// mayPass says whether the same request may succeed later.
func mayPass(err error) bool {
	var answer *replyError
	if errors.As(err, &answer) {
		return statusMayPass(answer.status) || codeMayPass(answer.code)
	}
	var transfer *transferError
	return errors.As(err, &transfer) && !neverConnects(transfer.cause)
}

// statusMayPass: 520 to 527 and 530 come from Cloudflare's edge, of which
// minio-go knows only the first. 200 is an error inside of an answer that
// began well, or that broke off.
func statusMayPass(status int) bool {
	switch status {
	case http.StatusOK, http.StatusRequestTimeout, http.StatusTooManyRequests, 499,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		530:
		return true
	}
	return status >= 520 && status <= 527
}

func codeMayPass(code string) bool {
	switch code {
	case "InternalError", "SlowDown", "TooManyRequests", "Throttling", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict",
		// Bytes that were damaged on the way: they are whole in memory.
		"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch":
		return true
	}
	return false
}

// neverConnects says that no try will reach the server.
func neverConnects(err error) bool {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		dns       *net.DNSError
	)
	switch {
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid), errors.As(err, &record):
		return true
	case errors.As(err, &dns):
		return dns.IsNotFound
	}
	return strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}
