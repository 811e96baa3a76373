package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// TestFaultsThatPass orders a fault that a try or two cure: the night ends
// well, with one backup of each database that equals it.
func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	cases := map[string]sandbox.Fault{
		"500 of the listing":                 {Call: "list", Kind: sandbox.FaultStatus, Status: 500, Code: 7500, Message: "internal error"},
		"429 of the listing":                 {Call: "list", Kind: sandbox.FaultStatus, Status: 429, Code: 971, Message: "slow down", RetryAfter: time.Second},
		"429 of an export":                   {Call: "export", Kind: sandbox.FaultStatus, Status: 429, Code: 7429, Message: "D1 DB is overloaded. Requests queued for too long."},
		"500 of an export":                   {Call: "export", Kind: sandbox.FaultStatus, Status: 500, Code: 7500, Message: "internal error in D1 DB storage"},
		"a page in the place of an answer":   {Call: "export", Kind: sandbox.FaultHTML},
		"a reset of the start":               {Call: "export", Kind: sandbox.FaultReset},
		"a lost answer to the start":         {Call: "export", Kind: sandbox.FaultLost},
		"a reset of the poll":                {Call: "export", After: 1, Kind: sandbox.FaultReset},
		"completion that is never told":      {Call: "export", After: 1, Kind: sandbox.FaultLost},
		"an export that is gone":             {Call: "export", After: 1, Kind: sandbox.FaultInner, Message: "Not currently exporting anything."},
		"a signed URL in the other place":    {Call: "export", After: 1, Kind: sandbox.FaultFlat},
		"a download that breaks off":         {Call: "download", Kind: sandbox.FaultCut, Bytes: 40},
		"a download that breaks off twice":   {Call: "download", Kind: sandbox.FaultCut, Bytes: 40, Times: 2},
		"a reset of the download":            {Call: "download", Kind: sandbox.FaultReset},
		"a 503 of the download":              {Call: "download", Kind: sandbox.FaultStatus, Status: 503},
		"an expired URL":                     {Call: "download", Kind: sandbox.FaultExpired},
		"an error page as the dump":          {Call: "download", Kind: sandbox.FaultXML},
		"an empty dump":                      {Call: "download", Kind: sandbox.FaultEmpty},
		"a dump whose last statement is cut": {Call: "download", Kind: sandbox.FaultShort, Bytes: 5},
	}
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for name, f := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "alpha", "beta")
			if f.Call != "list" {
				f.Database = "alpha"
			}
			b.d1.AddFault(f)
			e := b.host(nil)
			result := b.night(e)
			wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeDone, "beta": engine.OutcomeDone})
			if left := b.d1.ClearFaults(); left != 0 {
				t.Errorf("%d ordered faults were not met", left)
			}
			list := b.list(e)
			if len(list.Entries) != 2 || len(list.Unfinished)+len(list.Foreign) != 0 {
				t.Errorf("%d backups, %d unfinished, %d foreign; want 2, 0, 0", len(list.Entries), len(list.Unfinished), len(list.Foreign))
			}
			b.wantEqual(e, list)
		})
	}
}

// TestFaultsThatStay orders a fault for every try: the database fails with a
// message that names call and cause, nothing of it is in the store, and the
// other one is backed up.
func TestFaultsThatStay(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		fault sandbox.Fault
		says  string
	}{
		"D1 says no": {
			sandbox.Fault{Call: "export", Kind: sandbox.FaultInner, Message: "D1 Export error: cell.replace is not a function"},
			"cell.replace is not a function",
		},
		"the token may not export": {
			sandbox.Fault{Call: "export", Kind: sandbox.FaultStatus, Status: 403, Code: 10000, Message: "Authentication error"},
			"Authentication error",
		},
		"every dump is cut": {sandbox.Fault{Call: "download", Kind: sandbox.FaultShort, Bytes: 5}, "not whole"},
		"every dump is an error page": {
			sandbox.Fault{Call: "download", Kind: sandbox.FaultXML}, "SQL",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "alpha", "beta")
			c.fault.Database, c.fault.Times = "alpha", 1000
			b.d1.AddFault(c.fault)
			e := b.host(func(o *engine.Options) { o.Pause = func(int) time.Duration { return time.Millisecond } })
			result := b.night(e)
			wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeFailed, "beta": engine.OutcomeDone})
			if err := result.Databases[0].Err; err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("alpha failed with %v, want a message with %q", err, c.says)
			}
			list := b.list(e)
			if len(list.Entries) != 1 || len(list.Unfinished)+len(list.Foreign) != 0 {
				t.Errorf("%d backups, %d unfinished, %d foreign; want 1, 0, 0", len(list.Entries), len(list.Unfinished), len(list.Foreign))
			}
		})
	}
}

func TestFailuresGetASecondRound(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	// All tries of the first round fail; the first of the second succeeds.
	b.d1.AddFault(sandbox.Fault{Call: "download", Database: "alpha", Kind: sandbox.FaultShort, Bytes: 5, Times: 3})
	e := b.host(func(o *engine.Options) {
		o.Concurrency = 1
		o.Pause = func(int) time.Duration { return time.Millisecond }
	})
	result := b.night(e)
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeDone, "beta": engine.OutcomeDone})
	if got := result.Databases[0].Attempts; got != 4 {
		t.Errorf("%d attempts, want 4", got)
	}
	if last := result.Databases[1]; last.Attempts != 1 {
		t.Errorf("beta took %d attempts, want 1", last.Attempts)
	}
}

func TestSilenceIsATimeout(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	b.d1.AddFault(sandbox.Fault{Call: "export", Database: "alpha", Kind: sandbox.FaultStall, Times: 1000})
	e := b.host(func(o *engine.Options) {
		o.ExportTimeout = 300 * time.Millisecond
		o.Pause = func(int) time.Duration { return time.Millisecond }
	})
	result := b.night(e)
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeFailed, "beta": engine.OutcomeDone})
	if err := result.Databases[0].Err; err == nil || !strings.HasPrefix(err.Error(), "Timeout after 300ms") {
		t.Errorf("alpha failed with %v, want a time-out", err)
	}
}

func TestTheDeadlineBoundsOneDatabase(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	b.d1.AddFault(sandbox.Fault{Call: "download", Database: "alpha", Kind: sandbox.FaultFreeze, Bytes: 10, Times: 1000})
	e := b.host(func(o *engine.Options) { o.Deadline = 500 * time.Millisecond })
	result := b.night(e)
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeFailed, "beta": engine.OutcomeDone})
	if err := result.Databases[0].Err; err == nil || !strings.Contains(err.Error(), "not done within the deadline of 500ms") {
		t.Errorf("alpha failed with %v, want the deadline", err)
	}
}

func TestAnInterruptedRunLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	b.d1.AddFault(sandbox.Fault{Call: "download", Kind: sandbox.FaultFreeze, Bytes: 10, Times: 1000})
	e := b.host(nil)
	ctx, interrupt := context.WithCancelCause(t.Context())
	go func() {
		for exports(b) == 0 {
			time.Sleep(time.Millisecond)
		}
		interrupt(errors.New("ctrl-c"))
	}()
	result, err := e.Backup(ctx, engine.BackupRequest{Trigger: backup.TriggerSchedule, LockWait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeInterrupted, "beta": engine.OutcomeInterrupted})
	if kinds := result.Kinds(); len(kinds) == 0 || result.Status != catalog.RunInterrupted {
		t.Errorf("status %s, faults %v", result.Status, kinds)
	}
	b.d1.ClearFaults()

	// The run is told as interrupted, its leases are free, and the next run of
	// the night finishes it.
	status, err := e.Status(t.Context(), engine.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if last, running := status.LastJob(); running != nil || last == nil || last.Status != catalog.JobInterrupted {
		t.Errorf("last job is %+v, running %+v", last, running)
	}
	if len(status.Unfinished)+len(status.Foreign)+status.DailyBackups != 0 {
		t.Errorf("the store holds %d backups, %v, %v", status.DailyBackups, status.Unfinished, status.Foreign)
	}
	wantOutcomes(t, b.night(e), map[string]engine.Outcome{"alpha": engine.OutcomeDone, "beta": engine.OutcomeDone})
	b.wantEqual(e, b.list(e))
}

func TestVirtualTablesAreRefusedBeforeAnExport(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	b.seed("fts", "CREATE VIRTUAL TABLE f USING fts5(body)")
	e := b.host(nil)
	result := b.night(e)
	wantOutcomes(t, result, map[string]engine.Outcome{"alpha": engine.OutcomeDone, "fts": engine.OutcomeFailed})
	for _, call := range b.d1.Journal() {
		if call.Name == "export" && call.Database == "fts" {
			t.Fatal("an export was started")
		}
	}
	if kinds := result.Kinds(); len(kinds) != 1 || kinds[0] != fault.Partial {
		t.Errorf("faults are %v, want partial", kinds)
	}
	if result.Databases[1].Attempts != 1 {
		t.Errorf("%d attempts, want 1", result.Databases[1].Attempts)
	}
}

func TestNoTokenReachesTheHostOfSignedURLs(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	b.night(b.host(nil))
	downloads := 0
	for _, call := range b.d1.Journal() {
		if call.Name != "download" {
			continue
		}
		downloads++
		if call.Authorized {
			t.Error("a download was sent the token")
		}
	}
	if downloads == 0 {
		t.Error("nothing was downloaded")
	}
}
