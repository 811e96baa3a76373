package s3store

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

// newTransport is minio-go's: HTTP/1.1, so that parts in flight have
// connections of their own, and no decompression. Its limit of one minute for
// the head of an answer is raised to that of the slowest call, since every try
// has a deadline.
func newTransport(secure bool) (*http.Transport, error) {
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	transport.ResponseHeaderTimeout = completeTimeout
	return transport, nil
}

// reply is what minio-go keeps to itself of the last answer to a try.
type reply struct {
	mu         sync.Mutex
	status     int
	date       string
	retryAfter string
	ray        string
}

type replyKey struct{}

func withReply(ctx context.Context) (context.Context, *reply) {
	r := &reply{}
	return context.WithValue(ctx, replyKey{}, r), r
}

// replyOf is the reply that the context's requests are noted in, or nil.
func replyOf(ctx context.Context) *reply {
	r, _ := ctx.Value(replyKey{}).(*reply)
	return r
}

// observer notes the head of each answer in the reply of its context.
type observer struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (o *observer) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(req)
	if r := replyOf(req.Context()); r != nil && err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.status = resp.StatusCode
		r.date = resp.Header.Get("Date")
		r.retryAfter = resp.Header.Get("Retry-After")
		r.ray = resp.Header.Get("Cf-Ray")
	}
	return resp, err
}

// wait is how long the server asks to be left alone; 0 if it does not ask. A
// date is measured by the server's own clock where it tells it.
func (r *reply) wait(now func() time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seconds, err := strconv.ParseInt(r.retryAfter, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	until, err := http.ParseTime(r.retryAfter)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(r.date); err == nil {
		return max(until.Sub(date), 0)
	}
	if now == nil {
		return 0
	}
	return max(until.Sub(now()), 0)
}

// clock is the server's time in the answer, and its status.
func (r *reply) clock() (time.Time, int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, err := http.ParseTime(r.date)
	return at.UTC(), r.status, err
}

func (r *reply) cfRay() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ray
}
