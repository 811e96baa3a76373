package dump

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// splitSeeds are statements at which splitters stumble.
func splitSeeds() []string {
	return []string{
		"",
		";",
		" \n;;\t;",
		"SELECT 1;",
		"SELECT ';';SELECT \"a;\"\"b\";SELECT `;`;SELECT [;];",
		"SELECT 'it''s; ';;",
		"SELECT 1 -- no; end\n;",
		"SELECT 1 /* no; end */;",
		"SELECT 1 /*/ ; */;",
		"SELECT 1 /** ; **/;",
		"SELECT 1 - -1; SELECT 4 / 2;",
		"-- only a comment\n",
		"; -- behind",
		"; /* behind",
		";-",
		";/",
		"; - 1;",
		"CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END;",
		"create temp trigger a after insert on t begin select case when 1 then 2 end; end;",
		"CREATE TEMPORARY TRIGGER a BEGIN SELECT 1; -- x\n /* y */ END /* z */ ; SELECT 1;",
		"CREATE TRIGGER a BEGIN SELECT 1; END SELECT 2; END;",
		"CREATE TRIGGER a BEGIN SELECT 1;;END;;",
		"CREATE TRIGGER a BEGIN SELECT 1; ENDS; END; ",
		"CREATE TRIGGER a BEGIN SELECT 1; 'END'; END;",
		"EXPLAIN CREATE TRIGGER a BEGIN SELECT 1; END;",
		"EXPLAIN QUERY PLAN CREATE TRIGGER a BEGIN SELECT 1; END;",
		"EXPLAIN TEMP CREATE TRIGGER a BEGIN SELECT 1;",
		"EXPLAIN EXPLAIN CREATE TRIGGER a BEGIN SELECT 1;",
		"CREATE UNIQUE TRIGGER a BEGIN SELECT 1;",
		"CREATETRIGGER a; BEGIN; END;",
		"CREATE/**/TRIGGER/**/a BEGIN;END;",
		"CREATE TABLE \"trigger\"(a); CREATE TABLE trigger_log(b);",
		"INSERT INTO \"t\" (\"a\",\"b\") VALUES(1,'x');\nINSERT INTO \"t\" (\"a\",\"b\") VALUES(2,'it''s');\nINSERT INTO \"t\" (\"a\",\"b\") VALUES(-3.5,NULL);\n",
		"INSERT INTO t VALUES(X'00ff',replace('a\\nb','\\n',char(10)));INSERT INTO t VALUES(1),(2) , (3);INSERT INTO t VALUES(1e+300);",
		"INSERT INTO t VALUES('a\nb;\r\n');\r\nINSERT INTO t VALUES('a\nb;\r\n')\r\n;",
		"INSERT INTO t VALUES(1--2\n);INSERT INTO t VALUES(1/*)*/,'');INSERT INTO t VALUES(",
		"CREATE VIEW w AS SELECT v FROM t -- trailing;\n SELECT 1;",
		"h\u00e9llo \U0001F332; \xff\xfe;",
		"a\vb;\v;",
		"$a;_b;:c;@d;",
	}
}

// oracle is SQLite's own judgement.
type oracle struct{ tls *libc.TLS }

func newOracle(tb testing.TB) *oracle {
	tls := libc.NewTLS()
	tb.Cleanup(tls.Close)
	return &oracle{tls: tls}
}

// complete says whether sqlite3_complete takes sql to end with a statement.
func (o *oracle) complete(tb testing.TB, sql []byte) bool {
	p, err := libc.CString(string(sql))
	if err != nil {
		tb.Fatal(err)
	}
	defer libc.Xfree(o.tls, p)
	return sqlite3.Xsqlite3_complete(o.tls, p) != 0
}

// reader is a scanner that takes whatever comes, as one in the middle of a
// dump does.
func reader() *scanner {
	s := newScanner(&output{dst: io.Discard, tailLimit: defaultTailLimit}, Options{})
	s.tally.statements = 1
	return s
}

func push(tb testing.TB, s *scanner, p []byte) {
	tb.Helper()
	if len(p) == 0 {
		return
	}
	s.out.begin(p)
	if err := s.write(p); err != nil {
		tb.Fatal(err)
	}
}

// complete is what sqlite3_complete would say of what was read so far.
func (s *scanner) complete() bool { return s.progress == atStart && s.lex == lexNone }

// FuzzSplit holds the scanner against sqlite3_complete after every byte, and
// against itself with the input cut elsewhere.
func FuzzSplit(f *testing.F) {
	seeds := splitSeeds()
	if len(seeds) < 30 {
		f.Fatalf("only %d seeds", len(seeds))
	}
	for _, seed := range seeds {
		f.Add([]byte(seed), uint8(3))
	}
	judge := newOracle(f)
	f.Fuzz(func(t *testing.T, sql []byte, cut uint8) {
		if len(sql) > 4096 || bytes.IndexByte(sql, 0) >= 0 {
			return // the oracle takes text that C takes, and is asked for every byte of it
		}
		bytewise := reader()
		for i := range sql {
			push(t, bytewise, sql[i:i+1])
			if _, meant := bytewise.tally.findings[findingKey{FindingComment, noTable}]; meant {
				return // the one place where we know better, see afterSwallowed
			}
			if got, want := bytewise.complete(), judge.complete(t, sql[:i+1]); got != want {
				t.Fatalf("after %q: complete is %v, SQLite says %v", sql[:i+1], got, want)
			}
		}
		for _, n := range []int{len(sql), int(cut)} {
			other := reader()
			for rest := sql; len(rest) > 0; {
				k := min(max(n, 1), len(rest))
				push(t, other, rest[:k])
				rest = rest[k:]
			}
			if diff := cmp.Diff(bytewise.tally.summary(), other.tally.summary()); diff != "" {
				t.Fatalf("%q in pieces of %d (- byte by byte):\n%s", sql, n, diff)
			}
			if got, want := other.complete(), bytewise.complete(); got != want {
				t.Fatalf("%q in pieces of %d: complete is %v, byte by byte %v", sql, n, got, want)
			}
		}
	})
}
