package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/AutumnsGrove/patina/pkg/fault"
)

// exitRow is one exit status.
type exitRow struct {
	kind   fault.Kind
	status int
	means  string
}

// exitTable is every exit status but 0, the most serious first: where several
// apply, the first one counts. The help text, the code and a test share it.
func exitTable() []exitRow {
	return []exitRow{
		{fault.Interrupted, 130, "interrupted by Ctrl-C"},
		{fault.Terminated, 143, "ended by SIGTERM"},
		{fault.Usage, 2, "usage or configuration is wrong, nothing was attempted"},
		{fault.Unauthorized, 12, "authorization refused"},
		{fault.Held, 11, "what was asked for is held by another run, and the wait ended"},
		{fault.Failed, 1, "failed"},
		{fault.Partial, 3, "partial: some databases failed"},
		{fault.Proof, 4, "a proof or fidelity check failed"},
		{fault.Refused, 6, "refused by a safety rule"},
		{fault.Uncatalogued, 7, "every backup published, catalogue not written"},
	}
}

// exitStatus is the status of a run with these faults.
func exitStatus(kinds []fault.Kind) int {
	for _, row := range exitTable() {
		if slices.Contains(kinds, row.kind) {
			return row.status
		}
	}
	if len(kinds) > 0 {
		return 1
	}
	return 0
}

// exitHelp is the exit-status section of the help text.
func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit status:\n    0  done\n")
	rows := exitTable()
	slices.SortFunc(rows, func(x, y exitRow) int { return x.status - y.status })
	for _, row := range rows {
		fmt.Fprintf(&b, "  %3d  %s\n", row.status, row.means)
	}
	return b.String()
}

// signalError is why the context of an interrupted run ended.
type signalError struct{ signal os.Signal }

// Error names the signal.
func (e *signalError) Error() string { return "interrupted by signal: " + e.signal.String() }

// withSignal names the signal in the error of what it ended, which may tell no
// more than that its context is over.
func withSignal(ctx context.Context, err error) error {
	var by, told *signalError
	var printed *kindsError
	if !errors.Is(err, context.Canceled) || !errors.As(context.Cause(ctx), &by) || errors.As(err, &told) || errors.As(err, &printed) {
		return err
	}
	return fmt.Errorf("%w: %w", by, err)
}

// kindsOf are the faults of a run's error and of the signal that ended it.
func kindsOf(ctx context.Context, err error) []fault.Kind {
	var several *kindsError
	if errors.As(err, &several) {
		return bySignal(ctx, several.kinds)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)) {
		return bySignal(ctx, []fault.Kind{fault.Interrupted})
	}
	return []fault.Kind{fault.KindOf(err)}
}

// bySignal tells SIGTERM from Ctrl-C.
func bySignal(ctx context.Context, kinds []fault.Kind) []fault.Kind {
	var by *signalError
	if !errors.As(context.Cause(ctx), &by) || by.signal != syscall.SIGTERM {
		return kinds
	}
	kinds = slices.Clone(kinds)
	for i, k := range kinds {
		if k == fault.Interrupted {
			kinds[i] = fault.Terminated
		}
	}
	return kinds
}

// kindsError ends a command whose result was printed already, failures and
// all: nothing is left but the exit status.
type kindsError struct{ kinds []fault.Kind }

// Error is never printed.
func (e *kindsError) Error() string { return fmt.Sprint(e.kinds) }

// endWith is the error that ends a command whose result was printed already;
// nil where nothing went wrong.
func endWith(kinds []fault.Kind) error {
	if len(kinds) == 0 {
		return nil
	}
	return &kindsError{kinds}
}
