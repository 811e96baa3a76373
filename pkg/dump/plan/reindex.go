package plan

import (
	"slices"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// Stale is an index of the database over chosen tables that is not filled anew.
type Stale struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Reindexed are the full-text indexes of the database that are filled anew, because
// chosen tables have the rows that they are over. It is known after Into.
func (p *Plan) Reindexed() []string { return p.reindexed }

// Stale are those that cannot be.
func (p *Plan) Stale() []Stale { return p.stale }

// reindex finds the indexes of the database over rows that are exchanged. Triggers
// keep them, and none fires: they are filled anew, or told.
func (x *exchange) reindex() {
	x.plan.reindexed, x.plan.stale = nil, nil
	for _, o := range x.live {
		if o.Type != "table" || !isVirtual([]byte(o.SQL)) || x.plan.isChosen(o.Name) {
			continue
		}
		v := &virtual{name: o.Name}
		v.module, v.arguments = moduleOf([]byte(o.SQL))
		switch over, why := x.over(v); {
		case why != "":
			x.plan.stale = append(x.plan.stale, Stale{v.name, why})
		case over:
			x.plan.reindexed = append(x.plan.reindexed, v.name)
		}
	}
}

// over says whether an index is over rows that are exchanged, and why it cannot be
// filled anew.
func (x *exchange) over(v *virtual) (over bool, why string) {
	content, outside := v.lookup("content")
	if t := x.plan.byName[fold(content)]; v.module == "fts5" && t != nil && len(t.creates) > 0 {
		if !v.fits(shapeOf(t.creates[0])) {
			return true, "it has columns that the backup does not have"
		}
		return true, ""
	}
	view := x.viewOver(content)
	trigger := x.triggerNaming(v.name)
	switch {
	case view:
		return true, "it is over the view " + content
	case content != "" || trigger == "":
		return false, ""
	case outside:
		return true, "it keeps no content of which it could be filled, and the trigger " + trigger + " kept it"
	}
	return true, "its rows are its own, and the trigger " + trigger + " kept them"
}

// viewOver says whether it is a view of the database that names a chosen table.
func (x *exchange) viewOver(name string) bool {
	return slices.ContainsFunc(x.live, func(o Object) bool {
		return o.Type == "view" && fold(o.Name) == fold(name) && slices.ContainsFunc(x.plan.chosen, func(table string) bool {
			return names(o, table)
		})
	})
}

// triggerNaming is a trigger of the database that is on a chosen table and names
// something; empty where there is none.
func (x *exchange) triggerNaming(name string) string {
	at := slices.IndexFunc(x.live, func(o Object) bool {
		return o.Type == "trigger" && x.plan.isChosen(createdBy([]byte(o.SQL)).on) && names(o, name)
	})
	if at < 0 {
		return ""
	}
	return x.live[at].Name
}

// names says whether the text of an object names a table.
func names(o Object, table string) bool {
	for name := range named(createdBy([]byte(o.SQL)).rest) {
		if fold(name) == fold(table) {
			return true
		}
	}
	return false
}

// fits says whether a table has the columns that an index over it needs.
func (v *virtual) fits(content shape) bool {
	needed := v.columns()
	if rowid := v.option("content_rowid"); rowid != "" {
		needed = append(needed, dump.QuoteName(rowid))
	}
	return !slices.ContainsFunc(needed, func(name string) bool {
		return !isRowID(name) && !slices.ContainsFunc(content.columns, func(c column) bool { return fold(dump.QuoteName(c.name)) == fold(name) })
	})
}

// isRowID says whether a quoted name is one of SQLite's for the rowid.
func isRowID(name string) bool {
	return slices.Contains([]string{`"rowid"`, `"_rowid_"`, `"oid"`}, fold(name))
}
