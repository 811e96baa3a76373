package main

import "testing"

// Runs that begin in the same second are told apart by their id alone. With four
// digits a thousand of them held some eight pairs.
func TestRunsOfOneSecondAreToldApart(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id := string(newRunID())
		if seen[id] {
			t.Fatalf("the run id %s was drawn twice", id)
		}
		seen[id] = true
	}
}
