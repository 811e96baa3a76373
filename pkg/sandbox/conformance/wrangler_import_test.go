package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/sandbox/conformance/workerdtest"
)

// file writes a file for wrangler to read.
func (w wrangler) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// rows counts the rows of a table.
func (w wrangler) rows(database, table string) int {
	w.t.Helper()
	queried := jsonOf[[]struct {
		Results []struct{ N int }
	}](w.t, w.mustRun("d1", "execute", database, "--remote", "--json", "--yes", "--command", "SELECT count(*) AS n FROM "+table))
	if len(queried) != 1 || len(queried[0].Results) != 1 {
		w.t.Fatalf("wrangler counts %+v", queried)
	}
	return queried[0].Results[0].N
}

func TestWranglerImportsRestoresAndDeletes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs node and wrangler")
	}
	server, a := startSandbox(t, func(o *sandbox.Options) { o.ImportPolls, o.ImportPart = 1, 2 })
	w := newWrangler(t, a)
	w.mustRun("d1", "create", "garden", "--location", "weur")
	file := w.file("dump.sql", "PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE leaf(v);\nINSERT INTO leaf VALUES(1),(2);\n"+
		"CREATE TRIGGER g AFTER DELETE ON leaf BEGIN INSERT INTO leaf VALUES(7); SELECT 1; END;\n")

	type executed []struct {
		Success  bool
		Bookmark string `json:"finalBookmark"`
		Results  []struct {
			Queries int `json:"Total queries executed"`
			Written int `json:"Rows written"`
		}
	}
	done := jsonOf[executed](t, w.mustRun("d1", "execute", "garden", "--remote", "--json", "--yes", "--file", file))
	if len(done) != 1 || !done[0].Success || len(done[0].Results) != 1 || done[0].Results[0].Queries != 4 || done[0].Results[0].Written != 2 {
		t.Fatalf("wrangler tells %+v", done)
	}
	if n := w.rows("garden", "leaf"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}

	// The file is there already; its CREATE TABLE is refused this time.
	if out, ok := w.run("d1", "execute", "garden", "--remote", "--yes", "--file", file); ok || !strings.Contains(out, "File already uploaded") {
		t.Errorf("a second time: %v, %q", ok, out)
	}
	broken := w.file("broken.sql", "INSERT INTO leaf VALUES(3);\nINSERT INTO nosuch VALUES(1);\n")
	if _, ok := w.run("d1", "execute", "garden", "--remote", "--yes", "--file", broken); ok {
		t.Error("wrangler takes a failed import for a success")
	}
	if n := w.rows("garden", "leaf"); n != 2 {
		t.Errorf("%d rows after a failed import, want 2", n)
	}

	between := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	more := w.file("more.sql", "INSERT INTO leaf VALUES(3);\n")
	w.mustRun("d1", "execute", "garden", "--remote", "--yes", "--file", more)
	type travelled struct {
		Bookmark string `json:"bookmark"`
		Previous string `json:"previous_bookmark"`
		Message  string `json:"message"`
	}
	back := jsonOf[travelled](t, w.mustRun("d1", "time-travel", "restore", "garden", "--json", "--bookmark", done[0].Bookmark))
	if back.Bookmark != done[0].Bookmark || back.Previous == "" || w.rows("garden", "leaf") != 2 {
		t.Errorf("wrangler travels to %+v", back)
	}
	if out := w.mustRun("d1", "time-travel", "restore", "garden", "--bookmark", back.Previous); !strings.Contains(out, "restored back") || w.rows("garden", "leaf") != 3 {
		t.Errorf("wrangler undoes to %q", out)
	}
	byTime := jsonOf[travelled](t, w.mustRun("d1", "time-travel", "restore", "garden", "--json", "--timestamp", between))
	if byTime.Bookmark != done[0].Bookmark || w.rows("garden", "leaf") != 2 {
		t.Errorf("wrangler travels by time to %+v, want %s", byTime, done[0].Bookmark)
	}

	w.mustRun("d1", "delete", "garden", "--skip-confirmation")
	if err := server.Drop("garden"); err == nil {
		t.Error("the database is still there")
	}
}

// TestWranglerImportsIntoWorkerd holds the server over workerd to the same.
func TestWranglerImportsIntoWorkerd(t *testing.T) {
	t.Parallel()
	workerd := workerdtest.Start(t, 1)
	w := newWrangler(t, api{workerd.BaseURL, workerd.AccountID, workerd.Token})
	w.mustRun("d1", "create", "garden")
	file := w.file("dump.sql", "CREATE TABLE leaf(v);\nINSERT INTO leaf VALUES(1),(2);\n")
	if out := w.mustRun("d1", "execute", "garden", "--remote", "--yes", "--file", file); !strings.Contains(out, "Executed 2 queries") {
		t.Errorf("wrangler tells %q", out)
	}
	if out, ok := w.run("d1", "execute", "garden", "--remote", "--yes", "--file", file); ok || !strings.Contains(out, "File already uploaded") {
		t.Errorf("a second time: %v, %q", ok, out)
	}
	if n := w.rows("garden", "leaf"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}
