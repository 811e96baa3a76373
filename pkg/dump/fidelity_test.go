package dump_test

import (
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // the engine that makes and counts the databases

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump"
)

// fidelityFindings are the findings that the cases of testdata/cases.json must
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
	raw, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name string   `json:"name"`
		SQL  []string `json:"sql"`
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 27 {
		t.Fatalf("%d cases, want 27", len(cases))
	}
	findings := fidelityFindings()
	for _, tt := range cases {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			db := build(t, tt.SQL)
			text := dumpAsD1(t, db)
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

func build(t *testing.T, statements []string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return db
}

// query returns all rows of columns of any kind.
func query(t *testing.T, db *sql.DB, text string) [][]any {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]any
	for rows.Next() {
		row := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

const ordinary = "type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%'"

func tablesOf(t *testing.T, db *sql.DB) []backup.Table {
	t.Helper()
	var tables []backup.Table
	for _, row := range query(t, db, "SELECT name FROM sqlite_schema WHERE "+ordinary+" ORDER BY rowid") {
		name := row[0].(string)
		n := query(t, db, "SELECT count(*) FROM "+quoteName(name))[0][0].(int64)
		tables = append(tables, backup.Table{Name: name, Rows: n})
	}
	return tables
}

func objectsOf(t *testing.T, db *sql.DB) []backup.Object {
	t.Helper()
	var objects []backup.Object
	for _, row := range query(t, db, "SELECT type, name FROM sqlite_schema WHERE type<>'table' AND sql IS NOT NULL ORDER BY type, rowid") {
		objects = append(objects, backup.Object{Type: row[0].(string), Name: row[1].(string)})
	}
	return objects
}

// dumpAsD1 writes what D1's export writes, by the rules of its dump routine
// (packages/miniflare/src/workers/d1/dumpSql.ts of cloudflare/workers-sdk). A
// virtual table, which D1 refuses, is left out, its shadow tables are not.
func dumpAsD1(t *testing.T, db *sql.DB) string {
	t.Helper()
	out := []string{"PRAGMA defer_foreign_keys=TRUE;"}
	for _, row := range query(t, db, "SELECT name, sql FROM sqlite_schema WHERE type='table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name='sqlite_sequence', rowid") {
		name, text := row[0].(string), row[1].(string)
		switch {
		case name == "sqlite_sequence":
			text = "DELETE FROM sqlite_sequence"
		case strings.HasPrefix(name, "sqlite_stat"):
			text = "ANALYZE sqlite_schema"
		case strings.HasPrefix(text, "CREATE TABLE \"") || strings.HasPrefix(text, "CREATE TABLE '"):
			text = "CREATE TABLE IF NOT EXISTS " + strings.TrimPrefix(text, "CREATE TABLE ")
		}
		out = append(out, text+";")
		out = append(out, rowsAsD1(t, db, name)...)
	}
	for _, row := range query(t, db, "SELECT sql FROM sqlite_schema WHERE type<>'table' AND sql IS NOT NULL ORDER BY type, rowid") {
		out = append(out, row[0].(string)+";")
	}
	return strings.Join(out, "\n") + "\n"
}

func rowsAsD1(t *testing.T, db *sql.DB, table string) []string {
	t.Helper()
	var names, cells []string
	for _, column := range query(t, db, "SELECT name FROM pragma_table_info('"+strings.ReplaceAll(table, "'", "''")+"')") {
		name := quoteName(column[0].(string))
		names = append(names, name)
		// The driver is not asked for text, because it would not tell bytes
		// that are no text apart from a blob.
		cells = append(cells, "typeof("+name+"), hex("+name+"), "+name)
	}
	var out []string
	for _, row := range query(t, db, "SELECT "+strings.Join(cells, ",")+" FROM "+quoteName(table)) {
		var values []string
		for cell := range slices.Chunk(row, 3) {
			values = append(values, valueAsD1(t, cell[0].(string), cell[1].(string), cell[2]))
		}
		out = append(out, fmt.Sprintf("INSERT INTO %s (%s) VALUES(%s);", quoteName(table), strings.Join(names, ","), strings.Join(values, ",")))
	}
	return out
}

func valueAsD1(t *testing.T, kind, hexed string, value any) string {
	t.Helper()
	raw, err := hex.DecodeString(hexed)
	if err != nil {
		t.Fatal(err)
	}
	switch kind {
	case "null":
		return "NULL"
	case "blob":
		return "X'" + strings.ToLower(hexed) + "'"
	case "integer":
		return numberAsJavaScript(float64(value.(int64)))
	case "real":
		return numberAsJavaScript(value.(float64))
	}
	text := strings.ReplaceAll(strings.ToValidUTF8(string(raw), "\uFFFD"), "'", "''")
	quoted := "'" + strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(text) + "'"
	if strings.Contains(text, "\r") {
		quoted = "replace(" + quoted + `,'\r',char(13))`
	}
	if strings.Contains(text, "\n") {
		quoted = "replace(" + quoted + `,'\n',char(10))`
	}
	return quoted
}

func numberAsJavaScript(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		return "0"
	case math.Abs(f) >= 1e21 || math.Abs(f) < 1e-6:
		return strings.Replace(strconv.FormatFloat(f, 'e', -1, 64), "e-0", "e-", 1)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
