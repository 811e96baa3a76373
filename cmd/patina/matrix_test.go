package main

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// ending is how a run ends that met a fault.
type ending string

const (
	// borne: every backup is published, and nothing was repeated for it.
	borne ending = "borne"
	// retried: every backup is published, after another try or another look.
	retried ending = "retried"
	// failed: the database failed, the others are published.
	failed ending = "failed"
	// nothing: no database could be backed up, because none is known.
	nothing ending = "nothing"
	// untold: every backup is published, and the catalogue does not know all.
	untold ending = "untold"
)

func endings() []ending { return []ending{borne, retried, failed, nothing, untold} }

// cell is one call that meets one fault: once, or whenever it is made.
type cell struct {
	call, fault  string
	once, always ending
}

func matrixCalls() []string {
	return []string{
		callList, callGet, callStart, callPoll, callDownload,
		callPut, callParts, callComplete, callManifest, callCatalogue,
	}
}

func matrixFaults() []string {
	return []string{
		fault429, fault500, fault502, fault503, faultReset,
		faultStall, faultCut, faultLength, faultExpired, faultSlow,
	}
}

// matrix is every call times every fault. By rule, what passes is tried again
// and what stays ends in a clean failure of its database; slowness is borne.
// The exceptions come with their reasons.
func matrix() []cell {
	var cells []cell
	for _, call := range matrixCalls() {
		for _, fault := range matrixFaults() {
			c := cell{call, fault, retried, failed}
			if fault == faultSlow {
				c.once, c.always = borne, borne
			} else if except := exception(call, fault); except != nil {
				c.once, c.always = except[0], except[1]
			}
			cells = append(cells, c)
		}
	}
	return cells
}

// exception is how a cell ends that does not follow the rule; nil for others.
func exception(call, fault string) []ending {
	switch {
	case call == callList && fault == faultExpired:
		return []ending{nothing, nothing} // a refused token is not tried again
	case call == callList:
		return []ending{retried, nothing} // without a list no database is known
	case call == callGet && fault == faultExpired:
		return []ending{borne, borne} // as below, and a refused token is not tried again
	case call == callGet:
		return []ending{retried, borne} // a backup can do without the region
	case fault == faultExpired && slices.Contains([]string{callStart, callPut, callManifest}, call):
		return []ending{failed, failed} // what is refused is not tried again
	case fault == faultCut && slices.Contains([]string{callPut, callComplete, callManifest}, call):
		return []ending{retried, retried} // it was done, and a look shows it
	case call == callCatalogue && slices.Contains([]string{faultReset, faultCut, faultExpired}, fault):
		return []ending{retried, untold} // the connection is made anew
	case call == callCatalogue:
		return []ending{untold, untold} // the first refusal ends the catalogue's part
	}
	return nil
}

// TestFaultMatrix has every call meet every fault, once and always, and holds
// how the run ends, what it says, what lies in the bucket, and that the next
// run completes the night.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	counts, cells := map[ending]int{}, matrix()
	if len(cells) != 100 {
		t.Fatalf("%d cells, want 100", len(cells))
	}
	for n, c := range cells {
		counts[c.once]++
		counts[c.always]++
		if c.call == callCatalogue {
			continue // see TestFaultMatrixOfTheCatalogue
		}
		for times, want := range map[int]ending{1: c.once, -1: c.always} {
			if !sampled(2*n + times) {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s/%s", c.call, c.fault, often(times)), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { holdCell(t, c, times, want) })
			})
		}
	}
	want := map[ending]int{borne: 30, retried: 82, failed: 63, nothing: 10, untold: 15}
	for _, e := range endings() {
		if counts[e] != want[e] {
			t.Errorf("%d runs end %s, want %d", counts[e], e, want[e])
		}
	}
}

// otherCalls are calls of a backup beside those of the matrix. They follow its
// rule too.
func otherCalls() []string { return []string{callVirtual, callNight, callCreate} }

// TestOtherCallsMeetFaults holds the calls around those of the matrix.
func TestOtherCallsMeetFaults(t *testing.T) {
	t.Parallel()
	for n, call := range otherCalls() {
		for m, fault := range matrixFaults() {
			c := cell{call, fault, retried, failed}
			switch fault {
			case faultSlow:
				c.once, c.always = borne, borne
			case faultExpired:
				c.once = failed
				if call == callNight { // the first look is not the last one
					c.once = retried
				}
			}
			for times, want := range map[int]ending{1: c.once, -1: c.always} {
				if !sampled(20*n + 2*m + times) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", c.call, c.fault, often(times)), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { holdCell(t, c, times, want) })
				})
			}
		}
	}
}

// TestRecordsCostNoBackup has every fault meet the begin and the end record,
// which a backup can do without: it costs a warning at most.
func TestRecordsCostNoBackup(t *testing.T) {
	t.Parallel()
	for n, call := range []string{callBegin, callEnd} {
		for m, fault := range matrixFaults() {
			if !sampled(10*n + m) {
				continue
			}
			t.Run(call+"/"+fault, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, false)
					w.between.order(call, fault, -1)
					got := w.run("backup", "--trigger", "schedule")
					if met, _ := w.between.clear(); met == 0 || got.status != 0 {
						t.Errorf("%d requests met the fault, and it ended with %d and\n%s", met, got.status, got.stderr)
					}
					done := fault == faultSlow || fault == faultCut && call == callBegin
					if warned := strings.Contains(got.stderr, "patina: warning: write the "+call+": "); warned == done {
						t.Errorf("it says\n%s", got.stderr)
					}
					w.wantBackups("alpha", "beta")
				})
			})
		}
	}
}

// sampled says whether the n-th of many like runs is made: all are, but with
// -short, which the race detector is used with, one of seven.
func sampled(n int) bool { return !testing.Short() || n%7 == 1 }

func often(times int) string {
	if times < 0 {
		return "always"
	}
	return "once"
}

// holdCell runs a night in which a call meets a fault.
func holdCell(t *testing.T, c cell, times int, want ending) {
	w := newWorld(t, slices.Contains([]string{callParts, callComplete, callCreate}, c.call))
	// An upload whose id was told to nobody can be aborted by nobody.
	w.lost = c.call == callCreate && (c.fault == faultCut || c.fault == faultLength)
	w.between.order(c.call, c.fault, times)
	got := w.run("backup", "--trigger", "schedule")
	met, seen := w.between.clear()
	if met == 0 {
		t.Fatalf("the fault was not met; it ended with %d and\n%s", got.status, got.stderr)
	}
	if status := statusOf(c, want); got.status != status {
		t.Fatalf("it ended with %d, want %d; it says\n%s", got.status, status, got.stderr)
	}
	if want == retried && seen < 2 {
		t.Errorf("the call was made %d times", seen)
	}
	if want == failed || want == nothing {
		wantSaid(t, c, got.stderr)
	} else if got.stderr != "" {
		t.Errorf("a run in which all went well says\n%s", got.stderr)
	}
	switch want {
	case nothing:
		if keys := w.r2.Keys(); len(keys) != 0 {
			t.Errorf("the bucket holds %q, want nothing", keys)
		}
	case failed:
		listed := w.wantBackups("beta")
		w.wantNothingHalf(c, listed)
	default:
		if listed := w.wantBackups("alpha", "beta"); len(listed.Unfinished) != 0 {
			t.Errorf("unfinished: %+v", listed.Unfinished)
		}
	}
	w.patina(0, "backup", "--trigger", "schedule")
	w.wantBackups("alpha", "beta")
}

// statusOf is the exit status of an ending.
func statusOf(c cell, e ending) int {
	refused := c.fault == faultExpired && (e == failed || e == nothing)
	refused = refused && !slices.Contains([]string{callPoll, callDownload, callParts, callComplete}, c.call)
	switch {
	case refused:
		return 12
	case e == failed:
		return 3
	case e == nothing:
		return 1
	case e == untold:
		return 7
	}
	return 0
}

// wantNothingHalf looks for what a failed database may leave. A dump whose
// manifest was not written stays, because the manifest may yet turn up; it is
// listed as unfinished and never as a backup.
func (w *world) wantNothingHalf(c cell, listed listJSON) {
	w.t.Helper()
	if c.call != callManifest && len(listed.Unfinished) != 0 {
		w.t.Errorf("unfinished: %+v", listed.Unfinished)
	}
	ended := false
	for _, key := range w.r2.Keys() {
		told := slices.ContainsFunc(listed.Unfinished, func(s strayJSON) bool { return s.Key == key })
		if ok, _ := path.Match("daily/*/alpha*", key); ok && !told {
			w.t.Errorf("the failed database left %s", key)
		}
		ended = ended || strings.HasSuffix(key, ".end.json")
	}
	if !ended {
		w.t.Error("there is no end record")
	}
}

// wantSaid wants the call and the cause in what a run says of a failure.
func wantSaid(t *testing.T, c cell, said string) {
	t.Helper()
	for _, text := range []string{saidCall(c), saidCause(c)} {
		if !strings.Contains(said, text) {
			t.Errorf("it does not say %q:\n%s", text, said)
		}
	}
	if c.call != callList && !strings.Contains(said, "patina: hint: ") {
		t.Errorf("it does not say what to do:\n%s", said)
	}
}

func saidCall(c cell) string {
	if c.call == callComplete && c.fault == faultLength {
		return "put daily/2024-12-08/alpha" // it is found out after the call
	}
	return map[string]string{
		callList: "list databases:", callStart: "export: ", callPoll: "export: ", callDownload: "download",
		callVirtual: "look for virtual tables:", callNight: `list "daily/2024-12-08/alpha": list objects: `, callCreate: "create upload:",
		callPut: "put object:", callParts: "put part ", callComplete: "complete upload:", callManifest: "publish daily/2024-12-08/alpha",
	}[c.call]
}

func saidCause(c cell) string {
	inD1 := slices.Contains([]string{callList, callStart, callPoll, callDownload, callVirtual}, c.call)
	inXML := slices.Contains([]string{callNight, callCreate}, c.call)
	switch c.fault {
	case faultReset, faultCut:
		if c.call == callParts || inXML {
			return "no answer: " // in the words of whoever read or wrote just then
		}
		return "the connection ended early"
	case faultStall:
		if c.call == callVirtual {
			return "- alpha: look for virtual tables: timeout after 40s" // and not export_timeout
		}
		if c.call == callNight {
			return "gave up after 10 tries: no answer: nothing within 1m0s"
		}
		if inD1 {
			return "timeout after "
		}
		return "nothing within "
	case faultLength:
		switch c.call {
		case callDownload:
			return "dump is not whole"
		case callPut, callParts, callManifest:
			return "SHA256Mismatch"
		case callComplete:
			return "store holds "
		}
		if inXML {
			return "XML syntax error"
		}
		return "broken JSON"
	case faultExpired:
		switch c.call {
		case callPoll:
			return "Not currently exporting anything"
		case callDownload:
			return "the link has expired"
		case callParts, callComplete:
			return "NoSuchUpload"
		case callPut, callManifest, callNight, callCreate:
			return "access to the store denied"
		}
		return "401 Unauthorized"
	}
	status, _, _ := strings.Cut(c.fault, ",")
	return status
}
