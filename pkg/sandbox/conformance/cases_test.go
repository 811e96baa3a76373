package conformance

import (
	"fmt"
	"strings"
)

// forms are databases for the forms of statements and names that a dump can
// hold, beyond those of more.
func forms() []fidelityCase {
	return []fidelityCase{
		{"bad_utf8", []string{
			"CREATE TABLE t(v TEXT)",
			"INSERT INTO t VALUES(CAST(X'fffe41' AS TEXT)),(CAST(X'41f09f8c' AS TEXT)),(CAST(X'f09f8c41' AS TEXT)),(CAST(X'c080' AS TEXT))",
			"INSERT INTO t VALUES(CAST(X'eda08041' AS TEXT)),(CAST(X'e28241e282' AS TEXT)),(CAST(X'f5808080' AS TEXT)),(CAST(X'80418042' AS TEXT))",
			"INSERT INTO t VALUES(CAST(X'ff0a27ff5c6e' AS TEXT)),(CAST(X'ff000d' AS TEXT)),(CAST(X'f4908080' AS TEXT)),(CAST(X'efbfbd' AS TEXT))",
		}},
		{"table_in_comment", []string{
			"CREATE TABLE t(a INT -- was CREATE TABLE \"old\"\n)", "INSERT INTO t VALUES(1)",
			"CREATE TABLE u(a TEXT DEFAULT 'CREATE TABLE ''x''')", "INSERT INTO u DEFAULT VALUES",
			"CREATE TABLE v(a TEXT DEFAULT 'CREATE TABLE x')",
		}},
		{"odd_names", []string{
			"CREATE TABLE \"a\nb\"(\"c\nd\" INT, \"e\\nf\" INT)", "INSERT INTO \"a\nb\" VALUES(1,2)",
			`CREATE TABLE "CREATE TABLE 'x'"("$&" INT, "$1" INT)`, `INSERT INTO "CREATE TABLE 'x'" VALUES(1,2)`,
			`CREATE TABLE "a;b--c"("/*" INT)`, `INSERT INTO "a;b--c" VALUES(3)`,
			`CREATE TABLE rowids(rowid TEXT, oid INT, _rowid_ INT)`, `INSERT INTO rowids VALUES('z',2,3),('a',1,2)`,
			"CREATE TABLE \"\"(\"\" INT)", "INSERT INTO \"\" VALUES(9)",
			"CREATE TABLE sqlitex(a)", "CREATE TABLE _cfx(a)",
		}},
		{"as_select", []string{
			"CREATE TABLE t(a INTEGER, \"b c\" TEXT, d)", "INSERT INTO t VALUES(1,'x',2.5)",
			"CREATE TABLE u AS SELECT a, \"b c\", d, a + 1 AS \"e'f\" FROM t", "CREATE TABLE IF NOT EXISTS \"v w\" AS SELECT 1 AS one",
		}},
		{"altered", []string{
			"CREATE TABLE t(a, b)", "INSERT INTO t VALUES(1,2)", "CREATE INDEX i ON t(b)",
			"CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t WHERE a = 7; END",
			"ALTER TABLE t RENAME TO \"new name\"", "ALTER TABLE \"new name\" RENAME COLUMN b TO \"c d\"", "ALTER TABLE \"new name\" ADD COLUMN e TEXT DEFAULT 'it''s'",
		}},
		{"sequences", []string{
			"CREATE TABLE a(x)", "CREATE TABLE b(id INTEGER PRIMARY KEY AUTOINCREMENT)", "CREATE TABLE c(y)", "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v)",
			"INSERT INTO t(id) VALUES(9007199254740993)", "INSERT INTO b DEFAULT VALUES", "INSERT INTO c VALUES(1)",
		}},
		{"statistics", []string{
			"CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a, b)", "CREATE INDEX i ON t(a, b)", "CREATE INDEX j ON t(b) WHERE a > 1", "CREATE TABLE u(x UNIQUE)",
			"INSERT INTO t(a,b) VALUES(1,2),(2,2),(3,4)", "INSERT INTO u VALUES(1),(2)", "ANALYZE", "INSERT INTO u VALUES(3)",
		}},
		{"strict_without_rowid", []string{
			"CREATE TABLE t(a TEXT, b INT, c REAL, d BLOB, e ANY, PRIMARY KEY(b DESC, a)) STRICT, WITHOUT ROWID",
			"INSERT INTO t VALUES('x',1,1,X'00',1.0),('a',2,2.5,X'',NULL),('b',2,9e999,X'ff','t')",
			"CREATE TABLE g(a INTEGER PRIMARY KEY, b AS (a * 2), c AS (a || 'x') STORED, d) WITHOUT ROWID", "INSERT INTO g(a,d) VALUES(3,4),(1,2)",
		}},
		{"long_trigger", []string{
			"CREATE TABLE t(a)",
			"create trigger g after update of a on t when new.a is not old.a begin\n  -- a comment; with END\n  insert into t select case new.a when 1 then 'INSERT INTO \"t\"' else 'x;' end;\n  delete from t where a = 'END;';\nend",
			"create view w(one, two) as select 1,\n'2;'", "create unique index i on t(a collate nocase) where a is not null",
		}},
		{"wide", []string{wide(100), "INSERT INTO t(c0, c50, c99) VALUES(1,'x',X'ff')"}},
		{"virtual_beside", []string{
			"CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO t VALUES(1,'a')", "CREATE VIRTUAL TABLE f USING fts5(v)", "INSERT INTO f VALUES('hello')",
			"CREATE INDEX i ON t(v)",
		}},
		{"rtree", []string{"CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)", "CREATE TABLE t(a)"}},
		{"migrations", []string{
			"CREATE TABLE d1_migrations(\n\t\tid         INTEGER PRIMARY KEY AUTOINCREMENT,\n\t\tname       TEXT UNIQUE,\n\t\tapplied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL\n)",
			"INSERT INTO d1_migrations(name, applied_at) VALUES('0001_init.sql','2024-12-08 10:15:00')",
		}},
	}
}

// wide is a table of so many columns.
func wide(columns int) string {
	names := make([]string, columns)
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i)
	}
	return "CREATE TABLE t(" + strings.Join(names, ", ") + ")"
}
