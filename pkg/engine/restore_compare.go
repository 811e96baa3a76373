package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

const (
	// countsAtOnce is how many tables are counted in one statement: a count
	// reads the whole table, and D1 bounds the time of a call.
	countsAtOnce = 8
	// maxUncounted is after how many tables that could not be counted no more
	// are tried.
	maxUncounted = 3
)

// content is what a live database holds.
type content struct {
	objects []plan.Object
	// tables are the ordinary ones, those of virtual tables left out.
	tables []backup.Table
	// uncounted are the reasons why rows are backup.RowsUnknown; none where all
	// were counted.
	uncounted []error
}

// number is what a query with one number for an answer says.
func (e *Engine) number(ctx context.Context, id, sql string) (int64, error) {
	result, err := e.opts.D1.Look(ctx, id, sql)
	if err != nil {
		return 0, err
	}
	numbers, err := numbersOf(result.Rows)
	if err != nil || len(numbers) != 1 {
		return 0, fmt.Errorf("%s: the answer is no number", sql)
	}
	return numbers[0], nil
}

// numbersOf reads a row of numbers.
func numbersOf(rows [][]any) ([]int64, error) {
	if len(rows) != 1 {
		return nil, fmt.Errorf("%d rows for an answer", len(rows))
	}
	numbers := make([]int64, len(rows[0]))
	for i, cell := range rows[0] {
		n, ok := cell.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%v for a number", cell)
		}
		f, err := strconv.ParseFloat(n.String(), 64)
		if err != nil {
			return nil, err
		}
		numbers[i] = int64(f)
	}
	return numbers, nil
}

// liveSchema reads the schema of a database.
func (e *Engine) liveSchema(ctx context.Context, id string) ([]plan.Object, error) {
	rows, err := e.texts(ctx, id, "SELECT type, name, coalesce(sql,'') FROM sqlite_schema ORDER BY rowid")
	if err != nil {
		return nil, fmt.Errorf("read the schema of the database: %w", err)
	}
	var objects []plan.Object
	for _, row := range rows {
		if len(row) != 3 {
			return nil, fmt.Errorf("read the schema of the database: a row of %d columns", len(row))
		}
		objects = append(objects, plan.Object{Type: row[0], Name: row[1], SQL: row[2]})
	}
	return objects, nil
}

// liveContent reads what a database holds, and counts its rows. That D1 answers, and
// cannot count some of them in the time that it has or because they are broken, is
// no error: who replaces the database must not be kept from it by that.
func (e *Engine) liveContent(ctx context.Context, id string) (content, error) {
	objects, err := e.liveSchema(ctx, id)
	if err != nil {
		return content{}, err
	}
	c := content{objects: objects}
	for group := range slices.Chunk(plan.OrdinaryTables(objects), countsAtOnce) {
		if err := e.countGroup(ctx, id, &c, group); err != nil {
			return content{}, fmt.Errorf("count the rows of %s: %w", strings.Join(group, ", "), err)
		}
	}
	return c, nil
}

// countGroup counts tables in one statement, and one by one where that fails.
func (e *Engine) countGroup(ctx context.Context, id string, c *content, names []string) error {
	counts, err := e.count(ctx, id, names)
	if err == nil {
		for i, name := range names {
			c.tables = append(c.tables, backup.Table{Name: name, Rows: counts[i]})
		}
		return nil
	}
	if ctx.Err() != nil || !d1.IsOfQuery(err) {
		return err
	}
	for _, name := range names {
		rows, err := e.countOne(ctx, id, c, name)
		if err != nil {
			return err
		}
		c.tables = append(c.tables, backup.Table{Name: name, Rows: rows})
	}
	return nil
}

// countOne counts a table, if D1 can.
func (e *Engine) countOne(ctx context.Context, id string, c *content, name string) (int64, error) {
	if len(c.uncounted) == maxUncounted {
		return backup.RowsUnknown, nil
	}
	counts, err := e.count(ctx, id, []string{name})
	switch {
	case err == nil:
		return counts[0], nil
	case ctx.Err() != nil || !d1.IsOfQuery(err):
		return 0, err
	}
	c.uncounted = append(c.uncounted, fmt.Errorf("the rows of %s could not be counted: %w", name, err))
	return backup.RowsUnknown, nil
}

func (e *Engine) count(ctx context.Context, id string, tables []string) ([]int64, error) {
	columns := make([]string, len(tables))
	for i, name := range tables {
		columns[i] = "(SELECT count(*) FROM " + dump.QuoteName(name) + ")"
	}
	result, err := e.opts.D1.Look(ctx, id, "SELECT "+strings.Join(columns, ","))
	if err != nil {
		return nil, err
	}
	return numbersOf(result.Rows)
}

// empty says whether there is nothing to lose.
func (c content) empty() bool { return len(plan.Drop(c.objects)) == 0 }

// rows is how many rows there are in all, as far as they were counted.
func (c content) rows() int64 {
	var n int64
	for _, t := range c.tables {
		n += max(t.Rows, 0)
	}
	return n
}

// compare tells what a database does not hold as the plan makes it, in words.
func (c content) compare(p *plan.Plan, ignore string) []string {
	want, got := map[string]int64{}, map[string]int64{}
	for _, t := range p.Tables() {
		want[t.Name] = t.Rows
	}
	for _, t := range c.tables {
		if t.Name != ignore {
			got[t.Name] = t.Rows
		}
	}
	var differences []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		rows, there := got[name]
		switch {
		case !there:
			differences = append(differences, "the table "+name+" is missing")
		case rows != backup.RowsUnknown && rows != want[name]:
			differences = append(differences, fmt.Sprintf("the table %s has %d rows, the backup %d", name, rows, want[name]))
		}
		delete(got, name)
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		differences = append(differences, "the table "+name+" is none of the backup's")
	}
	return append(differences, c.missingObjects(p)...)
}

// notAsBackedUp is the error of a restored database that differs from its backup.
func notAsBackedUp(differences []string) error {
	return fault.New(fault.Proof, "", "what was restored is not what the backup holds: %s", strings.Join(differences, "; "))
}

// missingObjects are the indexes, views, triggers and virtual tables that are
// not there.
func (c content) missingObjects(p *plan.Plan) []string {
	there := map[backup.Object]bool{}
	for _, o := range c.objects {
		there[backup.Object{Type: o.Type, Name: o.Name}] = true
	}
	var missing []string
	for _, o := range p.Objects() {
		kind := o.Type
		if kind == dump.ObjectVirtual {
			kind = "table"
		}
		if !there[backup.Object{Type: kind, Name: o.Name}] {
			missing = append(missing, "the "+o.Type+" "+o.Name+" is missing")
		}
	}
	return missing
}

// check holds the database against the backup, and clears away what the load was
// followed by.
func (r *restoreRun) check(ctx context.Context) error {
	r.result.After = r.loader.last
	verdict := r.compare(ctx)
	if verdict != nil && !errors.Is(verdict, errUnproven) {
		return verdict
	}
	r.result.State = StateRestored
	if err := r.loader.unmark(ctx); err != nil {
		r.result.Warnings = append(r.result.Warnings, err)
	}
	if bookmark, err := r.e.opts.D1.Bookmark(ctx, r.result.Target.ID, time.Time{}); err == nil {
		r.result.After = bookmark
	}
	return verdict
}

// errUnproven says that a database holds all that was imported, as D1 tells it, and
// that nobody looked: no reason to take it back, nor to call it good.
var errUnproven = errors.New("it is restored, but could not be compared with the backup")

// compare holds the database against the backup.
func (r *restoreRun) compare(ctx context.Context) error {
	live, err := r.e.liveContent(ctx, r.result.Target.ID)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		kind := fault.Proof
		if d1.ClassOf(err) == d1.ClassUnauthorized {
			kind = fault.Unauthorized
		}
		return fault.Wrap(kind, "compare it later, or take it back: patina undo "+r.result.Job.ID, fmt.Errorf("%w: %w", errUnproven, err))
	}
	r.result.Warnings = append(r.result.Warnings, live.uncounted...)
	differences := r.differences(live)
	if len(differences) == 0 {
		if differences, err = r.otherRows(ctx, live); err != nil {
			return err
		}
	}
	if len(differences) == 0 {
		r.result.Compared = len(live.uncounted) == 0
		return nil
	}
	// Who waited for the database while it answered nobody writes as soon as it
	// does. Such a difference is no reason to take all back.
	if others := r.alone(ctx); others != nil {
		r.warn(fmt.Sprintf("what was restored could not be compared with the backup, because %v: %s", others, strings.Join(differences, "; ")))
		return nil
	}
	r.result.Compared, r.result.Differences = true, differences
	return notAsBackedUp(differences)
}

// otherRows holds the rows themselves against the backup.
func (r *restoreRun) otherRows(ctx context.Context, live content) ([]string, error) {
	rows, err := r.e.compareFingerprints(ctx, r.result.Target.ID, live, r.req.Source)
	if err != nil {
		return nil, err
	}
	r.result.Fingerprints = rows.compared
	r.result.Warnings = append(r.result.Warnings, rows.unread...)
	return rows.differences, nil
}
