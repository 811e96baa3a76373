package litedb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
)

// InMemory is the path of a database that is nowhere but in memory.
const InMemory = ":memory:"

// DB is a database that was built of a dump, and nothing else uses, or one that
// was opened to be read.
type DB struct {
	path string
	// lent is set for a file that is somebody else's.
	lent  bool
	db    *sql.DB
	conn  *sql.Conn
	guard guard
	// Rows and Statements are what was loaded.
	Rows, Statements int64
}

// Progress is told how many bytes of rows, and how many rows, were loaded so far.
type Progress func(bytes, rows int64)

// Load builds a database of the plan at a path where nothing is, or in memory. On
// an error nothing is left there. Triggers do not fire, and foreign keys are not
// enforced: see [DB.ForeignKeys]. Progress may be nil.
func Load(ctx context.Context, path string, p *plan.Plan, progress Progress) (*DB, error) {
	if path != InMemory {
		if err := claim(path); err != nil {
			return nil, err
		}
	}
	d := &DB{path: path}
	err := d.open(ctx)
	if err == nil {
		err = d.load(ctx, p, progress)
	}
	if err != nil {
		return nil, errors.Join(err, d.Discard())
	}
	return d, nil
}

// claim makes the file, which only its owner may read.
func claim(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	return file.Close()
}

// Cache of pages, in KiB. It bounds the memory of a load.
const cacheKiB = 16 << 10

func (d *DB) open(ctx context.Context) error {
	if err := d.connect(ctx, nil); err != nil {
		return err
	}
	// The file is thrown away if it is not finished: it needs no journal.
	for _, pragma := range []string{
		"journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "foreign_keys=OFF", fmt.Sprintf("cache_size=-%d", cacheKiB),
	} {
		if err := d.exec(ctx, "PRAGMA "+pragma); err != nil {
			return err
		}
	}
	return d.guard.bind(ctx, d.conn)
}

func (d *DB) exec(ctx context.Context, text string) error {
	_, err := d.conn.ExecContext(ctx, text)
	if err != nil {
		return fmt.Errorf("%.60s: %w", text, err)
	}
	return nil
}

func (d *DB) load(ctx context.Context, p *plan.Plan, progress Progress) error {
	if err := d.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	err := d.conn.Raw(func(raw any) error {
		l := &loader{ctx: ctx, row: context.WithoutCancel(ctx), db: d, conn: raw.(driver.Conn), progress: progress, inserts: map[string]*insert{}}
		return errors.Join(p.Emit(ctx, l), l.close())
	})
	if err != nil {
		return err
	}
	return d.exec(ctx, "COMMIT")
}

// Discard closes the database and removes its file, unless it was there before.
func (d *DB) Discard() error {
	err := d.Close()
	if d.path == InMemory || d.lent {
		return err
	}
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if gone := os.Remove(d.path + suffix); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// Close closes the database, after which its file is whole.
func (d *DB) Close() error {
	var errs []error
	if d.conn != nil {
		errs = append(errs, d.conn.Close())
	}
	if d.db != nil {
		errs = append(errs, d.db.Close())
	}
	d.conn, d.db = nil, nil
	return errors.Join(errs...)
}

// loader is the sink that loads a plan.
type loader struct {
	ctx context.Context //nolint:containedctx // a sink lives as long as its load
	// row is ctx without its end, which is looked at between rows: that is
	// cheaper than to watch it during each.
	row      context.Context //nolint:containedctx // as above
	db       *DB
	conn     driver.Conn
	progress Progress
	inserts  map[string]*insert
	last     *insert
	values   []dump.Value
	bytes    int64
	told     int64
}

// insert is a prepared INSERT of one row.
type insert struct {
	head    string
	columns int
	stmt    driver.Stmt
	args    []driver.NamedValue
}

// Statement implements [plan.Sink].
func (l *loader) Statement(text []byte) error {
	if isPragma(text) {
		return nil // of the transaction, which is this package's
	}
	l.db.Statements++
	return l.db.guard.under(loading, func() error {
		stmt, err := l.prepare(string(text))
		if err == nil {
			_, err = stmt.(driver.StmtExecContext).ExecContext(l.ctx, nil)
			err = errors.Join(err, stmt.Close())
		}
		if err != nil {
			return rejected(fmt.Errorf("%.60s: %w", text, err))
		}
		return nil
	})
}

// ErrRejected is the error of SQL or rows that SQLite does not take, where the
// reason is not this machine's.
var ErrRejected = errors.New("SQLite does not take it")

// rejected says of an error of SQLite's that it is the dump's.
func rejected(err error) error {
	var told *sqlite.Error
	if !errors.As(err, &told) {
		return err
	}
	switch told.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return err
	}
	return fmt.Errorf("%w: %w", ErrRejected, err)
}

func isPragma(text []byte) bool {
	for token := range dump.Tokens(text) {
		return token.Is("PRAGMA")
	}
	return false
}

func (l *loader) prepare(text string) (driver.Stmt, error) {
	return l.conn.(driver.ConnPrepareContext).PrepareContext(l.ctx, text)
}

// Row implements [plan.Sink].
func (l *loader) Row(row plan.Row) error {
	var err error
	if l.values, err = dump.ParseRow(l.values[:0], row.Values); err != nil {
		return fmt.Errorf("a row of %s: %w", row.Table, err)
	}
	into, err := l.insertOf(row.Head)
	if err != nil {
		return rejected(fmt.Errorf("the rows of %s: %w", row.Table, err))
	}
	for i, v := range l.values {
		if into.args[i].Value, err = bound(v); err != nil {
			return fmt.Errorf("a row of %s: %w", row.Table, err)
		}
	}
	if _, err := into.stmt.(driver.StmtExecContext).ExecContext(l.row, into.args); err != nil {
		return rejected(fmt.Errorf("a row of %s: %w", row.Table, err))
	}
	l.db.Rows++
	return l.tell(len(row.Values))
}

// toldEvery is after how many bytes progress is told and the context looked at.
const toldEvery = 1 << 20

func (l *loader) tell(n int) error {
	l.bytes += int64(n)
	if l.bytes-l.told < toldEvery {
		return nil
	}
	l.told = l.bytes
	if l.progress != nil {
		l.progress(l.bytes, l.db.Rows)
	}
	return l.ctx.Err()
}

// bound is a value as it is bound.
func bound(v dump.Value) (driver.Value, error) {
	switch v.Kind {
	case dump.ValueNull:
		return nil, nil
	case dump.ValueInteger:
		return v.Integer, nil
	case dump.ValueReal:
		return v.Real, nil
	case dump.ValueText:
		return string(v.Bytes), nil
	case dump.ValueBlob:
		return v.Bytes, nil
	}
	return nil, fmt.Errorf("%.40q is no value", v.Source)
}

// insertOf is the prepared INSERT for a head and as many values as are at hand.
func (l *loader) insertOf(head []byte) (*insert, error) {
	if l.last != nil && l.last.columns == len(l.values) && l.last.head == string(head) {
		return l.last, nil
	}
	key := fmt.Sprint(len(l.values), string(head))
	if into := l.inserts[key]; into != nil {
		l.last = into
		return into, nil
	}
	text := string(head) + "(" + strings.TrimSuffix(strings.Repeat("?,", len(l.values)), ",") + ")"
	into := &insert{head: string(head), columns: len(l.values), args: make([]driver.NamedValue, len(l.values))}
	for i := range into.args {
		into.args[i].Ordinal = i + 1
	}
	err := l.db.guard.under(loading, func() (err error) {
		into.stmt, err = l.prepare(text)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.inserts[key], l.last = into, into
	return into, nil
}

// close frees what was prepared.
func (l *loader) close() error {
	var errs []error
	for _, into := range l.inserts {
		errs = append(errs, into.stmt.Close())
	}
	return errors.Join(errs...)
}
