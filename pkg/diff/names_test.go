package diff_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/diff"
	"github.com/AutumnsGrove/patina/pkg/litedb"
)

// What is told of rows is told by their keys, whatever these are.
func TestWhatIsToldOfOddKeys(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		schema, old, new string
		want             []string
	}{
		"blobs": {
			"CREATE TABLE t(k BLOB PRIMARY KEY, v)",
			"INSERT INTO t VALUES(X'',1),(X'00',2),(X'00ff',3),(X'7f',4),(X'80',5)", "INSERT INTO t VALUES(X'',1),(X'00',2),(X'0100',3),(X'7f',4),(X'80',6)",
			[]string{"t by primaryKey[k] +1 -1 ~1 =3 old[] new[]", "  removed [{k [0 255]}] []", "  added [{k [1 0]}] []", "  changed [{k [128]}] [{v 5 6}]"},
		},
		"a text and a blob of the same bytes": {
			"CREATE TABLE t(k PRIMARY KEY, v)",
			"INSERT INTO t VALUES('a',1),(X'61',2),('b',3)", "INSERT INTO t VALUES('a',1),(X'61',2),(X'62',3)",
			[]string{"t by primaryKey[k] +1 -1 ~0 =2 old[] new[]", "  removed [{k b}] []", "  added [{k [98]}] []"},
		},
		"reals": {
			"CREATE TABLE t(k REAL PRIMARY KEY, v)",
			"INSERT INTO t VALUES(-9e999,1),(-0.0,2),(0.1,3),(1,4),(1e300,5),(9e999,6)", "INSERT INTO t VALUES(-9e999,1),(0.0,2),(0.1,0),(1.0,4),(1e300,5),(9e999,6)",
			[]string{"t by primaryKey[k] +0 -0 ~1 =5 old[] new[]", "  changed [{k 0.1}] [{v 3 0}]"},
		},
		// SQLite takes 1 and 1.0 for one key, and typeof for two values.
		"integers and reals of one value": {
			"CREATE TABLE t(k PRIMARY KEY, v)",
			"INSERT INTO t VALUES(1,'a'),(2.0,'b'),(2.5,'c'),(3,'d')", "INSERT INTO t VALUES(1.0,'a'),(2.0,'b'),(2.5,'c'),(3,'d')",
			[]string{"t by primaryKey[k] +0 -0 ~1 =3 old[] new[]", "  changed [{k 1}] [{k 1 1}]"},
		},
		"integers that no real holds": {
			"CREATE TABLE t(k PRIMARY KEY, v)",
			"INSERT INTO t VALUES(9007199254740992.0,0),(9007199254740993,1),(9223372036854775807,2),(9223372036854775808.0,3),(-9223372036854775808,4)",
			"INSERT INTO t VALUES(9007199254740993,1),(9007199254740994.0,0),(9223372036854775807,2),(9223372036854775808.0,3),(-9223372036854775808,4),(-9.3e18,5)",
			[]string{"t by primaryKey[k] +2 -1 ~0 =4 old[] new[]", "  added [{k -9.3e+18}] []", "  removed [{k 9.007199254740992e+15}] []", "  added [{k 9.007199254740994e+15}] []"},
		},
		"extreme integers": {
			"CREATE TABLE t(k INTEGER PRIMARY KEY, v)",
			"INSERT INTO t VALUES(-9223372036854775808,1),(-1,2),(0,3),(9223372036854775807,4)", "INSERT INTO t VALUES(-9223372036854775808,1),(0,3),(9223372036854775806,5),(9223372036854775807,4)",
			[]string{"t by primaryKey[k] +1 -1 ~0 =3 old[] new[]", "  removed [{k -1}] []", "  added [{k 9223372036854775806}] []"},
		},
		"NOCASE": {
			"CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY, v)",
			"INSERT INTO t VALUES('a',1),('B',2),('c',3),('Z',4)", "INSERT INTO t VALUES('A',1),('B',2),('c',3),('Z',5)",
			[]string{"t by primaryKey[k] +1 -1 ~1 =2 old[] new[]", "  added [{k A}] []", "  changed [{k Z}] [{v 4 5}]", "  removed [{k a}] []"},
		},
		"RTRIM": {
			"CREATE TABLE t(k TEXT COLLATE RTRIM PRIMARY KEY, v) WITHOUT ROWID",
			"INSERT INTO t VALUES('a ',1),('b',2),('b!',3)", "INSERT INTO t VALUES('a',1),('b',2),('b!',3)",
			[]string{"t by primaryKey[k] +1 -1 ~0 =2 old[] new[]", "  added [{k a}] []", "  removed [{k a }] []"},
		},
		"NULL": {
			"CREATE TABLE t(a, b, v, PRIMARY KEY(a, b))",
			"INSERT INTO t VALUES(NULL,1,'x'),(NULL,1,'x'),(NULL,1,'y'),(NULL,NULL,'z'),(1,1,'k')", "INSERT INTO t VALUES(NULL,1,'y'),(NULL,1,'x'),(NULL,1.0,'x'),(NULL,NULL,'z'),(1,1,'l')",
			[]string{"t by primaryKey[a b] +1 -1 ~1 =3 old[] new[]", "  removed [{a <nil>} {b 1} {v x}] []", "  added [{a <nil>} {b 1} {v x}] []", "  changed [{a 1} {b 1}] [{v k l}]"},
		},
		"NULL on one side": {
			"CREATE TABLE t(k TEXT PRIMARY KEY, v)",
			"INSERT INTO t VALUES('a',1),('b',2)", "INSERT INTO t VALUES('a',1),(NULL,2),('b',3)",
			[]string{"t by primaryKey[k] +1 -0 ~1 =1 old[] new[]", "  added [{k <nil>} {v 2}] []", "  changed [{k b}] [{v 2 3}]"},
		},
		"composite, in another order than the columns": {
			"CREATE TABLE t(a, b DESC, v, PRIMARY KEY(b DESC, a)) WITHOUT ROWID",
			"INSERT INTO t VALUES(1,2,'x'),(2,1,'y'),('2',1,'z')", "INSERT INTO t VALUES(1,2,'x'),(2,1,'Y'),('2',2,'z')",
			[]string{"t by primaryKey[b a] +1 -1 ~1 =1 old[] new[]", "  changed [{b 1} {a 2}] [{v y Y}]", "  removed [{b 1} {a 2}] []", "  added [{b 2} {a 2}] []"},
		},
		"names that need quotes": {
			"CREATE TABLE \"order\"(\"a\"\"b\" INT, \"select\" INT, \"1\" INT, [x y] INT, `'`, \"\", PRIMARY KEY(\"select\", \"1\", \"\", \"a\"\"b\"))",
			`INSERT INTO "order" VALUES(1,2,3,4,5,6),(2,1,3,4,5,6)`, `INSERT INTO "order" VALUES(1,2,3,4,5,6),(2,1,3,4,7,6)`,
			[]string{`order by primaryKey[select 1  a"b] +0 -0 ~1 =1 old[] new[]`, `  changed [{select 1} {1 3} { 6} {a"b 2}] [{' 5 7}]`},
		},
		"tables like keywords": {
			"CREATE TABLE \"table\"(\"rowid\" TEXT);CREATE TABLE \"a\"\"'b\"(k PRIMARY KEY);CREATE TABLE \"main\"(x);CREATE TABLE \"sqliteX\"(k)",
			`INSERT INTO "table" VALUES('x');INSERT INTO "a""'b" VALUES(1)`, `INSERT INTO "table" VALUES('y');INSERT INTO "a""'b" VALUES(2);INSERT INTO main VALUES(1);INSERT INTO sqliteX VALUES(1)`,
			[]string{
				`a"'b by primaryKey[k] +1 -1 ~0 =0 old[] new[]`, "  removed [{k 1}] []", "  added [{k 2}] []", "main by rowid[rowid] +1 -0 ~0 =0 old[] new[]", "  added [{rowid 1}] []",
				"sqliteX by rowid[rowid] +1 -0 ~0 =0 old[] new[]", "  added [{rowid 1}] []", "table by rowid[rowid] +0 -0 ~1 =0 old[] new[]", "  changed [{rowid 1}] [{rowid x y}]",
			},
		},
		"generated columns": {
			"CREATE TABLE t(a, k TEXT PRIMARY KEY, g AS (a*2), s AS (a||k) STORED)",
			"INSERT INTO t VALUES(1,'x'),(2,'y')", "INSERT INTO t VALUES(1,'x'),(3,'y')",
			[]string{"t by primaryKey[k] +0 -0 ~1 =1 old[] new[]", "  changed [{k y}] [{a 2 3} {g 4 6} {s 2y 3y}]"},
		},
		"all names of the rowid are taken": {
			"CREATE TABLE t(rowid, _ROWID_, oid)",
			"INSERT INTO t VALUES(1,'a',NULL),(1,'a',NULL),(1,'b',X'00'),(1.0,'a',NULL)", "INSERT INTO t VALUES(1,'b',X'00'),(1,'a',NULL),(2,'a',NULL),(1.0,'a',NULL)",
			[]string{"t by content[] +1 -1 ~0 =3 old[] new[]", "  removed [{rowid 1} {_ROWID_ a} {oid <nil>}] []", "  added [{rowid 2} {_ROWID_ a} {oid <nil>}] []"},
		},
		"all names of the rowid are taken, one by the key": {
			"CREATE TABLE t(rowid, _rowid_ INTEGER PRIMARY KEY, oid)",
			"INSERT INTO t VALUES('a',1,'c'),('b',2,'c')", "INSERT INTO t VALUES('a',1,'c'),('b',2,'d')",
			[]string{"t by primaryKey[_rowid_] +0 -0 ~1 =1 old[] new[]", "  changed [{_rowid_ 2}] [{oid c d}]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			side := func(rows string) *litedb.DB { return made(t, tt.schema, []string{rows}) }
			result, err := diff.Compare(t.Context(), side(tt.old), side(tt.new), diff.Options{Examples: 9})
			if difference := cmp.Diff(tt.want, told(result)); difference != "" || err != nil {
				t.Errorf("%v (-want +got)\n%s", err, difference)
			}
			same, err := diff.Compare(t.Context(), side(tt.new), side(tt.new), diff.Options{})
			if err != nil || !same.Same() {
				t.Errorf("a side differs from itself: %v, %v", told(same), err)
			}
		})
	}
}

// Names are those that SQLite takes for one: without the case of ASCII letters, and
// of no others.
func TestNames(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		old, new string
		tables   []string
		want     []string
	}{
		"columns that only Unicode takes for one": {
			`CREATE TABLE t(id INTEGER PRIMARY KEY, É);INSERT INTO t VALUES(1,'x')`, `CREATE TABLE t(id INTEGER PRIMARY KEY, é);INSERT INTO t VALUES(1,'x')`, nil,
			[]string{"changed table t", "t by primaryKey[id] +0 -0 ~0 =1 old[É] new[é]"},
		},
		"keys that only Unicode takes for one": {
			`CREATE TABLE t(É PRIMARY KEY);INSERT INTO t VALUES(1)`, `CREATE TABLE t(é PRIMARY KEY);INSERT INTO t VALUES(2)`, nil,
			[]string{"changed table t", "t by content[] +0 -0 ~0 =1 old[É] new[é]"},
		},
		"columns in another case": {
			`CREATE TABLE t(ID PRIMARY KEY, v);INSERT INTO t VALUES(1,2)`, `CREATE TABLE t(id PRIMARY KEY, V);INSERT INTO t VALUES(1,3)`, nil,
			[]string{"changed table t", "t by primaryKey[ID] +0 -0 ~1 =0 old[] new[]", "  changed [{ID 1}] [{v 2 3}]"},
		},
		"a table in another case": {
			`CREATE TABLE Users(id PRIMARY KEY);INSERT INTO Users VALUES(1)`, `CREATE TABLE users(id PRIMARY KEY);INSERT INTO users VALUES(1),(2)`, nil,
			[]string{"changed table users", "users by primaryKey[id] +1 -0 ~0 =1 old[] new[]", "  added [{id 2}] []"},
		},
		"a table that is chosen in another case": {
			`CREATE TABLE Users(id PRIMARY KEY);CREATE TABLE t(a)`, `CREATE TABLE Users(id PRIMARY KEY);INSERT INTO Users VALUES(2);CREATE TABLE t(b)`,
			[]string{"USERS"},
			[]string{"Users by primaryKey[id] +1 -0 ~0 =0 old[] new[]", "  added [{id 2}] []"},
		},
		// SQLite keeps the name of a trigger's table as it was typed.
		"what belongs to a table that is chosen": {
			`CREATE TABLE Users(id)`, `CREATE TABLE Users(id);CREATE TRIGGER r AFTER INSERT ON users BEGIN SELECT 1; END;CREATE INDEX i ON users(id);CREATE TABLE o(x)`,
			[]string{"Users"},
			[]string{"added index i", "added trigger r"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := diff.Compare(t.Context(), made(t, tt.old, nil), made(t, tt.new, nil), diff.Options{Tables: tt.tables, Examples: 9})
			if difference := cmp.Diff(tt.want, told(result)); difference != "" || err != nil {
				t.Errorf("%v (-want +got)\n%s", err, difference)
			}
		})
	}
}
