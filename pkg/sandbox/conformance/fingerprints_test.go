package conformance

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/fingerprint"
	"github.com/AutumnsGrove/patina/pkg/sandbox/conformance/workerdtest"
)

// TestFingerprintsAreThoseOfWorkerd takes the fingerprints of all tables on
// workerd, on the sandbox, and in a SQLite database: a restored database must not
// be called different because it was asked elsewhere.
func TestFingerprintsAreThoseOfWorkerd(t *testing.T) {
	t.Parallel()
	cases := slices.Concat(fidelityCases(t), more(), forms())
	real := workerdtest.Start(t, len(cases))
	realAPI := api{real.BaseURL, real.AccountID, real.Token}
	server, ours := startSandbox(t, nil)
	tables := 0
	for _, c := range cases {
		realID := real.Create(t, c.Name, c.SQL...)
		statements := withSameBlobs(t, realAPI, realID, c.SQL)
		id, err := server.Seed(t.Context(), c.Name, statements...)
		if err != nil {
			t.Fatal(err)
		}
		db := dumptest.Build(t, statements)
		for _, table := range tablesOf(t, db) {
			columns := firsts(dumptest.Query(t, db, fingerprint.Columns(table)))
			want := dumptest.Query(t, db, fingerprint.Query(table, columns))
			for name, s := range map[string]subject{"workerd": {realAPI, realID}, "the sandbox": {ours, id}} {
				if got := firsts(s.rows(t, fingerprint.Columns(table))); !slices.Equal(got, columns) {
					t.Errorf("%s: the columns of %s are %q, %s says %q", c.Name, table, columns, name, got)
				}
				if diff := cmp.Diff(want, s.rows(t, fingerprint.Query(table, columns))); diff != "" {
					t.Errorf("%s: the rows of %s (-SQLite +%s):\n%s", c.Name, table, name, diff)
				}
			}
			tables++
		}
	}
	if tables < 60 {
		t.Errorf("only %d tables", tables)
	}
}

func tablesOf(t *testing.T, db *sql.DB) []string {
	t.Helper()
	return firsts(dumptest.Query(t, db, `SELECT name FROM pragma_table_list WHERE schema='main' AND type='table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`))
}

func firsts(rows [][]any) []string {
	all := make([]string, len(rows))
	for i, row := range rows {
		all[i] = row[0].(string)
	}
	return all
}

// rows are those of a query.
func (s subject) rows(t *testing.T, query string) [][]any {
	t.Helper()
	var answer struct {
		Result []struct {
			Results struct{ Rows [][]any }
		}
	}
	status, text := s.call(t, http.MethodPost, "/"+s.id+"/raw", map[string]string{"sql": query})
	if err := json.Unmarshal(text, &answer); err != nil || status != http.StatusOK {
		t.Fatalf("%d %v: %.300s", status, err, text)
	}
	return answer.Result[0].Results.Rows
}
