package catalog_test

import (
	"errors"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// steps writes a table of steps as a matrix: a line for each state that is
// left, a letter for each that is entered, in the order of the states.
type steps[S ~string] struct {
	states []S
	check  func(from, to S) error
	// allowed has a line for the state that a row has before it exists, and
	// one for each of the states.
	allowed []string
}

func (s steps[S]) test(t *testing.T) {
	t.Helper()
	froms := append([]S{""}, s.states...)
	if len(s.allowed) != len(froms) {
		t.Fatalf("%d lines for %d states", len(s.allowed), len(froms))
	}
	for i, from := range froms {
		if len(s.allowed[i]) != len(s.states) {
			t.Fatalf("line %q has %d letters for %d states", s.allowed[i], len(s.allowed[i]), len(s.states))
		}
		for j, to := range s.states {
			err := s.check(from, to)
			if want := s.allowed[i][j] == 'x'; (err == nil) != want || err != nil && !errors.Is(err, catalog.ErrStep) {
				t.Errorf("from %q to %q: %v, allowed is %t", from, to, err, want)
			}
		}
		for _, to := range []S{"", "finished"} {
			if err := s.check(from, to); !errors.Is(err, catalog.ErrStep) {
				t.Errorf("from %q to %q: %v, want ErrStep", from, to, err)
			}
		}
	}
	if err := s.check("finished", s.states[0]); !errors.Is(err, catalog.ErrStep) {
		t.Errorf("from an unknown state: %v, want ErrStep", err)
	}
}

func TestJobSteps(t *testing.T) {
	t.Parallel()
	steps[catalog.JobStatus]{
		states: []catalog.JobStatus{
			catalog.JobRunning, catalog.JobSucceeded, catalog.JobPartial, catalog.JobFailed, catalog.JobInterrupted,
		},
		check:   catalog.CheckJobStep,
		allowed: []string{"x....", "xxxxx", "xx...", "x.x..", "x..x.", "x...x"},
	}.test(t)
}

func TestRunSteps(t *testing.T) {
	t.Parallel()
	steps[catalog.RunStatus]{
		states: []catalog.RunStatus{
			catalog.RunRunning, catalog.RunSucceeded, catalog.RunPartial, catalog.RunFailed,
			catalog.RunInterrupted, catalog.RunLost,
		},
		check:   catalog.CheckRunStep,
		allowed: []string{"x.....", "xxxxxx", ".x....", "..x...", "...x..", "....x.", ".xxxxx"},
	}.test(t)
}

func TestBackupSteps(t *testing.T) {
	t.Parallel()
	steps[catalog.BackupStatus]{
		states: []catalog.BackupStatus{
			catalog.BackupPending, catalog.BackupRunning, catalog.BackupDone,
			catalog.BackupFailed, catalog.BackupInterrupted,
		},
		check:   catalog.CheckBackupStep,
		allowed: []string{"xxxxx", "xxxxx", ".xxxx", "..x..", ".xxxx", ".xxxx"},
	}.test(t)
}
