package dump_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump"
)

// A value's findings do not depend on what stands beside it, on where the
// input is cut, or on whether the statement is the first of its kind.
func TestFindingsOfValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value string
		want  string // codes
	}{
		{"NULL", ""},
		{"0", ""},
		{"-1", ""},
		{"9007199254740991", ""},
		{"-9007199254740991", ""},
		{"1700000000000000", ""},
		{"9007199254740992", dump.FindingInteger},
		{"-9007199254740992", dump.FindingInteger},
		{"9007199254740993", dump.FindingInteger},
		{"9223372036854775807", dump.FindingInteger},
		{"-9223372036854775808", dump.FindingInteger},
		{"9223372036854776000", dump.FindingInteger},
		{"100000000000000000000", dump.FindingInteger},
		{strings.Repeat("9", 500), dump.FindingInteger},
		{"00009007199254740991", ""},
		{"- 9007199254740992", dump.FindingInteger},
		{"+9007199254740992", dump.FindingInteger},
		{"9_007_199_254_740_992", dump.FindingInteger},
		{"0x20000000000000", dump.FindingInteger},
		{"0x1fffffffffffff", ""},
		{"0xffffffffffffffff", ""},
		{"0x8000000000000000", dump.FindingInteger},
		{"0.1", ""},
		{"-0.30000000000000004", ""},
		{".5", ""},
		{"1e+300", ""},
		{"1E-7", ""},
		{"1.7976931348623157e+308", ""},
		{"9007199254740993.0", ""},
		{"1e+21", ""},
		{"Infinity", dump.FindingInfinity},
		{"-Infinity", dump.FindingInfinity},
		{"9e999", dump.FindingInfinity},
		{"-9e999", dump.FindingInfinity},
		{"-9.0e+999", dump.FindingInfinity},
		{strings.Repeat("9", 310) + ".5", dump.FindingInfinity},
		{strings.Repeat("9", 305) + ".5", ""},
		{"ERROR", dump.FindingErrorWord},
		{"'ERROR'", ""},
		{"'Infinity'", ""},
		{"'9007199254740993'", ""},
		{`'{"id":9007199254740993,"x":"a''b"}'`, ""},
		{"''", ""},
		{"''''", ""},
		{"'a\x00b'", dump.FindingNUL},
		{"'it''s a\x00b'", dump.FindingNUL},
		{"'a\uFFFDb'", dump.FindingReplacement},
		{"'a''\uFFFD'", dump.FindingReplacement},
		{"'\xef\xbf\xef\xbf\xbd'", dump.FindingReplacement},
		{"'\xef\xef\xbf\xbd'", dump.FindingReplacement},
		{"'\xef\xbf''\xbd'", ""},
		{"'\uFFFC\uFFFE\xbd'", ""},
		{"'full width，text。'", ""},
		{"'\uFFFD\x00\uFFFD'", dump.FindingNUL + " " + dump.FindingReplacement},
		{"X'00ff'", ""},
		{"x''", ""},
		{`replace('two\nlines','\n',char(10))`, ""},
		{`replace('printf("hi\n");\nnext','\n',char(10))`, dump.FindingNewline},
		{`replace('a\\nb','\n',char(10))`, ""},
		{`replace('a\\nb\n','\n',char(10))`, dump.FindingNewline},
		{`replace('C:\readme\rnext','\r',char(13))`, dump.FindingNewline},
		{`replace('C:\readme\nnext','\n',char(10))`, ""},
		{`replace('\r\r','\n',char(10))`, ""},
		{`replace(replace('one\r\ntwo','\r',char(13)),'\n',char(10))`, ""},
		{`replace(replace('1\r2\r3\n','\r',char(13)),'\n',char(10))`, dump.FindingNewline},
		{`replace(replace('1\n2\n3\r','\r',char(13)),'\n',char(10))`, dump.FindingNewline},
		{`replace('a''\n''\n','\n',char(10))`, dump.FindingNewline},
		{"replace('a\x00\\n','\\n',char(10))", dump.FindingNUL},
		{`'no \n replace \n'`, ""},
		{`char(10)`, ""},
		{`(9007199254740992)`, ""},
		{`1+1`, ""},
		{`NULL/* 9007199254740992 */`, ""},
		{`"ERROR"`, ""},
	} {
		for _, shape := range []struct{ name, before, after string }{
			{"first", "", ""},
			{"last", "1,'x',", ""},
			{"between", "NULL,", ",2.5"},
			{"row of many", "0),('y',", "),(1"},
		} {
			statement := "INSERT INTO \"t\" (\"a\",\"b\") VALUES("
			text := pragma + statement + "1,'plain');\n" + statement + shape.before + tt.value + shape.after + ");\n" + statement + "2,NULL);\n"
			var want []backup.Finding
			for _, code := range strings.Fields(tt.want) {
				row := int64(2)
				if strings.Contains(shape.before, "(") {
					row++
				}
				want = append(want, backup.Finding{Code: code, Table: "t", Count: 1, FirstRow: row, FirstOffset: int64(len(pragma + statement + "1,'plain');\n"))})
			}
			var got dump.Summary
			if len(tt.value) < 100 {
				got = everyCut(t, dump.Options{}, text).Summary
			} else {
				got = run(dump.Options{}, text).Summary
			}
			if diff := cmp.Diff(want, got.Findings); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tt.value, shape.name, diff)
			}
		}
	}
}

func TestFindingsAreCountedByCodeAndTable(t *testing.T) {
	t.Parallel()
	text := pragma + "CREATE TABLE b(x); CREATE TABLE a(x);\n" +
		"INSERT INTO a VALUES(1);INSERT INTO a VALUES(Infinity);INSERT INTO A VALUES(9e999);\n" +
		"INSERT INTO b VALUES(Infinity,9007199254740992,9007199254740992);\n"
	got := everyCut(t, dump.Options{}, text).Summary.Findings
	want := []backup.Finding{
		{Code: "infinity", Table: "b", Count: 1, FirstRow: 1, FirstOffset: int64(strings.Index(text, "INSERT INTO b"))},
		{Code: "infinity", Table: "a", Count: 2, FirstRow: 2, FirstOffset: int64(strings.Index(text, "INSERT INTO a VALUES(I"))},
		{Code: "integer_past_2_53", Table: "b", Count: 2, FirstRow: 1, FirstOffset: int64(strings.Index(text, "INSERT INTO b"))},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The sqlite3 shell picks a mark that the text does not have.
func TestShellReplaceLosesNothing(t *testing.T) {
	t.Parallel()
	text := "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nINSERT INTO t VALUES(replace('a\\nb\\nc','\\n',char(10)));\nCOMMIT;\n"
	if got := run(dump.Options{}, text).Summary.Findings; got != nil {
		t.Errorf("got %+v", got)
	}
}

func TestLongStatements(t *testing.T) {
	t.Parallel()
	row := func(length int) string {
		const around = "INSERT INTO t VALUES('');"
		return "INSERT INTO t VALUES('" + strings.Repeat("x", length-len(around)) + "');"
	}
	view := "CREATE VIEW w AS SELECT '" + strings.Repeat("x", dump.LongStatement) + "';"
	text := pragma + row(dump.LongStatement) + "\n" + row(dump.LongStatement+1) + "\n" + view + "\n"
	got := run(dump.Options{}, text).Summary
	want := []backup.Finding{
		{Code: "long_statement", Count: 1, FirstOffset: int64(strings.Index(text, view))},
		{Code: "long_statement", Table: "t", Count: 1, FirstRow: 2, FirstOffset: int64(len(pragma)) + dump.LongStatement + 1},
	}
	if diff := cmp.Diff(want, got.Findings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.LongestStatement != int64(len(view)) {
		t.Errorf("the longest statement has %d bytes, want %d", got.LongestStatement, len(view))
	}
}
