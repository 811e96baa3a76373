package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/spell"
)

// ErrNotThere is the error for a chosen table that the dump does not have.
var ErrNotThere = errors.New("the backup has no such table")

// Only leaves just these tables in the plan, with their rows, counters, indexes
// and triggers, and tells what they depend on. Views and statistics are left out.
func (p *Plan) Only(names []string) ([]Dependency, error) {
	chosen := map[string]bool{}
	var tables []string
	for _, name := range names {
		found, err := p.tableNamed(name)
		if err != nil {
			return nil, err
		}
		if !chosen[fold(found)] {
			chosen[fold(found)] = true
			tables = append(tables, found)
		}
	}
	if err := p.contentChosen(chosen); err != nil {
		return nil, err
	}
	dependencies := Dependencies(p.schema(), tables)
	p.keepOnly(chosen)
	p.chosen = tables
	return dependencies, nil
}

// Chosen are the tables that were chosen by [Plan.Only]; none for all.
func (p *Plan) Chosen() []string { return p.chosen }

// tableNamed is the name that the dump has for a table.
func (p *Plan) tableNamed(name string) (string, error) {
	var all []string
	for _, t := range p.tables {
		if len(t.creates) > 0 {
			all = append(all, t.name)
		}
	}
	for _, v := range p.virtuals {
		all = append(all, v.name)
	}
	if i := slices.IndexFunc(all, func(other string) bool { return fold(other) == fold(name) }); i >= 0 {
		return all[i], nil
	}
	if slices.ContainsFunc(p.Summary.Objects, func(o backup.Object) bool {
		return o.Type == dump.ObjectView && fold(o.Name) == fold(name)
	}) {
		return "", fmt.Errorf("%w: %s is a view, which has no rows", ErrNotThere, name)
	}
	if near := nearest(all, name); len(near) > 0 {
		return "", fmt.Errorf("%w: %s (there is %s)", ErrNotThere, name, strings.Join(near, ", "))
	}
	return "", fmt.Errorf("%w: %s", ErrNotThere, name)
}

// nearest are the names that may have been meant.
func nearest(all []string, name string) []string {
	var near []string
	for _, other := range slices.Sorted(slices.Values(all)) {
		a, b := fold(other), fold(name)
		if strings.Contains(a, b) || strings.Contains(b, a) || spell.Distance(a, b, 3) <= 2 {
			near = append(near, other)
		}
	}
	const most = 5
	return near[:min(len(near), most)]
}

// contentChosen refuses an index over the rows of what is not chosen: it could
// not be filled.
func (p *Plan) contentChosen(chosen map[string]bool) error {
	for _, v := range p.virtuals {
		if content := v.option("content"); v.outside && chosen[fold(v.name)] && !chosen[fold(content)] {
			return fmt.Errorf("the full-text index %s has no rows but those of %s, which must be chosen, too: %w", v.name, content, ErrRefused)
		}
	}
	return nil
}

// schema is what the plan makes, as sqlite_schema has it.
func (p *Plan) schema() []Object {
	var objects []Object
	for _, t := range p.tables {
		for _, create := range t.creates {
			objects = append(objects, Object{Type: "table", Name: t.name, SQL: string(create)})
		}
	}
	for _, v := range p.virtuals {
		objects = append(objects, Object{Type: "table", Name: v.name, SQL: string(v.create)})
	}
	for _, text := range slices.Concat(p.keyIndexes, p.indexes, p.views, p.triggers) {
		made := createdBy(text)
		objects = append(objects, Object{Type: made.kind, Name: made.name, SQL: string(text)})
	}
	return objects
}

// keepOnly takes out of the plan what is not chosen.
func (p *Plan) keepOnly(chosen map[string]bool) {
	p.tables = slices.DeleteFunc(p.tables, func(t *table) bool { return !chosen[fold(t.name)] })
	p.virtuals = slices.DeleteFunc(p.virtuals, func(v *virtual) bool { return !chosen[fold(v.name)] })
	for name := range p.byName {
		if !chosen[name] {
			delete(p.byName, name)
		}
	}
	others := func(text []byte) bool { return !chosen[fold(createdBy(text).on)] }
	p.indexes = slices.DeleteFunc(p.indexes, others)
	p.keyIndexes = slices.DeleteFunc(p.keyIndexes, others)
	p.triggers = slices.DeleteFunc(p.triggers, others)
	p.views, p.stats = nil, table{}
	p.changes = slices.DeleteFunc(p.changes, func(c Change) bool { return !chosen[fold(c.Name)] })
	p.found = len(p.changes)
}

// ofChosen are the indexes and triggers that the plan makes.
func (p *Plan) ofChosen(objects []backup.Object) []backup.Object {
	return slices.DeleteFunc(objects, func(o backup.Object) bool {
		return !slices.ContainsFunc(p.schema(), func(made Object) bool {
			kind := made.Type
			if isVirtual([]byte(made.SQL)) {
				kind = dump.ObjectVirtual
			}
			return kind == o.Type && made.Name == o.Name
		})
	})
}

// countersOfChosen sets the counters of the chosen tables that have AUTOINCREMENT,
// and leaves those of others.
func (e *emitter) countersOfChosen() error {
	counting := map[string]bool{}
	for _, t := range e.plan.tables {
		if t.counts {
			counting[fold(t.name)] = true
			if err := e.statement("DELETE FROM sqlite_sequence WHERE name=" + dump.QuoteText(t.name) + ";"); err != nil {
				return err
			}
		}
	}
	return e.rowsOf(&e.plan.sequence, nil, func(row []byte) bool {
		values, err := dump.ParseRow(nil, row)
		return err == nil && len(values) > 0 && counting[fold(string(values[0].Bytes))]
	})
}
