package plan

import (
	"bytes"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// shape is what a CREATE TABLE says of columns and keys.
type shape struct {
	columns []column
	// primary are the columns of the primary key; none where there is none.
	primary []string
	// collated says that the primary key compares text in a way of its own.
	collated bool
	// uniques are the sets of columns that are unique, the primary key among them.
	uniques [][]string
	keys    []foreignKey
}

type column struct {
	name                string
	generated, collated bool
}

// foreignKey is a foreign key of a table.
type foreignKey struct {
	columns []string
	parent  string
	// parentColumns are none where the parent's primary key is meant.
	parentColumns []string
	// onDelete is the action as it is written, such as "SET NULL"; empty for none.
	onDelete string
}

// loses says whether the deletion of a parent's row changes the child's.
func (k foreignKey) loses() bool {
	return k.onDelete == "CASCADE" || strings.HasPrefix(k.onDelete, "SET ")
}

// shapeOf reads a CREATE TABLE.
func shapeOf(create []byte) shape {
	var s shape
	for _, part := range partsOf(create) {
		if len(part) > 0 {
			s.add(part)
		}
	}
	for _, c := range s.columns {
		s.collated = s.collated || c.collated && holds(s.primary, c.name)
	}
	return s
}

// partsOf are the columns and constraints in the parentheses of a CREATE TABLE.
func partsOf(create []byte) [][]dump.Token {
	var parts [][]dump.Token
	depth := 0
	for token := range dump.Tokens(create) {
		switch {
		case token.Is("("):
			depth++
		case token.Is(")"):
			depth = max(depth-1, 0) // what does not parse is SQLite's to refuse
		}
		switch {
		case depth == 0 && len(parts) > 0:
			return parts
		case depth == 0:
		case depth == 1 && (token.Is(",") || len(parts) == 0):
			parts = append(parts, nil)
		default:
			parts[len(parts)-1] = append(parts[len(parts)-1], token)
		}
	}
	return parts
}

// add reads a column with its constraints, or constraints of the table, between
// which a comma may be missing.
func (s *shape) add(part []dump.Token) {
	var columns []string
	var own *column
	if !slices.ContainsFunc([]string{"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}, part[0].Is) {
		s.columns = append(s.columns, column{name: part[0].Name()})
		own = &s.columns[len(s.columns)-1]
		columns, part = []string{own.name}, part[1:]
	}
	depth := 0
	for i, token := range part {
		switch {
		case token.Is("("):
			depth++
		case token.Is(")"):
			depth--
		case token.Is("COLLATE") && own == nil:
			s.collated = true
		case depth > 0:
		case token.Is("COLLATE"):
			own.collated = true
		case token.Is("AS") && own != nil:
			own.generated = true
		case token.Is("PRIMARY") && own != nil:
			s.primary = columns
			s.uniques = append(s.uniques, columns)
		case token.Is("PRIMARY"):
			s.primary = namesIn(part[i:])
			s.uniques = append(s.uniques, s.primary)
		case token.Is("UNIQUE") && own != nil:
			s.uniques = append(s.uniques, columns)
		case token.Is("UNIQUE"):
			s.uniques = append(s.uniques, namesIn(part[i:]))
		case token.Is("FOREIGN"):
			columns = namesIn(part[i:])
		case token.Is("REFERENCES"):
			s.keys = append(s.keys, keyOf(columns, part[i+1:]))
		}
	}
}

// namesIn are the names in the first parentheses: the first word of each part.
func namesIn(tokens []dump.Token) []string {
	var names []string
	depth, first := 0, false
	for _, token := range tokens {
		switch {
		case token.Is("("):
			depth++
			first = depth == 1
		case token.Is(")"):
			if depth--; depth == 0 {
				return names
			}
		case token.Is(",") && depth == 1:
			first = true
		case first:
			names = append(names, token.Name())
			first = false
		}
	}
	return names
}

// keyOf reads what is behind REFERENCES.
func keyOf(columns []string, rest []dump.Token) foreignKey {
	key := foreignKey{columns: columns}
	if len(rest) == 0 {
		return key
	}
	key.parent = rest[0].Name()
	if len(rest) > 1 && rest[1].Is("(") {
		key.parentColumns = namesIn(rest[1:])
	}
	for i := 1; i+2 < len(rest) && !rest[i].Is("REFERENCES"); i++ {
		if !rest[i].Is("ON") || !rest[i+1].Is("DELETE") {
			continue
		}
		key.onDelete = strings.ToUpper(rest[i+2].Name())
		if i+3 < len(rest) && (key.onDelete == "SET" || key.onDelete == "NO") {
			key.onDelete += " " + strings.ToUpper(rest[i+3].Name())
		}
	}
	return key
}

// target are the columns that a foreign key points at.
func (k foreignKey) target(parent shape) []string {
	if len(k.parentColumns) > 0 {
		return k.parentColumns
	}
	return parent.primary
}

// plainColumns are the columns that rows have values for.
func (s shape) plainColumns() []string {
	var names []string
	for _, c := range s.columns {
		if !c.generated {
			names = append(names, c.name)
		}
	}
	return names
}

// holds says whether a name is among others.
func holds(names []string, name string) bool {
	return slices.ContainsFunc(names, func(other string) bool { return fold(other) == fold(name) })
}

// sameNames says whether both have the same names, in any order.
func sameNames(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(name string) bool { return !holds(b, name) })
}

// created is what a CREATE says before its definition.
type created struct {
	kind, name string
	// on is the table of an index or trigger.
	on string
	// rest is what is behind the name.
	rest []dump.Token
}

// createdBy reads a CREATE.
func createdBy(text []byte) created {
	var c created
	tokens := slices.Collect(dump.Tokens(text))
	at := slices.IndexFunc(tokens, func(t dump.Token) bool {
		return t.Is("TABLE") || t.Is("INDEX") || t.Is("VIEW") || t.Is("TRIGGER")
	})
	if at < 0 {
		return c
	}
	c.kind = strings.ToLower(tokens[at].Name())
	at++
	if at+3 < len(tokens) && tokens[at].Is("IF") && tokens[at+1].Is("NOT") {
		at += len([]string{"IF", "NOT", "EXISTS"})
	}
	if at+2 < len(tokens) && tokens[at+1].Is(".") {
		at += 2
	}
	if at >= len(tokens) {
		return c
	}
	c.name, c.rest = tokens[at].Name(), tokens[at+1:]
	if n := len(c.rest); n > 0 && c.rest[n-1].Is(";") {
		c.rest = c.rest[:n-1]
	}
	if c.kind != "index" && c.kind != "trigger" {
		return c
	}
	if on := slices.IndexFunc(c.rest, func(t dump.Token) bool { return t.Is("ON") }); on >= 0 && on+1 < len(c.rest) {
		c.on = c.rest[on+1].Name()
	}
	return c
}

// sameDefinition says whether two CREATE make the same under their names.
func sameDefinition(a, b []byte) bool {
	return slices.EqualFunc(createdBy(a).rest, createdBy(b).rest, func(x, y dump.Token) bool { return bytes.Equal(x.Text, y.Text) })
}
