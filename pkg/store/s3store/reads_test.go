package s3store_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/secret"
	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/s3store"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/r2fake"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/versity"
)

// TestGetCutBody cuts and stalls bodies on their way: never a clean end.
func TestGetCutBody(t *testing.T) {
	t.Parallel()
	for _, kind := range []r2fake.FaultKind{r2fake.Truncate, r2fake.Pause} {
		for _, opts := range []store.GetOptions{{}, {Offset: 10}, {Offset: 10, Length: 500}} {
			inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
				server.SetObject("k", noise(smallBytes))
				server.Fault(r2fake.Fault{Operation: r2fake.GetObject, Kind: kind})
				body, _, err := s.Get(t.Context(), "k", opts)
				if err != nil {
					t.Fatal(err)
				}
				data, err := io.ReadAll(body)
				if err == nil || err == io.ErrUnexpectedEOF { //nolint:errorlint // the bare error is the point
					t.Errorf("%s: read %d bytes and %v, want an error that is not bare", kind, len(data), err)
				}
				if err := body.Close(); err != nil {
					t.Errorf("%s: Close: %v", kind, err)
				}
			})
		}
	}
}

// TestGetFaults opens an object through failures that pass.
func TestGetFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []r2fake.Fault{
		{Kind: r2fake.Refuse, Times: 2}, {Kind: r2fake.Page, Status: 524}, {Kind: r2fake.Reset}, {Kind: r2fake.Stall}, {Kind: r2fake.Refuse, Status: 429},
	} {
		inBubble(t, r2fake.Options{}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
			server.SetObject("k", noise(smallBytes))
			fault.Operation = r2fake.GetObject
			server.Fault(fault)
			body, _, err := s.Get(t.Context(), "k", store.GetOptions{})
			if err != nil {
				t.Fatalf("Get after %s %d: %v", fault.Kind, fault.Status, err)
			}
			if data, err := io.ReadAll(body); err != nil || !bytes.Equal(data, noise(smallBytes)) {
				t.Errorf("read %d bytes, %v", len(data), err)
			}
			if err := body.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGetWrongAnswer gets answers that are not to what was asked.
func TestGetWrongAnswer(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{})
	server.SetObject("k", noise(smallBytes))
	ranged := store.GetOptions{Offset: 10, Length: 10}
	for name, c := range map[string]struct {
		opts   store.GetOptions
		change func(*http.Response)
		want   string
	}{
		"whole for a range":  {ranged, func(r *http.Response) { r.Header.Del("Content-Range") }, "another range"},
		"range for a whole":  {store.GetOptions{}, func(r *http.Response) { r.Header.Set("Content-Range", "bytes 0-999/1000") }, "another range"},
		"range elsewhere":    {ranged, func(r *http.Response) { r.Header.Set("Content-Range", "bytes 20-29/1000") }, "not within"},
		"longer range":       {ranged, func(r *http.Response) { r.Header.Set("Content-Range", "bytes 10-20/1000") }, "not within"},
		"unreadable range":   {ranged, func(r *http.Response) { r.Header.Set("Content-Range", "bytes ?") }, "unreadable"},
		"another length":     {ranged, func(r *http.Response) { r.Header.Set("Content-Length", "9") }, "answer of 9 bytes"},
		"no length":          {ranged, func(r *http.Response) { r.Header.Del("Content-Length") }, "answer of -1 bytes"},
		"If-Match forgotten": {store.GetOptions{IfMatch: md5Hex(noise(smallBytes))}, func(r *http.Response) { r.Header.Set("ETag", `"other"`) }, "not the one expected"},
	} {
		opts := r2Options(server)
		opts.Transport = &changing{next: server.Transport, change: c.change}
		body, _, err := openR2(t, opts).Get(t.Context(), "k", c.opts)
		if err == nil {
			_ = body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Get = %v, want an error with %q", name, err, c.want)
		}
	}
}

// changing is a transport that changes the heads of answers.
type changing struct {
	next   http.RoundTripper
	change func(*http.Response)
}

func (c *changing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if err == nil {
		c.change(resp)
	}
	return resp, err
}

func md5Hex(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

// TestListFaults fails the third of five pages: the listing goes on where it
// was, or ends with one error.
func TestListFaults(t *testing.T) {
	t.Parallel()
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("k%02d", i))
	}
	for _, c := range []struct {
		fault    r2fake.Fault
		complete bool
	}{
		{r2fake.Fault{Kind: r2fake.Refuse, Times: 2}, true},
		{r2fake.Fault{Kind: r2fake.Refuse, Status: 429}, true},
		{r2fake.Fault{Kind: r2fake.Page, Status: 522}, true},
		{r2fake.Fault{Kind: r2fake.Reset}, true},
		{r2fake.Fault{Kind: r2fake.Stall}, true},
		{r2fake.Fault{Kind: r2fake.Truncate}, true},
		{r2fake.Fault{Kind: r2fake.Pause}, true},
		{r2fake.Fault{Kind: r2fake.Refuse, Times: 10}, false},
		{r2fake.Fault{Kind: r2fake.Refuse, Status: 403}, false},
	} {
		inBubble(t, r2fake.Options{PageKeys: 2}, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
			for _, key := range want {
				server.SetObject(key, nil)
			}
			c.fault.Operation, c.fault.After = r2fake.ListObjectsV2, 2
			server.Fault(c.fault)
			var got []string
			var errs []error
			for info, err := range s.List(t.Context(), "") {
				if err != nil {
					errs = append(errs, err)
					continue
				}
				got = append(got, info.Key)
			}
			if c.complete {
				if diff := cmp.Diff(want, got); diff != "" || errs != nil {
					t.Errorf("%s %d: errors %v, keys (-want +got):\n%s", c.fault.Kind, c.fault.Status, errs, diff)
				}
				return
			}
			if diff := cmp.Diff(want[:4], got); diff != "" || len(errs) != 1 {
				t.Errorf("%s %d: errors %v, want one, keys (-want +got):\n%s", c.fault.Kind, c.fault.Status, errs, diff)
			}
		})
	}
}

// TestListForeignKeys lists keys that no key of ours can be.
func TestListForeignKeys(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{})
	for _, key := range []string{"p/", "p//x", "p/a/", "p/ü", "p/ok", "q/other", "p"} {
		server.SetObject(key, nil)
	}
	opts := r2Options(server)
	opts.Prefix = "p"
	var got []string
	for info, err := range openR2(t, opts).List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	if diff := cmp.Diff([]string{"/x", "a/", "ok", "ü"}, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

func TestLockedObject(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{MinPartBytes: partBytes})
	s := openR2(t, r2Options(server))
	server.Lock("daily/")
	if _, err := putBytes(t, s, "daily/k", noise(smallBytes)); err != nil {
		t.Fatalf("Put of a new key under a lock: %v", err)
	}
	if err := s.Delete(t.Context(), "daily/k"); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Delete = %v, want ErrLocked", err)
	}
	for _, size := range []int{smallBytes, largeBytes} {
		if _, err := putBytes(t, s, "daily/k", noise(size)); !errors.Is(err, store.ErrExists) {
			t.Errorf("Put over a locked object = %v, want ErrExists", err)
		}
	}
	wantObject(t, server, "daily/k", noise(smallBytes))
}

func TestProbe(t *testing.T) {
	t.Parallel()
	for _, single := range []bool{false, true} {
		for _, multipart := range []bool{false, true} {
			for _, interval := range []time.Duration{0, time.Second} {
				opts := r2fake.Options{PutIgnoresCondition: !single, CompleteIgnoresCondition: !multipart, WriteInterval: interval}
				inBubble(t, opts, func(t *testing.T, server *r2fake.Server, s *s3store.Store) {
					got, err := s.Probe(t.Context(), "records/capability/probe")
					want := store.Conditions{Single: single, Multipart: multipart}
					if err != nil || got != want {
						t.Errorf("Probe = %+v, %v, want %+v", got, err, want)
					}
					wantNone(t, server)
				})
			}
		}
	}
	for _, operation := range []r2fake.Operation{r2fake.PutObject, r2fake.CreateMultipartUpload, r2fake.UploadPart, r2fake.CompleteMultipartUpload} {
		for after := range 2 {
			server := r2fake.Start(t, r2fake.Options{})
			server.Fault(r2fake.Fault{Operation: operation, Kind: r2fake.Refuse, Status: 403, After: after})
			if got, err := openR2(t, r2Options(server)).Probe(t.Context(), "probe"); !errors.Is(err, store.ErrDenied) {
				t.Errorf("Probe with %s number %d denied = %+v, %v, want ErrDenied", operation, after+1, got, err)
			}
			wantNone(t, server)
		}
	}
}

// TestProbeVersity asks a server by other people.
func TestProbeVersity(t *testing.T) {
	t.Parallel()
	s := openR2(t, versityOptions(versity.Start(t), ""))
	if got, err := s.Probe(t.Context(), "probe"); err != nil || got != (store.Conditions{Single: true, Multipart: true}) {
		t.Errorf("Probe = %+v, %v, want both", got, err)
	}
	if now, err := s.Now(t.Context()); err != nil || time.Since(now).Abs() > time.Minute {
		t.Errorf("Now = %v, %v", now, err)
	}
}

func TestNow(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(7 * time.Minute).UTC().Truncate(time.Second)
	server := r2fake.Start(t, r2fake.Options{Now: func() time.Time { return at }})
	if got, err := openR2(t, r2Options(server)).Now(t.Context()); err != nil || !got.Equal(at) {
		t.Errorf("Now = %v, %v, want %v", got, err, at)
	}
	opts := r2Options(server)
	opts.SecretAccessKey = secret.New("wrong")
	if got, err := openR2(t, opts).Now(t.Context()); !errors.Is(err, store.ErrDenied) {
		t.Errorf("Now with a wrong key = %v, %v, want ErrDenied", got, err)
	}
}

func TestUploads(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{PageKeys: 2})
	client := plainMinioCore(t, server)
	for _, key := range []string{"p/a", "p/a", "p/b", "p/c%d e", "q/x"} {
		if _, err := client.NewMultipartUpload(t.Context(), r2fake.Bucket, key, putNothing()); err != nil {
			t.Fatal(err)
		}
	}
	opts := r2Options(server)
	opts.Prefix = "p"
	s := openR2(t, opts)
	var got []string
	for u, err := range s.Uploads(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, u.Key)
		if time.Since(u.StartedAt).Abs() > time.Minute {
			t.Errorf("upload of %s began at %v", u.Key, u.StartedAt)
		}
		if err := u.Abort(t.Context()); err != nil {
			t.Error(err)
		}
		if err := u.Abort(t.Context()); err != nil {
			t.Errorf("aborting again: %v", err)
		}
	}
	if diff := cmp.Diff([]string{"a", "a", "b", "c%d e"}, got); diff != "" {
		t.Errorf("Uploads (-want +got):\n%s", diff)
	}
	if got := server.OpenUploads(); got != 1 {
		t.Errorf("%d uploads are open, want the one that is not under the prefix", got)
	}
}

// TestErrorsTell checks what errors say, and what they never say.
func TestErrorsTell(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{})
	var log bytes.Buffer
	opts := r2Options(server)
	opts.SessionToken = secret.New("r2fake-session-token")
	opts.Log = slog.New(slog.NewTextHandler(&log, nil))
	s := openR2(t, opts)
	leak := r2fake.SecretKey + " and r2fake-session-token"
	server.Fault(r2fake.Fault{Operation: r2fake.GetObject, Kind: r2fake.Refuse, Message: leak})
	server.Fault(r2fake.Fault{Operation: r2fake.GetObject, Kind: r2fake.Refuse, Status: 400, Code: "Odd", Message: leak})
	_, _, err := s.Get(t.Context(), "daily/k", store.GetOptions{})
	if err == nil {
		t.Fatal("Get succeeds")
	}
	text := err.Error() + log.String()
	for _, want := range []string{"daily/k", "HTTP 400 Odd", "HTTP 500 InternalError", "r2fake-ray", "[redacted] and [redacted]"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not tell %q", text, want)
		}
	}
	for _, hidden := range []string{r2fake.SecretKey, "r2fake-session-token", "Signature="} {
		if strings.Contains(text, hidden) {
			t.Errorf("%q tells %q", text, hidden)
		}
	}
	opts.Bucket = "no-such-bucket"
	_, err = putBytes(t, openR2(t, opts), "k", noise(smallBytes))
	if err == nil || !strings.Contains(err.Error(), `no bucket "no-such-bucket"`) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Put into a missing bucket = %v", err)
	}
}

// TestNeverConnects checks that hopeless requests are not repeated for minutes.
func TestNeverConnects(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{})
	var log bytes.Buffer
	opts := r2Options(server)
	opts.Log = slog.New(slog.NewTextHandler(&log, nil))
	opts.Transport = &http.Transport{} // which does not know the certificate
	if _, err := openR2(t, opts).Stat(t.Context(), "k"); err == nil || log.Len() > 0 {
		t.Errorf("Stat = %v, log %q, want an error at once", err, log.String())
	}
}

// TestReadBackVersity writes to a server whose ETags are not MD5s.
func TestReadBackVersity(t *testing.T) {
	t.Parallel()
	server := versity.Start(t, "--data-integrity-etag")
	var log bytes.Buffer
	opts := versityOptions(server, "")
	opts.Log = slog.New(slog.NewTextHandler(&log, nil))
	s := openR2(t, opts)
	for key, size := range map[string]int{"small": smallBytes, "large": s3store.DefaultPartBytes + 1} {
		if _, err := putBytes(t, s, key, noise(size)); err != nil {
			t.Errorf("Put of %d bytes: %v", size, err)
		}
	}
	if n := strings.Count(log.String(), "reading the object back"); n != 2 {
		t.Errorf("%d objects were read back, want 2:\n%s", n, log.String())
	}
}
