package sandbox

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// cutAll cuts a text, and says what stopped it.
func cutAll(text string) (all []string, err error) {
	c := newCutter(strings.NewReader(text))
	for {
		statement, err := c.next()
		if err != nil {
			return all, err
		}
		all = append(all, statement)
	}
}

func TestStatementsAreCutAsTheImportCutsThem(t *testing.T) {
	t.Parallel()
	trigger := "create trigger g after insert on t begin select ';end;' -- ;end;\n; end;"
	cases := map[string]struct {
		text string
		want []string
		end  error
	}{
		"nothing":          {"", nil, io.EOF},
		"space":            {" \n\t-- a; b\n/* c; */", nil, io.EOF},
		"comment unended":  {"/* c", nil, io.EOF},
		"two":              {"a;\nb;\n", []string{"a;", "\nb;"}, io.EOF},
		"quoted":           {`a ';' ";" ` + "`;` [;];b;", []string{`a ';' ";" ` + "`;` [;];", "b;"}, io.EOF},
		"doubled":          {"'it''s;';", []string{"'it''s;';"}, io.EOF},
		"commented":        {"a /*;*/ --;\n;", []string{"a /*;*/ --;\n;"}, io.EOF},
		"no comment":       {"a - b / c;/*/;*/;", []string{"a - b / c;", "/*/;*/;"}, io.EOF},
		"semicolons":       {"a;;", []string{"a;", ";"}, io.EOF},
		"trigger":          {trigger + "b;", []string{trigger, "b;"}, io.EOF},
		"temp trigger":     {"CREATE TEMP TRIGGER x BEGIN a; END; b;", []string{"CREATE TEMP TRIGGER x BEGIN a; END;", " b;"}, io.EOF},
		"explain trigger":  {"explain create trigger x a; end; b;", []string{"explain create trigger x a; end;", " b;"}, io.EOF},
		"trigger of CASE":  {"CREATE TRIGGER x a CASE b END; c;END; d;", []string{"CREATE TRIGGER x a CASE b END; c;END;", " d;"}, io.EOF},
		"no trigger":       {"create trigger_x; b;", []string{"create trigger_x;", " b;"}, io.EOF},
		"no end":           {"a; b", []string{"a;"}, errIncomplete},
		"quote unended":    {"a; b';", []string{"a;"}, errIncomplete},
		"trigger unended":  {"CREATE TRIGGER x a;", nil, errIncomplete},
		"NUL":              {"a; b\x00;", []string{"a;"}, errIncomplete},
		"just long enough": {strings.Repeat("x", maxStatementBytes-1) + ";", []string{strings.Repeat("x", maxStatementBytes-1) + ";"}, io.EOF},
		"too long":         {strings.Repeat("x", maxStatementBytes) + ";", nil, errTooLong},
		"a line too long":  {"a;\n" + strings.Repeat("x", maxStatementBytes-1) + ";", []string{"a;"}, errTooLong},
	}
	for name, c := range cases {
		got, err := cutAll(c.text)
		if strings.Join(got, "|") != strings.Join(c.want, "|") || !errors.Is(err, c.end) {
			t.Errorf("%s: %.200q, %v, want %.200q, %v", name, got, err, c.want, c.end)
		}
	}
}

// TestCutsAreThoseOfSQLite holds the cutter against sqlite3_complete itself: a
// statement is the shortest beginning that is complete.
func TestCutsAreThoseOfSQLite(t *testing.T) {
	t.Parallel()
	tls := libc.NewTLS()
	defer tls.Close()
	complete := func(text string) bool {
		z, err := libc.CString(text)
		if err != nil {
			t.Fatal(err)
		}
		defer libc.Xfree(tls, z)
		return sqlite3.Xsqlite3_complete(tls, z) != 0
	}
	pieces := []string{
		"create", "CREATE ", "trigger ", "temp ", "Temporary ", "explain ", "end", "END", "begin ", ";", ";", ";", " ", "\n", "\f", "\v",
		"'", `"`, "`", "[", "]", "-", "--", "/", "/*", "*/", "x", "$", "é", "1", "(", ")",
	}
	r := rand.New(rand.NewPCG(5, 1))
	cut := 0
	for range 3000 {
		text := ""
		for range 1 + r.IntN(14) {
			text += pieces[r.IntN(len(pieces))]
		}
		want := ""
		for i := 1; i <= len(text) && want == ""; i++ {
			if complete(text[:i]) {
				want = text[:i]
			}
		}
		got, err := newCutter(strings.NewReader(text)).next()
		if got != want || (err == nil) != (want != "") {
			t.Fatalf("%q is cut after %q, %v, want %q", text, got, err, want)
		}
		if want != "" {
			cut++
		}
	}
	if cut < 500 {
		t.Errorf("only %d texts had a statement", cut)
	}
}
