package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/catalog/catalogtest/pgtest"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/sandbox/conformance/workerdtest"
	"github.com/AutumnsGrove/patina/pkg/secret"
	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/s3store"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/versity"
)

// TestEverythingReal is the main job with nothing in the place of anything: D1
// is Cloudflare's own engine, the store a real S3 server, the catalogue a real
// Postgres.
func TestEverythingReal(t *testing.T) {
	t.Parallel()
	d1 := workerdtest.Start(t, 8)
	s3 := versity.Start(t)
	ids := map[string]string{}
	for _, db := range sandbox.Estate() {
		ids[db.Name] = d1.Create(t, db.Name, db.Statements...)
	}
	flaky := flakyFront(t, d1.BaseURL)
	i := install(t, realConfig(flaky.url, d1, s3, pgtest.New(t)))

	// What the system that Patina replaces left behind is in the bucket.
	old := openBucket(t, s3)
	if _, err := old.Put(t.Context(), "daily/2024-11-30/groveauth.sql", strings.NewReader("-- old\n"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}

	// A scheduled and then a manual run on one day.
	if got := i.patina(0, "backup", "--trigger", "schedule"); got.stdout+got.stderr != "" {
		t.Errorf("a scheduled run without failure printed:\n%s%s", got.stdout, got.stderr)
	}
	i.patina(0, "backup", "--reason", "before the migration")

	listed := decode[listJSON](t, i.patina(0, "list", "-o", "json").stdout)
	if got, want := len(listed.Backups), 2*len(ids); got != want {
		t.Errorf("%d backups are listed, want %d", got, want)
	}
	if got := len(listed.Foreign); got != 1 {
		t.Errorf("%d foreign objects are counted, want 1", got)
	}
	for _, b := range listed.Backups {
		want := export(t, d1, ids[b.Database])
		file := filepath.Join(t.TempDir(), b.Database+".sql")
		i.patina(0, "download", b.Date, b.Database, "--job", b.JobID, "--file", file)
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s of job %s is not what D1 exports: %d bytes, want %d", b.Database, b.JobID, len(got), len(want))
		}
	}

	status := decode[statusJSON](t, i.patina(0, "status", "-o", "json").stdout)
	if status.CurrentStatus != "succeeded" || status.LastBackup == nil || status.LastBackup.Successful != len(ids) {
		t.Errorf("status is %+v", status.LastBackup)
	}
	if status.Storage.DailyBackups != 2*len(ids) || status.Storage.ForeignObjects != 1 {
		t.Errorf("storage is %+v", status.Storage)
	}

	// An empty Postgres is filled from the bucket alone.
	i.env["PATINA_CATALOG_URL"] = pgtest.New(t)
	i.patina(0, "catalog", "rebuild")
	rebuilt := decode[statusJSON](t, i.patina(0, "status", "-o", "json").stdout)
	if diff := cmp.Diff(status.Jobs, rebuilt.Jobs); diff != "" || len(status.Jobs) != 2 {
		t.Errorf("%d jobs (-before +rebuilt):\n%s", len(status.Jobs), diff)
	}
	delete(i.env, "PATINA_CATALOG_URL")

	if met := flaky.refused.Load(); met < 4 {
		t.Errorf("the API refused only %d calls: the test has not shown that refusals are borne", met)
	}

	// A wrong token, and a store that refuses to be written to.
	i.env["PATINA_CLOUDFLARE_API_TOKEN"] = "wrong"
	i.patina(12, "backup")
	delete(i.env, "PATINA_CLOUDFLARE_API_TOKEN")
	i.env["PATINA_STORE_SECRET_ACCESS_KEY"] = "s3-secret-wrong"
	refused := i.patina(12, "backup", "groveauth")
	if !strings.Contains(refused.stderr, "Databases: 0/1 successful") {
		t.Errorf("a store that refuses is told as:\n%s", refused.stderr)
	}
}

// front is the API with some of its calls refused.
type front struct {
	url     string
	refused atomic.Int32
}

// flakyFront answers every eighth call in the API's place, by turns with 429
// and 500.
func flakyFront(t *testing.T, baseURL string) *front {
	t.Helper()
	target, err := url.Parse(baseURL)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
	}}
	f := &front{}
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1)%8 != 0 {
			pass.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if f.refused.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"success":false,"errors":[{"code":7500,"message":"internal error in D1 DB storage"}],"messages":[],"result":null}`)
			return
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"success":false,"errors":[{"code":7429,"message":"D1 DB is overloaded. Requests queued for too long."}],"messages":[],"result":null}`)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL + target.Path
	return f
}

func realConfig(baseURL string, d1 *workerdtest.Server, s3 *versity.Server, postgres string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cloudflare:\n  account_id: %s\n  api_token: %s\n  api_base_url: %s\n", d1.AccountID, d1.Token, baseURL)
	b.WriteString("databases:\n")
	for _, db := range sandbox.Estate() {
		fmt.Fprintf(&b, "  - name: %s\n", db.Name)
	}
	fmt.Fprintf(&b, "store:\n  url: \"s3://%s?endpoint=%s&region=%s\"\n  access_key_id: %s\n  secret_access_key: %s\n  prefix: patina\n",
		s3.Bucket, s3.Endpoint, s3.Region, s3.AccessKey, s3.SecretKey)
	fmt.Fprintf(&b, "catalog:\n  url: %q\n", postgres)
	return b.String()
}

func openBucket(t *testing.T, s3 *versity.Server) store.Store {
	t.Helper()
	opened, err := s3store.Open(s3store.Options{
		Endpoint: s3.Endpoint, Region: s3.Region, Bucket: s3.Bucket, Prefix: "patina",
		AccessKeyID: s3.AccessKey, SecretAccessKey: secret.New(s3.SecretKey),
	})
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var doc T
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return doc
}

// export asks the server for a dump as any other client would, without any of
// Patina's code.
func export(t *testing.T, d1 *workerdtest.Server, id string) []byte {
	t.Helper()
	type answer struct {
		Result struct {
			Status   string `json:"status"`
			Bookmark string `json:"at_bookmark"`
			Result   struct {
				URL string `json:"signed_url"`
			} `json:"result"`
		} `json:"result"`
	}
	body := map[string]string{"output_format": "polling"}
	for range 100 {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		got := decode[answer](t, string(request(t.Context(), t, http.MethodPost,
			d1.BaseURL+"/accounts/"+d1.AccountID+"/d1/database/"+id+"/export", d1.Token, text)))
		if got.Result.Status == "complete" {
			return request(t.Context(), t, http.MethodGet, got.Result.Result.URL, "", nil)
		}
		body["current_bookmark"] = got.Result.Bookmark
	}
	t.Fatal("the export did not end")
	return nil
}

func request(ctx context.Context, t *testing.T, method, url, token string, body []byte) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		t.Fatalf("%s: %s: %v", method, resp.Status, err)
	}
	return text
}

// TestAPostgresThatHoldsOtherThings is left alone until its owner says so; the
// backup is taken all the same.
func TestAPostgresThatHoldsOtherThings(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Empty(t)
	pgtest.Exec(t, postgres, "CREATE TABLE public.shop_orders (id int)")
	i, _ := sandboxed(t, "alpha")
	i.env["PATINA_CATALOG_URL"] = postgres
	got := i.patina(7, "backup")
	if !strings.Contains(got.stderr, "every backup is safe in the bucket") || !strings.Contains(got.stderr, "patina: hint: patina catalog migrate") {
		t.Errorf("it says\n%s", got.stderr)
	}
	if planned := i.patina(0, "catalog", "migrate", "--dry-run"); !strings.Contains(planned.stdout, "would apply 00001") {
		t.Errorf("a dry run says %q", planned.stdout)
	}
	i.patina(0, "catalog", "migrate")
	i.patina(0, "backup")
	status := decode[statusJSON](t, i.patina(0, "status", "-o", "json").stdout)
	if status.CurrentStatus != "succeeded" || status.Storage.DailyBackups != 2 || len(status.Jobs) != 1 {
		t.Errorf("status %s, %d backups, %d jobs; want succeeded, 2, 1", status.CurrentStatus, status.Storage.DailyBackups, len(status.Jobs))
	}
}
