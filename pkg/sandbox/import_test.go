package sandbox_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// progress is what an import answers.
type progress struct {
	Success  bool
	Type     string
	Status   string
	Error    string
	Errors   []string
	Bookmark string `json:"at_bookmark"`
	Filename string
	URL      string `json:"upload_url"`
	Result   struct {
		Queries  int    `json:"num_queries"`
		Bookmark string `json:"final_bookmark"`
		Meta     struct {
			Changes int
			Written int   `json:"rows_written"`
			Size    int64 `json:"size_after"`
		}
	}
}

// imports sends one call of an import.
func (b *bench) imports(id, body string) (int, progress) {
	b.t.Helper()
	w := b.call("POST", "/"+id+"/import", body)
	return w.Code, decode[progress](b.t, decode[answer](b.t, w.Body.Bytes()).Result)
}

func md5Of(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// put sends a file to an upload URL.
func (b *bench) put(url, text string, header map[string]string) *httptest.ResponseRecorder {
	b.t.Helper()
	req := httptest.NewRequest(http.MethodPut, url, strings.NewReader(text))
	for name, value := range header {
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	b.server.Files().ServeHTTP(w, req)
	return w
}

// bring uploads a file, and returns its name.
func (b *bench) bring(id, text string) (name string) {
	b.t.Helper()
	status, asked := b.imports(id, fmt.Sprintf(`{"action":"init","etag":%q}`, md5Of(text)))
	if status != 200 || asked.URL == "" {
		b.t.Fatalf("init: %d %+v", status, asked)
	}
	if w := b.put(asked.URL, text, nil); w.Code != 200 || w.Header().Get("ETag") != `"`+md5Of(text)+`"` {
		b.t.Fatalf("upload: %d %v %s", w.Code, w.Header(), w.Body.String())
	}
	return asked.Filename
}

// ingest uploads a file and starts its import.
func (b *bench) ingest(id, text string) (int, progress) {
	b.t.Helper()
	return b.imports(id, fmt.Sprintf(`{"action":"ingest","etag":%q,"filename":%q}`, md5Of(text), b.bring(id, text)))
}

// poll polls once.
func (b *bench) poll(id, bookmark string) (int, progress) {
	b.t.Helper()
	return b.imports(id, fmt.Sprintf(`{"action":"poll","current_bookmark":%q}`, bookmark))
}

// load imports a text to its end.
func (b *bench) load(id, text string) progress {
	b.t.Helper()
	_, p := b.ingest(id, text)
	for range 1000 {
		if p.Status != "active" {
			return p
		}
		_, p = b.poll(id, p.Bookmark)
	}
	b.t.Fatal("the import did not end")
	return p
}

func (b *bench) dump(name string) string {
	b.t.Helper()
	var text bytes.Buffer
	if err := b.server.Dump(b.t.Context(), name, &text); err != nil {
		b.t.Fatal(err)
	}
	return text.String()
}

func (b *bench) bookmark(id string) string {
	b.t.Helper()
	w := b.call("GET", "/"+id+"/time_travel/bookmark", "")
	if w.Code != 200 {
		b.t.Fatalf("bookmark: %d %s", w.Code, w.Body.String())
	}
	return decode[struct{ Bookmark string }](b.t, decode[answer](b.t, w.Body.Bytes()).Result).Bookmark
}

const smallFile = "PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE u(v);\nINSERT INTO u VALUES(1),(2);\n"

func TestAnImportFromStartToEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.ImportPolls = 1 })
	id := b.seed("app", "CREATE TABLE t(v)")
	before := b.bookmark(id)
	status, p := b.ingest(id, smallFile)
	if status != 202 || !p.Success || p.Type != "import" || p.Status != "active" || p.Bookmark != before {
		t.Fatalf("ingest: %d %+v", status, p)
	}
	for path, body := range map[string]string{"/query": `{"sql":"SELECT 1"}`, "/raw": `{"sql":"SELECT 1"}`} {
		if w := b.call("POST", "/"+id+path, body); w.Code != 400 || !strings.Contains(w.Body.String(), "long-running import") {
			t.Errorf("%s while importing: %d %s", path, w.Code, w.Body.String())
		}
	}
	for path, method := range map[string]string{"bookmark": "GET", "restore?bookmark=" + before: "POST"} {
		if w := b.call(method, "/"+id+"/time_travel/"+path, ""); w.Code != 400 {
			t.Errorf("%s while importing: %d %s", path, w.Code, w.Body.String())
		}
	}
	if _, again := b.export(id, ""); !strings.Contains(again.Error, "long-running import") {
		t.Errorf("an export while importing says %+v", again)
	}
	_, again := b.imports(id, fmt.Sprintf(`{"action":"init","etag":%q}`, md5Of(smallFile)))
	if again.Success || !strings.Contains(again.Error, "long-running import") {
		t.Errorf("a second start says %+v", again)
	}
	if w := b.call("GET", "/"+id, ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"num_tables":1`) {
		t.Errorf("details while importing: %d %s", w.Code, w.Body.String())
	}
	if err := b.server.Dump(t.Context(), "app", &bytes.Buffer{}); err == nil {
		t.Error("a half-changed database is dumped")
	}
	if status, p = b.poll(id, before); status != 202 || p.Status != "active" {
		t.Fatalf("first poll: %d %+v", status, p)
	}
	if status, p = b.poll(id, before); status != 200 || p.Status != "complete" || p.Result.Queries != 3 || p.Result.Meta.Written != 2 || p.Result.Meta.Size == 0 {
		t.Fatalf("second poll: %d %+v", status, p)
	}
	if now := b.bookmark(id); p.Result.Bookmark != now || now <= before {
		t.Errorf("final bookmark %s, then %s, before %s", p.Result.Bookmark, now, before)
	}
	if _, after := b.poll(id, before); after.Success || after.Error != "Not currently importing anything." {
		t.Errorf("completion is told twice: %+v", after)
	}
	if got := b.dump("app"); !strings.Contains(got, `INSERT INTO "u" ("v") VALUES(2);`) {
		t.Errorf("the database is %s", got)
	}
}

func TestAFileThatIsThereIsNotUploadedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.ImportPolls = -1 })
	id, other := b.seed("app"), b.seed("other")
	text := "CREATE TABLE IF NOT EXISTS u(v);"
	if _, p := b.ingest(id, text); p.Status != "complete" {
		t.Fatalf("%+v", p)
	}
	ask := fmt.Sprintf(`{"action":"init","etag":%q}`, md5Of(text))
	if _, p := b.imports(id, ask); p.URL != "" || p.Status != "complete" {
		t.Errorf("a second init says %+v", p)
	}
	if _, p := b.imports(other, ask); p.URL == "" {
		t.Errorf("another database says %+v", p)
	}
}

func TestUploads(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.seed("app")
	init := func(text string) progress {
		_, p := b.imports(id, fmt.Sprintf(`{"action":"init","etag":%q}`, md5Of(text)))
		return p
	}
	asked := init("a")
	if want := "http://files.test/d1-sqlio-incoming-prod/" + asked.Filename + "?"; !strings.HasPrefix(asked.URL, want) || !strings.HasPrefix(asked.Filename, id+".") {
		t.Errorf("%+v", asked)
	}
	for name, c := range map[string]struct {
		url    string
		header map[string]string
		status int
	}{
		"with a token":      {asked.URL, map[string]string{"Authorization": "Bearer " + token}, 400},
		"a wrong signature": {strings.Replace(asked.URL, "X-Amz-Signature=", "X-Amz-Signature=0", 1), nil, 403},
		"no signature":      {strings.Split(asked.URL, "?")[0], nil, 403},
		"another key":       {strings.Replace(asked.URL, id, "nosuch", 1), nil, 403},
	} {
		if w := b.put(c.url, "a", c.header); w.Code != c.status || !strings.Contains(w.Body.String(), "<Error>") {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body.String(), c.status)
		}
	}
	if w := b.get(asked.URL, nil); w.Code != 403 {
		t.Errorf("a GET of an upload URL: %d", w.Code)
	}
	ingest := fmt.Sprintf(`{"action":"ingest","etag":%q,"filename":%q}`, md5Of("a"), asked.Filename)
	invalid := "Input file " + asked.Filename + " missing or invalid"
	if _, p := b.imports(id, ingest); p.Error != invalid {
		t.Errorf("without a file: %+v", p)
	}
	if w := b.put(asked.URL, "b", nil); w.Code != 200 || w.Header().Get("ETag") != `"`+md5Of("b")+`"` {
		t.Errorf("another content: %d %v", w.Code, w.Header())
	}
	if _, p := b.imports(id, ingest); p.Error != invalid {
		t.Errorf("with another file: %+v", p)
	}
	req := httptest.NewRequest(http.MethodPut, asked.URL, strings.NewReader("a"))
	req.ContentLength = -1
	w := httptest.NewRecorder()
	if b.server.Files().ServeHTTP(w, req); w.Code != 411 {
		t.Errorf("without a length: %d", w.Code)
	}
	b.server.AddFault(sandbox.Fault{Call: "upload", Kind: sandbox.FaultStatus, Status: 503, Message: "slow down"})
	if w := b.put(asked.URL, "a", nil); w.Code != 503 {
		t.Errorf("a fault: %d", w.Code)
	}
	b.server.AddFault(sandbox.Fault{Call: "upload", Kind: sandbox.FaultShort, Bytes: 2})
	if w := b.put(asked.URL, "abc", nil); w.Header().Get("ETag") != `"`+md5Of("a")+`"` {
		t.Errorf("a short upload: %v", w.Header())
	}
	b.now = b.now.Add(time.Hour + time.Second)
	if w := b.put(asked.URL, "a", nil); w.Code != 403 || !strings.Contains(w.Body.String(), "ExpiredRequest") {
		t.Errorf("after an hour: %d %s", w.Code, w.Body.String())
	}
}

// failures are files that no import takes, and D1's reason.
func failures() map[string]struct{ text, reason string } {
	begin := "CREATE TABLE made(v);\nINSERT INTO t VALUES(7);\n"
	return map[string]struct{ text, reason string }{
		"an error of SQL":       {begin + "SELEC 1;", "syntax error"},
		"no semicolon":          {begin + "SELECT 1", "incomplete input: SQLITE_ERROR"},
		"an empty statement":    {begin + ";", "SQL code did not contain a statement."},
		"a parameter":           {begin + "SELECT ?;", "Wrong number of parameter bindings"},
		"a long statement":      {begin + "SELECT '" + strings.Repeat("x", 100_000) + "';", "statement too long: SQLITE_TOOBIG"},
		"a NUL":                 {begin + "SELECT 'a\x00b';", "incomplete input"},
		"a database":            {"SQLite format 3\x00", "SQLite database"},
		"BEGIN":                 {begin + "BEGIN;", "not authorized: SQLITE_AUTH"},
		"COMMIT":                {begin + "COMMIT;", "not authorized: SQLITE_AUTH"},
		"SAVEPOINT":             {begin + "SAVEPOINT s;", "not authorized: SQLITE_AUTH"},
		"ATTACH":                {begin + "ATTACH 'x' AS y;", "SQLITE_"},
		"VACUUM":                {begin + "VACUUM;", "SQLITE_"},
		"writable_schema":       {begin + "PRAGMA writable_schema=ON;", "not authorized: SQLITE_AUTH"},
		"a temporary table":     {begin + "CREATE TEMP TABLE x(v);", "not authorized: SQLITE_AUTH"},
		"a hidden table":        {begin + "CREATE TABLE _CF_x(v);", "SQLITE_AUTH"},
		"a refused function":    {begin + "SELECT unistr('a');", "SQLITE_ERROR"},
		"an unknown module":     {begin + "CREATE VIRTUAL TABLE x USING csv(a);", "SQLITE_"},
		"a constraint":          {begin + "CREATE TABLE c(v NOT NULL); INSERT INTO c VALUES(NULL);", "NOT NULL constraint failed: c.v: SQLITE_CONSTRAINT"},
		"a foreign key":         {begin + "INSERT INTO child VALUES(9);", "FOREIGN KEY constraint failed"},
		"a foreign key at end":  {"PRAGMA defer_foreign_keys=ON;" + begin + "INSERT INTO child VALUES(9);", "FOREIGN KEY constraint failed"},
		"keys cannot be turned": {"PRAGMA foreign_keys=OFF;" + begin + "INSERT INTO child VALUES(9);", "FOREIGN KEY constraint failed"},
	}
}

func TestAFailedImportLeavesTheDatabaseAsItWas(t *testing.T) {
	t.Parallel()
	for name, c := range failures() {
		for _, part := range []int{0, 1} {
			b := newBench(t, func(o *sandbox.Options) { o.ImportPart = part })
			id := b.seed("app", "CREATE TABLE t(id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES(1)", "CREATE TABLE child(t REFERENCES t(id))")
			before, mark := b.dump("app"), b.bookmark(id)
			p := b.load(id, c.text)
			if p.Success || p.Status != "error" || !strings.Contains(p.Error, c.reason) {
				t.Errorf("%s: %+v, want %q", name, p, c.reason)
			}
			if got := b.dump("app"); got != before {
				t.Errorf("%s leaves %s", name, got)
			}
			if got := b.bookmark(id); got != mark {
				t.Errorf("%s moves the bookmark from %s to %s", name, mark, got)
			}
			if p := b.load(id, smallFile); p.Status != "complete" {
				t.Errorf("after %s nothing is imported: %+v", name, p)
			}
		}
	}
}

func TestForeignKeysCanWaitForTheEndOfAnImport(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.ImportPart = 1 })
	id := b.seed("app")
	p := b.load(id, `PRAGMA defer_foreign_keys=TRUE;
CREATE TABLE a(id INTEGER PRIMARY KEY, b REFERENCES b(id));
CREATE TABLE b(id INTEGER PRIMARY KEY, a REFERENCES a(id));
CREATE TRIGGER g AFTER DELETE ON a BEGIN DELETE FROM b; SELECT 'end;'; END;
INSERT INTO a VALUES(1,1);
INSERT INTO b VALUES(1,1);
-- the end; of it`)
	if p.Status != "complete" || p.Result.Queries != 6 {
		t.Errorf("%+v", p)
	}
}

func TestHowFailuresAreTold(t *testing.T) {
	t.Parallel()
	for form, want := range map[sandbox.FailureForm][2]string{
		sandbox.FailureInside:  {"200 error near", "429 7429 D1 DB"},
		sandbox.FailureStatus:  {"200 error near", "200 error D1 DB"},
		sandbox.FailureRefused: {"400 7500 near", "429 7429 D1 DB"},
		sandbox.FailureUntold:  {"200  Not currently importing", "200  Not currently importing"},
	} {
		for i, text := range []string{"CREATE TABLE x(v); SELEC;", "CREATE TABLE x(v); SELECT 1; SELECT 2; SELECT 3;"} {
			b := newBench(t, func(o *sandbox.Options) { o.ImportFailure, o.ImportLimit = form, 3 })
			id := b.seed("app")
			_, p := b.ingest(id, text)
			w := b.call("POST", "/"+id+"/import", fmt.Sprintf(`{"action":"poll","current_bookmark":%q}`, p.Bookmark))
			a := decode[answer](t, w.Body.Bytes())
			got := fmt.Sprint(w.Code, " ")
			if len(a.Errors) > 0 {
				got += fmt.Sprint(a.Errors[0].Code, " ", a.Errors[0].Message)
			} else {
				p := decode[progress](t, a.Result)
				got += p.Status + " " + p.Error
				if p.Success != (form == sandbox.FailureStatus) {
					t.Errorf("%q: success %v", form, p.Success)
				}
			}
			if !strings.HasPrefix(got, want[i]) {
				t.Errorf("%q tells %q, want %q", form, got, want[i])
			}
			if dump := b.dump("app"); strings.Contains(dump, "x") {
				t.Errorf("%q leaves %s", form, dump)
			}
			if _, p := b.poll(id, p.Bookmark); p.Error != "Not currently importing anything." {
				t.Errorf("%q tells it twice: %+v", form, p)
			}
		}
	}
}

func TestTheTextOfAResetCanBeChosen(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) {
		o.ImportPolls, o.ImportLimit, o.ImportLimitError, o.ImportFailure = -1, 1, "D1 reset", sandbox.FailureStatus
	})
	if _, p := b.ingest(b.seed("app"), "SELECT 1;SELECT 2;"); p.Error != "D1 reset" || len(p.Errors) != 1 {
		t.Errorf("%+v", p)
	}
	if _, p := b.ingest(b.seed("app"), "SELECT 1;"); p.Status != "complete" {
		t.Errorf("as many statements as may be: %+v", p)
	}
}

func TestAnImportThatIsNotPolledEndsAsTold(t *testing.T) {
	t.Parallel()
	for _, how := range []sandbox.AbandonedImport{sandbox.AbandonedUndo, sandbox.AbandonedFinish} {
		for _, byClock := range []bool{true, false} {
			b := newBench(t, func(o *sandbox.Options) { o.Abandoned, o.ImportPart = how, 1 })
			id := b.seed("app")
			_, p := b.ingest(id, smallFile)
			if byClock {
				b.now = b.now.Add(31 * time.Second)
			} else if had, err := b.server.Abandon("app"); err != nil || !had {
				t.Fatal(had, err)
			}
			if got, want := strings.Contains(b.dump("app"), "VALUES(2)"), how == sandbox.AbandonedFinish; got != want {
				t.Errorf("%q: imported %v, want %v", how, got, want)
			}
			if moved, want := b.bookmark(id) != p.Bookmark, how == sandbox.AbandonedFinish; moved != want {
				t.Errorf("%q: bookmark moved %v, want %v", how, moved, want)
			}
			if _, after := b.poll(id, p.Bookmark); after.Error != "Not currently importing anything." {
				t.Errorf("%q: %+v", how, after)
			}
			if had, err := b.server.Abandon("app"); err != nil || had {
				t.Errorf("%q: abandoned twice: %v %v", how, had, err)
			}
		}
	}
}

func TestAnAbandonedImportThatFailsLeavesTheDatabaseAsItWas(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.Abandoned, o.ImportPart = sandbox.AbandonedFinish, 1 })
	id := b.seed("app")
	_, p := b.ingest(id, "CREATE TABLE u(v);SELEC;")
	b.now = b.now.Add(31 * time.Second)
	if got := b.bookmark(id); got != p.Bookmark {
		t.Errorf("the bookmark moved from %s to %s", p.Bookmark, got)
	}
	if got := b.dump("app"); strings.Contains(got, "CREATE") {
		t.Errorf("it leaves %s", got)
	}
}

// lost calls what cuts its connection.
func (b *bench) lost(call func()) {
	b.t.Helper()
	defer func() {
		if recover() == nil {
			b.t.Error("the connection is not cut")
		}
	}()
	call()
}

func TestAnswersThatAreLostAfterTheWork(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.seed("app")
	mark := b.bookmark(id)
	_, asked := b.imports(id, fmt.Sprintf(`{"action":"init","etag":%q}`, md5Of(smallFile)))
	b.server.AddFault(sandbox.Fault{Call: "upload", Kind: sandbox.FaultLost})
	b.lost(func() { b.put(asked.URL, smallFile, nil) })
	b.server.AddFault(sandbox.Fault{Call: "import", Kind: sandbox.FaultLost, After: 1})
	_, p := b.imports(id, fmt.Sprintf(`{"action":"ingest","etag":%q,"filename":%q}`, md5Of(smallFile), asked.Filename))
	b.lost(func() { b.poll(id, p.Bookmark) })
	if !strings.Contains(b.dump("app"), "VALUES(2)") {
		t.Error("the import was not carried out")
	}
	b.server.AddFault(sandbox.Fault{Call: "restore", Kind: sandbox.FaultLost})
	b.lost(func() { b.call("POST", "/"+id+"/time_travel/restore?bookmark="+mark, "") })
	if strings.Contains(b.dump("app"), "VALUES(2)") {
		t.Error("the restore was not carried out")
	}
	b.server.AddFault(sandbox.Fault{Call: "import", Kind: sandbox.FaultInner, Message: "Not currently importing anything."})
	if _, p := b.imports(id, fmt.Sprintf(`{"action":"init","etag":%q}`, md5Of("x"))); p.Error != "Not currently importing anything." {
		t.Errorf("%+v", p)
	}
	if left := b.server.ClearFaults(); left != 0 {
		t.Errorf("%d faults were not met", left)
	}
}

func TestCreateAndDelete(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.MaxDatabases, o.ImportPart = 2, 1 })
	b.seed("app")
	w := b.call("POST", "", `{"name":"new","primary_location_hint":"apac","jurisdiction":"eu","read_replication":{"mode":"disabled"}}`)
	made := decode[struct {
		UUID, Name, Jurisdiction string
		Tables                   *int `json:"num_tables"`
	}](t, decode[answer](t, w.Body.Bytes()).Result)
	if w.Code != 200 || made.UUID == "" || made.Name != "new" || made.Jurisdiction != "eu" || made.Tables == nil {
		t.Fatalf("%d %s", w.Code, w.Body.String())
	}
	if w := b.call("GET", "/"+made.UUID+"?fields=running_in_region", ""); !strings.Contains(w.Body.String(), `"APAC"`) {
		t.Errorf("the location: %s", w.Body.String())
	}
	if w := b.call("POST", "", `{"name":"third"}`); w.Code != 400 || !strings.Contains(w.Body.String(), `"code":7406,"message":"System limit reached: databases per account (2)"`) {
		t.Errorf("one too many: %d %s", w.Code, w.Body.String())
	}
	_, p := b.ingest(made.UUID, smallFile)
	if p.Status != "active" {
		t.Fatalf("%+v", p)
	}
	if w := b.call("DELETE", "/"+made.UUID, ""); w.Code != 200 {
		t.Errorf("delete while importing: %d %s", w.Code, w.Body.String())
	}
	if w := b.call("DELETE", "/"+made.UUID, ""); w.Code != 404 {
		t.Errorf("deleted twice: %d", w.Code)
	}
	if w := b.call("POST", "/"+made.UUID+"/import", `{"action":"poll","current_bookmark":"x"}`); w.Code != 404 {
		t.Errorf("a poll after it: %d", w.Code)
	}
	w = b.call("POST", "", `{"name":"new"}`)
	again := decode[struct{ UUID string }](t, decode[answer](t, w.Body.Bytes()).Result)
	if w.Code != 200 || again.UUID == made.UUID {
		t.Errorf("made again: %d %s", w.Code, w.Body.String())
	}
	if got := b.dump("new"); got != "PRAGMA defer_foreign_keys=TRUE;\n" {
		t.Errorf("it holds %s", got)
	}
}

func TestAnImportAnswersInTheFormOfTheAPI(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.ImportPolls = -1 })
	id := b.seed("app")
	_, asked := b.imports(id, fmt.Sprintf(`{"action":"init","etag":%q}`, md5Of("SELECT 1;")))
	b.put(asked.URL, "SELECT 1;", nil)
	w := b.call("POST", "/"+id+"/import", fmt.Sprintf(`{"action":"ingest","etag":%q,"filename":%q}`, md5Of("SELECT 1;"), asked.Filename))
	var whole struct{ Result map[string]json.RawMessage }
	if err := json.Unmarshal(w.Body.Bytes(), &whole); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"success", "type", "status", "at_bookmark", "messages", "result"} {
		if whole.Result[field] == nil {
			t.Errorf("no %s in %s", field, w.Body.String())
		}
	}
}
