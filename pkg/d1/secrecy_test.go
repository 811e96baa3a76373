package d1_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// Whatever goes wrong, however chatty the server or the transport is, no error,
// hint or log line tells the token or a signed URL.
func TestNothingTellsSecrets(t *testing.T) {
	t.Parallel()
	leaky := fmt.Sprintf("Bearer %s asked for %s", testToken, testLink)
	chatty := func(r *http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: fmt.Errorf("proxy said no to %s", r.Header.Get("Authorization"))}
	}
	answers := map[string]http.RoundTripper{
		"an envelope":    direct{refuse(400, 7500, leaky)},
		"unauthorized":   direct{refuse(403, 10000, leaky)},
		"a page":         direct{reply(502, "<html>"+leaky)},
		"headers":        direct{reply(500, "", "cf-ray", testToken, "Location", leaky)},
		"no envelope":    direct{reply(400, `{"code":1,"error":"`+leaky+`"}`)},
		"an inner error": direct{inner("boom for Bearer " + testToken)},
		"a status":       direct{result(200, `{"success":true,"status":"`+testToken+`","at_bookmark":"b"}`)},
		"the transport":  roundTripper(chatty),
		"silence":        direct{step(hang)},
	}
	for name, transport := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				client := newClient(t, transport, transport, func(o *d1.Options) {
					o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
				})
				var said []string
				for op, err := range failures(t.Context(), client) {
					if err == nil {
						t.Errorf("%s did not fail", op)
						continue
					}
					said = append(said, err.Error(), fmt.Sprintf("%+v %#v", err, err), strings.Join(fault.Hints(err), " "))
					for e := err; e != nil; e = errors.Unwrap(e) {
						said = append(said, e.Error())
					}
				}
				checkSecrets(t, append(said, log.String()))
			})
		})
	}
}

// failures calls everything.
func failures(ctx context.Context, client *d1.Client) map[string]error {
	all := map[string]error{}
	_, all["List"] = client.List(ctx)
	_, all["Get"] = client.Get(ctx, testID)
	_, all["Query"] = client.Query(ctx, testID, "SELECT 1")
	_, all["Raw"] = client.Raw(ctx, testID, "SELECT 1")
	_, all["Bookmark"] = client.Bookmark(ctx, testID, time.Time{})
	_, all["VirtualTables"] = client.VirtualTables(ctx, testID)
	_, all["TokenID"] = client.TokenID(ctx)
	_, all["Export"] = client.Export(ctx, d1.ExportRequest{DatabaseID: testID})
	return all
}

// checkSecrets allows the link in an API's own message: a link that the client
// was not given is no secret of its own.
func checkSecrets(t *testing.T, said []string) {
	t.Helper()
	for _, text := range said {
		if strings.Contains(text, testToken) {
			t.Errorf("the token shows: %s", text)
		}
	}
}

// An address says nothing that helps, and may be a signed one.
func TestErrorsOfTransportsLoseTheirURL(t *testing.T) {
	t.Parallel()
	client := newClient(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New("certificate has expired")}
	}), nil)
	_, err := client.Query(t.Context(), testID, "SELECT 1")
	var wrapped *url.Error
	if errors.As(err, &wrapped) || err.Error() != "query: certificate has expired" {
		t.Errorf("got %v", err)
	}
}

// The same for the signed URL, which only downloads know.
func TestDownloadsTellNoSecrets(t *testing.T) {
	t.Parallel()
	const document = `<Error><Code>SignatureDoesNotMatch</Code><StringToSign>` + signature + `</StringToSign></Error>`
	answers := map[string]http.RoundTripper{
		"a document": direct{reply(403, document, "Content-Type", "application/xml")},
		"a redirect": direct{reply(302, "", "Location", testLink)},
		"a range":    direct{reply(206, "x", "Content-Range", signature)},
		"encoding":   direct{reply(200, "x", "Content-Encoding", "gzip")},
		"a bad body": roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: 200, ContentLength: 5, Header: http.Header{}, Request: r,
				Body: io.NopCloser(failingReader{&url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New("reset")}}),
			}, nil
		}),
		"the transport": roundTripper(func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("while fetching: %w", &url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New("reset")})
		}),
		"a chatty transport": roundTripper(func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("cannot reach %s with query %s", r.URL, r.URL.RawQuery)
		}),
		"silence": direct{step(hang)},
	}
	for name, transport := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newClient(t, direct{complete()}, transport)
				dump, err := exportOf(t.Context(), client)
				if err != nil {
					t.Fatal(err)
				}
				_, err = fetch(t.Context(), client, dump, time.Second)
				if err == nil {
					t.Fatal("no error")
				}
				for e := err; e != nil; e = errors.Unwrap(e) {
					if text := fmt.Sprintf("%s %+v %#v", e, e, e); strings.Contains(text, "5ec7e7") || strings.Contains(text, "dump.sql?") {
						t.Errorf("the link shows: %s", text)
					}
				}
			})
		})
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }
