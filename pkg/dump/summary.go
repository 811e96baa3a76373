package dump

import (
	"cmp"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

// The codes of findings. Each names a risk that the dump's text shows; none
// makes the dump unreadable for this package.
const (
	// FindingInteger is an integer at or past 2^53 in absolute value. D1
	// takes integers through a double before it writes them, so it may have
	// been rounded. A real that D1 wrote without a point counts too: the text
	// does not tell it apart.
	FindingInteger = "integer_past_2_53"
	// FindingInfinity is a real beyond the range of a double: the word
	// Infinity, which SQLite cannot load, or a literal such as 9e999, which it
	// can.
	FindingInfinity = "infinity"
	// FindingErrorWord is the bare word ERROR, which D1 writes for a value of
	// a type it does not know. It cannot be loaded.
	FindingErrorWord = "error_word"
	// FindingNUL is text with a NUL byte, which SQLite cannot load.
	FindingNUL = "nul_in_text"
	// FindingReplacement is text with U+FFFD, which D1 writes for bytes that
	// are not UTF-8. The text may have held it from the start.
	FindingReplacement = "replacement_character"
	// FindingNewline is text that may have lost a literal \n or \r. D1 writes
	// a line feed as \n inside replace(), and a literal \n of the same text
	// alike. Text with a single \n is not counted: it is the line feed for
	// which the replace() is there.
	FindingNewline = "ambiguous_newline"
	// FindingLong is a statement over [LongStatement] bytes, which D1 cannot
	// import.
	FindingLong = "long_statement"
	// FindingComment is a CREATE statement that ends in a line comment, which
	// takes in the semicolon that D1 put behind it: SQLite reads on into the
	// next statement. At the end of a dump it does no harm.
	FindingComment = "commented_semicolon"
	// FindingUnknown is a statement that begins with no word that SQLite knows
	// to begin one, such as an error text among the rows.
	FindingUnknown = "unknown_statement"
)

// LongStatement is the longest statement that D1 takes, in bytes from its
// first token to its semicolon, both included
// (https://developers.cloudflare.com/d1/platform/limits/).
const LongStatement = 100_000

// Types of [backup.Object] in a [Summary].
const (
	ObjectIndex   = "index"
	ObjectTrigger = "trigger"
	ObjectView    = "view"
	// ObjectVirtual is a virtual table, which only dumps of the sqlite3 shell
	// hold. Its shadow tables are listed as tables.
	ObjectVirtual = "virtual"
)

// Summary is what a dump was found to hold.
type Summary struct {
	// Bytes is how much was read.
	Bytes int64
	// Statements is the number of statements; a lone semicolon is none.
	Statements int64
	// LongestStatement is in bytes, from the first token to the semicolon.
	LongestStatement int64
	// Tables are the user's tables with their rows, in the order in which the
	// dump first names them, in a CREATE TABLE or an INSERT.
	Tables []backup.Table
	// Internal are SQLite's own tables (sqlite_sequence, sqlite_stat1,
	// sqlite_schema) with the rows that the dump has for them.
	Internal []backup.Table
	// Objects are indexes, triggers, views and virtual tables, in order.
	Objects []backup.Object
	// Findings are sorted by code, then by table in order of the dump.
	Findings []backup.Finding
	// HasSequence says whether the dump sets sqlite_sequence, so that some
	// table of it has, or had, AUTOINCREMENT.
	HasSequence bool
}

// tally collects a Summary.
type tally struct {
	bytes, statements, longest int64
	tables                     []*tableTally
	byName                     map[string]*tableTally // by the folded name
	folded                     []byte
	objects                    []backup.Object
	findings                   map[findingKey]*backup.Finding
	hasSequence                bool
}

type tableTally struct {
	name     string
	order    int // among all tables
	rows     int64
	internal bool // SQLite's own
	schema   bool // sqlite_schema
}

type findingKey struct {
	code  string
	order int // of the table, or noTable
}

const noTable = -1

func newTally() *tally {
	return &tally{byName: map[string]*tableTally{}, findings: map[findingKey]*backup.Finding{}}
}

// table is the table of that name, which SQLite compares without the case of
// ASCII letters.
func (t *tally) table(name []byte) *tableTally {
	t.folded = appendFolded(t.folded[:0], name)
	if known, ok := t.byName[string(t.folded)]; ok {
		return known
	}
	key := string(t.folded)
	made := &tableTally{
		name:     string(name),
		order:    len(t.tables),
		internal: strings.HasPrefix(key, "sqlite_"),
		schema:   key == "sqlite_schema" || key == "sqlite_master",
	}
	t.tables = append(t.tables, made)
	t.byName[key] = made
	t.hasSequence = t.hasSequence || key == sequenceTable
	return made
}

// sequenceTable is where SQLite keeps the counters of AUTOINCREMENT.
const sequenceTable = "sqlite_sequence"

// deleted is told of a DELETE.
func (t *tally) deleted(table []byte) {
	t.folded = appendFolded(t.folded[:0], table)
	t.hasSequence = t.hasSequence || string(t.folded) == sequenceTable
}

func (t *tally) object(kind string, name []byte) {
	t.objects = append(t.objects, backup.Object{Type: kind, Name: string(name)})
}

func appendFolded(to, name []byte) []byte {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

// find counts a finding; table may be nil, row 0.
func (t *tally) find(code string, table *tableTally, row, offset int64) {
	key, name := findingKey{code, noTable}, ""
	if table != nil {
		key.order, name = table.order, table.name
	}
	f := t.findings[key]
	if f == nil {
		f = &backup.Finding{Code: code, Table: name, FirstRow: row, FirstOffset: offset}
		t.findings[key] = f
	}
	f.Count++
}

func (t *tally) summary() Summary {
	s := Summary{
		Bytes: t.bytes, Statements: t.statements, LongestStatement: t.longest,
		Objects: slices.Clone(t.objects), HasSequence: t.hasSequence,
	}
	for _, table := range t.tables {
		row := backup.Table{Name: table.name, Rows: table.rows}
		if table.internal {
			s.Internal = append(s.Internal, row)
			continue
		}
		s.Tables = append(s.Tables, row)
	}
	keys := make([]findingKey, 0, len(t.findings))
	for key := range t.findings {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b findingKey) int {
		return cmp.Or(strings.Compare(a.code, b.code), cmp.Compare(a.order, b.order))
	})
	for _, key := range keys {
		s.Findings = append(s.Findings, *t.findings[key])
	}
	return s
}
