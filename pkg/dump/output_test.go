package dump_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

const (
	bodyText = pragma + "CREATE TABLE t(a, b);\n" +
		"INSERT INTO \"t\" (\"a\",\"b\") VALUES(1,'x');\n" +
		"INSERT INTO \"t\" (\"a\",\"b\") VALUES(2,'y;');\n" +
		"INSERT INTO \"t\" (\"a\",\"b\") VALUES(9007199254740992,'z');\r\n" +
		"CREATE TABLE u(a);\n" +
		"INSERT INTO u VALUES(1),(2);INSERT INTO u VALUES(3) ; -- behind\n" +
		"DELETE FROM sqlite_sequence;\nINSERT INTO \"sqlite_sequence\" (\"name\",\"seq\") VALUES('t',2);\n"
	tailText = "CREATE /* odd */ UNIQUE INDEX i ON t(a);\nCREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO t VALUES(1,2); END;\n" +
		"CREATE VIEW w AS SELECT 1;\nINSERT INTO u VALUES(4);\n"
)

func TestHoldTail(t *testing.T) {
	t.Parallel()
	for _, pieces := range [][]string{{bodyText + tailText}, strings.Split(bodyText+tailText, "")} {
		var out bytes.Buffer
		f := dump.NewFilter(&out, dump.Options{HoldTail: true})
		for _, piece := range pieces {
			if _, err := f.Write([]byte(piece)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.ReleaseTail(); err == nil {
			t.Fatal("the tail was released before the end")
		}
		if err := f.Finish(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(bodyText, out.String()); diff != "" {
			t.Errorf("before the release (-want +got):\n%s", diff)
		}
		out.WriteString("-- repaired\n")
		for range 2 { // the second time there is none left
			if err := f.ReleaseTail(); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(bodyText+"-- repaired\n"+tailText, out.String()); diff != "" {
			t.Errorf("after the release (-want +got):\n%s", diff)
		}
		if got, want := f.Summary().Bytes, int64(len(bodyText+tailText)); got != want {
			t.Errorf("%d bytes read, want %d", got, want)
		}
	}
}

func TestTailHasALimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{int64(len(tailText)), int64(len(tailText)) - 1} {
		opts := dump.Options{HoldTail: true, TailLimit: limit}
		var out bytes.Buffer
		f := dump.NewFilter(&out, opts)
		_, err := f.Write([]byte(bodyText + tailText))
		if want := limit < int64(len(tailText)); errors.Is(err, dump.ErrTailTooLong) != want {
			t.Errorf("limit %d: %v", limit, err)
		}
		if again := f.Finish(); !errors.Is(again, err) {
			t.Errorf("limit %d: Finish returned %v after %v", limit, again, err)
		}
	}
}

func TestWithhold(t *testing.T) {
	t.Parallel()
	without := func(parts ...string) string {
		text := bodyText + tailText
		for _, part := range parts {
			if strings.Count(text, part) != 1 {
				panic(part)
			}
			text = strings.Replace(text, part, "", 1)
		}
		return text
	}
	for _, tt := range []struct {
		name string
		from func(dump.Row) bool
		want string
	}{
		{"nothing", func(dump.Row) bool { return false }, bodyText + tailText},
		{"first of a table", func(r dump.Row) bool { return r.Table == "t" && r.Number == 1 }, without("INSERT INTO \"t\" (\"a\",\"b\") VALUES(1,'x');\n")},
		{"with CRLF", func(r dump.Row) bool { return r.Table == "t" && r.Number == 3 }, without("INSERT INTO \"t\" (\"a\",\"b\") VALUES(9007199254740992,'z');\r\n")},
		{"second of two", func(r dump.Row) bool { return r.Table == "u" && r.Number == 2 }, without("INSERT INTO u VALUES(1),(2);")},
		{"no line end", func(r dump.Row) bool { return r.Table == "u" && r.Number == 3 }, without("INSERT INTO u VALUES(3) ;")},
		{"in the tail", func(r dump.Row) bool { return r.Table == "u" && r.Number == 4 }, without("INSERT INTO u VALUES(4);\n")},
		{"by its text", func(r dump.Row) bool { return bytes.Contains(r.Statement, []byte("'y;'")) }, without("INSERT INTO \"t\" (\"a\",\"b\") VALUES(2,'y;');\n")},
		{"by its offset", func(r dump.Row) bool { return r.Offset == int64(strings.Index(bodyText, "INSERT INTO u")) }, without("INSERT INTO u VALUES(1),(2);")},
		{"all", func(dump.Row) bool { return true }, without(
			"INSERT INTO \"t\" (\"a\",\"b\") VALUES(1,'x');\n", "INSERT INTO \"t\" (\"a\",\"b\") VALUES(2,'y;');\n", "INSERT INTO \"t\" (\"a\",\"b\") VALUES(9007199254740992,'z');\r\n",
			"INSERT INTO u VALUES(1),(2);", "INSERT INTO u VALUES(3) ;", "INSERT INTO \"sqlite_sequence\" (\"name\",\"seq\") VALUES('t',2);\n", "INSERT INTO u VALUES(4);\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, hold := range []bool{false, true} {
				got := everyCut(t, dump.Options{HoldTail: hold, Withhold: tt.from}, bodyText+tailText)
				if got.Err != "" {
					t.Fatal(got.Err)
				}
				if diff := cmp.Diff(tt.want, got.Out); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(run(dump.Options{}, bodyText+tailText).Summary, got.Summary); diff != "" {
					t.Errorf("the summary changed (-without +with):\n%s", diff)
				}
			}
		})
	}
}

// Every row is asked for once, in order, with the text of its statement.
func TestWithholdIsAskedForEachRow(t *testing.T) {
	t.Parallel()
	want := []string{
		`t 1 INSERT INTO "t" ("a","b") VALUES(1,'x');`,
		`t 2 INSERT INTO "t" ("a","b") VALUES(2,'y;');`,
		`t 3 INSERT INTO "t" ("a","b") VALUES(9007199254740992,'z');`,
		`u 1 INSERT INTO u VALUES(1),(2);`,
		`u 2 INSERT INTO u VALUES(1),(2);`,
		`u 3 INSERT INTO u VALUES(3) ;`,
		`sqlite_sequence 1 INSERT INTO "sqlite_sequence" ("name","seq") VALUES('t',2);`,
		`u 4 INSERT INTO u VALUES(4);`,
	}
	for _, size := range []int{1, 2, 3, 50, 1000} {
		var got []string
		opts := dump.Options{Withhold: func(r dump.Row) bool {
			got = append(got, fmt.Sprintf("%s %d %s", r.Table, r.Number, r.Statement))
			if text := bodyText + tailText; !strings.HasPrefix(text[r.Offset:], string(r.Statement)) {
				t.Errorf("row %d of %s is not at byte %d", r.Number, r.Table, r.Offset)
			}
			return false
		}}
		var pieces []string
		for text := bodyText + tailText; text != ""; {
			n := min(size, len(text))
			pieces = append(pieces, text[:n])
			text = text[n:]
		}
		run(opts, pieces...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in pieces of %d (-want +got):\n%s", size, diff)
		}
	}
}

// A statement that is too long to be kept is asked for without its text.
func TestWithholdOfAStatementTooLongToKeep(t *testing.T) {
	t.Parallel()
	start := "INSERT INTO t VALUES(1);\nINSERT INTO t VALUES('"
	piece := strings.Repeat("x", 1<<20)
	end := "');\nINSERT INTO t VALUES(3);\n"
	for _, withheld := range []bool{false, true} {
		var asked []dump.Row
		opts := dump.Options{Withhold: func(r dump.Row) bool {
			if r.Statement == nil {
				asked = append(asked, r)
			}
			return r.Statement == nil && withheld
		}}
		pieces := []string{start}
		for range 20 {
			pieces = append(pieces, piece)
		}
		pieces = append(pieces, end)
		got := run(opts, pieces...)
		want := strings.Join(pieces, "")
		if withheld {
			want = "INSERT INTO t VALUES(1);\nINSERT INTO t VALUES(3);\n"
		}
		if got.Err != "" || got.Out != want {
			t.Errorf("withheld %v: %d bytes, want %d; %s", withheld, len(got.Out), len(want), got.Err)
		}
		if diff := cmp.Diff([]dump.Row{{Table: "t", Number: 2, Offset: 25}}, asked); diff != "" {
			t.Errorf("withheld %v (-want +got):\n%s", withheld, diff)
		}
		if got.Summary.Tables[0].Rows != 3 {
			t.Errorf("withheld %v: %d rows", withheld, got.Summary.Tables[0].Rows)
		}
	}
}

// Memory must not grow with the dump, with its longest text, or with the
// number of findings. It is not parallel, because it looks at what the whole
// program allocates.
func TestMemoryIsFlat(t *testing.T) {
	const (
		chunks = 256
		limit  = 1 << 20 // a hundredth of what flows through
	)
	row := []byte("INSERT INTO \"t\" (\"a\",\"b\") VALUES(9007199254740993,replace('it''s\\n\\n\x00\uFFFD','\\n',char(10)));\n")
	rows := bytes.Repeat(row, (256<<10)/len(row))
	text := bytes.Repeat([]byte("long text; "), (256<<10)/len("long text; "))
	for _, tt := range []struct {
		name             string
		head, body, tail string
		opts             dump.Options
	}{
		{"many rows", pragma, string(rows), "", dump.Options{}},
		{"many rows, each asked for", pragma, string(rows), "", dump.Options{HoldTail: true, Withhold: func(r dump.Row) bool { return r.Number%2 == 0 }}},
		{"one text", pragma + "INSERT INTO \"t\" VALUES('", string(text), "');", dump.Options{}},
		{"one comment", pragma + "CREATE TABLE t(a /* ", string(text), "*/);", dump.Options{}},
		{"one name", pragma + "CREATE TABLE \"", string(text), "\"(a);", dump.Options{}},
	} {
		f := dump.NewFilter(writerFunc(func(p []byte) (int, error) { return len(p), nil }), tt.opts)
		body := []byte(tt.body)
		write := func(p []byte) {
			if _, err := f.Write(p); err != nil && len(p) > 0 {
				t.Fatal(err)
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		write([]byte(tt.head))
		for range chunks {
			write(body)
		}
		write([]byte(tt.tail))
		if err := f.Finish(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > limit {
			t.Errorf("%s: %d bytes were allocated for %d", tt.name, grown, f.Summary().Bytes)
		}
	}
}
