package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// Codes of an [Obstacle].
const (
	// ObstacleParent are rows of a table that come before the CREATE of one to
	// which its foreign keys point, which are on in D1.
	ObstacleParent = "parent_after_child"
	// ObstacleParentKey are rows of a table whose foreign keys point at columns
	// that are made unique only later, by an index.
	ObstacleParentKey = "parent_key_after_child"
	// ObstacleOrder is a trigger or index that comes before its table or view.
	ObstacleOrder = "made_before_its_table"
	// ObstacleTable are rows of a table that the dump does not make before.
	ObstacleTable = "no_table"
	// ObstacleSequence is the setting of counters that no table has.
	ObstacleSequence = "no_sequence"
	// ObstacleLong is a statement that is too long for D1.
	ObstacleLong = "long_statement"
	// ObstacleWord is a value such as Infinity or ERROR, which no engine reads.
	ObstacleWord = "unreadable_word"
	// ObstacleNUL is a NUL byte, at which SQLite stops to read.
	ObstacleNUL = "nul_in_text"
	// ObstacleFunction is a function that D1 does not have.
	ObstacleFunction = "no_function"
	// ObstacleComment is a semicolon that its own line comment takes in.
	ObstacleComment = "commented_semicolon"
	// ObstaclePragma is a PRAGMA that D1 refuses.
	ObstaclePragma = "refused_pragma"
	// ObstacleStatement is any other statement that D1 refuses.
	ObstacleStatement = "refused_statement"
)

// Obstacle is something for which D1 does not load a dump as it is.
type Obstacle struct {
	Code string `json:"code"`
	// Name is that of the table or object, PRAGMA, function or first word.
	Name string `json:"name,omitempty"`
	// Other is the table that Name wants and that is not there.
	Other string `json:"other,omitempty"`
	// Count is the number of statements.
	Count int64 `json:"count"`
	// FirstOffset is the byte of the dump at which the first one begins.
	FirstOffset int64 `json:"firstOffset"`
}

// Importable tells what keeps D1's import, and so wrangler d1 execute --file,
// from loading the dump as it is; nothing where it loads. It sees what the text
// shows: not whether rows break a constraint.
func Importable(dumped io.Reader) ([]Obstacle, error) {
	c := &importCheck{there: map[string]bool{}, references: map[string][]reference{}, keys: map[string][]string{}, pointing: map[string][]reference{}}
	_, err := dump.ReadStatements(dumped, c.statement)
	if errors.Is(err, dump.ErrStatementTooLong) {
		c.add(Obstacle{Code: ObstacleLong}, c.end)
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return c.found, nil
}

// importCheck follows a dump as an import does.
type importCheck struct {
	// there are the tables and views that are made, by folded name.
	there map[string]bool
	// references are the foreign keys of a table, and keys what makes columns of
	// one unique.
	references map[string][]reference
	keys       map[string][]string
	// pointing are the foreign keys that point at a table. With deferred ones, of
	// its own rows, too, it is looked whether they are pointed at.
	pointing map[string][]reference
	deferred bool
	counts   bool // a table has AUTOINCREMENT
	analyzed bool // the tables of statistics are there
	end      int64

	found []Obstacle
	// last is the table of the last INSERT, and wants what it lacks.
	last  string
	wants []Obstacle
}

// add counts an obstacle.
func (c *importCheck) add(o Obstacle, offset int64) {
	for i := range c.found {
		if f := &c.found[i]; f.Code == o.Code && f.Name == o.Name && f.Other == o.Other {
			f.Count++
			return
		}
	}
	o.Count, o.FirstOffset = 1, offset
	c.found = append(c.found, o)
}

func (c *importCheck) statement(st dump.Statement) error {
	c.end = st.Offset + int64(len(st.Text))
	c.text(st)
	if st.Kind == dump.KindInsert {
		c.insert(st)
		return nil
	}
	c.last = ""
	switch {
	case st.Temporary:
		c.add(Obstacle{Code: ObstacleStatement, Name: "TEMP"}, st.Offset)
	case st.Kind == dump.KindTable:
		c.create(st)
	case st.Kind == dump.ObjectVirtual:
		c.virtual(st)
	case st.Kind == dump.ObjectView:
		c.there[fold(st.Name)] = true
	case st.Kind == dump.ObjectIndex, st.Kind == dump.ObjectTrigger:
		c.on(st)
	case st.Kind == dump.KindDelete:
		c.table(st, fold(st.Name))
	default:
		c.other(st)
	}
	return nil
}

// text looks at what may be wrong with any statement.
func (c *importCheck) text(st dump.Statement) {
	if len(st.Text) > dump.LongStatement {
		c.add(Obstacle{Code: ObstacleLong, Name: st.Name}, st.Offset)
	}
	if bytes.IndexByte(st.Text, 0) >= 0 {
		c.add(Obstacle{Code: ObstacleNUL, Name: st.Name}, st.Offset)
	}
	if st.Commented {
		c.add(Obstacle{Code: ObstacleComment, Name: st.Name}, st.Offset)
	}
}

func (c *importCheck) insert(st dump.Statement) {
	if st.Odd {
		c.values(st)
	}
	if c.last != st.Name {
		c.last, c.wants = st.Name, c.lacks(st.Name)
	}
	for _, o := range c.wants {
		c.add(o, st.Offset)
	}
}

// values looks for words in rows that are no literals.
func (c *importCheck) values(st dump.Statement) {
	for _, row := range st.Rows {
		for token := range dump.Tokens(st.Text[row.From:row.To]) {
			switch {
			case token.Is("Infinity"), token.Is("ERROR"):
				c.add(Obstacle{Code: ObstacleWord, Name: st.Name}, st.Offset)
			case token.Is("unistr"):
				c.add(Obstacle{Code: ObstacleFunction, Name: "unistr"}, st.Offset)
			}
		}
	}
}

// lacks is what rows of a table want and do not find.
func (c *importCheck) lacks(name string) []Obstacle {
	key := fold(name)
	if o := c.missing(name, key); o != nil {
		return []Obstacle{*o}
	}
	var wants []Obstacle
	for _, r := range c.references[key] {
		want := Obstacle{Code: ObstacleParent, Name: name, Other: r.parent}
		if c.there[fold(r.parent)] {
			if c.unique(r) {
				continue
			}
			want.Code = ObstacleParentKey
		}
		if !slices.Contains(wants, want) {
			wants = append(wants, want)
		}
	}
	own := Obstacle{Code: ObstacleParentKey, Name: name, Other: name}
	unmet := func(r reference) bool { return !c.unique(r) }
	if c.deferred && !slices.Contains(wants, own) && slices.ContainsFunc(c.pointing[key], unmet) {
		wants = append(wants, own)
	}
	return wants
}

// missing says whether a table of that name is not there, or not for rows.
func (c *importCheck) missing(name, key string) *Obstacle {
	switch {
	case c.there[key]:
		return nil
	case key == "sqlite_sequence" && c.counts, c.analyzed && (key == "sqlite_stat1" || key == "sqlite_stat4"):
		return nil
	case key == "sqlite_sequence":
		return &Obstacle{Code: ObstacleSequence}
	case key == "sqlite_schema" || key == "sqlite_master":
		return &Obstacle{Code: ObstacleStatement, Name: name}
	}
	return &Obstacle{Code: ObstacleTable, Name: name}
}

// table looks whether the table of a DELETE is there.
func (c *importCheck) table(st dump.Statement, key string) {
	if o := c.missing(st.Name, key); o != nil {
		c.add(*o, st.Offset)
	}
}

func (c *importCheck) create(st dump.Statement) {
	key := fold(st.Name)
	if internal(st.Name) {
		c.add(Obstacle{Code: ObstacleStatement, Name: st.Name}, st.Offset)
	}
	c.there[key] = true
	c.references[key], c.keys[key] = keysOf(st.Text)
	for _, r := range c.references[key] {
		c.pointing[fold(r.parent)] = append(c.pointing[fold(r.parent)], r)
	}
	for token := range dump.Tokens(st.Text) {
		c.counts = c.counts || token.Is("AUTOINCREMENT")
	}
}

// virtual takes a virtual table, for which D1 has few modules
// (https://developers.cloudflare.com/d1/sql-api/sql-statements/).
func (c *importCheck) virtual(st dump.Statement) {
	c.there[fold(st.Name)] = true
	if module, _ := moduleOf(st.Text); module != "fts5" && module != "fts5vocab" {
		c.add(Obstacle{Code: ObstacleStatement, Name: st.Name}, st.Offset)
	}
}

// on looks whether what an index or trigger is on is there.
func (c *importCheck) on(st dump.Statement) {
	name, columns := onOf(st.Text)
	key := fold(name)
	if !c.there[key] {
		c.add(Obstacle{Code: ObstacleOrder, Name: st.Name, Other: name}, st.Offset)
	}
	if st.Kind == dump.ObjectIndex && columns != "" {
		c.keys[key] = append(c.keys[key], columns)
	}
}

// other takes a statement that is neither rows nor schema.
func (c *importCheck) other(st dump.Statement) {
	words := firstWords(st.Text)
	if len(words) == 0 {
		return
	}
	switch {
	case words[0].Is("PRAGMA") && len(words) == 2:
		name := fold(words[1].Name())
		c.deferred = c.deferred || name == "defer_foreign_keys"
		if !slices.Contains(allowedPragmas(), name) {
			c.add(Obstacle{Code: ObstaclePragma, Name: name}, st.Offset)
		}
	case words[0].Is("ANALYZE"):
		c.analyzed = true
	case slices.ContainsFunc(refusedWords(), words[0].Is):
		c.add(Obstacle{Code: ObstacleStatement, Name: string(bytes.ToUpper(words[0].Text))}, st.Offset)
	case !slices.ContainsFunc([]string{"SELECT", "VALUES", "WITH", "UPDATE", "ALTER", "DROP", "REINDEX", "EXPLAIN"}, words[0].Is):
		c.add(Obstacle{Code: ObstacleStatement}, st.Offset)
	}
}

// firstWords are the first two tokens of a statement.
func firstWords(text []byte) []dump.Token {
	var words []dump.Token
	for token := range dump.Tokens(text) {
		if words = append(words, token); len(words) == 2 {
			break
		}
	}
	return words
}

// refusedWords begin statements that D1 refuses.
func refusedWords() []string {
	return []string{"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH", "VACUUM"}
}

// allowedPragmas are those that D1 takes
// (https://developers.cloudflare.com/d1/sql-api/sql-statements/).
func allowedPragmas() []string {
	return []string{
		"table_list", "table_info", "table_xinfo", "index_list", "index_info", "index_xinfo", "foreign_key_list", "foreign_key_check",
		"quick_check", "optimize", "data_version", "page_size", "case_sensitive_like", "foreign_keys", "defer_foreign_keys",
		"ignore_check_constraints", "legacy_alter_table", "recursive_triggers", "reverse_unordered_selects",
	}
}

// String says in words what the obstacle is.
func (o Obstacle) String() string {
	switch o.Code {
	case ObstacleParent:
		return fmt.Sprintf("rows of %s come before the table %s, to which its foreign keys point", o.Name, o.Other)
	case ObstacleParentKey:
		return fmt.Sprintf("rows of %s come before the index of %s that foreign keys need", o.Name, o.Other)
	case ObstacleOrder:
		return fmt.Sprintf("%s comes before %s, which it is on", o.Name, o.Other)
	case ObstacleTable:
		return "there are rows of " + o.Name + ", which is not made before"
	case ObstacleSequence:
		return "sqlite_sequence is set, and no table has AUTOINCREMENT"
	case ObstacleLong:
		return fmt.Sprintf("a statement%s of over %d bytes", ofName(o.Name), dump.LongStatement)
	case ObstacleWord:
		return "a row of " + o.Name + " with Infinity or ERROR, which no engine reads"
	case ObstacleNUL:
		return "a NUL byte in a statement" + ofName(o.Name)
	case ObstacleFunction:
		return "the function " + o.Name + ", which D1 does not have"
	case ObstacleComment:
		return "a semicolon" + ofName(o.Name) + " that a line comment takes in"
	case ObstaclePragma:
		return "PRAGMA " + o.Name + ", which D1 refuses"
	}
	return "a statement" + ofName(o.Name) + " that D1 refuses"
}

func ofName(name string) string {
	if name == "" {
		return ""
	}
	return " of " + name
}
