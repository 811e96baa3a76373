package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// How a run ends that changes a database, beside borne, retried and failed.
const (
	// warned: it is done, and a warning tells what is left.
	warned ending = "warned"
	// unproven: it is done, and could not be held against the backup.
	unproven ending = "unproven"
	// untouched: it failed, and the database is what it was.
	untouched ending = "untouched"
	// returned: it failed, and the database was taken back to what it was.
	returned ending = "returned"
	// partial: it failed, and the database is or may be something else; how to go
	// on is told.
	partial ending = "partial"
	// left: the database of the drill is left, which is told.
	left ending = "left"
)

func changeEndings() []ending {
	return []ending{borne, retried, warned, unproven, untouched, returned, partial, failed, left}
}

// change is a kind of run that changes a database.
type change struct {
	name string
	// target is the database that it changes.
	target string
	args   []string
	calls  []string
}

// The kinds.
const (
	changeNew     = "restore"
	changeReplace = "restore --replace"
	changeRewind  = "rewind"
	changeUndo    = "undo"
	changeDrill   = "drill"
)

// changes are all kinds, with their calls. What an undo and a drill share with the
// others is held there.
func changes() []change {
	load := []string{callInit, callUpload, callIngest, callImportPoll, callLook, callSchemaAfter, callCountAfter, callTravel, callDrop, callAfter, callEnd}
	return []change{
		{
			changeNew, "new",
			[]string{"restore", "2024-12-08", "alpha", "--to", "d1:new", "--job"},
			slices.Concat([]string{callList, callMake, callGet, callBookmark, callBegin}, load),
		},
		{
			changeReplace, "alpha",
			[]string{"restore", "2024-12-08", "alpha", "--to", "d1:alpha", "--replace", "--yes", "--job"},
			slices.Concat([]string{callList, callSchema, callCount, callBookmark, callBegin}, load),
		},
		{
			changeRewind, "alpha",
			[]string{"rewind", "alpha", "--yes", "--bookmark"},
			[]string{callList, callSchema, callCount, callBookmark, callBegin, callTravel, callAfter, callEnd},
		},
		{changeUndo, "alpha", []string{"undo", "--yes"}, []string{callGet}},
		{
			changeDrill, "",
			[]string{"verify", "latest", "alpha", "--drill"},
			[]string{callMake, callGet, callBegin, callIngest, callCountAfter, callDelete, callEnd, callProof},
		},
	}
}

// restores says whether a backup is brought back for use.
func (c change) restores() bool { return c.name == changeNew || c.name == changeReplace }

// first is what goes wrong before, so that a call is made at all.
func (c change) first(call string) spell {
	switch {
	case call == callLook:
		return spell{callIngest, faultCut, 1}
	case call == callTravel && c.restores():
		return spell{callCountAfter, faultLie, -1}
	case call == callAfter && c.name == changeRewind:
		return spell{callTravel, fault500, 1}
	}
	return spell{}
}

// cells are those of a kind, in the order of the table.
func (c change) cells() []cell {
	var cells []cell
	for _, call := range c.calls {
		for _, fault := range matrixFaults() {
			once, always := c.ends(call, fault)
			cells = append(cells, cell{call, fault, once, always})
		}
	}
	return cells
}

// ends is how a run ends whose call meets a fault. By rule, what passes is tried
// again, what stays ends the run with the database as it was, and slowness is
// borne. The exceptions come with their reasons.
func (c change) ends(call, fault string) (once, always ending) {
	stays := untouched
	if c.name == changeDrill {
		stays = failed
	}
	refused, cut := fault == faultExpired, fault == faultCut || fault == faultLength
	switch {
	case call == callTravel && c.restores():
		return c.takenBack(fault)
	case call == callAfter && c.name == changeRewind && refused:
		return partial, partial // it cannot be seen whether it was done
	case call == callAfter && c.name == changeRewind && fault == faultSlow:
		return untouched, untouched // for the travel failed
	case call == callAfter && c.name == changeRewind:
		return untouched, partial // a look shows that it was not done
	case fault == faultSlow:
		return borne, borne
	case call == callAfter && refused:
		return borne, borne // as below, and a refused token is not tried again
	case call == callAfter:
		return retried, borne // a restore can do without
	case call == callBookmark && c.name == changeNew && refused:
		return warned, warned // as below, and it is read once
	case call == callBookmark:
		return retried, warned // the safety backup is a way back, too, and what held nothing needs none
	case call == callDrop:
		return retried, warned // to drop it twice does no harm
	case call == callEnd && fault == faultStall:
		return warned, warned // one silence takes all the time there is
	case call == callProof && fault == faultStall:
		return warned, warned // as above
	case (call == callEnd || call == callProof) && refused:
		return warned, warned
	case call == callEnd || call == callProof:
		return retried, warned
	case call == callBegin && c.name == changeDrill && refused:
		return left, left // as below
	case call == callBegin && c.name == changeDrill && fault != faultCut:
		return retried, left // what is not on record is not removed, which is told
	case call == callBegin && fault == faultCut:
		return retried, retried // it was done, and a look shows it
	case call == callImportPoll && cut:
		return retried, retried // the marker shows that it is in
	case call == callImportPoll && refused:
		return retried, stays // the import is looked at, and sent again
	case call == callLook && refused:
		return untouched, partial // what holds once, holds for the second look
	case call == callLook && cut:
		return untouched, partial // a busy database refuses, and that is cut
	case call == callLook:
		return retried, partial // it cannot be seen how far it is
	case (call == callCount || call == callCountAfter && c.restores()) && (fault == fault500 || fault == fault503):
		return retried, warned // D1 answers, and cannot count: it is no better for that
	case (call == callSchemaAfter || call == callCountAfter) && c.restores() && refused:
		return unproven, unproven
	case (call == callSchemaAfter || call == callCountAfter) && c.restores():
		return retried, unproven // all is in: it is not taken back for that
	case call == callDelete && refused:
		return left, left
	case call == callDelete && cut:
		return retried, warned // it is gone, which is not known
	case call == callDelete:
		return retried, left
	case call == callGet && c.name == changeDrill && refused:
		return left, left // it was made, and is on record
	case call == callGet && c.name == changeDrill:
		return retried, left
	case call == callTravel && cut:
		return partial, partial // it may have been done
	case refused:
		return stays, stays // what is refused is not tried again
	case (call == callMake || call == callTravel) && fault != fault429:
		return c.unrepeated(fault) // it may have been done
	}
	return retried, stays
}

// unrepeated is how a run ends whose call is not made again.
func (c change) unrepeated(fault string) (once, always ending) {
	switch {
	case c.name == changeDrill && (fault == faultCut || fault == faultLength):
		return left, left // it was made, and told by nobody: the message says to look
	case c.name == changeDrill:
		return failed, failed
	}
	return untouched, untouched
}

// takenBack is how a restore ends that is to be taken back.
func (c change) takenBack(fault string) (once, always ending) {
	switch fault {
	case faultExpired:
		return partial, partial
	case faultCut, faultLength, faultSlow:
		return returned, returned // it was done, and a look shows it
	}
	return returned, partial
}

// changed is a world in which there is a backup of alpha, which has moved on
// since.
type changed struct {
	*world
	change
	// args are those of the run.
	args []string
	// good and now are what alpha holds after a run that is done, and before.
	good, now string
}

func newChanged(t *testing.T, c change) *changed {
	t.Helper()
	w := &changed{world: newWorld(t, false), change: c, args: slices.Clone(c.args)}
	w.env["PATINA_BACKUP_DEADLINE"] = "5m" // thousands of refusals show no more than a hundred
	w.patina(0, "backup", "alpha")
	w.good = w.content("alpha")
	point := w.point()
	w.move()
	if c.restores() { // the newest backup may be one of what is there now
		w.args = append(w.args, decode[listJSON](t, w.patina(0, "list", "-o", "json").stdout).Backups[0].JobID)
	}
	switch c.name {
	case changeRewind:
		w.args = append(w.args, point)
	case changeUndo:
		done := decode[restoreJSON](t, w.patina(0, "restore", "latest", "alpha", "--to", "d1:alpha", "--replace", "--yes", "-o", "json").stdout)
		w.args = append(w.args, done.D1.JobID)
		w.good, w.now = w.now, w.good
	case changeNew:
		w.now = ""
	}
	w.between.change = &changeCalls{}
	return w
}

func (w *changed) move() {
	w.t.Helper()
	if _, err := w.d1.Seed(w.t.Context(), "alpha", "DELETE FROM t", "CREATE TABLE since(x)"); err != nil {
		w.t.Fatal(err)
	}
	w.now = w.content("alpha")
}

// point is the Time Travel point of alpha.
func (w *changed) point() string {
	w.t.Helper()
	var answer struct{ Result struct{ Bookmark string } }
	w.get("/"+w.between.alpha+"/time_travel/bookmark", &answer)
	return answer.Result.Bookmark
}

// get asks D1's API for what is below the databases.
func (w *changed) get(path string, answer any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://localhost/client/v4/accounts/"+scriptAccount+"/d1/database"+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+scriptToken)
	resp, err := w.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
}

// content is a database as its sorted dump, without the table by which a restore
// is followed; one that is empty or not there has none.
func (w *changed) content(name string) string {
	w.t.Helper()
	_, _ = w.d1.Abandon(name) // what nobody polls any more is given up by D1
	var text strings.Builder
	if err := w.d1.Dump(w.t.Context(), name, &text); err != nil {
		return ""
	}
	lines := slices.DeleteFunc(strings.Split(text.String(), "\n"), func(line string) bool {
		return line == "" || strings.HasPrefix(line, "PRAGMA") || strings.Contains(line, "_patina_restore")
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// ended is how a run ended, by what it says and by what the database holds.
func (w *changed) ended(got outcome) ending {
	w.t.Helper()
	is, warns := w.content(w.target), strings.Contains(got.stderr, "patina: warning: ")
	switch {
	case w.name == changeDrill && len(w.drilled()) > 0:
		return left
	case got.status == 0 && w.name != changeDrill && is != w.good:
		w.t.Errorf("it ended well, and the database holds\n%s", is)
		return ""
	case got.status == 0 && warns:
		return warned
	case got.status == 0:
		return borne
	case w.name == changeDrill:
		return failed
	case is == w.good && strings.Contains(got.stderr, "it is restored, but could not be compared with the backup"):
		return unproven
	case is == w.now && strings.Contains(got.stderr, "taken back to what it held before"):
		return returned
	case strings.Contains(got.stderr, "patina: hint: patina undo "):
		return partial
	case is == w.now:
		return untouched
	}
	w.t.Errorf("the database holds, without a word,\n%s", is)
	return ""
}

// drilled are the databases of drills that are there.
func (w *changed) drilled() []string {
	w.t.Helper()
	var answer struct{ Result []struct{ Name string } }
	w.get("", &answer)
	var names []string
	for _, db := range answer.Result {
		if strings.HasPrefix(db.Name, "patina-drill-") {
			names = append(names, db.Name)
		}
	}
	return names
}

// goOn does what a run that failed leaves to be done: what it says is to be done
// first, and it again.
func (w *changed) goOn(c cell, was ending, said string) {
	w.t.Helper()
	switch {
	case was == left && (c.call == callMake || c.call == callBegin):
		return // no later drill knows of it, which is told
	case was == left: // a later drill removes it
		w.setClock("2024-12-08T12:00:00Z")
	case was == partial || was == unproven:
		_, hint, _ := strings.Cut(said, "patina: hint: ")
		_, job, _ := strings.Cut(hint, "patina undo ")
		w.patina(0, "undo", strings.Fields(job)[0], "--yes")
		if is := w.content(w.target); is != w.now {
			w.t.Errorf("the undo leaves\n%s", is)
		}
	}
	got := w.run(w.args...)
	if got.status != 0 || w.name != changeDrill && w.content(w.target) != w.good || len(w.drilled()) > 0 {
		w.t.Errorf("the next run ended with %d and leaves %q\n%s\n%s", got.status, w.drilled(), w.content(w.target), got.stderr)
	}
}

// TestFaultMatrixOfChanges has every call of restores, rewinds and drills meet
// every fault, once and always, and holds how the run ends, what it says, what the
// database holds, and that there is a way on.
func TestFaultMatrixOfChanges(t *testing.T) {
	t.Parallel()
	n := 0
	for _, change := range changes() {
		for _, c := range change.cells() {
			for times, want := range map[int]ending{1: c.once, -1: c.always} {
				// The race detector, which runs the short tests, sees as much in few.
				if n++; testing.Short() && n%31 != 1 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s/%s", change.name, c.call, c.fault, often(times)), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { holdChange(t, change, c, times, want) })
				})
			}
		}
	}
	if n != 2*10*(16+16+8+1+8) {
		t.Errorf("%d runs", n)
	}
}

func holdChange(t *testing.T, change change, c cell, times int, want ending) {
	w := newChanged(t, change)
	w.between.first = change.first(c.call)
	w.between.order(c.call, c.fault, times)
	got := w.run(w.args...)
	met, seen := w.between.clear()
	w.between.change = nil
	if met == 0 {
		t.Fatalf("the fault was not met; it ended with %d and\n%s", got.status, got.stderr)
	}
	is := w.ended(got)
	if is == borne && want == retried {
		is = retried
		if seen < 2 && c.call != callImportPoll && c.fault != faultCut {
			t.Errorf("the call was made %d times", seen)
		}
	}
	if seen > 350 { // a refusal each 2 s for 5 minutes, for two calls at most
		t.Errorf("the call was made %d times", seen)
	}
	if is != want {
		t.Fatalf("it ended %s with %d, want %s; it says\n%s", is, got.status, want, got.stderr)
	}
	w.wantTold(c, got)
	if got.status != 0 || is == left {
		w.goOn(c, is, got.stderr)
	}
}

// wantTold wants the cause in what a run says that failed or warned, and its
// status to tell a refusal.
func (w *changed) wantTold(c cell, got outcome) {
	w.t.Helper()
	denied := c.fault == faultExpired && c.call != callUpload && c.call != callImportPoll
	if got.status == 7 || got.status != 0 && denied != (got.status == 12) && w.first(c.call) == (spell{}) {
		w.t.Errorf("it ended with %d and says\n%s", got.status, got.stderr)
	}
	if got.status == 0 && !strings.Contains(got.stderr, "patina: warning: ") || w.first(c.call) != (spell{}) {
		return
	}
	causes := map[string][]string{
		faultReset: {"the connection ended early", "no answer"}, faultCut: {"the connection ended early", "connection broken", "broken JSON", "no answer"},
		faultStall: {"timeout after ", "nothing within ", "deadline exceeded"}, faultLength: {"broken JSON", "the connection ended early", "SHA256Mismatch", "what arrived is not"},
		faultExpired: {"401", "denied", "ExpiredRequest", "Not currently importing anything"}, fault502: {"502"},
	}[c.fault]
	if causes == nil {
		causes = []string{c.fault}
	}
	if !slices.ContainsFunc(causes, func(cause string) bool { return strings.Contains(got.stderr, cause) }) {
		w.t.Errorf("it says none of %q:\n%s", causes, got.stderr)
	}
}
