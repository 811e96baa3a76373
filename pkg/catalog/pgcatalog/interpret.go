package pgcatalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

const migrateHint = "patina catalog migrate"

// interpret says an error of the driver in the words of the contract. It is
// the only place that knows Postgres' codes, and no error of the driver leaves
// it. A call that its caller cancelled is not the catalogue's fault, and says
// so with the context's own error.
func (c *Catalog) interpret(caller context.Context, what string, err error) error {
	var held *catalog.HeldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &held):
		return held
	case isAnswer(err):
		return fmt.Errorf("%s: %w", what, err)
	case errors.Is(caller.Err(), context.Canceled):
		return fmt.Errorf("%s: %w", what, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		c.silent.Store(true)
		return fmt.Errorf("%s: %w: %s did not answer in time", what, catalog.ErrUnavailable, c.where)
	}
	var connect *pgconn.ConnectError
	unconnected := errors.As(err, &connect)
	if unconnected {
		err = connect.Unwrap() // its own text tells what c.where does
	}
	text := c.redact(err)
	var answered *pgconn.PgError
	if unconnected || !errors.As(err, &answered) {
		return fmt.Errorf("%s: %w: %s: %s", what, catalog.ErrUnavailable, c.where, text)
	}
	switch code := answered.Code; {
	case code == pgerrcode.UndefinedTable, code == pgerrcode.UndefinedColumn, code == pgerrcode.InvalidSchemaName:
		return fault.Wrap(fault.Failed, migrateHint,
			fmt.Errorf("%s: %w: %s: %s", what, catalog.ErrSchema, c.where, text))
	case isUnavailable(code):
		return fmt.Errorf("%s: %w: %s: %s", what, catalog.ErrUnavailable, c.where, text)
	}
	return fmt.Errorf("%s: %s: %s", what, c.where, text)
}

// isUnavailable says whether a code is about the server and not about what was
// asked of it.
func isUnavailable(code string) bool {
	return pgerrcode.IsConnectionException(code) ||
		pgerrcode.IsInvalidAuthorizationSpecification(code) ||
		code == pgerrcode.InvalidCatalogName || // no such database
		pgerrcode.IsInsufficientResources(code) ||
		pgerrcode.IsOperatorIntervention(code) || // shutdown, starting up, statement time-out
		pgerrcode.IsSystemError(code) ||
		pgerrcode.IsTransactionRollback(code) || // after all tries
		code == pgerrcode.LockNotAvailable ||
		code == pgerrcode.ReadOnlySQLTransaction || // a standby
		code == pgerrcode.IdleInTransactionSessionTimeout
}

// isAnswer says whether an error is one of the contract's already.
func isAnswer(err error) bool {
	for _, answer := range []error{
		catalog.ErrLost, catalog.ErrStep, catalog.ErrNotFound, catalog.ErrSchema, catalog.ErrUnavailable,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// isBroken says whether a connection ended under a query.
func isBroken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// redact is an error's text in one line, without the password.
func (c *Catalog) redact(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if c.password == "" {
		return text
	}
	return strings.ReplaceAll(text, c.password, "[redacted]")
}

// schemaError is an error about what the database holds.
func (c *Catalog) schemaError(hint, format string, args ...any) error {
	return fault.Wrap(fault.Failed, hint,
		fmt.Errorf("open catalogue: %w: %s %s", catalog.ErrSchema, c.where, fmt.Sprintf(format, args...)))
}
