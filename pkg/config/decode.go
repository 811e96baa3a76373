package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// decode reads a file's content strictly. Whatever is right is in the layer,
// whatever is wrong among the problems.
func decode(path string, content []byte) (layer, problems) {
	d := &decoder{path: path, values: layer{}}
	root, more := d.documents(content)
	if root != nil {
		d.section("", root)
	}
	if more != nil {
		d.add(more.Line, "", "a second document begins here: a configuration is one")
	}
	return d.values, d.wrong
}

// decoder walks the nodes of one file.
type decoder struct {
	path   string
	values layer
	wrong  problems
}

func (d *decoder) at(line int) origin {
	return origin{source: fromFile, name: d.path, line: max(line, 1)}
}

func (d *decoder) add(line int, key, text string) {
	d.wrong = append(d.wrong, problem{at: d.at(line), key: key, text: text})
}

// documents parses the first document of a file, and the second if there is
// one. Both are nil where the file is empty or not YAML.
func (d *decoder) documents(content []byte) (first, second *yaml.Node) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var nodes []*yaml.Node
	for len(nodes) < 2 {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			d.syntax(err)
			return nil, nil
		}
		nodes = append(nodes, &document)
	}
	if len(nodes) > 0 && len(nodes[0].Content) > 0 {
		first = nodes[0].Content[0]
	}
	if len(nodes) > 1 {
		second = nodes[1]
	}
	return first, second
}

// syntax reports a file that is not YAML. Of the parser's message names in
// quotes are left out: they may be a secret that begins with "*".
func (d *decoder) syntax(err error) {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if found := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); found != nil {
		line, _ = strconv.Atoi(found[1])
		text = strings.TrimPrefix(text, found[0])
	}
	text = regexp.MustCompile(`'.*'`).ReplaceAllString(text, "'...'")
	d.add(line, "", "not YAML: "+text)
}

// section reads a mapping whose keys have a common prefix, which is empty or
// ends in a dot.
func (d *decoder) section(prefix string, node *yaml.Node) {
	if isNull(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		d.add(node.Line, strings.TrimSuffix(prefix, "."), "want a mapping of keys to values, found "+describe(node))
		return
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		if name.Kind != yaml.ScalarNode {
			d.add(name.Line, strings.TrimSuffix(prefix, "."), "the name of a key is "+describe(name))
			continue
		}
		if first, twice := lines[name.Value]; twice {
			d.add(name.Line, "", "key "+shown(prefix+name.Value)+" is given twice, first in line "+strconv.Itoa(first))
			continue
		}
		lines[name.Value] = name.Line
		d.pair(prefix, name.Value, name.Line, value)
	}
}

// pair reads one key of a section: a value, a section, or something that
// nobody knows.
func (d *decoder) pair(prefix, name string, line int, value *yaml.Node) {
	key := prefix + name
	dotted := strings.Contains(name, ".")
	if known, ok := definitionOf(key); ok && !dotted {
		d.value(known, line, value)
		return
	}
	inner := func(def definition) bool { return strings.HasPrefix(def.key, key+".") }
	if slices.ContainsFunc(definitions(), inner) && !dotted {
		d.section(key+".", value)
		return
	}
	d.add(line, "", "unknown key "+shown(key)+suggestKey(prefix, key))
}

// suggestKey is what was probably meant by an unknown key: the same key
// written in sections, a key of the same name elsewhere, or one of the same
// section that is spelt nearly so.
func suggestKey(prefix, key string) string {
	if _, ok := definitionOf(key); ok {
		dot := strings.LastIndex(key, ".")
		return fmt.Sprintf(": did you mean %s, with %q under %q?", key, key[dot+1:], key[:dot]+":")
	}
	var near []string
	last := key[strings.LastIndex(key, ".")+1:]
	for _, def := range definitions() {
		if strings.HasSuffix(def.key, "."+last) {
			return ": did you mean " + def.key + "?"
		}
		if rest, ok := strings.CutPrefix(def.key, prefix); ok {
			section, _, _ := strings.Cut(rest, ".")
			near = append(near, prefix+section)
		}
	}
	return didYouMean(key, near)
}

// value reads the value of a known key. A null is a key left empty, and counts
// as not set.
func (d *decoder) value(def definition, line int, node *yaml.Node) {
	if isNull(node) {
		return
	}
	g := &given{at: d.at(line)}
	if def.shape == scalar {
		text, wrong := textOf(node)
		if wrong != "" {
			d.add(node.Line, def.key, "want "+string(def.shape)+", found "+wrong)
			return
		}
		g.text = secret.New(text)
		d.values[def.key] = g
		return
	}
	if node.Kind != yaml.SequenceNode {
		d.add(node.Line, def.key, "want "+string(def.shape)+", found "+describe(node))
		return
	}
	for _, entry := range node.Content {
		if it, ok := d.item(def, entry); ok {
			g.items = append(g.items, it)
		}
	}
	d.values[def.key] = g
}

// item reads one entry of a list: a text, or where the list allows it a
// mapping with name or glob, and the rest that is known to it.
func (d *decoder) item(def definition, node *yaml.Node) (item, bool) {
	it := item{at: d.at(node.Line)}
	if def.shape == policies && node.Kind != yaml.MappingNode {
		d.add(node.Line, def.key, "want "+def.shape.item()+", found "+describe(node))
		return item{}, false
	}
	if node.Kind != yaml.MappingNode || def.shape != entries && def.shape != policies && def.shape != assertions {
		text, wrong := textOf(node)
		if wrong != "" {
			d.add(node.Line, def.key, "want "+def.shape.item()+", found "+wrong)
			return item{}, false
		}
		it.pattern = text
		return it, true
	}
	known := []string{"priority"}
	switch def.shape {
	case policies:
		known = overrideFields()
	case assertions:
		known = []string{"query"}
	}
	fields, ok := d.fields(def.key, node, append([]string{"name", "glob"}, known...))
	if !ok {
		return item{}, false
	}
	name, named := fields["name"]
	glob, globbed := fields["glob"]
	if named == globbed {
		d.add(node.Line, def.key, "want either name or glob in an entry")
		return item{}, false
	}
	it.pattern, it.glob, it.priority = name+glob, globbed, fields["priority"]
	delete(fields, "name")
	delete(fields, "glob")
	it.fields = fields
	return it, true
}

// fields reads the mapping of one entry; everything in it must be right.
func (d *decoder) fields(key string, node *yaml.Node, known []string) (map[string]string, bool) {
	fields := map[string]string{}
	before := len(d.wrong)
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		_, twice := fields[name.Value]
		text, wrong := textOf(value)
		switch {
		case name.Kind != yaml.ScalarNode || !slices.Contains(known, name.Value):
			d.add(name.Line, key, "unknown key "+shown(name.Value)+" in an entry"+didYouMean(name.Value, known))
		case twice:
			d.add(name.Line, key, name.Value+" is given twice in an entry")
		case wrong != "":
			d.add(value.Line, key, name.Value+": want a text, found "+wrong)
		default:
			fields[name.Value] = text
		}
	}
	return fields, len(d.wrong) == before
}

// textOf is the text of a scalar as it stands in the file, or a description of
// what stands there instead.
func textOf(node *yaml.Node) (text, wrong string) {
	if node.Kind != yaml.ScalarNode {
		return "", describe(node)
	}
	switch node.ShortTag() {
	case "!!str", "!!int", "!!float", "!!timestamp":
		return node.Value, ""
	}
	return "", describe(node)
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// describe says what a node is, and never what it holds.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias (a text that begins with \"*\" is written in quotes)"
	}
	switch node.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "true or false (a text is written in quotes)"
	case "!!str", "!!int", "!!float", "!!timestamp":
		return "a single value"
	}
	return "a value with a tag of its own (a text that begins with \"!\" is written in quotes)"
}
