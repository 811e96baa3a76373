package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// Who asked for a replacement and got a new database instead is told so, in words
// and by the status: a script must not go on as if it had been replaced.
func TestARestoreAsideIsTold(t *testing.T) {
	t.Parallel()
	for _, dryRun := range []bool{false, true} {
		r := restored{target: restoreTarget{targetD1, "alpha"}, dryRun: dryRun, d1: engine.RestoreResult{
			Aside: backup.Database{Name: "alpha", ID: "1"}, Target: backup.Database{Name: "alpha-restored-7f3a", ID: "2"}, Created: true,
			State: engine.StateRestored, DryRun: dryRun,
		}}
		var screen bytes.Buffer
		a := &app{host: host{err: &screen, out: &screen}}
		a.sayD1(r)
		want := "alpha was not replaced: the backup takes more than one import"
		if dryRun {
			want = "alpha would not be replaced: the backup takes more than one import"
		}
		if !strings.HasPrefix(screen.String(), want) {
			t.Errorf("it says %q", screen.String())
		}
		if !slices.Equal(r.kinds(), []fault.Kind{fault.Refused}) {
			t.Errorf("it ends with %v", r.kinds())
		}
	}
}
