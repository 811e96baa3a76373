package litecatalog

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// interpret says an error of the engine in the words of the contract. It is
// the only place that knows SQLite's codes. A call that its caller cancelled is
// not the catalogue's fault, and says so with the context's own error.
func interpret(caller context.Context, what string, err error) error {
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
	}
	var fromEngine *sqlite.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: the file did not get free in time", what, catalog.ErrUnavailable)
	case !errors.As(err, &fromEngine):
		return fmt.Errorf("%s: %w: %s", what, catalog.ErrUnavailable, err.Error()) // a closed handle
	}
	switch fromEngine.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT:
		// SQLITE_ERROR is a table or column that is not there.
		return fmt.Errorf("%s: %w: %s", what, catalog.ErrSchema, fromEngine.Error())
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_TOOBIG:
		return fmt.Errorf("%s: %s", what, fromEngine.Error())
	}
	return fmt.Errorf("%s: %w: %s", what, catalog.ErrUnavailable, fromEngine.Error())
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

// schemaError is an error about what the file holds.
func schemaError(hint, format string, args ...any) error {
	return fault.Wrap(fault.Failed, hint,
		fmt.Errorf("open catalogue: %w: %s", catalog.ErrSchema, fmt.Sprintf(format, args...)))
}
