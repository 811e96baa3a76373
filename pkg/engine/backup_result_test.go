package engine

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

func TestKindsOfAResult(t *testing.T) {
	t.Parallel()
	done := DatabaseResult{Outcome: OutcomeDone}
	failed := DatabaseResult{Outcome: OutcomeFailed, Err: errors.New("no")}
	refused := DatabaseResult{Outcome: OutcomeFailed, Err: fault.New(fault.Unauthorized, "", "no")}
	held := DatabaseResult{Outcome: OutcomeHeld, Err: fault.New(fault.Held, "", "no")}
	cases := []struct {
		name   string
		result BackupResult
		want   []fault.Kind
	}{
		{"all done", BackupResult{Databases: []DatabaseResult{done, {Outcome: OutcomeAlready}, {Outcome: OutcomeElsewhere}}}, nil},
		{"one of two failed", BackupResult{Databases: []DatabaseResult{done, failed}}, []fault.Kind{fault.Partial}},
		{"all failed", BackupResult{Databases: []DatabaseResult{failed, failed}}, []fault.Kind{fault.Failed}},
		{"all refused", BackupResult{Databases: []DatabaseResult{refused, refused}}, []fault.Kind{fault.Unauthorized, fault.Failed}},
		{"refused and failed", BackupResult{Databases: []DatabaseResult{refused, failed}}, []fault.Kind{fault.Failed}},
		{"every failure refused, one done", BackupResult{Databases: []DatabaseResult{refused, done}}, []fault.Kind{fault.Unauthorized, fault.Partial}},
		{"all held", BackupResult{Databases: []DatabaseResult{held}}, []fault.Kind{fault.Held, fault.Failed}},
		{"held and done", BackupResult{Databases: []DatabaseResult{held, done}}, []fault.Kind{fault.Partial}},
		{
			"no catalogue",
			BackupResult{Databases: []DatabaseResult{done}, CatalogErr: errors.New("away")},
			[]fault.Kind{fault.Uncatalogued},
		},
		{
			"interrupted",
			BackupResult{Status: catalog.RunInterrupted, Databases: []DatabaseResult{done, {Outcome: OutcomeInterrupted, Err: errInterrupted}}},
			[]fault.Kind{fault.Partial, fault.Interrupted},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, c.result.Kinds()); diff != "" {
				t.Errorf("kinds (-want +got):\n%s", diff)
			}
		})
	}
}
