package plan

import (
	"bytes"
	"slices"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump"
)

// Object is a row of sqlite_schema.
type Object struct {
	// Type is "table", "index", "view" or "trigger".
	Type, Name string
	// SQL is empty for what SQLite makes itself.
	SQL string
}

// Drop is the statements that take everything of a database away: triggers
// first, so that none fires, then views, virtual tables, which take their shadow
// tables along, and tables, those with foreign keys before those that they point
// at. What belongs to D1 or SQLite stays.
func Drop(objects []Object) []string {
	var triggers, views, virtuals []string
	ordinary := OrdinaryTables(objects)
	p := &Plan{byName: map[string]*table{}}
	for _, o := range objects {
		switch {
		case internal(o.Name) || o.SQL == "":
		case o.Type == "trigger":
			triggers = append(triggers, "DROP TRIGGER "+dump.QuoteName(o.Name)+";")
		case o.Type == "view":
			views = append(views, "DROP VIEW "+dump.QuoteName(o.Name)+";")
		case o.Type == "table" && isVirtual([]byte(o.SQL)):
			virtuals = append(virtuals, "DROP TABLE "+dump.QuoteName(o.Name)+";")
		case o.Type == "table" && slices.Contains(ordinary, o.Name):
			t := p.table(o.Name)
			t.parents = parentsOf([]byte(o.SQL))
		}
	}
	statements := slices.Concat(triggers, views, virtuals)
	for _, t := range slices.Backward(parentsFirst(p.tables, p.byName)) {
		statements = append(statements, "DROP TABLE "+dump.QuoteName(t.name)+";")
	}
	return statements
}

// OrdinaryTables are the names of a database's tables that are the user's and
// hold rows of their own: virtual tables, their shadow tables, and what belongs to
// D1 or SQLite are left out.
func OrdinaryTables(objects []Object) []string {
	shadows := map[string]bool{}
	for _, o := range objects {
		if o.Type != "table" || !isVirtual([]byte(o.SQL)) {
			continue
		}
		module, _ := moduleOf([]byte(o.SQL))
		for _, suffix := range shadowSuffixes(module) {
			shadows[fold(o.Name)+"_"+suffix] = true
		}
	}
	var names []string
	for _, o := range objects {
		if o.Type == "table" && o.SQL != "" && !internal(o.Name) && !isVirtual([]byte(o.SQL)) && !shadows[fold(o.Name)] {
			names = append(names, o.Name)
		}
	}
	return names
}

// shadowSuffixes are what the names of the tables end in that a virtual table
// keeps (https://sqlite.org/fts5.html#fts5_data_structures, rtree.html).
func shadowSuffixes(module string) []string {
	switch module {
	case "fts5":
		return []string{"data", "idx", "content", "docsize", "config"}
	case "rtree", "rtree_i32":
		return []string{"node", "parent", "rowid"}
	}
	return nil
}

func isVirtual(create []byte) bool {
	words := 0
	for token := range dump.Tokens(create) {
		if words++; words == 2 {
			return token.Is("VIRTUAL")
		}
	}
	return false
}

// parentsOf are the folded names of the tables that foreign keys point at.
func parentsOf(create []byte) []string {
	var parents []string
	for _, key := range shapeOf(create).keys {
		parents = append(parents, fold(key.parent))
	}
	return parents
}

// Tables are the tables that the plan makes, with the rows that they get, sorted
// by name. Virtual tables are none of them.
func (p *Plan) Tables() []backup.Table {
	var tables []backup.Table
	for _, t := range p.tables {
		if len(t.creates) > 0 {
			tables = append(tables, backup.Table{Name: t.name, Rows: t.rows})
		}
	}
	slices.SortFunc(tables, func(a, b backup.Table) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return tables
}

// Rows are how many rows the tables of the plan get in all.
func (p *Plan) Rows() int64 {
	var n int64
	for _, t := range p.tables {
		n += t.rows
	}
	return n
}

// Objects are what the plan makes beside tables.
func (p *Plan) Objects() []backup.Object {
	objects := slices.DeleteFunc(slices.Clone(p.Summary.Objects), func(o backup.Object) bool { return internal(o.Name) })
	for _, v := range p.virtuals {
		o := backup.Object{Type: dump.ObjectVirtual, Name: v.name}
		if !slices.Contains(objects, o) {
			objects = append(objects, o)
		}
	}
	if p.chosen != nil {
		return p.ofChosen(objects)
	}
	return objects
}
