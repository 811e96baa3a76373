package dump_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump"
)

// result is all that a filter makes of a dump.
type result struct {
	Out     string
	Summary dump.Summary
	Err     string
}

// run filters the pieces and releases the tail.
func run(opts dump.Options, pieces ...string) result {
	var out bytes.Buffer
	f := dump.NewFilter(&out, opts)
	err := func() error {
		for _, piece := range pieces {
			if _, err := f.Write([]byte(piece)); err != nil {
				return err
			}
		}
		if err := f.Finish(); err != nil {
			return err
		}
		return f.ReleaseTail()
	}()
	r := result{Out: out.String(), Summary: f.Summary()}
	if err != nil {
		r.Err = err.Error()
	}
	return r
}

// everyCut checks that the pieces in which a dump comes make no difference,
// and returns what it makes of it.
func everyCut(t *testing.T, opts dump.Options, text string) result {
	t.Helper()
	want := run(opts, text)
	check := func(how string, got result) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (- in one piece):\n%s", how, diff)
		}
	}
	check("byte by byte", run(opts, strings.Split(text, "")...))
	for i := range len(text) {
		check(fmt.Sprintf("cut at %d", i), run(opts, text[:i], text[i:]))
	}
	for i := range max(len(text)-7, 0) {
		check(fmt.Sprintf("cut at %d and %d", i, i+7), run(opts, text[:i], text[i:i+7], text[i+7:]))
	}
	return want
}

const pragma = "PRAGMA defer_foreign_keys=TRUE;\n"

func TestFilterReadsEveryForm(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		text string
		want dump.Summary
	}{
		{
			name: "empty database",
			text: pragma,
			want: dump.Summary{Statements: 1, LongestStatement: 31},
		},
		{
			name: "empty database without line end",
			text: "PRAGMA defer_foreign_keys=TRUE;",
			want: dump.Summary{Statements: 1, LongestStatement: 31},
		},
		{
			name: "today's form with a sequence",
			text: pragma + `CREATE TABLE IF NOT EXISTS "order" (id integer primary key autoincrement, note text, raw blob);
INSERT INTO "order" ("id","note","raw") VALUES(1,'it''s',X'00ff');
INSERT INTO "order" ("id","note","raw") VALUES(2,replace('two\nlines','\n',char(10)),NULL);
CREATE TABLE d1_migrations(id INTEGER);
DELETE FROM sqlite_sequence;
INSERT INTO "sqlite_sequence" ("name","seq") VALUES('order',2);
CREATE INDEX order_note on "order"(note);
`,
			want: dump.Summary{
				Statements: 8, LongestStatement: 95, HasSequence: true,
				Tables:   []backup.Table{{Name: "order", Rows: 2}, {Name: "d1_migrations"}},
				Internal: []backup.Table{{Name: "sqlite_sequence", Rows: 1}},
				Objects:  []backup.Object{{Type: "index", Name: "order_note"}},
			},
		},
		{
			name: "form of 2024: no column list, bare names",
			text: pragma + "CREATE TABLE t(a, b);\nINSERT INTO t VALUES(1,'x');\nINSERT INTO t VALUES(2,'y');\nINSERT INTO t VALUES(3,'z');",
			want: dump.Summary{Statements: 5, LongestStatement: 31, Tables: []backup.Table{{Name: "t", Rows: 3}}},
		},
		{
			name: "form of 2025: quoted names, no column list",
			text: pragma + "CREATE TABLE t(a, b);\nINSERT INTO \"t\" VALUES(1,'x');\nINSERT INTO \"t\" VALUES(2,'y');\n",
			want: dump.Summary{Statements: 4, LongestStatement: 31, Tables: []backup.Table{{Name: "t", Rows: 2}}},
		},
		{
			name: "rows only",
			text: pragma + "INSERT INTO \"b\" (\"x\") VALUES(1);\nINSERT INTO \"a\" (\"x\") VALUES(1);\nINSERT INTO \"b\" (\"x\") VALUES(2);\nINSERT INTO \"sqlite_stat1\" (\"tbl\",\"idx\",\"stat\") VALUES('a',NULL,'1');\n",
			want: dump.Summary{
				Statements: 5, LongestStatement: 69,
				Tables:   []backup.Table{{Name: "b", Rows: 2}, {Name: "a", Rows: 1}},
				Internal: []backup.Table{{Name: "sqlite_stat1", Rows: 1}},
			},
		},
		{
			name: "sqlite3 shell with a virtual table",
			text: "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nPRAGMA writable_schema=ON;\n" +
				"INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','f''s','f''s',0,'CREATE VIRTUAL TABLE f USING fts5(body)');\n" +
				"CREATE TABLE IF NOT EXISTS 'f_data'(id INTEGER PRIMARY KEY, block BLOB);\nINSERT INTO f_data VALUES(1,X'00');\nINSERT INTO f_data VALUES(10,unistr('\\u000a'));\n" +
				"CREATE VIEW w AS SELECT 1;\nPRAGMA writable_schema=OFF;\nCOMMIT;\n",
			want: dump.Summary{
				Statements: 10, LongestStatement: 132,
				Tables:   []backup.Table{{Name: "f_data", Rows: 2}},
				Internal: []backup.Table{{Name: "sqlite_schema", Rows: 1}},
				Objects:  []backup.Object{{Type: "virtual", Name: "f's"}, {Type: "view", Name: "w"}},
			},
		},
		{
			name: "other tools' rows",
			text: "create table if not exists T (a, b);\ninsert or replace into main.\"t\" (a, [b]) values (1, 'a),(b'), (2, (1+2)), (-3, NULL) -- three\n on conflict do nothing;\n" +
				"REPLACE INTO t AS x VALUES(1,2);\nINSERT INTO t DEFAULT VALUES;\nINSERT INTO t SELECT * FROM (VALUES(1,2),(3,4));\r\n",
			want: dump.Summary{Statements: 5, LongestStatement: 118, Tables: []backup.Table{{Name: "T", Rows: 5}}},
		},
		{
			name: "names",
			text: pragma + "CREATE TABLE IF NOT EXISTS \"a\"\"b\"(x);\nCREATE TABLE `c``d`(x);\nCREATE TABLE [e.f](x);\nCREATE TABLE 'g''h'(x);\nCREATE TABLE main.\"dots.and ünïcode\"(x);\nCREATE TABLE if(x);\n" +
				"INSERT INTO \"A\"\"B\" (\"x\") VALUES(1);\nINSERT INTO \"dots.and ünïcode\" (\"x\") VALUES(1);\nINSERT INTO `if` VALUES(1);\n" +
				"CREATE UNIQUE INDEX IF NOT EXISTS i1 ON \"e.f\"(x);\nCREATE TEMP VIEW if AS SELECT 1;\nCREATE VIRTUAL TABLE IF NOT EXISTS v USING fts5(a, b);\n",
			want: dump.Summary{
				Statements: 13, LongestStatement: 54,
				Tables: []backup.Table{
					{Name: `a"b`, Rows: 1},
					{Name: "c`d"},
					{Name: "e.f"},
					{Name: "g'h"},
					{Name: "dots.and ünïcode", Rows: 1},
					{Name: "if", Rows: 1},
				},
				Objects: []backup.Object{{Type: "index", Name: "i1"}, {Type: "view", Name: "if"}, {Type: "virtual", Name: "v"}},
			},
		},
		{
			name: "schema that looks like rows",
			text: pragma + "CREATE TABLE t(id INTEGER PRIMARY KEY, -- the id; really\n v TEXT /* ;\nINSERT INTO \"t\" VALUES(1); */);\nINSERT INTO \"t\" (\"id\",\"v\") VALUES(1,'a;b');\n" +
				"CREATE TRIGGER tr AFTER INSERT ON t BEGIN\nINSERT INTO \"t\" (\"id\",\"v\") VALUES(9007199254740993,'x; y');\nSELECT CASE WHEN 1 THEN 2 END;\nEND;\n",
			want: dump.Summary{
				Statements: 4, LongestStatement: 137,
				Tables:  []backup.Table{{Name: "t", Rows: 1}},
				Objects: []backup.Object{{Type: "trigger", Name: "tr"}},
			},
		},
		{
			name: "a view that ends in a comment at the end",
			text: pragma + "CREATE VIEW w AS SELECT 1 -- trailing;",
			want: dump.Summary{Statements: 2, LongestStatement: 38, Objects: []backup.Object{{Type: "view", Name: "w"}}},
		},
		{
			name: "views that end in comments",
			text: pragma + "CREATE TABLE s(a) STRICT -- x;\nINSERT INTO \"s\" (\"a\") VALUES(1);\nINSERT INTO \"s\" (\"a\") VALUES(2);\nCREATE VIEW w AS SELECT 1 -- trailing;\nCREATE VIEW x AS -- fine;\nSELECT 1 -- trailing;\n",
			want: dump.Summary{
				Statements: 6, LongestStatement: 47,
				Tables:   []backup.Table{{Name: "s", Rows: 2}},
				Objects:  []backup.Object{{Type: "view", Name: "w"}, {Type: "view", Name: "x"}},
				Findings: []backup.Finding{{Code: dump.FindingComment, Count: 2, FirstOffset: 32}},
			},
		},
		{
			name: "comments and empty statements",
			text: "-- a dump\n/* of nothing */;;\nPRAGMA a;;\n-- end",
			want: dump.Summary{Statements: 1, LongestStatement: 9},
		},
		{
			name: "an error text among the rows",
			text: pragma + "INSERT INTO \"t\" VALUES(1);\nERROR near \"x\": syntax error;\nINSERT INTO \"t\" VALUES(2);\n",
			want: dump.Summary{
				Statements: 4, LongestStatement: 31,
				Tables:   []backup.Table{{Name: "t", Rows: 2}},
				Findings: []backup.Finding{{Code: dump.FindingUnknown, Count: 1, FirstOffset: 59}},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.want.Bytes = int64(len(tt.text))
			got := everyCut(t, dump.Options{}, tt.text)
			if diff := cmp.Diff(result{Out: tt.text, Summary: tt.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			held := everyCut(t, dump.Options{HoldTail: true, Withhold: func(dump.Row) bool { return false }}, tt.text)
			if diff := cmp.Diff(got, held); diff != "" {
				t.Errorf("with everything held back and released (-without):\n%s", diff)
			}
		})
	}
}

func TestFilterRefusesWhatIsNotSQL(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>AccessDenied</Code></Error>",
		"\n\n <html><body>502</body></html>",
		`{"success":false,"errors":[]}`,
		"[1]",
		"Internal Server Error",
		"error code: 1101",
		"SQLite format 3\x00\x10\x00",
		"\x1f\x8b\x08\x00",
		"averyveryverylongwordthatbeginsnothing",
		"'PRAGMA';",
		"-- so\n- 1;",
		"garbage",
	} {
		t.Run(text[:3], func(t *testing.T) {
			t.Parallel()
			for _, opts := range []dump.Options{{}, {HoldTail: true}} {
				var out bytes.Buffer
				f := dump.NewFilter(&out, opts)
				var err error
				for i := 0; i < len(text) && err == nil; i++ {
					_, err = f.Write([]byte(text[i : i+1]))
				}
				if err == nil {
					err = f.Finish()
				}
				if !errors.Is(err, dump.ErrNotSQL) {
					t.Errorf("got %v, want ErrNotSQL", err)
				}
				if got := strings.TrimSpace(out.String()); got != "" && !strings.HasPrefix(got, "--") {
					t.Errorf("%q was passed on", got)
				}
				if _, again := f.Write([]byte("SELECT 1;")); !errors.Is(again, dump.ErrNotSQL) {
					t.Errorf("the next Write returned %v", again)
				}
			}
			if r := run(dump.Options{}, text); r.Err == "" || strings.TrimSpace(r.Out) != "" {
				t.Errorf("in one piece: %+v", r)
			}
		})
	}
}

func TestNotSQLShowsLittle(t *testing.T) {
	t.Parallel()
	got := run(dump.Options{}, "  <Error>\x1b[31m</Error><Secret>hunter2</Secret>").Err
	want := `this is not an SQL dump: at byte 2 it has "<Error>\x1b[31m</Er"`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFilterPassesPiecesAsTheyCome(t *testing.T) {
	t.Parallel()
	pieces := []string{"PRAGMA a", ";\nINSERT INTO t VA", "LUES('x", "');\nCREATE VIEW w AS SELECT 1;", "\n"}
	var got []string
	f := dump.NewFilter(writerFunc(func(p []byte) (int, error) {
		got = append(got, string(p))
		return len(p), nil
	}), dump.Options{})
	for _, piece := range pieces {
		if n, err := f.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pieces, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }

func TestFilterKeepsTheErrorOfItsWriter(t *testing.T) {
	t.Parallel()
	full := errors.New("the disk is full")
	f := dump.NewFilter(writerFunc(func([]byte) (int, error) { return 0, full }), dump.Options{})
	if _, err := f.Write([]byte(pragma)); !errors.Is(err, full) {
		t.Errorf("Write returned %v", err)
	}
	if err := f.Finish(); !errors.Is(err, full) {
		t.Errorf("Finish returned %v", err)
	}
	if err := f.ReleaseTail(); !errors.Is(err, full) {
		t.Errorf("ReleaseTail returned %v", err)
	}
}
