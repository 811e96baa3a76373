// Package dumptest has the databases that must survive a backup and a restore,
// and D1's way of dumping them, for the tests of those that read dumps. The
// engine is the test's: it imports a driver that is called sqlite.
package dumptest

import (
	"database/sql"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

//go:embed cases.json
var cases []byte

// Case is a database and how it is made.
type Case struct {
	Name string   `json:"name"`
	SQL  []string `json:"sql"`
}

// Cases are all of them, 27.
func Cases(t testing.TB) []Case {
	t.Helper()
	var all []Case
	if err := json.Unmarshal(cases, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 27 {
		t.Fatalf("%d cases, want 27", len(all))
	}
	return all
}

// Build makes a database in memory of the statements.
func Build(t testing.TB, statements []string) *sql.DB {
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

// Query returns all rows of columns of any kind.
func Query(t testing.TB, db *sql.DB, text string) [][]any {
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

// AsD1 writes what D1's export writes, by the rules of its dump routine
// (packages/miniflare/src/workers/d1/dumpSql.ts of cloudflare/workers-sdk). A
// virtual table, which D1 refuses, is left out, its shadow tables are not.
func AsD1(t testing.TB, db *sql.DB) string {
	t.Helper()
	out := []string{"PRAGMA defer_foreign_keys=TRUE;"}
	for _, row := range Query(t, db, "SELECT name, sql FROM sqlite_schema WHERE type='table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name='sqlite_sequence', rowid") {
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
	for _, row := range Query(t, db, "SELECT sql FROM sqlite_schema WHERE type<>'table' AND sql IS NOT NULL ORDER BY type, rowid") {
		out = append(out, row[0].(string)+";")
	}
	return strings.Join(out, "\n") + "\n"
}

func rowsAsD1(t testing.TB, db *sql.DB, table string) []string {
	t.Helper()
	var names, cells []string
	for _, column := range Query(t, db, "SELECT name FROM pragma_table_info('"+strings.ReplaceAll(table, "'", "''")+"')") {
		name := Quote(column[0].(string))
		names = append(names, name)
		// The driver is not asked for text, because it would not tell bytes
		// that are no text apart from a blob.
		cells = append(cells, "typeof("+name+"), hex("+name+"), "+name)
	}
	var out []string
	for _, row := range Query(t, db, "SELECT "+strings.Join(cells, ",")+" FROM "+Quote(table)) {
		var values []string
		for cell := range slices.Chunk(row, 3) {
			values = append(values, valueAsD1(t, cell[0].(string), cell[1].(string), cell[2]))
		}
		out = append(out, fmt.Sprintf("INSERT INTO %s (%s) VALUES(%s);", Quote(table), strings.Join(names, ","), strings.Join(values, ",")))
	}
	return out
}

func valueAsD1(t testing.TB, kind, hexed string, value any) string {
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

// Quote is a name as SQL.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Content is all that a database holds, as text to compare: its schema, and the
// rows of its tables, of virtual ones too, with the kind and exact value of each
// cell. Shadow tables and statistics are left out: what they hold is made anew.
func Content(t testing.TB, db *sql.DB) []string {
	t.Helper()
	var content []string
	for _, row := range Query(t, db, "SELECT type, name, tbl_name, coalesce(sql,'') FROM sqlite_schema"+
		" WHERE name NOT IN (SELECT name FROM pragma_table_list WHERE type='shadow') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name") {
		text := strings.Replace(row[3].(string), "CREATE TABLE IF NOT EXISTS", "CREATE TABLE", 1)
		content = append(content, fmt.Sprint(row[0], " ", row[1], " on ", row[2], ": ", strings.Join(strings.Fields(text), " ")))
	}
	for _, row := range Query(t, db, "SELECT name FROM pragma_table_list WHERE schema='main' AND type IN ('table','virtual')"+
		" AND name NOT IN ('sqlite_schema') AND name NOT LIKE 'sqlite_stat%' ORDER BY name") {
		content = append(content, contentOf(t, db, row[0].(string))...)
	}
	return content
}

// contentOf is the rows of a table, sorted: not all have a rowid that is theirs.
func contentOf(t testing.TB, db *sql.DB, table string) []string {
	t.Helper()
	var cells []string
	for _, column := range Query(t, db, "SELECT name FROM pragma_table_xinfo('"+strings.ReplaceAll(table, "'", "''")+"') WHERE hidden<>1") {
		c := Quote(column[0].(string))
		cells = append(cells, "typeof("+c+")||' '||CASE typeof("+c+") WHEN 'real' THEN format('%!.17g',"+c+")"+
			" WHEN 'integer' THEN "+c+" ELSE hex("+c+") END")
	}
	var rows []string
	for _, row := range Query(t, db, "SELECT "+strings.Join(cells, ",")+" FROM "+Quote(table)) {
		rows = append(rows, fmt.Sprint(table, ": ", row))
	}
	slices.Sort(rows)
	return rows
}
