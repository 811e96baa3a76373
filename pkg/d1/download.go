package d1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// DownloadRequest says how a dump is downloaded.
type DownloadRequest struct {
	// Silence bounds the time without a byte; 0 means 30 s. It does not run
	// while nobody reads.
	Silence time.Duration
}

// Download opens a dump. The request carries no token and follows no redirect,
// and is no call to the API: the request budget does not know of it.
//
// The link lives for an hour; when it is refused the error is of ClassRetry and
// the database must be exported anew. ctx bounds the whole download.
func (c *Client) Download(ctx context.Context, d Dump, req DownloadRequest) (*Body, error) {
	if d.link.IsZero() {
		return nil, &Error{Op: opDownload, Class: ClassGiveUp, Message: "there is no link to download from"}
	}
	if req.Silence <= 0 {
		req.Silence = defaultSilence
	}
	ctx, cancel := context.WithCancel(ctx)
	b := &Body{c: c, link: d.link, silence: req.Silence, ctx: ctx, cancel: cancel, length: -1}
	if err := b.open(); err != nil {
		_ = b.Close() // nothing was handed out
		return nil, hinted(err)
	}
	return b, nil
}

// open makes the first request, again where the failure may pass.
func (b *Body) open() error {
	for failures := 0; ; {
		err := b.first()
		var failed *Error
		if err == nil || !errors.As(err, &failed) || failed.final {
			return err
		}
		failures++
		if failures >= maxTries || errors.Is(err, ErrSilence) {
			return err
		}
		if err := sleep(b.ctx, max(backoff(failures-1), failed.RetryAfter)); err != nil {
			return fmt.Errorf("%s: %w; the last error was: %s", opDownload, err, failed.Error())
		}
	}
}

// first asks for the whole dump and learns what is promised.
func (b *Body) first() error {
	part, err := b.request(nil)
	if err != nil {
		return err
	}
	resp := part.resp
	switch {
	case resp.StatusCode != http.StatusOK:
		err = b.refused(part)
	case encoded(resp.Header):
		err = b.final("the dump came in the encoding " + b.c.tame(resp.Header.Get("Content-Encoding")) + ", which was not asked for")
	}
	if err != nil {
		part.close()
		return err
	}
	b.length = resp.ContentLength
	if tag := resp.Header.Get("ETag"); strings.HasPrefix(tag, `"`) { // a weak one does not do for If-Match
		b.etag = tag
	}
	b.install(part)
	return nil
}

// resume asks for the rest. Only the rest of the very same body will do: bytes
// of two exports must never be joined.
func (b *Body) resume() error {
	part, err := b.request(http.Header{
		"Range":    {fmt.Sprintf("bytes=%d-", b.n)},
		"If-Match": {b.etag},
	})
	if err != nil {
		return err
	}
	resp := part.resp
	want := fmt.Sprintf("bytes %d-%d/%d", b.n, b.length-1, b.length)
	tag := resp.Header.Get("ETag")
	switch {
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusPreconditionFailed,
		resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		err = b.final(fmt.Sprintf("cannot go on at byte %d: %s", b.n, statusText(resp.StatusCode)))
	case resp.StatusCode != http.StatusPartialContent:
		err = b.refused(part)
	case resp.Header.Get("Content-Range") != want:
		err = b.final(fmt.Sprintf("asked for %q and got %q", want, b.c.tame(resp.Header.Get("Content-Range"))))
	case tag != "" && tag != b.etag:
		err = b.final("the dump changed between two requests")
	case encoded(resp.Header):
		err = b.final("the rest came in the encoding " + b.c.tame(resp.Header.Get("Content-Encoding")))
	case resp.ContentLength >= 0 && resp.ContentLength != b.length-b.n:
		err = b.final(fmt.Sprintf("%d bytes are promised of a rest of %d", resp.ContentLength, b.length-b.n))
	}
	if err != nil {
		part.close()
		return err
	}
	b.install(part)
	return nil
}

// request sends one GET to the signed URL. The part's context ends when the
// body has been silent for too long.
func (b *Body) request(header http.Header) (*part, error) {
	p := newPart(b.ctx, b.silence)
	req, err := http.NewRequestWithContext(p.ctx, http.MethodGet, b.link.Reveal(), nil)
	if err != nil {
		p.close()
		return nil, b.final("the link cannot be used")
	}
	req.Header.Set("User-Agent", b.c.agent)
	// Also keeps net/http from asking for gzip on its own.
	req.Header.Set("Accept-Encoding", "identity")
	for name, values := range header {
		req.Header[name] = values
	}
	p.watch()
	p.resp, err = b.c.files.RoundTrip(req) //nolint:bodyclose // part.close does
	p.rest()
	if err != nil {
		err = b.interpret(p, err)
		p.close()
		return nil, err
	}
	return p, nil
}

// refused is the error of an answer without a body to use.
func (b *Body) refused(p *part) error {
	resp := p.resp
	failed := &Error{
		Op: opDownload, Status: resp.StatusCode, Class: ClassRetry,
		RayID: b.c.tame(resp.Header.Get("cf-ray")), RetryAfter: retryAfter(resp.Header, b.c.now()),
	}
	switch status := resp.StatusCode; {
	case status >= 300 && status < 400:
		failed.Class, failed.final = ClassGiveUp, true
		failed.Message = "a redirect, which is not followed with a signed URL"
	case status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusUnauthorized, status == http.StatusGone:
		failed.final = true
		failed.Message = "the link has expired or was refused; export the database anew"
	case status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
		failed.final = true
		failed.Message = statusText(status) + " is not the answer to a download"
	}
	failed.Err = p.storeError()
	return failed
}

// storeError is what the store says of a request that it refused; nil where it
// says nothing that is known.
func (p *part) storeError() error {
	p.watch()
	code := storeCode(p.resp)
	p.rest()
	if code == "" {
		return nil
	}
	return errors.New(code)
}

// codePattern finds the code of an R2 error document.
var codePattern = regexp.MustCompile(`<Code>([A-Za-z]{1,64})</Code>`)

// storeCode is the code of an R2 error document, such as ExpiredRequest. The
// rest of it is left alone: it can quote the signature.
func storeCode(resp *http.Response) string {
	head, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return ""
	}
	match := codePattern.FindSubmatch(head)
	if match == nil {
		return ""
	}
	return string(match[1])
}

// final is a failure that no other request for the same body can cure. Another
// export can.
func (b *Body) final(message string) error {
	return &Error{Op: opDownload, Class: ClassRetry, Message: message, final: true}
}

func encoded(h http.Header) bool {
	encoding := h.Get("Content-Encoding")
	return encoding != "" && !strings.EqualFold(encoding, "identity")
}
