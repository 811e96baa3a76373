package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// confirmation asks a person to type a database's name before its content is
// replaced, unless that was said on the command line. What is told goes to
// stderr in any case.
func (a *app) confirmation(yes bool, pause func()) func(r engine.Replacement, what string, more ...string) error {
	return func(r engine.Replacement, what string, more ...string) error {
		pause()
		if !a.global.quiet || !yes {
			printReplacement(a.host.err, r, what)
			for _, line := range more {
				fmt.Fprintln(a.host.err, line)
			}
		}
		if yes {
			return nil
		}
		if !a.host.inTerminal || a.global.noInput {
			return fault.New(fault.Refused, "look at it with --dry-run, then say --yes", "nobody can be asked here, and %s was not touched", r.Database.Name)
		}
		fmt.Fprintf(a.host.err, "Type %s to go on: ", r.Database.Name)
		line, err := bufio.NewReader(a.host.in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the answer: %w", err)
		}
		if strings.TrimSpace(line) != r.Database.Name {
			return fault.New(fault.Refused, "", "that is not %s, which was not touched", r.Database.Name)
		}
		return nil
	}
}

// outlookText says for how long the database will answer nobody.
func outlookText(o engine.Outlook) string {
	if o.About == 0 {
		return "for how long it will answer nobody is not known: nothing of this size was restored yet (patina verify --drill measures it)"
	}
	return fmt.Sprintf("it will answer nobody for about %s, going by %s", o.About, o.By)
}

// tablesShown is how many tables are told one by one.
const tablesShown = 20

// printReplacement says what will be lost, and the way back.
func printReplacement(w io.Writer, r engine.Replacement, what string) {
	fmt.Fprintf(w, "%s (%s): %s\n", r.Database.Name, r.Database.ID, what)
	for i, t := range r.Tables {
		if i == tablesShown {
			fmt.Fprintf(w, "  and %d more tables\n", len(r.Tables)-i)
			break
		}
		fmt.Fprintf(w, "  %s\n", rowsOf(t.Rows, t.Name))
	}
	if len(r.Chosen) > 0 {
		fmt.Fprintln(w, undoesAll)
	}
	if !r.SafetyBackup.IsZero() {
		fmt.Fprintf(w, "safety backup: %s (job %s)\n", r.SafetyBackup.Manifest, r.SafetyBackup.JobID)
	}
	if r.Bookmark != "" {
		fmt.Fprintf(w, "bookmark before: %s\n", r.Bookmark)
	}
}
