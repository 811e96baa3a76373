package d1_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/secret"
)

// holdContract checks what the client takes for granted of a D1 API, of which
// it only reads one database. The sandbox must keep it always, and Cloudflare
// is asked when credentials are given: that is what keeps the sandbox honest.
func holdContract(t *testing.T, opts d1.Options, name string) {
	t.Helper()
	opts.Now = time.Now
	client, err := d1.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	all, err := client.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(db d1.Database) bool { return db.Name == name })
	if i < 0 {
		t.Fatalf("database %q is not among %d", name, len(all))
	}
	id := all[i].ID
	holdReads(t, client, all[i])
	holdRefusals(t, client, opts, id)

	dump, err := client.Export(t.Context(), d1.ExportRequest{DatabaseID: id})
	if err != nil {
		t.Fatal(err)
	}
	body, err := fetch(t.Context(), client, dump, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(body, []byte("PRAGMA defer_foreign_keys=TRUE;")) || dump.Bookmark == "" || dump.Filename == "" {
		t.Errorf("got dump %+v beginning %.60q", dump, body)
	}
}

func holdReads(t *testing.T, client *d1.Client, listed d1.Database) {
	t.Helper()
	got, err := client.Get(t.Context(), listed.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != listed.ID || got.Name != listed.Name || got.Bytes <= 0 || got.CreatedAt.IsZero() {
		t.Errorf("listed as %+v, read as %+v", listed, got)
	}
	raw, err := client.Raw(t.Context(), listed.ID, "SELECT 1 AS a, CAST(9223372036854775807 AS TEXT) AS a, NULL, ?", "x")
	if err != nil {
		t.Fatal(err)
	}
	want := [][]any{{json.Number("1"), "9223372036854775807", nil, "x"}}
	if diff := cmp.Diff(want, raw[0].Rows); diff != "" {
		t.Errorf("raw rows (-want +got):\n%s", diff)
	}
	rows, err := client.Query(t.Context(), listed.ID, "SELECT 'it' AS a; SELECT 2 AS b")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Rows[0]["a"] != "it" || rows[1].Rows[0]["b"] != json.Number("2") {
		t.Errorf("got %+v", rows)
	}
	if bookmark, err := client.Bookmark(t.Context(), listed.ID, time.Time{}); err != nil || bookmark == "" {
		t.Errorf("bookmark %q, %v", bookmark, err)
	}
	if tables, err := client.VirtualTables(t.Context(), listed.ID); err != nil || len(tables) > 0 {
		t.Errorf("virtual tables %v, %v", tables, err)
	}
}

func holdRefusals(t *testing.T, client *d1.Client, opts d1.Options, id string) {
	t.Helper()
	const missing = "00000000-0000-4000-8000-000000000000"
	if _, err := client.Get(t.Context(), missing); d1.ClassOf(err) != d1.ClassGiveUp {
		t.Errorf("a missing database: got %v", err)
	}
	if _, err := client.Export(t.Context(), d1.ExportRequest{DatabaseID: missing}); err == nil {
		t.Error("a missing database was exported")
	}
	if _, err := client.Query(t.Context(), id, "SELEC 1"); d1.ClassOf(err) != d1.ClassGiveUp {
		t.Errorf("wrong SQL: got %v", err)
	}
	opts.Token = secret.New("no-such-token")
	stranger, err := d1.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.CloseIdleConnections()
	if _, err := stranger.List(t.Context()); d1.ClassOf(err) != d1.ClassUnauthorized {
		t.Errorf("a wrong token: got %v", err)
	}
}

// TestContractOfCloudflare needs an account: PATINA_TEST_CLOUDFLARE_ACCOUNT_ID,
// PATINA_TEST_CLOUDFLARE_API_TOKEN and the name of a small database in
// PATINA_TEST_CLOUDFLARE_DATABASE, which is exported, and so blocked for a
// moment.
func TestContractOfCloudflare(t *testing.T) {
	t.Parallel()
	for _, account := range cloudflareAccounts() {
		holdContract(t, account.opts, account.database)
	}
}

type cloudflareAccount struct {
	opts     d1.Options
	database string
}

// cloudflareAccounts is the account that the environment names, if any.
func cloudflareAccounts() []cloudflareAccount {
	account := os.Getenv("PATINA_TEST_CLOUDFLARE_ACCOUNT_ID")
	token := os.Getenv("PATINA_TEST_CLOUDFLARE_API_TOKEN")
	database := os.Getenv("PATINA_TEST_CLOUDFLARE_DATABASE")
	if account == "" || token == "" || database == "" {
		return nil
	}
	return []cloudflareAccount{{d1.Options{AccountID: account, Token: secret.New(token)}, database}}
}
