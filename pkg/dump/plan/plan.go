package plan

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump"
)

// ErrRefused is the error for a dump with something that no restore may run.
var ErrRefused = errors.New("this is not restored")

// maxSchema is how much schema is kept in memory, far above any: a statement
// that D1 takes has at most 100,000 bytes.
const maxSchema = 64 << 20

// Codes of a [Change].
const (
	// ChangeInternal are rows or statements of tables that belong to D1 or
	// SQLite itself and cannot be brought back: _cf_* and sqlite_stat4.
	ChangeInternal = "internal_left_out"
	// ChangePragma is a PRAGMA that is not part of the content.
	ChangePragma = "pragma_left_out"
	// ChangeSequence is the setting of counters that no table has.
	ChangeSequence = "sequence_left_out"
	// ChangeVirtual is a virtual table that is made and filled anew.
	ChangeVirtual = "virtual_rebuilt"
	// ChangeErrorWord are values that D1 wrote as ERROR, which become NULL.
	ChangeErrorWord = "error_word_to_null"
	// ChangeRewritten are rows with a value that is written in another way and
	// is the same: infinity, text with NUL, unistr().
	ChangeRewritten = "rewritten"
	// ChangeStaged are rows too long for one statement of D1.
	ChangeStaged = "long_row_staged"
)

// Change is something that does not come back as the dump has it.
type Change struct {
	Code  string
	Name  string // of the table or PRAGMA
	Count int64
}

// span is a part of the dump.
type span struct{ from, to int64 }

// table is a table with its rows.
type table struct {
	name    string
	creates [][]byte
	parents []string // folded names
	spans   []span
	rows    int64
	counts  bool // has AUTOINCREMENT
	// kept says how its rows take the place of others; nil where it is made.
	kept *kept
}

// virtual is a virtual table.
type virtual struct {
	name, module string
	create       []byte
	arguments    [][]byte
	// content is the shadow table that holds its rows; nil if another table, or
	// none, has them.
	content *table
	// direct are rows and commands that the dump puts into it by its own name,
	// as the dumps of this package do.
	direct *table
	// outside says that a table or view of the user's has the rows.
	outside bool
}

// Plan is a dump, looked through.
type Plan struct {
	source io.ReaderAt
	// Summary is what the dump holds.
	Summary dump.Summary

	tables                   []*table
	byName                   map[string]*table // by folded name
	virtuals                 []*virtual
	sequence, stats          table
	counts                   bool // a table has AUTOINCREMENT
	indexes, views, triggers [][]byte
	// keyIndexes are the indexes without which foreign keys have no parent key,
	// so that no row can be inserted.
	keyIndexes  [][]byte
	references  map[string][]reference // by the folded name of the parent
	schemaBytes int64
	changes     []Change
	found       int    // how many of the changes Read found
	last        *table // whose rows the last statement held

	chosen []string        // tables; nil for all
	taken  map[string]bool // folded names that are not free
	// reindexed are the indexes of the database over chosen tables that are
	// filled anew, and stale those that cannot be.
	reindexed []string
	stale     []Stale
	// lost are the indexes and triggers of chosen tables that do not come back.
	lost []backup.Object
}

// Read looks through a dump of the given size. What is wrong with the dump is
// an error of [dump.Filter], or ErrRefused.
func Read(source io.ReaderAt, size int64) (*Plan, error) {
	p := &Plan{source: source, byName: map[string]*table{}, references: map[string][]reference{}}
	summary, err := dump.ReadStatements(io.NewSectionReader(source, 0, size), p.statement)
	if err != nil {
		return nil, err
	}
	p.Summary = summary
	p.takeShadows()
	p.takeKeyIndexes()
	// Tables that the dump makes come before those it only has rows of.
	slices.SortStableFunc(p.tables, func(a, b *table) int {
		return cmp.Compare(min(len(b.creates), 1), min(len(a.creates), 1))
	})
	if !p.counts && len(p.sequence.spans) > 0 {
		p.change(ChangeSequence, "sqlite_sequence", p.sequence.rows)
		p.sequence = table{}
	}
	p.found = len(p.changes)
	return p, nil
}

// Changes are what does not come back as the dump has it, those that Emit found
// included once it has run.
func (p *Plan) Changes() []Change { return p.changes }

func (p *Plan) change(code, name string, n int64) {
	for i := range p.changes {
		if c := &p.changes[i]; c.Code == code && c.Name == name {
			c.Count += n
			return
		}
	}
	p.changes = append(p.changes, Change{code, name, n})
}

func refused(st dump.Statement, format string, args ...any) error {
	return fmt.Errorf("byte %d: %s: %w", st.Offset, fmt.Sprintf(format, args...), ErrRefused)
}

// statement takes a statement of the dump to where it belongs.
func (p *Plan) statement(st dump.Statement) error {
	if st.Kind == dump.KindInsert {
		return p.insert(st)
	}
	p.last = nil
	if st.Temporary {
		return refused(st, "something temporary, %s", st.Name)
	}
	if internal(st.Name) && st.Kind != dump.KindDelete {
		p.change(ChangeInternal, st.Name, 0)
		return nil
	}
	switch st.Kind {
	case dump.KindTable:
		return p.create(st)
	case dump.ObjectVirtual:
		return p.createVirtual(st, st.Name, p.keep(st))
	case dump.ObjectIndex:
		p.indexes = append(p.indexes, p.keep(st))
	case dump.ObjectView:
		p.views = append(p.views, p.keep(st))
	case dump.ObjectTrigger:
		p.triggers = append(p.triggers, p.keep(st))
	case dump.KindDelete:
		if name := fold(st.Name); name != "sqlite_sequence" && !strings.HasPrefix(name, "sqlite_stat") {
			return refused(st, "a DELETE from %s", st.Name)
		}
	default:
		return p.other(st)
	}
	if p.schemaBytes > maxSchema {
		return refused(st, "a schema of over %d bytes", maxSchema)
	}
	return nil
}

// keep is the text of a statement as it can be loaded.
func (p *Plan) keep(st dump.Statement) []byte {
	text := bytes.Clone(st.Text)
	if st.Commented {
		text = append(text, "\n;"...)
	}
	p.schemaBytes += int64(len(text))
	return text
}

// internal says whether the name is one that D1 or SQLite keeps for itself.
func internal(name string) bool {
	name = fold(name)
	return strings.HasPrefix(name, "_cf_") || strings.HasPrefix(name, "sqlite_")
}

// fold is [dump.FoldName].
func fold(name string) string { return dump.FoldName(name) }

func (p *Plan) table(name string) *table {
	key := fold(name)
	t := p.byName[key]
	if t == nil {
		t = &table{name: name}
		p.byName[key] = t
		p.tables = append(p.tables, t)
	}
	return t
}

func (p *Plan) create(st dump.Statement) error {
	t := p.table(st.Name)
	t.creates = append(t.creates, p.keep(st))
	references, _ := keysOf(st.Text)
	for _, r := range references {
		parent := fold(r.parent)
		t.parents = append(t.parents, parent)
		p.references[parent] = append(p.references[parent], r)
	}
	for token := range dump.Tokens(st.Text) {
		t.counts = t.counts || token.Is("AUTOINCREMENT")
	}
	p.counts = p.counts || t.counts
	return nil
}

// insert keeps where the rows of a table are.
func (p *Plan) insert(st dump.Statement) error {
	t, err := p.rowsOf(st)
	if t == nil || err != nil {
		return err
	}
	if len(st.Rows) == 0 && !isDefault(st.Text) {
		return refused(st, "an INSERT without VALUES into %s", st.Name)
	}
	if err := understood(st); err != nil {
		return err
	}
	end := st.Offset + int64(len(st.Text))
	t.rows += int64(max(len(st.Rows), 1))
	if p.last == t {
		t.spans[len(t.spans)-1].to = end
		return nil
	}
	t.spans = append(t.spans, span{st.Offset, end})
	p.last = t
	return nil
}

// understood says what is wrong with a row that has an expression for a value.
func understood(st dump.Statement) error {
	if !st.Odd {
		return nil
	}
	for _, row := range st.Rows {
		values, err := dump.ParseRow(nil, st.Text[row.From:row.To])
		if err != nil {
			return refused(st, "a row of %s: %v", st.Name, err)
		}
		for _, v := range values {
			if v.Kind == dump.ValueExpression {
				return refused(st, "a row of %s with the value %.40q, which is no literal", st.Name, v.Source)
			}
		}
	}
	return nil
}

// isDefault says whether an INSERT without rows is one of DEFAULT VALUES.
func isDefault(text []byte) bool {
	previous := false
	for token := range dump.Tokens(text) {
		if previous && token.Is("VALUES") {
			return true
		}
		previous = token.Is("DEFAULT")
	}
	return false
}

// rowsOf is the table of an INSERT, or nil if its rows are not brought back.
func (p *Plan) rowsOf(st dump.Statement) (*table, error) {
	if p.last != nil && p.last.name == st.Name {
		return p.last, nil
	}
	switch name := fold(st.Name); {
	case name == "sqlite_schema" || name == "sqlite_master":
		p.last = nil
		return nil, p.schemaRows(st)
	case name == "sqlite_sequence":
		p.sequence.name = st.Name
		return &p.sequence, nil
	case name == "sqlite_stat1":
		p.stats.name = st.Name
		return &p.stats, nil
	case internal(name):
		p.last = nil
		p.change(ChangeInternal, st.Name, int64(len(st.Rows)))
		return nil, nil
	}
	return p.table(st.Name), nil
}

// other takes a statement that is neither rows nor schema.
func (p *Plan) other(st dump.Statement) error {
	var words []dump.Token
	for token := range dump.Tokens(st.Text) {
		words = append(words, token)
		if len(words) == 2 {
			break
		}
	}
	switch {
	case len(words) == 0:
		return nil
	case words[0].Is("BEGIN"), words[0].Is("COMMIT"), words[0].Is("END"), words[0].Is("ANALYZE"):
		return nil
	case words[0].Is("PRAGMA") && len(words) == 2:
		switch name := fold(words[1].Name()); name {
		case "foreign_keys", "defer_foreign_keys", "writable_schema":
		default:
			p.change(ChangePragma, name, 1)
		}
		return nil
	}
	return refused(st, "a statement that begins with %.20q", words[0].Text)
}
