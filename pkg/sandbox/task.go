package sandbox

import (
	"fmt"
	"time"
)

// taskKind is what keeps a database from serving queries.
type taskKind string

const (
	taskExport taskKind = "export"
	taskImport taskKind = "import"
)

// idle is what D1 says to a poll of what is not, or no more, under way.
func (k taskKind) idle() string { return fmt.Sprintf("Not currently %sing anything.", k) }

// underWay is what D1 says to a second start. That of an import is inferred
// from that of an export.
func (k taskKind) underWay(wanted taskKind) string {
	return fmt.Sprintf("Currently processing a long-running %s. Cannot start a new %s until that completes or times out.", k, wanted)
}

// task is a running export or import. A database has one at most.
type task struct {
	kind     taskKind
	bookmark string
	polls    int
	seenAt   time.Time

	// file is an export's finished dump; err is why there is none.
	file *dumpFile
	err  error
	// load is what an import does.
	load *load
}

// inner is an answer that is a success outside and a failure inside.
func inner(message string) map[string]any {
	return map[string]any{"success": false, "error": message}
}

// step is one call about an export or import: the poll of the task with a bookmark,
// or, where none is polled, a start. It works with the database's lock held.
func (x *exchange) step(kind taskKind, polled *string, goOn, start func(now time.Time) (any, error)) (any, error) {
	if x.fault != nil && x.fault.Kind == FaultInner {
		return inner(x.fault.Message), nil
	}
	x.db.lock.Lock()
	defer x.db.lock.Unlock()
	now := x.s.opts.Now()
	if err := x.s.settle(x.db, now); err != nil {
		return nil, err
	}
	if polled == nil {
		return start(now)
	}
	t := x.db.task
	if t == nil || t.kind != kind || t.bookmark != *polled {
		return inner(kind.idle()), nil
	}
	t.polls++
	t.seenAt = now
	return goOn(now)
}

// active tells that a task goes on.
func (t *task) active(messages ...string) map[string]any {
	return t.told("active", messages)
}

func (t *task) told(status string, messages []string) map[string]any {
	return map[string]any{
		"success": true, "type": string(t.kind), "status": status,
		"at_bookmark": t.bookmark, "messages": append([]string{}, messages...),
	}
}

// blocks says which task keeps the database from serving, if one does. It is
// called with the database's lock held.
func (d *database) blocks(now time.Time) (taskKind, bool) {
	if d.task != nil {
		return d.task.kind, true
	}
	return taskExport, now.Before(d.blockedTill)
}

// settle ends a task that was not polled for too long, and refuses a database
// that is gone. It is called with the database's lock held.
func (s *Server) settle(d *database, now time.Time) error {
	if d.gone {
		return noDatabase(d.id)
	}
	if d.task == nil || now.Sub(d.task.seenAt) <= s.opts.PollTimeout {
		return nil
	}
	return s.abandon(d, d.task.seenAt.Add(s.opts.PollTimeout))
}

// abandon ends the task that nobody polls any more.
func (s *Server) abandon(d *database, at time.Time) error {
	t := d.task
	d.task = nil
	if t == nil || t.load == nil {
		return nil
	}
	if s.opts.Abandoned == AbandonedFinish {
		_ = t.load.finish(s, d, at) // nobody asks how it ended
		return nil
	}
	return t.load.undo(d)
}

// Abandon ends the export or import that a database is busy with as if nobody
// had polled it for too long, whatever the clock says. It says whether there was
// one.
func (s *Server) Abandon(name string) (bool, error) {
	d := s.find(name, true)
	if d == nil {
		return false, fmt.Errorf("sandbox: no database %q", name)
	}
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.task == nil {
		return false, nil
	}
	return true, s.abandon(d, s.opts.Now())
}

// busy says whether the database serves queries: not while it is exported or
// imported (https://developers.cloudflare.com/d1/best-practices/import-export-data/).
// It is called with the database's lock held.
func (s *Server) busy(d *database, now time.Time) error {
	if err := s.settle(d, now); err != nil {
		return err
	}
	if kind, blocked := d.blocks(now); blocked {
		return sqlError(fmt.Sprintf("D1_ERROR: Currently processing a long-running %s.", kind))
	}
	return nil
}
