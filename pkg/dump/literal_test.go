package dump_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// TestValues holds what a row is read as, and what is written of it, against
// SQLite itself: for every value both must be what the engine makes of the
// source.
func TestValues(t *testing.T) {
	db := openDB(t)
	for _, c := range []struct {
		source string
		kind   dump.ValueKind
	}{
		{"NULL", dump.ValueNull},
		{"0", dump.ValueInteger},
		{"-9223372036854775808", dump.ValueInteger},
		{"9223372036854775807", dump.ValueInteger},
		{"9223372036854775808", dump.ValueReal},
		{"1.5", dump.ValueReal},
		{"-0.0", dump.ValueReal},
		{"1e+300", dump.ValueReal},
		{".5e-7", dump.ValueReal},
		{"9e999", dump.ValueReal},
		{"-9e999", dump.ValueReal},
		{"0x10", dump.ValueInteger},
		{"0xffffffffffffffff", dump.ValueInteger},
		{"1_000", dump.ValueInteger},
		{"1+1", dump.ValueExpression},
		{"1+1", dump.ValueExpression},
		{"''", dump.ValueText},
		{"'it''s, (so'", dump.ValueText},
		{"'größe 🎉'", dump.ValueText},
		{"X''", dump.ValueBlob},
		{"x'00fF'", dump.ValueBlob},
		{`replace('a\nb','\n',char(10))`, dump.ValueText},
		{`replace(replace('a\r\nb','\r',char(13)),'\n',char(10))`, dump.ValueText},
		{"upper('a,b')", dump.ValueExpression},
		{"CAST(X'610062' AS TEXT)", dump.ValueText},
		{"(SELECT 1)", dump.ValueExpression},
	} {
		values, err := dump.ParseRow(nil, []byte("( "+c.source+" ,7)"))
		if err != nil || len(values) != 2 || values[0].Kind != c.kind {
			t.Errorf("%s: %v, %v; want kind %d", c.source, values, err, c.kind)
			continue
		}
		want := eval(t, db, c.source)
		if got := eval(t, db, string(values[0].AppendSQL(nil))); got != want {
			t.Errorf("%s is written as %s, which is %s and not %s", c.source, values[0].AppendSQL(nil), got, want)
		}
		if c.kind == dump.ValueExpression {
			continue
		}
		if got := eval(t, db, "?", bound(values[0])); got != want {
			t.Errorf("%s is read as %s, SQLite reads %s", c.source, got, want)
		}
	}
}

// TestValuesThatSQLiteCannotRead are what D1 and newer shells write.
func TestValuesThatSQLiteCannotRead(t *testing.T) {
	for source, want := range map[string]string{
		"Infinity":                       "9e999",
		"-Infinity":                      "-9e999",
		"ERROR":                          "NULL",
		"'a\x00b'":                       "CAST(X'610062' AS TEXT)",
		"'a\xffb'":                       "CAST(X'61ff62' AS TEXT)",
		`unistr('a\u0007\\b\+01F389''')`: "'a\x07\\b🎉'''",
		`unistr('\U0001F389\0041')`:      "'🎉A'",
		`unistr('\00')`:                  `unistr('\00')`,
		`unistr('\')`:                    `unistr('\')`,
	} {
		values, err := dump.ParseRow(nil, []byte("("+source+")"))
		if err != nil || len(values) != 1 {
			t.Errorf("%s: %v, %v", source, values, err)
			continue
		}
		if got := string(values[0].AppendSQL(nil)); got != want {
			t.Errorf("%s is written as %s, not %s", source, got, want)
		}
	}
}

func TestParseRowRefuses(t *testing.T) {
	for _, text := range []string{"", "(", "1", "(1", "('a)", "(1,(2)", "(1 -- a)", "(/* )", "(\"a)"} {
		if values, err := dump.ParseRow(nil, []byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, values)
		}
	}
}

// FuzzParseRow holds that what is written of a row is read as the same again.
func FuzzParseRow(f *testing.F) {
	for _, seed := range []string{"(1,'a')", "(ERROR,Infinity,X'00')", "(unistr('\\0041'),replace('a\\n','\\n',char(10)))", "([a],\"b\")"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		values, err := dump.ParseRow(nil, row)
		if err != nil {
			return
		}
		written := writeRow(values)
		again, err := dump.ParseRow(nil, written)
		if err != nil || len(again) != len(values) {
			t.Fatalf("%q is written as %q, which is read as %v, %v", row, written, again, err)
		}
		if twice := writeRow(again); !bytes.Equal(twice, written) {
			t.Errorf("%q is written as %q, then as %q", row, written, twice)
		}
	})
}

func writeRow(values []dump.Value) []byte {
	row := []byte("(")
	for i, v := range values {
		if i > 0 {
			row = append(row, ',')
		}
		row = v.AppendSQL(row)
	}
	return append(row, ')')
}

func openDB(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func eval(t *testing.T, db *sql.DB, expression string, args ...any) string {
	t.Helper()
	var kind, content string
	query := "SELECT typeof(v), CASE typeof(v) WHEN 'real' THEN printf('%.17g', v) WHEN 'null' THEN '' ELSE hex(v) END FROM (SELECT " + expression + " AS v)"
	if err := db.QueryRow(query, args...).Scan(&kind, &content); err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return strings.TrimSpace(fmt.Sprint(kind, " ", content))
}

func bound(v dump.Value) any {
	switch v.Kind {
	case dump.ValueInteger:
		return v.Integer
	case dump.ValueReal:
		return v.Real
	case dump.ValueText:
		return string(v.Bytes)
	case dump.ValueBlob:
		return append([]byte{}, v.Bytes...)
	default:
		return nil
	}
}
