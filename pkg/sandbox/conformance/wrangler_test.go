package conformance

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/sandbox/conformance/workerdtest"
)

// wrangler runs Cloudflare's own client against a sandbox.
type wrangler struct {
	t    *testing.T
	api  api
	home string
}

func newWrangler(t *testing.T, a api) wrangler {
	return wrangler{t, a, t.TempDir()}
}

// run runs a command to its end and returns what it printed on stdout, and
// whether it succeeded.
func (w wrangler) run(args ...string) (stdout string, ok bool) {
	w.t.Helper()
	node, modules := workerdtest.Node(w.t)
	cmd := exec.CommandContext(w.t.Context(), node, append([]string{filepath.Join(modules, "wrangler", "bin", "wrangler.js")}, args...)...)
	cmd.Dir = w.home
	cmd.Env = []string{
		"HOME=" + w.home, "XDG_CONFIG_HOME=" + w.home, "PATH=" + os.Getenv("PATH"),
		"CLOUDFLARE_API_BASE_URL=" + w.api.baseURL, "CLOUDFLARE_API_TOKEN=" + w.api.token, "CLOUDFLARE_ACCOUNT_ID=" + w.api.account,
		"WRANGLER_SEND_METRICS=false", "WRANGLER_SEND_ERROR_REPORTS=false", "CI=true", "NO_COLOR=1",
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	w.t.Logf("wrangler %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	return out.String(), err == nil
}

// mustRun is run for a command that has to succeed.
func (w wrangler) mustRun(args ...string) string {
	w.t.Helper()
	out, ok := w.run(args...)
	if !ok {
		w.t.Fatalf("wrangler %s failed", strings.Join(args, " "))
	}
	return out
}

// jsonOf finds the document in what wrangler prints around it.
func jsonOf[T any](t *testing.T, out string) T {
	t.Helper()
	var doc T
	begin := strings.IndexAny(out, "[{")
	if begin < 0 {
		t.Fatalf("no JSON in %q", out)
	}
	if err := json.NewDecoder(strings.NewReader(out[begin:])).Decode(&doc); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return doc
}

func TestWranglerWorksAgainstTheSandbox(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs node and wrangler")
	}
	server, a := startSandbox(t, nil)
	estate := sandbox.Estate()[0]
	id, err := server.Seed(t.Context(), estate.Name, estate.Statements...)
	if err != nil {
		t.Fatal(err)
	}
	w := newWrangler(t, a)

	listed := jsonOf[[]struct{ UUID, Name string }](t, w.mustRun("d1", "list", "--json"))
	if len(listed) != 1 || listed[0].UUID != id || listed[0].Name != estate.Name {
		t.Errorf("wrangler lists %+v", listed)
	}

	queried := jsonOf[[]struct {
		Results []struct{ N int }
	}](t, w.mustRun("d1", "execute", estate.Name, "--remote", "--json", "--yes", "--command", "SELECT count(*) AS n FROM users"))
	if len(queried) != 1 || len(queried[0].Results) != 1 || queried[0].Results[0].N != 420 {
		t.Errorf("wrangler counts %+v, want 420 users", queried)
	}

	file := filepath.Join(w.home, "dump.sql")
	w.mustRun("d1", "export", estate.Name, "--remote", "--skip-confirmation", "--output", file)
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := server.Dump(t.Context(), estate.Name, &want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("wrangler exports %d bytes that are not the %d of the sandbox's dump", len(got), want.Len())
	}

	if out := w.mustRun("d1", "time-travel", "info", estate.Name); !strings.Contains(out, "bookmark") {
		t.Errorf("wrangler's time-travel info says %q", out)
	}

	if _, ok := w.run("d1", "execute", estate.Name, "--remote", "--json", "--yes", "--command", "SELECT * FROM nosuch"); ok {
		t.Error("wrangler takes an error for a success")
	}
	if _, err := server.Seed(t.Context(), "fts", "CREATE VIRTUAL TABLE f USING fts5(body)"); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.run("d1", "export", "fts", "--remote", "--skip-confirmation", "--output", filepath.Join(w.home, "fts.sql")); ok {
		t.Error("wrangler exports a database with a virtual table")
	}
}

func TestWranglerTellsDetailsAndPartsOfADatabase(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs node and wrangler")
	}
	server, a := startSandbox(t, nil)
	estate := sandbox.Estate()[0]
	id, err := server.Seed(t.Context(), estate.Name, estate.Statements...)
	if err != nil {
		t.Fatal(err)
	}
	w := newWrangler(t, a)

	info := jsonOf[struct {
		UUID   string `json:"uuid"`
		Tables int    `json:"num_tables"`
		Bytes  int64  `json:"database_size"`
	}](t, w.mustRun("d1", "info", estate.Name, "--json"))
	if info.UUID != id || info.Tables < 3 || info.Bytes < 45_000 {
		t.Errorf("wrangler tells %+v of the database %s", info, id)
	}

	travel := jsonOf[struct{ Bookmark string }](t, w.mustRun("d1", "time-travel", "info", estate.Name, "--json"))
	if got := a.bookmark(t, id); travel.Bookmark == "" || travel.Bookmark != got {
		t.Errorf("wrangler tells the bookmark %q, the API %q", travel.Bookmark, got)
	}

	file := filepath.Join(w.home, "part.sql")
	w.mustRun("d1", "export", estate.Name, "--remote", "--skip-confirmation", "--table", "users", "--no-data", "--output", file)
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, refused := a.export(t, id, map[string]any{"tables": []string{"users"}, "no_data": true})
	if refused != "" || !bytes.Equal(got, want) || !bytes.Contains(got, []byte("CREATE TABLE")) || bytes.Contains(got, []byte("INSERT")) {
		t.Errorf("wrangler exports one table as\n%s\nthe API as\n%s%s", got, want, refused)
	}
}
