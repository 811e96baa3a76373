package dump_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// finish reads text, whole, to its end.
func finish(text string) (dump.Summary, error) {
	f := dump.NewFilter(writerFunc(func(p []byte) (int, error) { return len(p), nil }), dump.Options{})
	if len(text) > 0 {
		if _, err := f.Write([]byte(text)); err != nil {
			return f.Summary(), err
		}
	}
	err := f.Finish()
	return f.Summary(), err
}

// Wherever a dump is cut, either that is an error, or the cut is behind a
// whole statement, of which there are then exactly as many as stand before it.
func TestEveryTruncationIsSeen(t *testing.T) {
	t.Parallel()
	// The statements of two dumps; only a line end stands between them.
	d1 := []string{
		"PRAGMA defer_foreign_keys=TRUE;",
		"CREATE TABLE t(id INTEGER PRIMARY KEY, -- the id; really\n v TEXT /* ; */);",
		`INSERT INTO "t" ("id","v") VALUES(1,'it''s; so');`,
		`INSERT INTO "t" ("id","v") VALUES(2,replace('a\nb','\n',char(10)));`,
		`INSERT INTO "t" ("id","v") VALUES(3,X'00');`,
		"CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO t(v) VALUES(CASE WHEN NEW.v='a' THEN 'x; y' ELSE 'z' END); END;",
		"CREATE VIEW w AS SELECT v FROM t -- trailing\n;",
		"CREATE VIEW x AS SELECT v FROM t -- trailing;",
	}
	text := strings.Join(d1, "\n") + "\n"
	whole := map[int]int64{} // by length, the statements that are whole
	end := 0
	for i, statement := range d1 {
		end += len(statement)
		whole[end], whole[end+1] = int64(i+1), int64(i+1)
		end++
	}
	for n := range len(text) + 1 {
		got, err := finish(text[:n])
		want, ok := whole[n]
		switch {
		case n == 0:
			if !errors.Is(err, dump.ErrEmpty) {
				t.Errorf("empty: %v", err)
			}
		case ok && (err != nil || got.Statements != want):
			t.Errorf("cut at %d, behind statement %d: %d statements, %v", n, want, got.Statements, err)
		case !ok && !errors.Is(err, dump.ErrTruncated) && !errors.Is(err, dump.ErrNotSQL):
			t.Errorf("cut at %d, within a statement (...%q): %v", n, text[max(n-20, 0):n], err)
		}
	}
}

func TestTruncatedShellDump(t *testing.T) {
	t.Parallel()
	text := "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\nINSERT INTO t VALUES(1);\nCOMMIT;\n"
	for n := strings.Index(text, "TRANSACTION;") + len("TRANSACTION;"); n < len(text)-1; n++ {
		if _, err := finish(text[:n]); !errors.Is(err, dump.ErrTruncated) {
			t.Errorf("cut at %d (...%q): %v", n, text[n-10:n], err)
		}
	}
	if _, err := finish(text); err != nil {
		t.Errorf("whole: %v", err)
	}
	rolledBack := strings.Replace(text, "COMMIT;", "ROLLBACK; -- due to errors", 1)
	if _, err := finish(rolledBack); !errors.Is(err, dump.ErrTruncated) {
		t.Errorf("rolled back: %v", err)
	}
}

func TestFinishSaysWhatItSaw(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"", "the dump is empty: 0 bytes without a statement"},
		{" \n-- nothing\n;", "the dump is empty: 14 bytes without a statement"},
		{
			pragma + "INSERT INTO \"t\" VALUES(1,'secret",
			"the dump is cut off: statement 2 (INSERT), which begins at byte 32, does not end before byte 64, within quotes",
		},
		{
			pragma + "CREATE VIEW w AS SELECT 1 /* so",
			"the dump is cut off: statement 2 (CREATE), which begins at byte 32, does not end before byte 63, within a comment",
		},
		{pragma + "/* so", "the dump is cut off: 37 bytes, within a comment"},
		{"BEGIN;", "the dump is cut off: 6 bytes without the COMMIT of its BEGIN"},
	} {
		if _, err := finish(tt.text); err == nil || err.Error() != tt.want {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}
