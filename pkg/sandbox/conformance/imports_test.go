package conformance

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/sandbox/conformance/workerdtest"
)

// imported is how an import ended.
type imported struct {
	Status  string
	Error   string
	Queries int
	Changes int
}

type importAnswer struct {
	Result struct {
		Success   bool   `json:"success"`
		Status    string `json:"status"`
		Error     string `json:"error"`
		Bookmark  string `json:"at_bookmark"`
		Filename  string `json:"filename"`
		UploadURL string `json:"upload_url"`
		Result    struct {
			Queries  int    `json:"num_queries"`
			Bookmark string `json:"final_bookmark"`
			Meta     struct {
				Changes int `json:"changes"`
			} `json:"meta"`
		} `json:"result"`
	} `json:"result"`
}

func (a api) importCall(t *testing.T, id string, body map[string]any) importAnswer {
	t.Helper()
	status, text := a.call(t, http.MethodPost, "/"+id+"/import", body)
	var answer importAnswer
	if err := json.Unmarshal(text, &answer); err != nil || status > 299 {
		t.Fatalf("%d, %v in %s", status, err, text)
	}
	return answer
}

// imports follows an import to its end.
func (a api) imports(t *testing.T, id, file string) imported {
	t.Helper()
	sum := md5.Sum([]byte(file))
	etag := hex.EncodeToString(sum[:])
	answer := a.importCall(t, id, map[string]any{"action": "init", "etag": etag})
	if answer.Result.UploadURL != "" {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, answer.Result.UploadURL, strings.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if status, text := do(t, req); status != http.StatusOK {
			t.Fatalf("upload: %d %s", status, text)
		}
		answer = a.importCall(t, id, map[string]any{"action": "ingest", "etag": etag, "filename": answer.Result.Filename})
	}
	for range 100 {
		if answer.Result.Status != "active" {
			return imported{
				answer.Result.Status, untold.ReplaceAllString(answer.Result.Error, ""),
				answer.Result.Result.Queries, answer.Result.Result.Meta.Changes,
			}
		}
		answer = a.importCall(t, id, map[string]any{"action": "poll", "current_bookmark": answer.Result.Bookmark})
	}
	t.Fatal("the import did not end")
	return imported{}
}

// files are files to import, one after the other, into one database.
func files() []string {
	made := "CREATE TABLE made(v);INSERT INTO parent VALUES(50);"
	return []string{
		"PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE parent(id INTEGER PRIMARY KEY);\nCREATE TABLE child(p REFERENCES parent(id));\nINSERT INTO child VALUES(1);\nINSERT INTO parent VALUES(1);\n",
		"create trigger g after insert on parent begin insert into child select case new.id when 2 then 2 else null end; select 'end;'; end;\nINSERT INTO parent VALUES(2);\n-- the end; of it",
		"INSERT INTO parent VALUES(3),(4) RETURNING id;SELECT * FROM parent;/* ; */ DELETE FROM child WHERE p IS NULL;",
		"CREATE VIEW w AS SELECT count(*) AS n FROM child;CREATE INDEX i ON child(p);CREATE VIRTUAL TABLE f USING fts5(v);DROP TABLE f;",
		"SELECT '" + strings.Repeat("x", 99_990) + "';",
		made + "SELECT '" + strings.Repeat("x", 100_000) + "';",
		made + "SELECT '" + strings.Repeat("x", 99_991) + "';\n",
		made + "SELECT '" + strings.Repeat("x", 99_990) + "';\n",
		"DROP TABLE made;DELETE FROM child WHERE p = 50;DELETE FROM parent WHERE id = 50;",
		made + "\nSELECT '" + strings.Repeat("x", 99_990) + "';",
		made + "SELECT 1;;",
		made + "SELECT 1; -- nothing\n;",
		made + "SELECT ?;",
		made + "SELECT nosuch;",
		made + "SELEC 1;",
		made + "INSERT INTO child VALUES(99);",
		"PRAGMA foreign_keys=OFF;" + made + "INSERT INTO child VALUES(99);",
		made + "INSERT INTO parent VALUES(1);",
		made + "INSERT INTO parent VALUES('x');",
		made + "BEGIN;", made + "COMMIT;", made + "SAVEPOINT s;", made + "ATTACH 'x' AS y;", made + "VACUUM;",
		made + "PRAGMA writable_schema=ON;", made + "PRAGMA user_version=3;", made + "PRAGMA journal_mode=WAL;",
		made + "CREATE TEMP TABLE x(v);", made + "CREATE TABLE _cf_x(v);", made + "CREATE TABLE sqlite_x(v);",
		made + "CREATE VIRTUAL TABLE x USING csv(a);", made + "SELECT unistr('a');", made + "DELETE FROM sqlite_sequence;",
		made + "SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6;",
		made + "INSERT INTO parent SELECT 60; INSERT INTO nosuch VALUES(1);",
		"INSERT INTO parent VALUES" + strings.Repeat("(NULL),", 500) + "(NULL);",
		"CREATE TABLE checked(v CHECK (v > 0), UNIQUE(v) ON CONFLICT REPLACE);PRAGMA ignore_check_constraints=ON;INSERT INTO checked VALUES(-1),(-1);",
		"INSERT INTO checked VALUES(-2);",
		"CREATE TABLE long(v);INSERT INTO long VALUES('" + strings.Repeat("é", 40_000) + "');",
		strings.Repeat("UPDATE long SET v = v || '"+strings.Repeat("y", 90_000)+"';\n", 20),
		"",
		"-- nothing",
	}
}

// otherWords are what D1 adds to a refusal of transactions: the advice to use a
// JavaScript API.
func otherWords(file string) bool {
	return slices.ContainsFunc([]string{"BEGIN;", "COMMIT;", "SAVEPOINT s;"}, func(end string) bool {
		return strings.HasSuffix(file, ")"+";"+end)
	})
}

// TestImportsAreThoseOfWorkerd imports the same files, and compares how that
// ends and what the database is then. That the server over workerd cuts a file
// as the sandbox does is of its own making; the engine, its limits and its words
// are workerd's.
func TestImportsAreThoseOfWorkerd(t *testing.T) {
	t.Parallel()
	workerd := workerdtest.Start(t, 1)
	real := api{workerd.BaseURL, workerd.AccountID, workerd.Token}
	realID := workerd.Create(t, "imports")
	server, ours := startSandbox(t, nil)
	oursID, err := server.Seed(t.Context(), "imports")
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, file := range files() {
		want, got := real.imports(t, realID, file), ours.imports(t, oursID, file)
		if otherWords(file) && want.Error != "" && got.Error != "" {
			want.Error, got.Error = "", ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.300q (-workerd +sandbox):\n%s", file, diff)
		}
		wantDump, _ := real.export(t, realID, nil)
		gotDump, _ := ours.export(t, oursID, nil)
		if !bytes.Equal(wantDump, gotDump) {
			t.Errorf("after %.300q (-workerd +sandbox):\n%s", file, cmp.Diff(string(wantDump), string(gotDump)))
		}
		if want.Status == "error" {
			failed++
		}
	}
	if failed < 20 {
		t.Errorf("only %d files are refused", failed)
	}
}

// TestDumpsAreImported takes each dump through an import where D1 can, and
// compares the dump of the result on both sides.
func TestDumpsAreImported(t *testing.T) {
	t.Parallel()
	cases := append(fidelityCases(t), more()...)
	workerd := workerdtest.Start(t, len(cases))
	real := api{workerd.BaseURL, workerd.AccountID, workerd.Token}
	server, ours := startSandbox(t, nil)
	complete := 0
	for i, c := range cases {
		source, err := server.Seed(t.Context(), fmt.Sprintf("source-%d", i), c.SQL...)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		dump, refused := ours.export(t, source, nil)
		if refused != "" {
			continue
		}
		target := fmt.Sprintf("target-%d", i)
		realID := workerd.Create(t, target)
		oursID, err := server.Seed(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		want, got := real.imports(t, realID, string(dump)), ours.imports(t, oursID, string(dump))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-workerd +sandbox):\n%s\n%.2000s", c.Name, diff, dump)
		}
		wantDump, _ := real.export(t, realID, nil)
		gotDump, _ := ours.export(t, oursID, nil)
		if !bytes.Equal(wantDump, gotDump) {
			t.Errorf("after %s (-workerd +sandbox):\n%s", c.Name, cmp.Diff(string(wantDump), string(gotDump)))
		}
		if want.Status == "complete" {
			complete++
		}
	}
	if complete < 20 {
		t.Errorf("only %d of %d dumps are imported", complete, len(cases))
	}
}
