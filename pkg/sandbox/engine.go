package sandbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// database is one D1 database: a file, and what the API keeps beside it.
type database struct {
	id, name, path       string
	jurisdiction, region string
	createdAt            time.Time

	// lock is held for as long as the file is read or written, and guards
	// what follows.
	lock sync.Mutex
	// free runs anything; bound obeys D1's rules.
	free, bound *sql.DB
	conn        *sql.Conn // bound's one connection
	// own lets the sandbox's own BEGIN and COMMIT past the rules.
	own         atomic.Bool
	task        *task
	blockedTill time.Time
	// gone is set when the account has the database no more.
	gone bool

	// writes and looks are what the current bookmark is made of; told is set
	// once somebody knows it.
	writes, looks uint64
	told          bool
	// since is when the current state began, copy is where it is kept if it
	// is, and past are the states before it.
	since time.Time
	copy  string
	past  []moment
	// restores are the times of those of the last minutes.
	restores []time.Time
	// static is a file that is served as the dump, whatever is in the tables.
	static *dumpFile
}

// openDatabase opens a database's file twice: once for the sandbox itself, and
// once under D1's limits (https://developers.cloudflare.com/d1/platform/limits/
// and workerd's sqlite.c++).
func openDatabase(ctx context.Context, dir, id, name string) (*database, error) {
	d := &database{id: id, name: name, path: filepath.Join(dir, id+".sqlite")}
	dsn := fileURL(d.path)
	var err error
	if d.free, err = sql.Open("sqlite", dsn+"?_pragma=journal_mode(delete)&_pragma=synchronous(off)"); err != nil {
		return nil, fmt.Errorf("sandbox: open %s: %w", name, err)
	}
	d.free.SetMaxOpenConns(1)
	if d.bound, err = sql.Open("sqlite", dsn+"?_pragma=foreign_keys(1)&_pragma=synchronous(off)"); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: open %s: %w", name, err), d.free.Close())
	}
	d.bound.SetMaxOpenConns(1)
	if d.conn, err = d.bound.Conn(ctx); err == nil {
		err = d.bind()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: open %s: %w", name, err), d.close())
	}
	return d, nil
}

// fileURL is a file's name as SQLite takes it.
func fileURL(path string) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String()
}

// close ends what is running, which is undone, and closes the file.
func (d *database) close() error {
	d.lock.Lock()
	defer d.lock.Unlock()
	var errs []error
	d.gone = true
	if d.task != nil && d.task.load != nil {
		errs = append(errs, d.task.load.undo(d))
	}
	d.task = nil
	if d.conn != nil {
		errs = append(errs, d.conn.Close())
	}
	return errors.Join(append(errs, d.bound.Close(), d.free.Close())...)
}

// remove deletes the database for good.
func (d *database) remove() error {
	return errors.Join(d.close(), os.Remove(d.path), d.forgetAll())
}

// The limits of D1's engine.
const (
	maxStatementBytes = 100_000
	maxParameters     = 100
	maxColumns        = 100
	maxValueBytes     = 4 << 20
)

// bind puts the bound connection under D1's rules.
func (d *database) bind() error {
	conn := d.conn
	for id, limit := range map[int]int{
		sqlite3.SQLITE_LIMIT_SQL_LENGTH:          maxStatementBytes,
		sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER:     maxParameters,
		sqlite3.SQLITE_LIMIT_COLUMN:              maxColumns,
		sqlite3.SQLITE_LIMIT_LENGTH:              maxValueBytes,
		sqlite3.SQLITE_LIMIT_COMPOUND_SELECT:     5,
		sqlite3.SQLITE_LIMIT_FUNCTION_ARG:        127,
		sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,
		sqlite3.SQLITE_LIMIT_EXPR_DEPTH:          100,
		sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH:       10,
		sqlite3.SQLITE_LIMIT_ATTACHED:            0,
	} {
		if _, err := sqlite.Limit(conn, id, limit); err != nil {
			return err
		}
	}
	return conn.Raw(func(driver any) error {
		registerer, ok := driver.(sqlite.AuthorizerRegisterer)
		if !ok {
			return fmt.Errorf("%T takes no authorizer", driver)
		}
		return registerer.RegisterAuthorizer(d.authorize)
	})
}

// authorize is workerd's policy (src/workerd/util/sqlite.c++): what would leave
// the one database, or its transaction, is refused.
func (d *database) authorize(action sqlite.AuthorizerActionCode, arg1, arg2, _, _ string) sqlite.AuthorizerReturnCode {
	if d.own.Load() {
		return sqlite.AuthorizerOK
	}
	allowed := true
	switch action {
	case sqlite.AuthTransaction, sqlite.AuthSavepoint, sqlite.AuthAttach, sqlite.AuthDetach,
		sqlite.AuthCreateTempIndex, sqlite.AuthCreateTempTable, sqlite.AuthCreateTempTrigger, sqlite.AuthCreateTempView,
		sqlite.AuthDropTempIndex, sqlite.AuthDropTempTable, sqlite.AuthDropTempTrigger, sqlite.AuthDropTempView:
		allowed = false
	case sqlite.AuthPragma:
		allowed = pragmaAllowed(strings.ToLower(arg1), arg2)
	case sqlite.AuthFunction:
		allowed = !slices.Contains(refusedFunctions(), strings.ToLower(arg2))
	case sqlite.AuthCreateVTable:
		allowed = slices.Contains([]string{"fts5", "fts5vocab", "rtree", "rtree_i32"}, strings.ToLower(arg2))
	case sqlite.AuthCreateTable, sqlite.AuthDropTable, sqlite.AuthCreateView, sqlite.AuthCreateTrigger,
		sqlite.AuthRead, sqlite.AuthInsert, sqlite.AuthUpdate, sqlite.AuthDelete:
		allowed = !strings.HasPrefix(strings.ToLower(arg1), "_cf_")
	}
	if !allowed {
		return sqlite.AuthorizerDeny
	}
	return sqlite.AuthorizerOK
}

// inTransaction runs f as one transaction of the bound connection, as D1 runs
// what comes in one call.
func (d *database) inTransaction(ctx context.Context, f func() error) error {
	if err := d.control(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := f(); err != nil {
		return errors.Join(err, d.control(ctx, "ROLLBACK"))
	}
	if err := d.control(ctx, "COMMIT"); err != nil {
		return errors.Join(err, d.control(ctx, "ROLLBACK"))
	}
	return nil
}

// control runs the sandbox's own BEGIN, COMMIT or ROLLBACK. It does not end with
// ctx: a client that goes away meanwhile must not leave a transaction open.
func (d *database) control(ctx context.Context, statement string) error {
	d.own.Store(true)
	defer d.own.Store(false)
	_, err := d.conn.ExecContext(context.WithoutCancel(ctx), statement)
	return err
}

// pragmaAllowed is the list of section 9 of the fact sheet. Of page_size only
// the reading is allowed.
func pragmaAllowed(name, value string) bool {
	if name == "page_size" || name == "data_version" {
		return value == ""
	}
	return slices.Contains([]string{
		"table_list", "table_info", "table_xinfo", "index_list", "index_info", "index_xinfo",
		"foreign_key_list", "foreign_key_check", "quick_check", "optimize",
		"case_sensitive_like", "foreign_keys", "defer_foreign_keys", "ignore_check_constraints",
		"legacy_alter_table", "recursive_triggers", "reverse_unordered_selects",
	}, name)
}

// refusedFunctions are those of SQLite that workerd's list leaves out.
func refusedFunctions() []string {
	return []string{
		"load_extension", "sqlite_version", "sqlite_source_id", "sqlite_compileoption_get", "sqlite_compileoption_used",
		"unistr", "if", "json_pretty", "readfile", "writefile", "edit", "fts3_tokenizer",
	}
}
