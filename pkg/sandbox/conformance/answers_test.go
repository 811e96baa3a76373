package conformance

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/sandbox/conformance/workerdtest"
)

// answerSchema is what the queries below ask.
func answerSchema() []string {
	return []string{
		"CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
		"INSERT INTO t VALUES(1,9007199254740993),(2,9223372036854775807),(3,-9223372036854775808),(4,1.5),(5,9e999),(6,-9e999)",
		"INSERT INTO t VALUES(7,NULL),(8,X'00ff10'),(9,X''),(10,'it''s' || char(10) || '🌲'),(11,1e21),(12,1e-7),(13,-0.0),(14,3.0)",
		"CREATE TABLE d(at DATETIME, n DATE, b BOOLEAN)",
		"INSERT INTO d VALUES('2024-12-08 10:15:00','2024-12-08',1),(1733652900,'never',0)",
		"CREATE TABLE u(id INTEGER PRIMARY KEY, n TEXT NOT NULL UNIQUE CHECK (n <> ''), t INTEGER REFERENCES t(id))",
		"CREATE TABLE s(v INTEGER) STRICT",
	}
}

// asked are queries that only read, and what may be written and read again.
func asked() []map[string]any {
	list := func(params ...any) []any { return params }
	return []map[string]any{
		{"sql": "SELECT id, v, typeof(v) AS kind FROM t ORDER BY id"},
		{"sql": "SELECT v FROM t WHERE id > 1000"},
		{"sql": "SELECT * FROM d"},
		{"sql": "SELECT at, n AS \"a day\" FROM d ORDER BY at"},
		{"sql": "SELECT 1 AS a, 2 AS a, 3 AS b"},
		{"sql": "SELECT ? AS a, ?2 AS b", "params": list("x", "9007199254740993")},
		{"sql": "SELECT typeof(?) AS a, typeof(?) AS b, typeof(?) AS c", "params": list("x", 1, nil)},
		{"sql": "SELECT hex(CAST(v AS BLOB)) AS h, CAST(v AS TEXT) AS c FROM t ORDER BY id"},
		{"sql": "SELECT ?2 AS a$1, '?' AS b, \"id\", ?1 AS c FROM t WHERE id = 1 -- ?", "params": list("x", "y")},
		{"sql": "PRAGMA table_info(t)"},
		{"sql": "PRAGMA table_list"},
		{"sql": "PRAGMA foreign_key_check"},
		{"sql": "PRAGMA foreign_keys"},
		{"sql": "SELECT name, type FROM pragma_table_xinfo('t')"},
		{"sql": "SELECT count(*) AS n FROM sqlite_schema WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\'"},
		{"sql": "WITH x(a) AS (VALUES(1),(2)) SELECT sum(a) AS s FROM x"},
		{"sql": "VALUES(1,'a'),(2,'b')"},
		{"sql": "EXPLAIN QUERY PLAN SELECT * FROM t WHERE id = 1"},
		{"sql": "INSERT INTO s VALUES(5) RETURNING v AS w"},
		{"sql": "UPDATE s SET v = 6"},
		{"sql": "SELECT v FROM s;"},
		{"sql": "-- a comment\nSELECT 1 AS one"},
		{"sql": "DELETE FROM s"},
	}
}

// TestAnswersAreThoseOfWorkerd compares the rows of queries as JSON gives them,
// and then what is refused, and in which words.
func TestAnswersAreThoseOfWorkerd(t *testing.T) {
	t.Parallel()
	real, ours := both(t)
	for _, body := range asked() {
		for _, verb := range []string{"query", "raw"} {
			wantStatus, want := real.answer(t, verb, body)
			if wantStatus != http.StatusOK {
				t.Errorf("workerd refuses %s of %v: %v", verb, body, want)
			}
			gotStatus, got := ours.answer(t, verb, body)
			if diff := cmp.Diff(want, got); diff != "" || gotStatus != wantStatus {
				t.Errorf("%s of %v: status %d, workerd's %d (-workerd +sandbox):\n%s", verb, body, gotStatus, wantStatus, diff)
			}
		}
	}
	for name, body := range refused() {
		wantStatus, want := real.answer(t, "query", body)
		if wantStatus == http.StatusOK {
			t.Errorf("workerd does not refuse %s", name)
		}
		gotStatus, got := ours.answer(t, "query", body)
		if inOtherWords(name) && gotStatus == wantStatus {
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" || gotStatus != wantStatus {
			t.Errorf("%s: status %d, workerd's %d (-workerd +sandbox):\n%s", name, gotStatus, wantStatus, diff)
		}
	}
}

// refused are statements that D1 does not run.
func refused() map[string]map[string]any {
	manyParams := make([]any, 101)
	for i := range manyParams {
		manyParams[i] = "x"
	}
	all := map[string]map[string]any{
		"too long":        {"sql": "SELECT '" + strings.Repeat("a", 100_000) + "'"},
		"too many '?'":    {"sql": "SELECT " + strings.TrimSuffix(strings.Repeat("?,", 101), ","), "params": manyParams},
		"too many terms":  {"sql": "SELECT 1" + strings.Repeat(" UNION ALL SELECT 1", 5)},
		"no statement":    {"sql": " -- nothing"},
		"too many params": {"sql": "SELECT ?", "params": []any{"x", "y"}},
		"other params":    {"sql": "SELECT '?', ?2, :a -- ?\n", "params": []any{"x", "y"}},
		"too few params":  {"sql": "SELECT ?, ?", "params": []any{"x"}},
		"long pattern":    {"sql": "SELECT 'a' LIKE '" + strings.Repeat("a", 51) + "'"},
	}
	for _, sql := range []string{
		"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ATTACH 'x' AS y", "DETACH y", "VACUUM",
		"PRAGMA user_version", "PRAGMA user_version = 5", "PRAGMA journal_mode", "PRAGMA integrity_check", "PRAGMA page_count",
		"PRAGMA writable_schema = ON", "PRAGMA compile_options", "PRAGMA page_size = 1024",
		"CREATE TEMP TABLE x(a)", "CREATE TABLE _cf_x(a)", "CREATE TABLE sqlite_x(a)", "CREATE VIRTUAL TABLE x USING csv(a)",
		"SELECT sqlite_version()", "SELECT load_extension('x')", "SELECT unistr('a')", "SELECT json_pretty('{}')",
		"SELECT * FROM nosuch", "SELECT nosuch FROM t", "SELECT nosuch()", "SELEC 1", "SELECT 'a", "CREATE TABLE t(x)", "CREATE TABLE", "SELECT (",
		"INSERT INTO u(n) VALUES(NULL)", "INSERT INTO u(n) VALUES('')", "INSERT INTO u(n,t) VALUES('a',1000)", "INSERT INTO t VALUES(1,2)",
		"INSERT INTO s VALUES('x')", "INSERT INTO t VALUES('x',1)", "DROP TABLE nosuch", "UPDATE sqlite_schema SET sql = ''",
		"SELECT abs(-9223372036854775807 - 1)", "CREATE TRIGGER x AFTER INSERT ON nosuch BEGIN SELECT 1; END",
		"SELECT * FROM _cf_METADATA",
	} {
		all[sql] = map[string]any{"sql": sql}
	}
	return all
}

// inOtherWords says whether the sandbox refuses a statement too, but in the words
// of SQLite or of its driver: D1's own advise the use of a JavaScript API.
func inOtherWords(name string) bool {
	return slices.Contains([]string{
		"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "SELECT load_extension('x')",
	}, name)
}

// subject is one database behind an API.
type subject struct {
	api
	id string
}

// both gives the same database on workerd and in the sandbox.
func both(t *testing.T) (real, ours subject) {
	t.Helper()
	workerd := workerdtest.Start(t, 1)
	real = subject{api: api{workerd.BaseURL, workerd.AccountID, workerd.Token}}
	real.id = workerd.Create(t, "answers", answerSchema()...)
	server, a := startSandbox(t, nil)
	id, err := server.Seed(t.Context(), "answers", answerSchema()...)
	if err != nil {
		t.Fatal(err)
	}
	return real, subject{a, id}
}

// untold is what the sandbox's driver does not tell of an error, and what D1
// adds to it: where in the statement it is, and the narrower code.
var untold = regexp.MustCompile(` at offset \d+| \(extended: \w+\)`)

// answer is what an API says to one statement, without what it tells of itself:
// the rows, or code and text of the refusal. Numbers stay as they are written.
func (s subject) answer(t *testing.T, verb string, body map[string]any) (status int, told any) {
	t.Helper()
	status, text := s.call(t, http.MethodPost, "/"+s.id+"/"+verb, body)
	var envelope struct {
		Success bool
		Errors  []struct {
			Code    int
			Message string
		}
		Result []struct {
			Success bool
			Results json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if !envelope.Success {
		for i, e := range envelope.Errors {
			envelope.Errors[i].Message = untold.ReplaceAllString(e.Message, "")
		}
		return status, envelope.Errors
	}
	var results []string
	for _, result := range envelope.Result {
		results = append(results, sorted(t, result.Results))
	}
	return status, results
}

// sorted is a document with the keys of its objects in order.
func sorted(t *testing.T, document json.RawMessage) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(document)))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
