// Package fault gives errors a kind that a script or a person acts on, and a
// hint that says how to go on.
//
// The kind is set where the cause is known, the hint where the remedy is
// known; everything between passes the error on with %w. A kind exists only if
// somebody would act differently on it. The exit statuses that belong to the
// kinds are cmd/patina's, and so is the rule which of several failures of one
// run decides: a run of many databases counts its results, an error cannot.
package fault

import (
	"errors"
	"fmt"
	"slices"
)

// Kind says what sort of fault an error is. Its text is stable: `-o json`
// prints it.
type Kind string

// The kinds, one for each exit status but 0 that a command can end with.
const (
	// Interrupted is work ended by Ctrl-C.
	Interrupted Kind = "interrupted"
	// Terminated is work ended by SIGTERM.
	Terminated Kind = "terminated"
	// Usage is a wrong command line or configuration: nothing was attempted.
	Usage Kind = "usage"
	// Unauthorized is a token or key that was refused.
	Unauthorized Kind = "unauthorized"
	// Held is work that another run is doing, where the wait for it ended.
	Held Kind = "held"
	// Failed is every fault without a kind of its own.
	Failed Kind = "failed"
	// Partial is a run of which some databases failed.
	Partial Kind = "partial"
	// Proof is a check of a backup that did not hold.
	Proof Kind = "proof"
	// Refused is work that a safety rule forbids.
	Refused Kind = "refused"
	// Uncatalogued is a run that published everything and could not say so
	// in the catalogue.
	Uncatalogued Kind = "uncatalogued"
)

// Kinds returns every kind, the most serious first. Of an error that joins
// several kinds, KindOf takes the first of this order.
//
// Unauthorized and Held stand before Failed because they say more than it; a
// run in which only some databases were refused is Partial by count, not by
// this order.
func Kinds() []Kind {
	return []Kind{
		Interrupted, Terminated, Usage, Unauthorized, Held, Failed,
		Partial, Proof, Refused, Uncatalogued,
	}
}

// Error is an error with a kind and perhaps a hint.
type Error struct {
	Kind Kind
	// Hint is a command to paste or one short remedy; may be empty.
	Hint string
	Err  error
}

// Error is the text of the wrapped error: kind and hint are shown elsewhere.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Kind)
	}
	return e.Err.Error()
}

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind from a format, in which %w works. The hint may
// be empty.
func New(kind Kind, hint, format string, args ...any) error {
	return &Error{Kind: kind, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// Wrap gives an error a kind and a hint, which may be empty. It returns nil
// for a nil error.
func Wrap(kind Kind, hint string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Hint: hint, Err: err}
}

// KindOf returns the most serious kind in an error's tree, joined errors
// included, by the order of Kinds. An outer kind does not hide an inner one of
// the same branch unless it is more serious: who wraps an interruption as a
// failure still was interrupted. It returns Failed where nobody set a kind, and
// the empty Kind for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var found []Kind
	walk(err, func(e *Error) { found = append(found, e.Kind) })
	for _, kind := range Kinds() {
		if slices.Contains(found, kind) {
			return kind
		}
	}
	return Failed
}

// Hints returns the hints in an error's tree, outer before inner and first
// joined before last, without repeats.
func Hints(err error) []string {
	var hints []string
	walk(err, func(e *Error) {
		if e.Hint != "" && !slices.Contains(hints, e.Hint) {
			hints = append(hints, e.Hint)
		}
	})
	return hints
}

// walk visits every Error of an error's tree, outer before inner.
func walk(err error, visit func(*Error)) {
	for err != nil {
		if e, ok := err.(*Error); ok { //nolint:errorlint // the walk visits each link itself
			visit(e)
		}
		if joined, ok := err.(interface{ Unwrap() []error }); ok { // as above
			for _, branch := range joined.Unwrap() {
				walk(branch, visit)
			}
			return
		}
		err = errors.Unwrap(err)
	}
}
