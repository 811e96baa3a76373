package plan

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// schemaRows takes rows of sqlite_schema, by which the sqlite3 shell writes
// virtual tables.
func (p *Plan) schemaRows(st dump.Statement) error {
	for _, row := range st.Rows {
		values, err := dump.ParseRow(nil, st.Text[row.From:row.To])
		const text, columns = 4, 5
		if err != nil || len(values) != columns || values[text].Kind != dump.ValueText {
			return refused(st, "a row of %s that is no virtual table's", st.Name)
		}
		create, err := onlyVirtual(append(bytes.Clone(values[text].Bytes), ';'))
		if err != nil {
			return refused(st, "a row of %s: %v", st.Name, err)
		}
		if err := p.createVirtual(st, create.Name, create.Text); err != nil {
			return err
		}
	}
	return nil
}

// onlyVirtual reads SQL that must be one CREATE VIRTUAL TABLE and nothing more:
// in a row of sqlite_schema it is text that may hold anything.
func onlyVirtual(sql []byte) (dump.Statement, error) {
	var create dump.Statement
	n := 0
	_, err := dump.ReadStatements(bytes.NewReader(sql), func(st dump.Statement) error {
		n++
		create = st
		create.Text = bytes.Clone(st.Text)
		return nil
	})
	switch {
	case err != nil:
		return create, err
	case n != 1 || create.Kind != dump.ObjectVirtual || create.Commented:
		return create, errors.New("it makes something else than one virtual table")
	}
	return create, nil
}

// createVirtual takes a virtual table. Of the modules that D1 has, fts5 and
// fts5vocab can be filled by SQL alone
// (https://developers.cloudflare.com/d1/sql-api/sql-statements/).
func (p *Plan) createVirtual(st dump.Statement, name string, create []byte) error {
	v := &virtual{name: name, create: create}
	v.module, v.arguments = moduleOf(create)
	switch v.module {
	case "fts5", "fts5vocab":
	default:
		return refused(st, "the virtual table %s of the module %s, which cannot be filled", name, v.module)
	}
	if _, v.outside = v.lookup("content"); v.outside && strings.TrimSpace(v.option("content")) == "" {
		return refused(st, "the index %s, which keeps no content of which it could be filled", name)
	}
	p.virtuals = append(p.virtuals, v)
	return nil
}

// option is what an argument of the kind name=value says, without its quotes; such
// is content, the table whose rows an index is over
// (https://sqlite.org/fts5.html#external_content_tables).
func (v *virtual) option(name string) string {
	value, _ := v.lookup(name)
	return value
}

// lookup is option, and whether there is one.
func (v *virtual) lookup(name string) (value string, found bool) {
	for _, argument := range v.arguments {
		key, text, isOption := bytes.Cut(argument, []byte("="))
		if !isOption || fold(string(bytes.TrimSpace(key))) != name {
			continue
		}
		for token := range dump.Tokens(text) {
			return token.Name(), true
		}
		return "", true
	}
	return "", false
}

// moduleOf reads the module of a CREATE VIRTUAL TABLE and its arguments.
func moduleOf(create []byte) (module string, arguments [][]byte) {
	using := false
	for token := range dump.Tokens(create) {
		if using {
			module = fold(token.Name())
			break
		}
		using = token.Is("USING")
	}
	at := bytes.IndexByte(create, '(')
	end := bytes.LastIndexByte(create, ')')
	if at < 0 || end < at {
		return module, nil
	}
	values, err := dump.ParseRow(nil, create[at:end+1])
	if err != nil {
		return module, nil
	}
	for _, v := range values {
		arguments = append(arguments, v.Source)
	}
	return module, arguments
}

// columns are the columns of an fts5 table, quoted.
func (v *virtual) columns() []string {
	var names []string
	for _, argument := range v.arguments {
		if bytes.IndexByte(argument, '=') >= 0 && argument[0] != '"' && argument[0] != '\'' {
			continue // an option
		}
		for token := range dump.Tokens(argument) {
			names = append(names, dump.QuoteName(token.Name()))
			break
		}
	}
	return names
}

// takeShadows takes the tables out of the plan in which virtual tables keep
// what they hold: they make them themselves.
func (p *Plan) takeShadows() {
	for _, v := range p.virtuals {
		if v.module != "fts5" {
			continue
		}
		if v.direct = p.take(v.name); v.direct == nil {
			p.change(ChangeVirtual, v.name, 1)
		}
		for _, suffix := range shadowSuffixes(v.module) {
			t := p.take(v.name + "_" + suffix)
			if suffix == "content" && !v.outside {
				v.content = t
			}
		}
	}
}

// take takes a table out of the plan, if it is there.
func (p *Plan) take(name string) *table {
	t := p.byName[fold(name)]
	if t == nil {
		return nil
	}
	p.tables = slices.DeleteFunc(p.tables, func(other *table) bool { return other == t })
	delete(p.byName, fold(name))
	return t
}
