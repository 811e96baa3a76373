package main

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/r2fake"
)

// world is a D1 with two databases, an R2 and an installation, all in one
// bubble of testing/synctest, in which limits and pauses cost no time.
type world struct {
	*installation
	d1      *sandbox.Server
	r2      *r2fake.Server
	between *between
	hosts   map[string]http.RoundTripper
	// lost says that uploads may be left open.
	lost bool
	// requests counts those that were sent. When the at-th is sent, or, where
	// late is set, answered, do is called.
	requests atomic.Int64
	at       int64
	late     bool
	do       func()
}

// worldConfig has every setting at its default.
const worldConfig = `
databases: [alpha, beta]
catalog: {url: "sqlite://%s/catalog.db"}
store:
  url: "s3://patina-test?endpoint=%s&region=auto"
  access_key_id: r2fake-access-key-id
  secret_access_key: r2fake-secret-access-key
cloudflare: {account_id: %s, api_base_url: "http://localhost/client/v4", api_token: %s}
`

// newWorld makes a world. Where large is set, alpha's dump is of two parts.
func newWorld(t *testing.T, large bool) *world {
	t.Helper()
	w := &world{between: &between{}}
	dir := t.TempDir()
	server, err := sandbox.New(sandbox.Options{Dir: filepath.Join(dir, "d1"), AccountID: scriptAccount, Token: scriptToken, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	w.d1 = server
	rows := "INSERT INTO t VALUES('a')"
	if large {
		rows = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 60) SELECT printf('%.*c', 95000, 'x') FROM n"
	}
	if w.between.alpha, err = server.Seed(t.Context(), "alpha", "CREATE TABLE t(v)", rows); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Seed(t.Context(), "beta", "CREATE TABLE t(v)", "INSERT INTO t VALUES('b')"); err != nil {
		t.Fatal(err)
	}
	w.r2 = r2fake.StartInMemory(t, r2fake.Options{Between: w.between.wrap(w.between.storeCall, storeAnswers())})
	server.SetFilesURL("http://127.0.0.1")
	w.hosts = map[string]http.RoundTripper{
		"localhost": r2fake.ServeInMemory(t, w.between.wrap(w.between.apiCall, apiAnswers())(server.API())),
		"127.0.0.1": r2fake.ServeInMemory(t, w.between.wrap(w.between.fileCall, storeAnswers())(server.Files())),
	}
	w.installation = install(t, fmt.Sprintf(worldConfig, dir, w.r2.Endpoint, scriptAccount, scriptToken))
	w.network = w
	return w
}

// RoundTrip carries a request to the server that it is for.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	mine := w.requests.Add(1) == w.at
	if mine && !w.late {
		w.do()
	}
	var to http.RoundTripper = w.r2.Transport
	if host, ok := w.hosts[r.URL.Host]; ok {
		to = host
	}
	resp, err := to.RoundTrip(r)
	if mine && w.late {
		w.do()
	}
	return resp, err
}

// run runs a command to its end, with whatever status.
func (i *installation) run(args ...string) outcome {
	i.t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(i.t.Context(), append([]string{"--config", i.config}, args...), i.host(&stdout, &stderr))
	for _, leak := range leaks() {
		if strings.Contains(stdout.String()+stderr.String(), leak) {
			i.t.Errorf("patina %s printed the secret %q", strings.Join(args, " "), leak)
		}
	}
	return outcome{status, stdout.String(), stderr.String()}
}

// wantBackups wants exactly one backup of each of these databases, each equal
// to its database, and no upload left open.
func (w *world) wantBackups(names ...string) listJSON {
	w.t.Helper()
	if n := w.r2.OpenUploads(); n != 0 && !w.lost {
		w.t.Errorf("%d uploads are left open", n)
	}
	return w.wantEqualBackups(w.d1, names...)
}

// wantEqualBackups wants exactly one backup of each of these databases, and
// otherwise what wantEqualBackupsOf does.
func (i *installation) wantEqualBackups(d1 *sandbox.Server, names ...string) listJSON {
	i.t.Helper()
	listed := i.wantEqualBackupsOf(d1)
	var got []string
	for _, b := range listed.Backups {
		got = append(got, b.Database)
	}
	slices.Sort(got)
	if !slices.Equal(got, names) {
		i.t.Errorf("backups of %v, want %v", got, names)
	}
	return listed
}

// wantEqualBackupsOf wants each backup in the listing, which it returns, to be
// good and equal to its database, and nothing foreign.
func (i *installation) wantEqualBackupsOf(d1 *sandbox.Server) listJSON {
	i.t.Helper()
	listed := decode[listJSON](i.t, i.patina(0, "list", "-o", "json").stdout)
	for _, b := range listed.Backups {
		if !b.Good {
			i.t.Errorf("%s is not good: %s", b.Manifest, b.Failed)
		}
		var want strings.Builder
		if err := d1.Dump(i.t.Context(), b.Database, &want); err != nil {
			i.t.Fatal(err)
		}
		if text := i.patina(0, "download", b.Date, b.Database, "--job", b.JobID, "-f", "-").stdout; text != want.String() {
			i.t.Errorf("%s came back with %d bytes that are not the %d of the database", b.Database, len(text), want.Len())
		}
	}
	if len(listed.Foreign) != 0 {
		i.t.Errorf("foreign: %+v", listed.Foreign)
	}
	return listed
}
