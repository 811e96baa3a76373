package main

import (
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/fault"
)

func TestEveryKindHasAnExitStatus(t *testing.T) {
	t.Parallel()
	rows := map[fault.Kind]int{}
	statuses := map[int]bool{}
	for _, row := range exitTable() {
		if _, twice := rows[row.kind]; twice || statuses[row.status] {
			t.Errorf("%s or %d stands twice", row.kind, row.status)
		}
		rows[row.kind], statuses[row.status] = row.status, true
	}
	for _, kind := range fault.Kinds() {
		if rows[kind] == 0 {
			t.Errorf("%s has no exit status", kind)
		}
	}
	if len(rows) != len(fault.Kinds()) {
		t.Errorf("%d rows for %d kinds", len(rows), len(fault.Kinds()))
	}
}

func TestTheMostSeriousFaultDecides(t *testing.T) {
	t.Parallel()
	cases := []struct {
		kinds []fault.Kind
		want  int
	}{
		{nil, 0},
		{[]fault.Kind{fault.Uncatalogued}, 7},
		{[]fault.Kind{fault.Uncatalogued, fault.Partial}, 3},
		{[]fault.Kind{fault.Partial, fault.Proof}, 3},
		{[]fault.Kind{fault.Failed, fault.Unauthorized}, 12},
		{[]fault.Kind{fault.Failed, fault.Held}, 11},
		{[]fault.Kind{fault.Failed, fault.Interrupted}, 130},
		{[]fault.Kind{fault.Partial, fault.Terminated}, 143},
		{[]fault.Kind{fault.Refused, fault.Proof}, 4},
		{[]fault.Kind{fault.Usage, fault.Failed}, 2},
	}
	for _, c := range cases {
		if got := exitStatus(c.kinds); got != c.want {
			t.Errorf("exitStatus(%v) = %d, want %d", c.kinds, got, c.want)
		}
	}
}

func TestHelpTellsEveryExitStatus(t *testing.T) {
	t.Parallel()
	help := exitHelp()
	for _, row := range exitTable() {
		if !strings.Contains(help, row.means) {
			t.Errorf("help does not tell %d: %s", row.status, row.means)
		}
	}
}
