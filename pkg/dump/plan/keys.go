package plan

import (
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// reference is a foreign key.
type reference struct {
	parent string
	// columns are the parent's, as columnSet writes them; empty for its primary
	// key.
	columns string
}

// columnSet writes names of columns so that equal sets are equal.
func columnSet(names []string) string {
	names = slices.Clone(names)
	for i := range names {
		names[i] = fold(names[i])
	}
	slices.Sort(names)
	return strings.Join(names, "\x00")
}

// unique says whether the columns that a foreign key points at are those of a
// key. That a table has none at all is not judged.
func (c *importCheck) unique(r reference) bool {
	return r.columns == "" || slices.Contains(c.keys[fold(r.parent)], r.columns)
}

// takeKeyIndexes takes the indexes apart that make columns unique at which foreign
// keys point: SQLite refuses every row of both tables where they are missing.
func (p *Plan) takeKeyIndexes() {
	var others [][]byte
	for _, create := range p.indexes {
		name, columns := onOf(create)
		pointed := func(r reference) bool { return r.columns == columns }
		if columns != "" && slices.ContainsFunc(p.references[fold(name)], pointed) {
			p.keyIndexes = append(p.keyIndexes, create)
			continue
		}
		others = append(others, create)
	}
	p.indexes = others
}

// keysOf reads the foreign keys of a CREATE TABLE, and the sets of columns that
// it makes unique.
func keysOf(create []byte) (references []reference, keys []string) {
	s := shapeOf(create)
	for _, key := range s.keys {
		references = append(references, reference{key.parent, columnSet(key.parentColumns)})
	}
	for _, columns := range s.uniques {
		keys = append(keys, columnSet(columns))
	}
	return references, keys
}

// listAt are the columns of a list in parentheses at the start, as columnSet
// writes them; empty where there is no list, or it has expressions.
func listAt(tokens []dump.Token) string {
	if len(tokens) == 0 || string(tokens[0].Text) != "(" {
		return ""
	}
	var names []string
	first := true
	for _, token := range tokens[1:] {
		switch text := string(token.Text); {
		case text == ")":
			return columnSet(names)
		case text == "(":
			return ""
		case text == ",":
			first = true
		case first:
			names, first = append(names, token.Name()), false
		}
	}
	return ""
}

// onOf is the table or view that an index or trigger is on, and the columns that
// a UNIQUE index of whole columns makes unique, as columnSet writes them.
func onOf(create []byte) (name, columns string) {
	tokens := slices.Collect(dump.Tokens(create))
	at := slices.IndexFunc(tokens, func(t dump.Token) bool { return t.Is("ON") })
	if at < 0 || at+1 >= len(tokens) {
		return "", ""
	}
	rest := tokens[at+1:]
	partial := slices.ContainsFunc(rest, func(t dump.Token) bool { return t.Is("WHERE") })
	if len(tokens) > 1 && tokens[1].Is("UNIQUE") && !partial {
		columns = listAt(rest[1:])
	}
	return rest[0].Name(), columns
}
