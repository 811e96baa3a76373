package engine_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// restoreBench is a backup of alpha, and a database old with something else.
type restoreBench struct {
	*bench
	e      *engine.Engine
	source *engine.Source
	// backup and old are the content of both, as dumps.
	backup, old string
}

// restoring works at a bench in a bubble, where pauses and time-outs cost no time.
// Both changes may be nil.
func restoring(t *testing.T, d1 func(*sandbox.Options), host func(*engine.Options), work func(*restoreBench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { work(newRestoreBench(t, d1, host)) })
}

func newRestoreBench(t *testing.T, d1 func(*sandbox.Options), host func(*engine.Options)) *restoreBench {
	t.Helper()
	b := newMemoryBench(t, func(o *sandbox.Options) {
		o.PollTimeout = 30 * time.Second
		if d1 != nil {
			d1(o)
		}
	})
	b.seed("alpha",
		"CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT)", "CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id))",
		"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<80) INSERT INTO p SELECT i, hex(zeroblob(3000)) FROM n",
		"INSERT INTO c SELECT id, id FROM p", "CREATE INDEX i ON c(p)", "CREATE VIEW w AS SELECT * FROM p",
		"CREATE TRIGGER tr INSTEAD OF INSERT ON w BEGIN INSERT INTO p(v) VALUES(new.v); END")
	b.seed("old", "CREATE TABLE p(id INTEGER PRIMARY KEY, other)", "INSERT INTO p VALUES(1,2)", "CREATE TABLE extra(x)")
	r := &restoreBench{bench: b, e: b.host(host)}
	b.night(r.e)
	r.backup, r.old = r.content("alpha"), r.content("old")
	r.source = b.source(r.e, "latest", "alpha")
	return r
}

// source is a database's backup of a date, ready to be restored.
func (b *bench) source(e *engine.Engine, date, database string) *engine.Source {
	b.t.Helper()
	at, err := engine.ParseDate(date)
	if err != nil {
		b.t.Fatal(err)
	}
	choice, err := e.Choose(b.t.Context(), at, database, "")
	if err != nil {
		b.t.Fatal(err)
	}
	entry, err := e.Open(b.t.Context(), choice.Entry)
	if err != nil {
		b.t.Fatal(err)
	}
	source, err := e.Prepare(b.t.Context(), entry, b.t.TempDir())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = source.Close() })
	return source
}

// content is a database as its dump, sorted: a restore orders tables otherwise.
// A database that is not there, or empty, has none.
func (b *bench) content(name string) string {
	b.t.Helper()
	var text strings.Builder
	if err := b.d1.Dump(b.t.Context(), name, &text); err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	slices.Sort(lines)
	if len(lines) == 1 {
		return ""
	}
	return strings.Join(lines, "\n")
}

// calls is how often D1 was called by a name.
func (b *bench) calls(name string) int {
	n := 0
	for _, call := range b.d1.Journal() {
		if call.Name == name {
			n++
		}
	}
	return n
}

// restore brings the backup into a database, which must then be what the result
// says of it.
func (r *restoreBench) restore(req engine.RestoreRequest) (engine.RestoreResult, error) {
	r.t.Helper()
	return r.restoreBy(r.e, req)
}

// restoreBy is restore by another host.
func (r *restoreBench) restoreBy(e *engine.Engine, req engine.RestoreRequest) (engine.RestoreResult, error) {
	r.t.Helper()
	before := r.content(req.Target)
	req.Source = r.source
	result, err := e.Restore(r.t.Context(), req)
	r.settle(req.Target)
	got := r.content(req.Target)
	unproven := err != nil && strings.Contains(err.Error(), "it is restored, but could not be compared")
	if (err == nil || unproven) != (result.State == engine.StateRestored) {
		r.t.Errorf("%s: %v", result.State, err)
	}
	switch result.State {
	case engine.StateRestored:
		if got != r.backup {
			r.t.Errorf("it is not what the backup holds:\n%.500s", got)
		}
	case engine.StateUntouched, engine.StateReturned:
		if got != before {
			r.t.Errorf("%s (%v), but it is not what it was:\n%.500s\nwas\n%.500s", result.State, err, got, before)
		}
		if told := err != nil && strings.Contains(err.Error(), "taken back to what it held before"); told != (result.State == engine.StateReturned) {
			r.t.Errorf("%s, and it says %v", result.State, err)
		}
	case engine.StatePartial:
		if len(fault.Hints(err)) == 0 {
			r.t.Errorf("a partial database without a way on: %v", err)
		}
	}
	return result, err
}

// settle ends an import that is still under way: what nobody polls any more is
// given up by D1.
func (r *restoreBench) settle(name string) {
	r.t.Helper()
	if _, err := r.d1.Abandon(name); err != nil && r.content(name) != "" {
		r.t.Fatal(err)
	}
}
