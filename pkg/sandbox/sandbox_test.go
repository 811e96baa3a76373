package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

const (
	account = "acct"
	token   = "tok-en"
)

// bench is a server called without sockets, on a clock that the test sets.
type bench struct {
	t      *testing.T
	server *sandbox.Server
	now    time.Time
	token  string
}

func newBench(t *testing.T, change func(*sandbox.Options)) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC), token: token}
	opts := sandbox.Options{Dir: t.TempDir(), AccountID: account, Token: token, ReadToken: "read-only", Now: func() time.Time { return b.now }}
	if change != nil {
		change(&opts)
	}
	server, err := sandbox.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	server.SetFilesURL("http://files.test")
	b.server = server
	return b
}

func (b *bench) seed(name string, statements ...string) string {
	b.t.Helper()
	id, err := b.server.Seed(b.t.Context(), name, statements...)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// call sends a request to the API; a path that begins with a slash is below the
// account's databases.
func (b *bench) call(method, path, body string) *httptest.ResponseRecorder {
	b.t.Helper()
	if path == "" || strings.ContainsAny(path[:1], "/?") {
		path = "accounts/" + account + "/d1/database" + path
	}
	req := httptest.NewRequest(method, "/client/v4/"+path, strings.NewReader(body))
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	w := httptest.NewRecorder()
	b.server.API().ServeHTTP(w, req)
	return w
}

func (b *bench) get(url string, header map[string]string) *httptest.ResponseRecorder {
	b.t.Helper()
	req := httptest.NewRequest(http.MethodGet, url, nil)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	b.server.Files().ServeHTTP(w, req)
	return w
}

type answer struct {
	Success bool
	Errors  []struct {
		Code    int
		Message string
	}
	Result json.RawMessage
}

type state struct {
	Success  bool
	Status   string
	Error    string
	Bookmark string `json:"at_bookmark"`
	Result   struct {
		Filename string
		URL      string `json:"signed_url"`
	}
}

func decode[T any](t *testing.T, text []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// export sends one call of an export; an empty bookmark starts one.
func (b *bench) export(id, bookmark string) (int, state) {
	b.t.Helper()
	body := `{"output_format":"polling"}`
	if bookmark != "" {
		body = fmt.Sprintf(`{"output_format":"polling","current_bookmark":%q}`, bookmark)
	}
	w := b.call("POST", "/"+id+"/export", body)
	return w.Code, decode[state](b.t, decode[answer](b.t, w.Body.Bytes()).Result)
}

func TestWhatIsWrongIsRefusedWithItsCode(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.seed("app", "CREATE TABLE t(v)")
	etag := strings.Repeat("0", 32)
	long := `{"sql":"SELECT '` + strings.Repeat("x", 100_000) + `'"}`
	cases := []struct {
		name, token, method, path, body string
		status, code                    int
	}{
		{"no token", "", "GET", "", "", 401, 10000},
		{"a wrong token", "wrong", "GET", "", "", 401, 10000},
		{"another account", token, "GET", "accounts/other/d1/database", "", 403, 7403},
		{"no route", token, "GET", "accounts/" + account + "/r2/buckets", "", 404, 7003},
		{"no such call", token, "PUT", "/" + id, "{}", 404, 7003},
		{"an import without action", token, "POST", "/" + id + "/import", "{}", 400, 7400},
		{"an import without etag", token, "POST", "/" + id + "/import", `{"action":"init"}`, 400, 7400},
		{"an ingestion of nothing", token, "POST", "/" + id + "/import", `{"action":"ingest","etag":"` + etag + `"}`, 400, 7400},
		{"a poll without bookmark", token, "POST", "/" + id + "/import", `{"action":"poll"}`, 400, 7400},
		{"a restore to nowhere", token, "POST", "/" + id + "/time_travel/restore", "", 400, 7400},
		{"a restore to two places", token, "POST", "/" + id + "/time_travel/restore?bookmark=a&timestamp=b", "", 400, 7400},
		{"a restore to no bookmark", token, "POST", "/" + id + "/time_travel/restore?bookmark=a", "", 400, 7400},
		{"a restore by GET", token, "GET", "/" + id + "/time_travel/restore?bookmark=a", "", 404, 7003},
		{"a deletion by name", token, "DELETE", "/app", "", 404, 7404},
		{"a place that is none", token, "POST", "", `{"name":"x","primary_location_hint":"moon"}`, 400, 7400},
		{"a jurisdiction that is none", token, "POST", "", `{"name":"x","jurisdiction":"moon"}`, 400, 7400},
		{"replication that is none", token, "POST", "", `{"name":"x","read_replication":{"mode":"on"}}`, 400, 7400},
		{"a creation with a reading token", "read-only", "POST", "", `{"name":"x"}`, 403, 10000},
		{"a deletion with a reading token", "read-only", "DELETE", "/" + id, "", 403, 10000},
		{"an import with a reading token", "read-only", "POST", "/" + id + "/import", `{"action":"init","etag":"` + etag + `"}`, 403, 10000},
		{"a restore with a reading token", "read-only", "POST", "/" + id + "/time_travel/restore?bookmark=a", "", 403, 10000},
		{"a hidden write with a reading token", "read-only", "POST", "/" + id + "/query", `{"sql":"WITH x AS (SELECT 1) INSERT INTO t SELECT 1"}`, 400, 7500},
		{"no such database", token, "GET", "/nosuch", "", 404, 7404},
		{"a name where an id is wanted", token, "POST", "/app/query", `{"sql":"SELECT 1"}`, 404, 7404},
		{"a page too small", token, "GET", "?per_page=9", "", 400, 7400},
		{"an unknown field", token, "GET", "/" + id + "?fields=uuid,colour", "", 400, 7400},
		{"no output_format", token, "POST", "/" + id + "/export", `{}`, 400, 7400},
		{"a wrong output_format", token, "POST", "/" + id + "/export", `{"output_format":"file"}`, 400, 7400},
		{"an unknown key", token, "POST", "/" + id + "/export", `{"output_format":"polling","outputFormat":"x"}`, 400, 7400},
		{"no JSON", token, "POST", "/" + id + "/query", `sql=SELECT`, 400, 7400},
		{"no sql", token, "POST", "/" + id + "/query", `{}`, 400, 7400},
		{"null parameters", token, "POST", "/" + id + "/query", `{"sql":"SELECT 1","params":null}`, 400, 7400},
		{"an error of SQL", token, "POST", "/" + id + "/query", `{"sql":"SELECT * FROM nosuch"}`, 400, 7500},
		{"a long statement", token, "POST", "/" + id + "/query", long, 400, 7500},
		{"a name that may not be", token, "POST", "", `{"name":"a.b"}`, 400, 7400},
		{"a name that is taken", token, "POST", "", `{"name":"app"}`, 400, 7502},
		{"an export with a reading token", "read-only", "POST", "/" + id + "/export", `{"output_format":"polling"}`, 403, 10000},
		{"a write with a reading token", "read-only", "POST", "/" + id + "/query", `{"sql":"DELETE FROM t"}`, 400, 7500},
		{"BEGIN", token, "POST", "/" + id + "/query", `{"sql":"BEGIN"}`, 400, 7500},
		{"ATTACH", token, "POST", "/" + id + "/query", `{"sql":"ATTACH '/etc/passwd' AS x"}`, 400, 7500},
		{"a refused PRAGMA", token, "POST", "/" + id + "/query", `{"sql":"PRAGMA journal_mode"}`, 400, 7500},
		{"a hidden table", token, "POST", "/" + id + "/query", `{"sql":"CREATE TABLE _cf_x(v)"}`, 400, 7500},
		{"a temporary table", token, "POST", "/" + id + "/query", `{"sql":"CREATE TEMP TABLE x(v)"}`, 400, 7500},
		{"a refused function", token, "POST", "/" + id + "/query", `{"sql":"SELECT sqlite_version()"}`, 400, 7500},
	}
	for _, c := range cases {
		b.token = c.token
		w := b.call(c.method, c.path, c.body)
		got := decode[answer](t, w.Body.Bytes())
		if w.Code != c.status || got.Success || len(got.Errors) != 1 || got.Errors[0].Code != c.code {
			t.Errorf("%s: %d %s, want %d with code %d", c.name, w.Code, w.Body.String(), c.status, c.code)
		}
		if w.Header().Get("cf-ray") == "" {
			t.Errorf("%s: no cf-ray", c.name)
		}
	}
}

func TestAnExportFromStartToEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.ExportPolls = 1 })
	id := b.seed("app", "CREATE TABLE t(v)", "INSERT INTO t VALUES(1)")
	status, s := b.export(id, "")
	if status != 202 || s.Status != "active" || s.Bookmark == "" {
		t.Fatalf("start: %d %+v", status, s)
	}
	if _, again := b.export(id, ""); !strings.HasPrefix(again.Error, "Currently processing a long-running export") {
		t.Errorf("a second start says %+v", again)
	}
	for _, path := range []string{"/query", "/raw"} {
		if w := b.call("POST", "/"+id+path, `{"sql":"SELECT 1"}`); w.Code != 400 || !strings.Contains(w.Body.String(), "long-running export") {
			t.Errorf("%s while exporting: %d %s", path, w.Code, w.Body.String())
		}
	}
	if status, s = b.export(id, s.Bookmark); status != 202 || s.Status != "active" {
		t.Fatalf("first poll: %d %+v", status, s)
	}
	bookmark := s.Bookmark
	if status, s = b.export(id, bookmark); status != 200 || s.Status != "complete" || s.Result.Filename != id+"-"+bookmark+".sql" {
		t.Fatalf("second poll: %d %+v", status, s)
	}
	if _, after := b.export(id, bookmark); after.Error != "Not currently exporting anything." {
		t.Errorf("completion is told twice: %+v", after)
	}
	want := "PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE t(v);\nINSERT INTO \"t\" (\"v\") VALUES(1);\n"
	if w := b.get(s.Result.URL, nil); w.Code != 200 || w.Body.String() != want {
		t.Errorf("the dump is %d %q, want %q", w.Code, w.Body.String(), want)
	}
	if w := b.call("POST", "/"+id+"/query", `{"sql":"SELECT 1"}`); w.Code != 200 {
		t.Errorf("a query after the export: %d", w.Code)
	}
}

func TestAnExportThatIsNotPolledDies(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.seed("app")
	_, s := b.export(id, "")
	b.now = b.now.Add(31 * time.Second)
	if _, after := b.export(id, s.Bookmark); after.Error != "Not currently exporting anything." {
		t.Errorf("31 s without a poll: %+v", after)
	}
	if status, _ := b.export(id, ""); status != 202 {
		t.Errorf("a new start: %d", status)
	}
}

func TestAVirtualTableFailsTheExport(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.BlockAfterFailure = true })
	id := b.seed("app", "CREATE VIRTUAL TABLE f USING fts5(body)", "CREATE TABLE t(v)")
	_, s := b.export(id, "")
	if _, s = b.export(id, s.Bookmark); s.Error != "D1 Export error: cannot export databases with Virtual Tables (fts5)" {
		t.Errorf("the export says %+v", s)
	}
	if w := b.call("POST", "/"+id+"/query", `{"sql":"SELECT 1"}`); w.Code != 400 {
		t.Error("the database is not blocked")
	}
	b.now = b.now.Add(time.Minute)
	if w := b.call("POST", "/"+id+"/query", `{"sql":"SELECT 1"}`); w.Code != 200 {
		t.Errorf("the database is blocked for ever: %s", w.Body.String())
	}
	// Naming the ordinary tables is the known way round.
	w := b.call("POST", "/"+id+"/export", `{"output_format":"polling","dump_options":{"tables":["t"]}}`)
	started := decode[state](t, decode[answer](t, w.Body.Bytes()).Result)
	if _, s = b.export(id, started.Bookmark); s.Status != "complete" {
		t.Errorf("an export of named tables says %+v", s)
	}
}

func TestSignedURLs(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.ExportPolls = -1 })
	id := b.seed("app", "CREATE TABLE t(v)")
	_, s := b.export(id, "")
	url := s.Result.URL
	whole := b.get(url, nil)
	etag := whole.Header().Get("ETag")
	if whole.Code != 200 || etag == "" || whole.Header().Get("Content-Length") != fmt.Sprint(whole.Body.Len()) {
		t.Fatalf("%d %v", whole.Code, whole.Header())
	}
	part := b.get(url, map[string]string{"Range": "bytes=10-19", "If-Match": etag})
	if part.Code != 206 || part.Body.String() != whole.Body.String()[10:20] ||
		part.Header().Get("Content-Range") != fmt.Sprintf("bytes 10-19/%d", whole.Body.Len()) {
		t.Errorf("a range: %d %q %v", part.Code, part.Body.String(), part.Header())
	}
	for name, c := range map[string]struct {
		url    string
		header map[string]string
		status int
	}{
		"another ETag":      {url, map[string]string{"If-Match": `"other"`}, 412},
		"a range too far":   {url, map[string]string{"Range": "bytes=99999-"}, 416},
		"with a token":      {url, map[string]string{"Authorization": "Bearer " + token}, 400},
		"a wrong signature": {strings.Replace(url, "X-Amz-Signature=", "X-Amz-Signature=0", 1), nil, 403},
		"no signature":      {strings.Split(url, "?")[0], nil, 403},
		"another key":       {strings.Replace(url, id, "nosuch", 1), nil, 404},
	} {
		if w := b.get(c.url, c.header); w.Code != c.status {
			t.Errorf("%s: %d, want %d", name, w.Code, c.status)
		}
	}
	b.now = b.now.Add(time.Hour + time.Second)
	if w := b.get(url, nil); w.Code != 403 || !strings.Contains(w.Body.String(), "<Error>") {
		t.Errorf("after an hour: %d %s", w.Code, w.Body.String())
	}
}

func TestTheRateLimitBlocksForAWindow(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.RateLimit, o.RateWindow = 3, time.Minute })
	for i := range 3 {
		w := b.call("GET", "", "")
		if want := fmt.Sprintf(`"default";r=%d;t=60`, 2-i); w.Code != 200 || w.Header().Get("Ratelimit") != want {
			t.Errorf("call %d: %d, %q, want %q", i, w.Code, w.Header().Get("Ratelimit"), want)
		}
	}
	w := b.call("GET", "", "")
	if got := decode[answer](t, w.Body.Bytes()); w.Code != 429 || got.Errors[0].Code != 971 || w.Header().Get("Retry-After") != "60" {
		t.Errorf("one too many: %d %s", w.Code, w.Body.String())
	}
	b.now = b.now.Add(59 * time.Second)
	if w := b.call("GET", "", ""); w.Code != 429 {
		t.Errorf("a second before the end of the block: %d", w.Code)
	}
	b.now = b.now.Add(2 * time.Second)
	if w := b.call("GET", "", ""); w.Code != 200 {
		t.Errorf("after the block: %d", w.Code)
	}
}

func TestBookmarksMoveAsTold(t *testing.T) {
	t.Parallel()
	for mode, wantSame := range map[sandbox.BookmarkMode]bool{sandbox.BookmarkOnWrite: true, sandbox.BookmarkOnRead: false} {
		b := newBench(t, func(o *sandbox.Options) { o.BookmarkMoves = mode })
		id := b.seed("app", "CREATE TABLE t(v)")
		look := func() string {
			w := b.call("GET", "/"+id+"/time_travel/bookmark", "")
			got := decode[struct{ Bookmark string }](t, decode[answer](t, w.Body.Bytes()).Result).Bookmark
			if len(got) != 8+1+8+1+8+1+32 {
				t.Errorf("bookmark %q", got)
			}
			return got
		}
		first, second := look(), look()
		if (first == second) != wantSame || second < first {
			t.Errorf("%s: %s, then %s", mode, first, second)
		}
		b.call("POST", "/"+id+"/query", `{"sql":"INSERT INTO t VALUES(1)"}`)
		if third := look(); third <= second {
			t.Errorf("%s: %s, after a write %s", mode, second, third)
		}
	}
}

func TestQueryAndRaw(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.seed("app", "CREATE TABLE t(a, d DATE)",
		"INSERT INTO t VALUES(9007199254740993,'2024-12-08'),(9e999,NULL),(X'00ff',''),('x','2024-12-08T01:02:03Z')")
	w := b.call("POST", "/"+id+"/raw", `{"sql":"SELECT a, d FROM t"}`)
	want := `{"columns":["a","d"],"rows":[[9007199254740992,"2024-12-08"],[null,null],[[0,255],""],["x","2024-12-08T01:02:03Z"]]}`
	if !strings.Contains(w.Body.String(), want) {
		t.Errorf("raw:\n%s\nwant\n%s", w.Body.String(), want)
	}
	w = b.call("POST", "/"+id+"/query", `{"sql":"SELECT count(*) AS n FROM t WHERE a = ?","params":["x"]}`)
	if !strings.Contains(w.Body.String(), `"results":[{"n":1}]`) {
		t.Errorf("query: %s", w.Body.String())
	}
	// Several statements are one transaction.
	w = b.call("POST", "/"+id+"/query", `{"sql":"INSERT INTO t(a) VALUES(1); INSERT INTO nosuch VALUES(1); -- end"}`)
	if w.Code != 400 {
		t.Errorf("a batch that fails: %d", w.Code)
	}
	if w = b.call("POST", "/"+id+"/query", `{"batch":[{"sql":"SELECT 1 AS x"},{"sql":"SELECT count(*) AS n FROM t"}]}`); !strings.Contains(w.Body.String(), `[{"n":4}]`) {
		t.Errorf("after it: %s", w.Body.String())
	}
}

func TestTheListingIsPaged(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for i := range 23 {
		if w := b.call("POST", "", fmt.Sprintf(`{"name":"db-%02d","jurisdiction":"eu"}`, i)); w.Code != 200 {
			t.Fatal(w.Body.String())
		}
	}
	got := 0
	for page := 1; page <= 4; page++ {
		w := b.call("GET", fmt.Sprintf("?per_page=10&page=%d", page), "")
		var list []struct {
			UUID, Name, Jurisdiction string
			Bytes                    *int64 `json:"file_size"`
		}
		if err := json.Unmarshal(decode[answer](t, w.Body.Bytes()).Result, &list); err != nil {
			t.Fatal(err)
		}
		for _, db := range list {
			if db.Bytes != nil || db.Jurisdiction != "eu" {
				t.Errorf("listed as %+v", db)
			}
		}
		got += len(list)
	}
	if got != 23 {
		t.Errorf("%d databases on 4 pages, want 23", got)
	}
	id := b.seed("db-05")
	if w := b.call("DELETE", "/"+id, ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"result":null`) {
		t.Errorf("delete: %d %s", w.Code, w.Body.String())
	}
	if w := b.call("GET", "/db-05", ""); w.Code != 404 {
		t.Errorf("a deleted database: %d", w.Code)
	}
}

func TestDumpForms(t *testing.T) {
	t.Parallel()
	statements := []string{"CREATE TABLE t(v)", "INSERT INTO t VALUES(9e999)"}
	cases := map[string]struct {
		format sandbox.Format
		want   string
	}{
		"newest":  {sandbox.Format{}, "INSERT INTO \"t\" (\"v\") VALUES(9e999);\n"},
		"older":   {sandbox.Format{Infinity: sandbox.InfinityWord, Columns: sandbox.ColumnsOmitted}, "INSERT INTO \"t\" VALUES(Infinity);\n"},
		"no line": {sandbox.Format{End: sandbox.EndWithoutNewline}, "INSERT INTO \"t\" (\"v\") VALUES(9e999);"},
	}
	for name, c := range cases {
		b := newBench(t, func(o *sandbox.Options) { o.Format = c.format })
		b.seed("app", statements...)
		var got bytes.Buffer
		if err := b.server.Dump(t.Context(), "app", &got); err != nil {
			t.Fatal(err)
		}
		if want := "PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE t(v);\n" + c.want; got.String() != want {
			t.Errorf("%s: %q, want %q", name, got.String(), want)
		}
	}
}

func TestAFileCanBeTheDump(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.ExportPolls = -1 })
	id := b.seed("app")
	if err := b.server.ServeFile("app", "estate_test.go"); err != nil {
		t.Fatal(err)
	}
	_, s := b.export(id, "")
	if w := b.get(s.Result.URL, nil); !strings.HasPrefix(w.Body.String(), "package sandbox_test") {
		t.Errorf("the dump is %.40q", w.Body.String())
	}
}

func TestTheJournalAndFaults(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.seed("app")
	b.server.AddFault(sandbox.Fault{Call: "list", After: 1, Times: 2, Kind: sandbox.FaultStatus, Status: 500, Code: 7500, Message: "no"})
	statuses := ""
	for range 4 {
		statuses += fmt.Sprint(b.call("GET", "", "").Code, " ")
	}
	if statuses != "200 500 500 200 " {
		t.Errorf("statuses %s", statuses)
	}
	b.server.AddFault(sandbox.Fault{Call: "get", Kind: sandbox.FaultHTML})
	if left := b.server.ClearFaults(); left != 1 {
		t.Errorf("%d faults were left, want 1", left)
	}
	journal := b.server.Journal()
	if len(journal) != 4 || journal[0] != (sandbox.Call{Name: "list", Authorized: true}) {
		t.Errorf("journal %+v", journal)
	}
}

func TestListening(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	l, err := b.server.Listen(t.Context(), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.BaseURL+"/user/tokens/verify", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || !strings.Contains(string(text), sandbox.TokenID) {
		t.Errorf("%s, %v", text, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("it listens after Close")
	}
}
