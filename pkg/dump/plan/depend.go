package plan

import (
	"slices"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// Dependency is what chosen tables need of others, or others of them.
type Dependency struct {
	Kind DependencyKind `json:"kind"`
	// Table is the chosen table.
	Table string `json:"table"`
	// Type and Name are those of the other: "table", "view" or "trigger".
	Type string `json:"type"`
	Name string `json:"name"`
	// Action is the ON DELETE of a foreign key, where it has one.
	Action string `json:"action,omitempty"`
}

// DependencyKind says who needs whom.
type DependencyKind string

// The kinds of dependencies.
const (
	// DependsOnParent: foreign keys of the table point at the other.
	DependsOnParent DependencyKind = "foreign_key"
	// DependsOnTrigger: a trigger of the table names the other.
	DependsOnTrigger DependencyKind = "trigger_names"
	// NeededByChild: foreign keys of the other point at the table.
	NeededByChild DependencyKind = "referenced_by"
	// NeededByText: the other's text names the table.
	NeededByText DependencyKind = "named_by"
)

// Dependencies are what the chosen tables of a schema need of what is not chosen,
// and what is not chosen of them. A name is found by its letters: where a
// column is called as a table, too much may be told.
func Dependencies(objects []Object, tables []string) []Dependency {
	d := &dependencies{chosen: map[string]string{}, others: map[string]Object{}}
	for _, name := range tables {
		d.chosen[fold(name)] = name
	}
	for _, o := range objects {
		if (o.Type == "table" || o.Type == "view") && d.chosen[fold(o.Name)] == "" && !internal(o.Name) {
			d.others[fold(o.Name)] = o
		}
	}
	for _, o := range objects {
		if o.SQL != "" && !internal(o.Name) {
			d.look(o)
		}
	}
	return d.found
}

type dependencies struct {
	chosen map[string]string // by folded name
	others map[string]Object // tables and views, by folded name
	found  []Dependency
}

func (d *dependencies) add(dep Dependency) {
	if !slices.Contains(d.found, dep) {
		d.found = append(d.found, dep)
	}
}

func (d *dependencies) look(o Object) {
	text := []byte(o.SQL)
	switch {
	case o.Type == "trigger" && d.chosen[fold(createdBy(text).on)] != "":
		d.trigger(d.chosen[fold(createdBy(text).on)], text)
	case o.Type == "trigger", o.Type == "view":
		for name := range named(createdBy(text).rest) {
			d.names(o, name)
		}
	case o.Type == "table" && isVirtual(text):
		d.virtual(o)
	case o.Type == "table":
		d.keys(o)
	}
}

// names notes that an object that is not chosen names something.
func (d *dependencies) names(o Object, name string) {
	if table := d.chosen[fold(name)]; table != "" {
		d.add(Dependency{Kind: NeededByText, Table: table, Type: o.Type, Name: o.Name})
	}
}

// trigger notes what a trigger of a chosen table names.
func (d *dependencies) trigger(table string, text []byte) {
	for name := range named(createdBy(text).rest) {
		if other, there := d.others[fold(name)]; there {
			d.add(Dependency{Kind: DependsOnTrigger, Table: table, Type: other.Type, Name: other.Name})
		}
	}
}

// virtual notes whose rows a virtual table that is not chosen shows.
func (d *dependencies) virtual(o Object) {
	if d.chosen[fold(o.Name)] != "" {
		return
	}
	for _, token := range createdBy([]byte(o.SQL)).rest {
		d.names(o, token.Name())
	}
}

func (d *dependencies) keys(o Object) {
	mine := d.chosen[fold(o.Name)]
	for _, key := range shapeOf([]byte(o.SQL)).keys {
		parent := d.chosen[fold(key.parent)]
		switch {
		case mine != "" && parent == "":
			d.add(Dependency{Kind: DependsOnParent, Table: mine, Type: "table", Name: key.parent, Action: key.onDelete})
		case mine == "" && parent != "":
			d.add(Dependency{Kind: NeededByChild, Table: parent, Type: "table", Name: o.Name, Action: key.onDelete})
		}
	}
}

// named are the names in a text that may be a table's: a column behind a dot is
// none, nor is a text, unless it stands where a table does.
func named(tokens []dump.Token) map[string]bool {
	names := map[string]bool{}
	for i, token := range tokens {
		if i > 1 && tokens[i-1].Is(".") && !tokens[i-2].Is("main") {
			continue
		}
		if token.Text[0] == '\'' && (i == 0 || !slices.ContainsFunc([]string{"FROM", "JOIN", "INTO", "UPDATE"}, tokens[i-1].Is)) {
			continue
		}
		names[token.Name()] = true
	}
	return names
}
