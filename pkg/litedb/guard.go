package litedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// mode is what the authorizer lets past.
type mode int32

const (
	// own is for the package's own statements, none of which holds text of the
	// dump.
	own mode = iota
	// loading is for the statements of the dump.
	loading
	// looking is for assertions of users: they may read.
	looking
)

// guard keeps a connection to its one database.
type guard struct {
	mode   atomic.Int32
	denied atomic.Pointer[string]
}

// ErrDenied is the error for a statement that would reach out of its database.
var ErrDenied = errors.New("not allowed in a dump")

// under runs a function in a mode. What was denied is told in the error.
func (g *guard) under(m mode, run func() error) error {
	g.denied.Store(nil)
	g.mode.Store(int32(m))
	err := run()
	g.mode.Store(int32(own))
	if what := g.denied.Load(); what != nil && err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDenied, *what, err)
	}
	return err
}

// authorize is SQLite's question whether a statement may be compiled
// (https://sqlite.org/c3ref/set_authorizer.html).
func (g *guard) authorize(action sqlite.AuthorizerActionCode, arg1, arg2, database, _ string) sqlite.AuthorizerReturnCode {
	m := mode(g.mode.Load())
	if m == own || allowed(m, action, arg1, arg2) && (database == "" || database == "main") {
		return sqlite3.SQLITE_OK
	}
	what := strings.TrimSpace(fmt.Sprintf("%s %s %s", actionName(action), arg1, arg2))
	g.denied.Store(&what)
	return sqlite3.SQLITE_DENY
}

func allowed(m mode, action sqlite.AuthorizerActionCode, arg1, arg2 string) bool {
	switch action {
	case sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE:
		return true
	case sqlite3.SQLITE_FUNCTION:
		return harmless(arg2)
	case sqlite3.SQLITE_PRAGMA:
		return arg1 == "data_version" && arg2 == "" // fts5 reads it
	case sqlite3.SQLITE_CREATE_VTABLE:
		return m == loading && (strings.EqualFold(arg2, "fts5") || strings.EqualFold(arg2, "fts5vocab"))
	case sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_CREATE_TRIGGER,
		sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_ANALYZE, sqlite3.SQLITE_REINDEX:
		return m == loading
	}
	return false
}

// harmless says whether a function stays within the database. SQLite asks for
// those of a schema too, when they are compiled into a statement.
func harmless(function string) bool {
	switch strings.ToLower(function) {
	case "load_extension", "fts3_tokenizer", "readfile", "writefile", "edit", "lsmode", "fsdir", "zipfile":
		return false
	}
	return true
}

// actionName is what an action does, for errors.
func actionName(action sqlite.AuthorizerActionCode) string {
	switch action {
	case sqlite3.SQLITE_ATTACH:
		return "ATTACH"
	case sqlite3.SQLITE_DETACH:
		return "DETACH"
	case sqlite3.SQLITE_PRAGMA:
		return "PRAGMA"
	case sqlite3.SQLITE_FUNCTION:
		return "the function"
	case sqlite3.SQLITE_CREATE_VTABLE:
		return "the virtual table"
	case sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT:
		return "a transaction:"
	case sqlite3.SQLITE_CREATE_TEMP_TABLE, sqlite3.SQLITE_CREATE_TEMP_VIEW, sqlite3.SQLITE_CREATE_TEMP_TRIGGER, sqlite3.SQLITE_CREATE_TEMP_INDEX:
		return "something temporary:"
	}
	return fmt.Sprintf("a change (%d):", action)
}

// Limits of what a statement of a dump may be, far above what D1 lets in.
const (
	maxValueBytes = 64 << 20
	maxColumns    = 2000
)

// bind puts a connection under the guard.
func (g *guard) bind(ctx context.Context, conn *sql.Conn) error {
	for id, limit := range map[int]int{
		sqlite3.SQLITE_LIMIT_LENGTH:        maxValueBytes,
		sqlite3.SQLITE_LIMIT_SQL_LENGTH:    maxValueBytes,
		sqlite3.SQLITE_LIMIT_COLUMN:        maxColumns,
		sqlite3.SQLITE_LIMIT_EXPR_DEPTH:    1000,
		sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
		sqlite3.SQLITE_LIMIT_ATTACHED:      0,
	} {
		if _, err := sqlite.Limit(conn, id, limit); err != nil {
			return err
		}
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA trusted_schema=OFF"); err != nil {
		return err
	}
	return conn.Raw(func(driver any) error {
		registerer, ok := driver.(sqlite.AuthorizerRegisterer)
		if !ok {
			return fmt.Errorf("%T takes no authorizer", driver)
		}
		return registerer.RegisterAuthorizer(g.authorize)
	})
}
