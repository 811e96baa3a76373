package main

import (
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/diff"
	"github.com/AutumnsGrove/patina/pkg/engine"
)

type diffJSON struct {
	Database string          `json:"database"`
	Old      sideJSON        `json:"old"`
	New      sideJSON        `json:"new"`
	Same     bool            `json:"same"`
	Schema   []objectJSON    `json:"schema"`
	Tables   []tableDiffJSON `json:"tables"`
}

type sideJSON struct {
	Side   string     `json:"side"`
	Backup *entryJSON `json:"backup,omitempty"`
}

type objectJSON struct {
	Kind diff.Kind `json:"kind"`
	Type string    `json:"type"`
	Name string    `json:"name"`
	Old  string    `json:"old,omitempty"`
	New  string    `json:"new,omitempty"`
}

type tableDiffJSON struct {
	Name           string    `json:"name"`
	By             diff.By   `json:"by"`
	Key            []string  `json:"key"`
	OldOnlyColumns []string  `json:"oldOnlyColumns"`
	NewOnlyColumns []string  `json:"newOnlyColumns"`
	Added          int64     `json:"added"`
	Removed        int64     `json:"removed"`
	Changed        int64     `json:"changed"`
	Matched        int64     `json:"same"`
	Examples       []rowJSON `json:"examples"`
}

type rowJSON struct {
	Kind    diff.Kind        `json:"kind"`
	Key     []cellJSON       `json:"key"`
	Changes []cellChangeJSON `json:"changes"`
}

// cellJSON has a value as SQL has it.
type cellJSON struct {
	Column string `json:"column"`
	Value  string `json:"value"`
}

type cellChangeJSON struct {
	Column string `json:"column"`
	Old    string `json:"old"`
	New    string `json:"new"`
}

func diffDocument(req engine.DiffRequest, r engine.DiffResult) diffJSON {
	doc := diffJSON{
		Database: req.Database, Old: sideDocument(req.Old, r.Old), New: sideDocument(req.New, r.New),
		Same: r.Same(), Schema: []objectJSON{}, Tables: []tableDiffJSON{},
	}
	for _, o := range r.Schema {
		doc.Schema = append(doc.Schema, objectJSON{o.Kind, o.Type, o.Name, o.Old, o.New})
	}
	for _, t := range r.Tables {
		doc.Tables = append(doc.Tables, tableDocument(t))
	}
	return doc
}

func sideDocument(side engine.Side, entry *engine.Entry) sideJSON {
	doc := sideJSON{Side: side.String()}
	if entry != nil {
		backup := entryDocument(*entry)
		doc.Backup = &backup
	}
	return doc
}

func tableDocument(t diff.Table) tableDiffJSON {
	doc := tableDiffJSON{
		Name: t.Name, By: t.By, Key: append([]string{}, t.Key...),
		OldOnlyColumns: append([]string{}, t.OldOnly...), NewOnlyColumns: append([]string{}, t.NewOnly...),
		Added: t.Added, Removed: t.Removed, Changed: t.Changed, Matched: t.Matched, Examples: []rowJSON{},
	}
	for _, row := range t.Examples {
		one := rowJSON{Kind: row.Kind, Key: []cellJSON{}, Changes: []cellChangeJSON{}}
		for _, c := range row.Key {
			one.Key = append(one.Key, cellJSON{c.Column, literal(c.Value, 0)})
		}
		for _, c := range row.Changes {
			old, new := literals(c.Old, c.New)
			one.Changes = append(one.Changes, cellChangeJSON{c.Column, old, new})
		}
		doc.Examples = append(doc.Examples, one)
	}
	return doc
}

// maxShown is how many bytes of a value are shown, and shownBefore how many of
// them come before the first that differs.
const (
	maxShown    = 60
	shownBefore = 16
)

// literals shows two values from shortly before the place where they differ.
func literals(old, new driver.Value) (string, string) {
	a, b := bytesOf(old), bytesOf(new)
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	from := max(0, n-shownBefore)
	if max(len(a), len(b)) <= maxShown {
		from = 0
	}
	return literal(old, from), literal(new, from)
}

func bytesOf(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// literal is a value as SQL has it; of a long one a part from a place on. What a
// terminal would not show as it is, is written as \x00.
func literal(v driver.Value, from int) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return realText(v)
	case string:
		part, note := shorten(v, from)
		return "'" + visible(strings.ReplaceAll(part, "'", "''")) + "'" + note
	case []byte:
		part, note := shorten(string(v), from)
		return fmt.Sprintf("X'%X'%s", part, note)
	}
	return fmt.Sprint(v)
}

// realText is a real that cannot be taken for an integer.
func realText(f float64) string {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.ContainsAny(text, ".eIN") {
		return text
	}
	return text + ".0"
}

func shorten(s string, from int) (part, note string) {
	if len(s) <= maxShown {
		return s, ""
	}
	from = min(from, len(s))
	part = s[from:min(len(s), from+maxShown)]
	if from > 0 {
		return part, fmt.Sprintf(" (from byte %d of %d)", from+1, len(s))
	}
	return part, fmt.Sprintf(" (of %d bytes)", len(s))
}

// visible is text without what would move a terminal's cursor or is no UTF-8.
func visible(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
