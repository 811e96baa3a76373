package d1

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// DefaultBaseURL is where Cloudflare's API lives.
const DefaultBaseURL = "https://api.cloudflare.com/client/v4"

// The published limit of Cloudflare's API, per token and for everything that
// uses it (developers.cloudflare.com/fundamentals/api/reference/limits).
const (
	defaultRequests = 1200
	defaultWindow   = 5 * time.Minute
)

// Options configure a client.
type Options struct {
	// BaseURL is the API's address with its version; empty means
	// [DefaultBaseURL].
	BaseURL string
	// AccountID is the account whose databases are meant. Required.
	AccountID string
	// Token is the API token. Required.
	Token secret.String
	// UserAgent is what the client calls itself; empty means "patina".
	UserAgent string
	// Now is the clock. Required.
	Now func() time.Time
	// Transport carries API calls; nil means one of the client's own.
	Transport http.RoundTripper
	// DownloadTransport carries downloads from signed URLs; nil means one of
	// the client's own, made for large bodies.
	DownloadTransport http.RoundTripper
	// Requests and Window are the request budget: at most so many requests in
	// any window. 0 means Cloudflare's own, 1,200 in 5 minutes.
	Requests int
	Window   time.Duration
	// Deadline ends a call, imports included and exports not, whose context has no
	// deadline of its own: what is refused for the budget's sake would be asked for
	// ever. 0 means that nothing does.
	Deadline time.Duration
	// Log gets debug lines; nil means none.
	Log *slog.Logger
}

// Client speaks to the D1 API of one account. It is safe for concurrent use,
// and a process should have one only, since the request budget is its own.
type Client struct {
	base    *url.URL
	account string
	token   secret.String
	agent   string
	now     func() time.Time
	api     http.RoundTripper
	files   http.RoundTripper
	budget  *budget
	// deadline is that of the options.
	deadline time.Duration
	log      *slog.Logger
}

// New checks the options and returns a client. It makes no call.
func New(opts Options) (*Client, error) {
	base, err := parseBase(opts.BaseURL)
	if err != nil {
		return nil, err
	}
	switch {
	case opts.AccountID == "":
		return nil, errors.New("d1: no account id")
	case opts.Token.IsZero():
		return nil, errors.New("d1: no API token")
	case strings.ContainsFunc(opts.Token.Reveal(), notInHeader):
		return nil, errors.New("d1: the API token holds a space or a control character")
	case opts.Now == nil:
		return nil, errors.New("d1: no clock")
	case opts.Requests < 0 || opts.Window < 0:
		return nil, errors.New("d1: a negative request budget")
	}
	c := &Client{
		base: base, account: opts.AccountID, token: opts.Token, agent: opts.UserAgent,
		now: opts.Now, api: opts.Transport, files: opts.DownloadTransport, deadline: opts.Deadline, log: opts.Log,
	}
	if c.agent == "" {
		c.agent = "patina"
	}
	if c.api == nil {
		c.api = apiTransport()
	}
	if c.files == nil {
		c.files = downloadTransport()
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.budget = newBudget(opts.Requests, opts.Window, opts.Now)
	return c, nil
}

// CloseIdleConnections gives back the connections that no call uses.
func (c *Client) CloseIdleConnections() {
	for _, t := range []http.RoundTripper{c.api, c.files} {
		if t, ok := t.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

func parseBase(text string) (*url.URL, error) {
	if text == "" {
		text = DefaultBaseURL
	}
	base, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("d1: the API's address is no http or https URL")
	}
	base.RawQuery, base.Fragment = "", ""
	return base, nil
}

func notInHeader(r rune) bool { return r <= ' ' || r >= 0x7f }

// dialer bounds what it takes to reach a host, which a request's own limit
// would notice much later.
func dialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
}

// apiTransport is for many small answers. Pings find out that a connection is
// dead before the silence of a request would.
func apiTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer().DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          16,
		MaxIdleConnsPerHost:   16,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// downloadTransport is for few large bodies: HTTP/1.1, because one stream of
// HTTP/2 is held back by its flow control, and never decompressing, because the
// bytes are counted against the promised length.
func downloadTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer().DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   4,
		DisableCompression:    true,
		ReadBufferSize:        64 << 10,
		Protocols:             protocols,
	}
}
