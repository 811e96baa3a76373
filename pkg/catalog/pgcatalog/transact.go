package pgcatalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// maxTries bounds the attempts at one transaction, and firstPause is the
	// wait after the first; it doubles.
	maxTries   = 4
	firstPause = 15 * time.Millisecond
	// rollbackLimit bounds the clean-up of a transaction whose context ended.
	rollbackLimit = 500 * time.Millisecond
)

// repetition says whether a transaction gives the same when done twice.
type repetition string

const (
	idempotent repetition = "idempotent"
	onceOnly   repetition = "once_only"
)

// lostAnswer is a commit of which nobody knows whether it happened.
type lostAnswer struct{ err error }

func (e *lostAnswer) Error() string { return "commit: " + e.err.Error() }
func (e *lostAnswer) Unwrap() error { return e.err }

// write runs one change in one transaction.
func (c *Catalog) write(
	ctx context.Context, what string, again repetition, work func(context.Context, pgx.Tx) error,
) error {
	return c.transact(ctx, what, "ISOLATION LEVEL READ COMMITTED READ WRITE", again, work)
}

// read runs queries in one transaction, so that they see one state.
func (c *Catalog) read(ctx context.Context, what string, work func(context.Context, pgx.Tx) error) error {
	return c.transact(ctx, what, "ISOLATION LEVEL REPEATABLE READ READ ONLY", idempotent, work)
}

func (c *Catalog) transact(
	caller context.Context, what, mode string, again repetition, work func(context.Context, pgx.Tx) error,
) error {
	ctx, cancel := context.WithTimeout(caller, c.limit)
	defer cancel()
	begin := pgx.TxOptions{BeginQuery: c.beginQuery(mode)}
	var err error
	for try := range maxTries {
		err = c.attempt(ctx, begin, work)
		if err == nil || !mayRepeat(err, again) || !pause(ctx, firstPause<<try) {
			break
		}
	}
	return c.interpret(caller, what, err)
}

// beginQuery begins a transaction and tells the server our limits, for the
// time when nobody here is left to watch them.
func (c *Catalog) beginQuery(mode string) string {
	ms := max(c.limit.Milliseconds(), 1)
	return fmt.Sprintf(`BEGIN %s; SET LOCAL lock_timeout = %d; SET LOCAL statement_timeout = %d;
		SET LOCAL idle_in_transaction_session_timeout = %d`, mode, ms, ms, 2*ms)
}

func (c *Catalog) attempt(
	ctx context.Context, begin pgx.TxOptions, work func(context.Context, pgx.Tx) error,
) error {
	tx, err := c.pool.BeginTx(ctx, begin)
	if err != nil {
		return err
	}
	defer func() {
		// After a commit it does nothing.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackLimit)
		defer cancel()
		_ = tx.Rollback(ctx)
	}()
	if err := work(ctx, tx); err != nil {
		return err
	}
	return commit(ctx, tx)
}

// commit says with a *lostAnswer that it does not know what became of the
// transaction. pgconn.SafeToRetry is no help here: pgx 5.12.0 answers it with
// yes where the connection broke after the commit was sent, since it tells
// that as a connection that was closed before.
func commit(ctx context.Context, tx pgx.Tx) error {
	if tx.Conn().IsClosed() {
		return io.ErrClosedPipe // nothing was sent
	}
	err := tx.Commit(ctx)
	var answered *pgconn.PgError
	if err == nil || errors.Is(err, pgx.ErrTxCommitRollback) ||
		errors.As(err, &answered) && answered.Severity == "ERROR" {
		return err
	}
	return &lostAnswer{err: err}
}

// mayRepeat says whether a transaction that failed may be tried again.
func mayRepeat(err error, again repetition) bool {
	var (
		lost     *lostAnswer
		connect  *pgconn.ConnectError
		answered *pgconn.PgError
	)
	switch {
	case errors.As(err, &lost):
		return again == idempotent && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
	case errors.As(err, &connect):
		return false // a server that refuses is told at once
	case errors.As(err, &answered):
		return answered.Code == pgerrcode.SerializationFailure || answered.Code == pgerrcode.DeadlockDetected ||
			isShutdown(answered.Code)
	}
	return pgconn.SafeToRetry(err) || isBroken(err)
}

// isShutdown says whether a server ended the session of its own accord. A
// server that restarts, or another one behind the same name, may be there.
func isShutdown(code string) bool {
	return code == pgerrcode.AdminShutdown || code == pgerrcode.CrashShutdown || code == pgerrcode.IdleSessionTimeout
}

// pause waits, or says that there is no time left to.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
