package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// Only leaves just these tables of the backup. What they depend on, and what
// depends on them, is in Dependencies then.
func (s *Source) Only(tables []string) error {
	dependencies, err := s.Plan.Only(tables)
	switch {
	case errors.Is(err, plan.ErrNotThere):
		return fault.Wrap(fault.Usage, "", fmt.Errorf("%s: %w", s.Entry.ID(), err))
	case err != nil:
		return fault.Wrap(fault.Refused, "", fmt.Errorf("%s: %w", s.Entry.ID(), err))
	}
	s.Dependencies, s.written = dependencies, extent{}
	return nil
}

// absent are the tables that chosen ones point at and that are not chosen.
func (s *Source) absent() []string {
	var names []string
	for _, d := range s.Dependencies {
		if d.Kind == plan.DependsOnParent {
			names = append(names, d.Name)
		}
	}
	return names
}

// tables are the chosen tables; none for all.
func (r *restoreRun) tables() []string { return r.req.Source.Plan.Chosen() }

// nothingLost says whether the restore takes nothing away.
func (r *restoreRun) nothingLost() bool {
	return r.live.empty() || r.tables() != nil && len(r.result.Replaced.Tables) == 0
}

// exchange plans how the chosen tables get into what the database holds.
func (r *restoreRun) exchange() error {
	if r.tables() == nil {
		return nil
	}
	before, err := r.req.Source.Plan.Into(r.live.objects, r.inPieces())
	if err != nil {
		return fault.Wrap(fault.Refused, r.wayAround(),
			fmt.Errorf("these tables cannot be restored into %s, which was not touched: %w", r.req.Target, err))
	}
	r.before = before
	r.result.Lost = r.req.Source.Plan.Lost()
	r.result.Reindexed, r.result.Stale = r.req.Source.Plan.Reindexed(), r.req.Source.Plan.Stale()
	return nil
}

// wayAround is what to do where chosen tables cannot get in.
func (r *restoreRun) wayAround() string {
	const choose = "choose the tables that they point at, too"
	switch {
	case r.result.Aside.Name != "":
		return choose + ", or --allow-partial, by which " + r.result.Aside.Name + " holds a part of them meanwhile"
	case r.live.empty():
		return choose
	}
	return "--to d1: a new database, and take from there what is missing"
}

// prepareTables refuses what is not asked for, and takes the safety backup.
func (r *restoreRun) prepareTables(ctx context.Context) error {
	there, err := r.e.tablesThere(ctx, r.result.Target.ID, r.live, r.tables())
	if err != nil {
		return err
	}
	if len(there) > 0 {
		r.result.Replaced = Replacement{Database: r.result.Target, Tables: there, Chosen: r.tables(), Outlook: r.outlook}
	}
	if len(there) > 0 && !r.req.Replace {
		return fault.New(fault.Refused, "--replace, which leaves the other tables, or --to another database",
			"the database %s holds %s with %d rows, which would be lost", r.req.Target, strings.Join(tableNames(there), ", "), r.result.Replaced.Rows())
	}
	if len(there) > 0 {
		// What goes aside need not be exchanged.
		if err := r.fits(); err != nil {
			return err
		}
	}
	if err := r.exchange(); err != nil || len(there) == 0 || r.req.DryRun || r.req.NoSafetyBackup {
		return err
	}
	return r.safetyBackup(ctx)
}

// tablesThere are the chosen tables that a database holds, with their rows.
func (e *Engine) tablesThere(ctx context.Context, id string, live content, chosen []string) ([]backup.Table, error) {
	var there []backup.Table
	var err error
	for _, o := range live.objects {
		if o.Type != "table" || !isAmong(chosen, o.Name) {
			continue
		}
		t := backup.Table{Name: o.Name}
		if i := slices.IndexFunc(live.tables, func(other backup.Table) bool { return other.Name == o.Name }); i >= 0 {
			t.Rows = live.tables[i].Rows
		} else if t.Rows, err = e.countOne(ctx, id, &live, o.Name); err != nil {
			return nil, fmt.Errorf("count the rows of %s: %w", o.Name, err)
		}
		there = append(there, t)
	}
	return there, nil
}

// isAmong compares names as SQLite does.
func isAmong(names []string, name string) bool {
	return slices.ContainsFunc(names, func(other string) bool { return dump.SameName(other, name) })
}

// lookAgain plans anew for what the database holds just before it is touched: a
// backup was taken and a person asked since it was seen.
func (r *restoreRun) lookAgain(ctx context.Context) error {
	if r.tables() == nil || r.result.Created {
		return nil
	}
	var err error
	if r.live, err = r.e.liveContent(ctx, r.result.Target.ID); err != nil {
		return fmt.Errorf("look again at what %s holds; it was not touched: %w", r.req.Target, err)
	}
	for _, o := range r.live.objects {
		if o.Type == "table" && isAmong(r.tables(), o.Name) && !isAmong(tableNames(r.result.Replaced.Tables), o.Name) {
			return fault.New(fault.Refused, "", "the table %s was made in %s meanwhile, and nothing was touched", o.Name, r.req.Target)
		}
	}
	return r.exchange()
}

func tableNames(tables []backup.Table) []string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.Name
	}
	return names
}

// makeRoom are the statements that take away what is replaced.
func (r *restoreRun) makeRoom() []string {
	if r.tables() != nil {
		return r.before
	}
	return plan.Drop(r.live.objects)
}

// differences tells what the database does not hold as it should.
func (r *restoreRun) differences(now content) []string {
	p := r.req.Source.Plan
	if r.tables() == nil {
		return now.compare(p, r.loader.marker)
	}
	chosen := content{objects: now.objects, tables: slices.DeleteFunc(slices.Clone(now.tables), func(t backup.Table) bool {
		return !isAmong(r.tables(), t.Name)
	})}
	differences := chosen.compare(p, r.loader.marker)
	lost, grown := r.live.others(now, r.tables())
	for _, text := range grown {
		r.warn(text)
	}
	return append(differences, lost...)
}

// others holds the tables that are not chosen against what they were. That rows
// were added is no loss: nothing but others can have done it.
func (c content) others(now content, chosen []string) (lost, grown []string) {
	rows := map[string]int64{}
	for _, t := range now.tables {
		rows[t.Name] = t.Rows
	}
	for _, t := range c.tables {
		n, there := rows[t.Name]
		text := fmt.Sprintf("the table %s, which was not restored, had %d rows and has %d", t.Name, t.Rows, n)
		switch {
		case isAmong(chosen, t.Name):
		case !there:
			lost = append(lost, "the table "+t.Name+", which was not restored, is gone")
		case n == backup.RowsUnknown || t.Rows == backup.RowsUnknown:
		case n < t.Rows:
			lost = append(lost, text)
		case n > t.Rows:
			grown = append(grown, text+": others wrote to it meanwhile")
		}
	}
	return lost, grown
}

// explained puts into words why D1 refused to take the chosen tables.
func (r *restoreRun) explained(failure error) error {
	if failure == nil || r.tables() == nil {
		return failure
	}
	const elsewhere = "--to d1: a new database"
	const hint = "choose those tables, too, or " + elsewhere
	text := failure.Error()
	if _, says, found := strings.Cut(text, plan.GuardSays); found {
		return fault.New(fault.Refused, hint, "%s", says)
	}
	if strings.Contains(text, "FOREIGN KEY constraint failed") && (r.inPieces() || r.loader.maxBytes < r.e.opts.PieceBytes) {
		return fault.New(fault.Refused, hint, "rows of other tables point at rows that the backup does not have, or not before a later import: %v", failure)
	}
	if strings.Contains(text, "FOREIGN KEY constraint failed") {
		return fault.New(fault.Refused, hint, "rows of other tables point at rows that the backup does not have, or rows of the backup at rows that are not there: %v", failure)
	}
	if strings.Contains(text, "UNIQUE constraint failed") {
		// Rows that others point at are changed one by one, and SQLite looks at
		// each by itself.
		return fault.New(fault.Refused, elsewhere+", and take from there what is missing", "values that must be unique are on other rows than in the backup, and rows that others point at are changed one by one: %v", failure)
	}
	return failure
}

// tableFlags are the chosen tables as they are given on the command line.
func (r *restoreRun) tableFlags() string {
	var flags strings.Builder
	for _, name := range r.tables() {
		fmt.Fprintf(&flags, " --table %s", quoteWord(name))
	}
	return flags.String()
}

// quoteWord is a word as shells read it.
func quoteWord(word string) string {
	plain := func(c rune) bool {
		return c == '_' || c == '-' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
