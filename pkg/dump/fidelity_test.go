package dump_test

import (
	"database/sql"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // the engine that makes and counts the databases

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
)

// fidelityFindings are the findings that the cases of dumptest must
// make, by name. Cases that are not here must make none: what they lose does
// not show in the dump, or nothing is lost.
func fidelityFindings() map[string][]string {
	return map[string][]string{
		"int53":         {dump.FindingInteger},
		"infinity":      {dump.FindingInfinity},
		"mixed_newline": {dump.FindingNewline},
		"mixed_cr":      {dump.FindingNewline},
		"nul_text":      {dump.FindingNUL},
		"long_text":     {dump.FindingLong},
		"long_blob":     {dump.FindingLong},
		"invalid_utf8":  {dump.FindingReplacement},
	}
}

// Databases built by SQLite, dumped as D1 does, are counted as SQLite counts
// them.
func TestFidelityCases(t *testing.T) {
	t.Parallel()
	findings := fidelityFindings()
	for _, tt := range dumptest.Cases(t) {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			db := dumptest.Build(t, tt.SQL)
			text := dumptest.AsD1(t, db)
			r := run(dump.Options{}, text)
			if r.Err != "" || r.Out != text {
				t.Fatalf("%s\n%s", r.Err, text)
			}
			if len(text) < 5000 {
				everyCut(t, dump.Options{HoldTail: true}, text)
			}
			if diff := cmp.Diff(tablesOf(t, db), r.Summary.Tables); diff != "" {
				t.Errorf("tables (-SQLite +filter):\n%s", diff)
			}
			if diff := cmp.Diff(objectsOf(t, db), r.Summary.Objects); diff != "" {
				t.Errorf("objects (-SQLite +filter):\n%s", diff)
			}
			var codes []string
			for _, f := range r.Summary.Findings {
				codes = append(codes, f.Code)
			}
			if diff := cmp.Diff(findings[tt.Name], codes); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%.2000s", diff, text)
			}
		})
	}
}

const ordinary = "type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%'"

func tablesOf(t *testing.T, db *sql.DB) []backup.Table {
	t.Helper()
	var tables []backup.Table
	for _, row := range dumptest.Query(t, db, "SELECT name FROM sqlite_schema WHERE "+ordinary+" ORDER BY rowid") {
		name := row[0].(string)
		n := dumptest.Query(t, db, "SELECT count(*) FROM "+dumptest.Quote(name))[0][0].(int64)
		tables = append(tables, backup.Table{Name: name, Rows: n})
	}
	return tables
}

func objectsOf(t *testing.T, db *sql.DB) []backup.Object {
	t.Helper()
	var objects []backup.Object
	for _, row := range dumptest.Query(t, db, "SELECT type, name FROM sqlite_schema WHERE type<>'table' AND sql IS NOT NULL ORDER BY type, rowid") {
		objects = append(objects, backup.Object{Type: row[0].(string), Name: row[1].(string)})
	}
	return objects
}
