package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/sandbox/conformance/workerdtest"
)

// fidelityBench is a D1 with the databases that must survive.
type fidelityBench struct {
	baseURL, account, token string
	create                  func(name string, statements ...string)
	// dump is what D1 says that a database holds.
	dump func(name, id string) string
}

// Every database that the export does not damage goes from a backup into a new
// database, and is equal: on the sandbox, and on Cloudflare's own engine.
func TestEveryDatabaseComesBack(t *testing.T) {
	t.Parallel()
	t.Run("sandbox", func(t *testing.T) {
		t.Parallel()
		server, err := sandbox.New(sandbox.Options{Dir: t.TempDir(), AccountID: scriptAccount, Token: scriptToken, Now: time.Now, RateLimit: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		listening, err := server.Listen(t.Context(), "127.0.0.1:0", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listening.Close() })
		comeBack(t, fidelityBench{
			baseURL: listening.BaseURL, account: scriptAccount, token: scriptToken,
			create: func(name string, statements ...string) {
				if _, err := server.Seed(t.Context(), name, statements...); err != nil {
					t.Fatal(err)
				}
			},
			dump: func(name, _ string) string {
				var text strings.Builder
				if err := server.Dump(t.Context(), name, &text); err != nil {
					t.Fatal(err)
				}
				return text.String()
			},
		})
	})
	t.Run("workerd", func(t *testing.T) {
		t.Parallel()
		d1 := workerdtest.Start(t, 64)
		ids := map[string]string{}
		comeBack(t, fidelityBench{
			baseURL: d1.BaseURL, account: d1.AccountID, token: d1.Token,
			create: func(name string, statements ...string) { ids[name] = d1.Create(t, name, statements...) },
			dump: func(name, id string) string {
				if id == "" {
					id = ids[name]
				}
				return string(export(t, d1, id))
			},
		})
	})
}

func comeBack(t *testing.T, b fidelityBench) {
	t.Helper()
	// What the export itself damages, or refuses, is to be repaired when the
	// backup is taken.
	damaged := []string{"int53", "mixed_newline", "mixed_cr", "real_no_affinity", "strict", "invalid_utf8", "fts5"}
	dir := t.TempDir()
	var names []string
	for _, tt := range dumptest.Cases(t) {
		if !slices.Contains(damaged, tt.Name) {
			names = append(names, tt.Name)
			b.create(tt.Name, tt.SQL...)
		}
	}
	i := install(t, "store: {url: 'file://"+dir+"/bucket'}\ncatalog: {url: 'sqlite://"+dir+"/catalog.db'}\ndatabases: ["+strings.Join(names, ", ")+"]\n")
	i.state = dir
	for name, value := range map[string]string{
		"CLOUDFLARE_API_BASE_URL": b.baseURL, "CLOUDFLARE_ACCOUNT_ID": b.account, "CLOUDFLARE_API_TOKEN": b.token,
	} {
		i.env[name] = value
	}
	i.patina(0, "backup")
	for _, name := range names {
		doc := decode[restoreJSON](t, i.patina(0, "restore", "latest", name, "--to", "d1:new-"+name, "--create", "-o", "json").stdout)
		if diff := cmp.Diff(sortedLines(b.dump(name, "")), sortedLines(b.dump("new-"+name, doc.D1.Database.ID))); diff != "" {
			t.Errorf("%s (-original +restored):\n%.2000s", name, diff)
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d databases", len(names))
	}
}

// sortedLines are the lines of a dump: a restore orders tables otherwise.
func sortedLines(text string) []string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return lines
}
