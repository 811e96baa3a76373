package dump_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// told writes down what ReadStatements tells of each statement of a text.
func told(t *testing.T, r io.Reader) string {
	t.Helper()
	var b strings.Builder
	_, err := dump.ReadStatements(r, func(st dump.Statement) error {
		fmt.Fprintf(&b, "%d %s %q", st.Offset, st.Kind, st.Name)
		for _, row := range st.Rows {
			fmt.Fprintf(&b, " %s", st.Text[row.From:row.To])
		}
		fmt.Fprintf(&b, " temporary=%t odd=%t commented=%t %q\n", st.Temporary, st.Odd, st.Commented, st.Text)
		return nil
	})
	switch {
	case errors.Is(err, dump.ErrNotSQL): // its words show what of the chunk there is
		fmt.Fprintln(&b, dump.ErrNotSQL)
	case err != nil:
		fmt.Fprintln(&b, err)
	}
	return b.String()
}

func TestStatements(t *testing.T) {
	const text = `PRAGMA defer_foreign_keys=TRUE;
CREATE TABLE "a;b" (x, y);
INSERT INTO "a;b" ("x","y") VALUES(1,'two;'),(2,replace('a\n','\n',char(10)));
INSERT INTO "a;b" ("x","y") VALUES(3,X'00');
INSERT INTO "a;b" ("x","y") VALUES(-Infinity,unistr('\0007'));
CREATE TRIGGER t AFTER INSERT ON "a;b" BEGIN SELECT 1; END;
CREATE TEMP VIEW v AS SELECT 1 -- why;
CREATE VIRTUAL TABLE f USING fts5(x);
DELETE FROM sqlite_sequence;
`
	want := `0 other "" temporary=false odd=false commented=false "PRAGMA defer_foreign_keys=TRUE;"
32 table "a;b" temporary=false odd=false commented=false "CREATE TABLE \"a;b\" (x, y);"
59 insert "a;b" (1,'two;') (2,replace('a\n','\n',char(10))) temporary=false odd=false commented=false "INSERT INTO \"a;b\" (\"x\",\"y\") VALUES(1,'two;'),(2,replace('a\\n','\\n',char(10)));"
138 insert "a;b" (3,X'00') temporary=false odd=false commented=false "INSERT INTO \"a;b\" (\"x\",\"y\") VALUES(3,X'00');"
183 insert "a;b" (-Infinity,unistr('\0007')) temporary=false odd=true commented=false "INSERT INTO \"a;b\" (\"x\",\"y\") VALUES(-Infinity,unistr('\\0007'));"
246 trigger "t" temporary=false odd=false commented=false "CREATE TRIGGER t AFTER INSERT ON \"a;b\" BEGIN SELECT 1; END;"
306 view "v" temporary=true odd=false commented=true "CREATE TEMP VIEW v AS SELECT 1 -- why;"
345 virtual "f" temporary=false odd=false commented=false "CREATE VIRTUAL TABLE f USING fts5(x);"
383 delete "sqlite_sequence" temporary=false odd=false commented=false "DELETE FROM sqlite_sequence;"
`
	if got := told(t, strings.NewReader(text)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := told(t, iotest.OneByteReader(strings.NewReader(text))); got != want {
		t.Errorf("byte for byte:\n%s\nwant\n%s", got, want)
	}
}

func TestStatementsEndWithTheFirstError(t *testing.T) {
	boom := errors.New("boom")
	if _, err := dump.ReadStatements(strings.NewReader("SELECT 1;"), func(dump.Statement) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("the function's error: %v", err)
	}
	if _, err := dump.ReadStatements(iotest.ErrReader(boom), func(dump.Statement) error { return nil }); !errors.Is(err, boom) {
		t.Errorf("the reader's error: %v", err)
	}
	long := io.MultiReader(strings.NewReader("INSERT INTO t VALUES('"), bytes.NewReader(make([]byte, 20<<20)))
	if _, err := dump.ReadStatements(long, func(dump.Statement) error { return nil }); !errors.Is(err, dump.ErrStatementTooLong) {
		t.Errorf("a long statement: %v", err)
	}
}

// FuzzStatements holds that cuts change nothing, and that what is told lies in
// the text.
func FuzzStatements(f *testing.F) {
	for _, seed := range []string{
		"INSERT INTO t VALUES(1);-", "- 5;", "/", "--\nSELECT 1;", "CREATE VIEW v AS SELECT 1 --;\nINSERT INTO t VALUES(2),(3);",
		"INSERT INTO t VALUES(1);\nINSERT INTO t VALUES(2)--;\n;", "CREATE x;", "sel", "DELETE FROM",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole := told(t, strings.NewReader(text))
		if cut := told(t, iotest.OneByteReader(strings.NewReader(text))); cut != whole {
			t.Errorf("got\n%s\nbyte for byte\n%s", whole, cut)
		}
	})
}

// What is told at the end is what the filter tells, the last statement included,
// whose semicolon may stand in a comment.
func TestReadStatementsTellsTheSame(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"CREATE TABLE t(a);\nCREATE VIEW v AS SELECT 1 -- why;", "CREATE VIEW v AS SELECT 1 -- why;\n", "CREATE TABLE t(a);INSERT INTO t VALUES(1);",
	} {
		f := dump.NewFilter(io.Discard, dump.Options{})
		if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
		if err := f.Finish(); err != nil {
			t.Fatal(err)
		}
		got, err := dump.ReadStatements(strings.NewReader(text), func(dump.Statement) error { return nil })
		if diff := cmp.Diff(f.Summary(), got); diff != "" || err != nil {
			t.Errorf("%q: %v (-filter +statements)\n%s", text, err, diff)
		}
	}
}
