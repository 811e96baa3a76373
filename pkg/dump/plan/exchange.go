package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/dump"
)

// ErrUnsafe is the error for tables that cannot take the place of others without
// a loss.
var ErrUnsafe = errors.New("nothing else may be lost")

// GuardSays is how the names of constraints begin that end an import before rows
// of other tables are lost.
const GuardSays = "patina: "

// Into plans how the chosen tables get into a database with that schema, and
// returns the statements that make room for them. A table there is dropped,
// unless foreign keys of others have an ON DELETE action, which DROP TABLE sets
// off where foreign keys are on: its rows are exchanged in place then, if that
// can be done. So are those of a chosen table that such a one points at by ON
// DELETE, for what that deletes goes on to the others. What would take something
// from other tables is ErrUnsafe.
//
// In pieces are the statements run where they do not all get in at once: then rows
// of others may not be without those that they point at meanwhile, and where it can
// be done, all that others point at is exchanged in place.
func (p *Plan) Into(live []Object, inPieces bool) ([]string, error) {
	x := &exchange{plan: p, live: live, inPieces: inPieces, there: map[string]Object{}, taken: map[string]bool{}, gone: map[string]bool{}, stays: map[string]bool{}}
	for _, o := range live {
		x.taken[fold(o.Name)] = true
		if o.Type == "table" && p.isChosen(o.Name) {
			x.there[fold(o.Name)] = o
		}
	}
	p.taken = maps.Clone(x.taken)
	x.findStaying()
	for _, t := range p.tables {
		if err := x.table(t); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	x.reindex()
	x.findLost()
	before := x.makeRoom()
	return before, x.collisions()
}

// Lost are the indexes and triggers of the database that go with chosen tables and
// that the backup does not have. It is known after Into.
func (p *Plan) Lost() []backup.Object { return p.lost }

func (x *exchange) findLost() {
	x.plan.lost = nil
	made := x.plan.schema()
	for _, o := range x.live {
		ofChosen := o.SQL != "" && (o.Type == "index" || o.Type == "trigger") && x.isThere(createdBy([]byte(o.SQL)).on)
		again := func(other Object) bool { return other.Type == o.Type && fold(other.Name) == fold(o.Name) }
		if ofChosen && !slices.ContainsFunc(made, again) {
			x.plan.lost = append(x.plan.lost, backup.Object{Type: o.Type, Name: o.Name})
		}
	}
}

func (p *Plan) isChosen(name string) bool { return holds(p.chosen, name) }

// exchange is one run of Into.
type exchange struct {
	plan  *Plan
	live  []Object
	there map[string]Object // chosen tables, by folded name
	taken map[string]bool   // folded names of all that is there
	gone  map[string]bool   // types and folded names of what makes room
	stays map[string]bool   // chosen tables that are not dropped, by folded name
	kept  int

	inPieces bool
}

func unsafe(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrUnsafe)
}

// table decides how a table gets in.
func (x *exchange) table(t *table) error {
	t.kept = nil
	if len(t.creates) == 0 {
		return nil
	}
	mine := shapeOf(t.creates[0])
	for _, key := range mine.keys {
		if !x.plan.isChosen(key.parent) && !x.taken[fold(key.parent)] {
			return unsafe("its foreign keys point at %s, which is neither chosen nor in the database", key.parent)
		}
	}
	old, there := x.there[fold(t.name)]
	if !there {
		return nil
	}
	children := x.children(t.name)
	for _, c := range children {
		if err := c.fits(mine); err != nil {
			return err
		}
	}
	if !x.stays[fold(t.name)] {
		return nil
	}
	if err := canKeep(mine, []byte(old.SQL), t, children); err != nil {
		return fmt.Errorf("%s, and the rows cannot be exchanged in place: %w", whyStays(children), err)
	}
	t.kept = x.keep(mine, old.Name, children)
	return nil
}

// findStaying finds the chosen tables that are not dropped. One leads to the next:
// what a DROP deletes in a table that stays may go on from there.
func (x *exchange) findStaying() {
	for again := true; again; {
		again = false
		for name := range x.there {
			if !x.stays[name] && x.mustStay(name) {
				x.stays[name], again = true, true
			}
		}
	}
}

func (x *exchange) mustStay(name string) bool {
	children, t := x.children(name), x.plan.byName[name]
	if slices.ContainsFunc(children, child.loses) {
		return true
	}
	return x.inPieces && len(children) > 0 && t != nil && len(t.creates) > 0 &&
		canKeep(shapeOf(t.creates[0]), []byte(x.there[name].SQL), t, children) == nil
}

// whyStays says why a table cannot be dropped.
func whyStays(children []child) string {
	if i := slices.IndexFunc(children, child.loses); i >= 0 {
		return fmt.Sprintf("%s points at it with ON DELETE %s, by which a DROP would take its rows", children[i].table, children[i].key.onDelete)
	}
	return children[0].table + " points at it and may not be without its rows between two imports"
}

// child is a foreign key of another table that stays.
type child struct {
	table string
	key   foreignKey
	// chosen says that its rows are exchanged, too.
	chosen bool
}

func (c child) loses() bool { return c.key.loses() }

// children are the foreign keys of other tables that stay, which point at one.
func (x *exchange) children(parent string) []child {
	var children []child
	for _, o := range x.live {
		chosen := x.plan.isChosen(o.Name)
		if o.Type != "table" || chosen && !x.stays[fold(o.Name)] || fold(o.Name) == fold(parent) || isVirtual([]byte(o.SQL)) {
			continue
		}
		for _, key := range shapeOf([]byte(o.SQL)).keys {
			if fold(key.parent) == fold(parent) {
				children = append(children, child{o.Name, key, chosen})
			}
		}
	}
	return children
}

// fits says whether the table of the backup has the columns that the key points
// at.
func (c child) fits(parent shape) error {
	target := c.key.target(parent)
	missing := len(target) != len(c.key.columns)
	for _, name := range target {
		missing = missing || !slices.ContainsFunc(parent.columns, func(own column) bool { return fold(own.name) == fold(name) })
	}
	if missing {
		return unsafe("the foreign key of %s needs the columns %s, which the table of the backup does not have", c.table, strings.Join(c.key.parentColumns, ", "))
	}
	return nil
}

// canKeep says why the rows of a table cannot be exchanged in place.
func canKeep(mine shape, old []byte, t *table, children []child) error {
	onConflict := slices.ContainsFunc(createdBy(old).rest, func(token dump.Token) bool { return token.Is("CONFLICT") })
	switch {
	case len(t.creates) != 1 || !sameDefinition(t.creates[0], old):
		return unsafe("the table was made in another way than that of the backup")
	case len(mine.primary) == 0:
		return unsafe("it has no primary key")
	case mine.collated:
		return unsafe("its primary key has a collation")
	case onConflict:
		return unsafe("it has an ON CONFLICT clause, which may delete rows")
	}
	for _, c := range children {
		if !sameNames(c.key.target(mine), mine.primary) {
			return unsafe("the foreign key of %s points at something else than its primary key", c.table)
		}
	}
	for _, key := range mine.keys {
		if fold(key.parent) == fold(t.name) && key.loses() && !sameNames(key.target(mine), mine.primary) {
			return unsafe("a foreign key of its own points at something else than its primary key")
		}
	}
	return nil
}

func (x *exchange) keep(mine shape, name string, children []child) *kept {
	x.kept++
	stage := x.plan.FreeName("_patina_rows_" + strconv.Itoa(x.kept))
	guard := x.plan.FreeName("_patina_guard_" + strconv.Itoa(x.kept))
	x.plan.taken[stage], x.plan.taken[guard] = true, true
	return &kept{name: name, stage: stage, guard: guard, shape: mine, children: children}
}

// makeRoom takes away what the chosen tables take the place of.
func (x *exchange) makeRoom() []string {
	var dropped []Object
	var indexes []string
	for _, o := range x.live {
		on := createdBy([]byte(o.SQL)).on
		t := x.plan.byName[fold(o.Name)]
		switch {
		case o.SQL == "":
		case o.Type == "table" && x.plan.isChosen(o.Name):
			x.gone["table "+fold(o.Name)] = true
			if t == nil || t.kept == nil {
				dropped = append(dropped, o)
			}
		case o.Type == "trigger" && x.plan.isChosen(on) && x.isThere(on):
			x.gone["trigger "+fold(o.Name)] = true
			dropped = append(dropped, o)
		case o.Type == "index" && x.plan.isChosen(on):
			x.gone["index "+fold(o.Name)] = true
			if t := x.plan.byName[fold(on)]; t != nil && t.kept != nil {
				indexes = append(indexes, "DROP INDEX "+dump.QuoteName(o.Name)+";")
			}
		}
	}
	return append(Drop(dropped), indexes...)
}

// isThere says whether the database has a chosen table of that name.
func (x *exchange) isThere(name string) bool {
	_, there := x.there[fold(name)]
	return there
}

// collisions refuses what the database has under the same name and keeps.
func (x *exchange) collisions() error {
	for _, o := range x.plan.schema() {
		for _, other := range x.live {
			same := fold(o.Name) == fold(other.Name) && (o.Type == "trigger") == (other.Type == "trigger")
			if same && !x.gone[other.Type+" "+fold(other.Name)] {
				return unsafe("the %s %s of the backup meets one (%s) that belongs to something else", o.Type, o.Name, other.Type)
			}
		}
	}
	return nil
}

// kept is a table that stays and whose rows are exchanged in place: those of the
// backup come by way of a staging table.
type kept struct {
	name, stage, guard string
	shape              shape
	children           []child
}

// create makes the staging table. Its columns have no types: a value comes
// through as it is written.
func (k *kept) create() []byte {
	return []byte("CREATE TABLE " + dump.QuoteName(k.stage) + " (" + quoted("", k.shape.plainColumns()) + ");")
}

// head is the head of an INSERT, into the staging table where there is one.
func (k *kept) head(text []byte) []byte {
	if k == nil {
		return text
	}
	columns := k.shape.plainColumns()
	into := createdBy(append([]byte("CREATE TABLE "), afterInto(text)...))
	if names := namesIn(into.rest); len(names) > 0 {
		columns = names
	}
	return []byte("INSERT INTO " + dump.QuoteName(k.stage) + " (" + quoted("", columns) + ") VALUES")
}

// afterInto is what is behind INTO.
func afterInto(text []byte) []byte {
	var rest []byte
	found := false
	for token := range dump.Tokens(text) {
		if found {
			rest = append(append(rest, token.Text...), ' ')
		}
		found = found || token.Is("INTO")
	}
	return rest
}

// exchange takes the rows of the staging table into the table. Rows that are in
// both stay and are changed, so that no ON DELETE sees them; those that are not
// in the backup go, once it is sure that no row of another table points at them.
func (k *kept) exchange() [][]byte {
	var statements [][]byte
	add := func(text string) { statements = append(statements, []byte(text)) }
	for _, c := range k.children {
		if c.chosen {
			continue
		}
		for _, text := range k.watch(c) {
			add(text)
		}
	}
	add("DELETE FROM " + dump.QuoteName(k.name) + " WHERE " + eachOf("", k.shape.primary, " IS NULL", " OR ") + ";")
	if !k.removesLast() {
		statements = append(statements, k.remove()) // first, for a value that is unique may be on another row now
	}
	add(k.upsert())
	if !k.removesLast() {
		statements = append(statements, k.unstage())
	}
	return statements
}

// last is what is left to do once the rows of all tables were exchanged.
func (k *kept) last() [][]byte {
	if !k.removesLast() {
		return nil
	}
	return [][]byte{k.remove(), k.unstage()}
}

// removesLast says that a row that stays, of the table itself or of a chosen one,
// may point at one that goes until it is changed, and ON DELETE would take it along.
func (k *kept) removesLast() bool {
	return k.pointsAtItself() || slices.ContainsFunc(k.children, func(c child) bool { return c.chosen && c.loses() })
}

func (k *kept) pointsAtItself() bool {
	return slices.ContainsFunc(k.shape.keys, func(key foreignKey) bool { return fold(key.parent) == fold(k.name) })
}

// remove takes the rows away that are not in the backup, but none at which a row of
// another table points since that was looked for.
func (k *kept) remove() []byte {
	text := "DELETE FROM " + dump.QuoteName(k.name) + " WHERE " + eachOf("", k.shape.primary, " IS NOT NULL", " AND ") + " AND " + k.notStaged("")
	for _, c := range k.children {
		if !c.chosen {
			text += " AND NOT EXISTS (SELECT 1 FROM " + dump.QuoteName(c.table) + " AS c WHERE " + k.pointing(c, dump.QuoteName(k.name)+".") + ")"
		}
	}
	return []byte(text + ";")
}

// pointing says that a row of another table points at one of this.
func (k *kept) pointing(c child, prefix string) string {
	var same []string
	for i, target := range c.key.target(k.shape) {
		same = append(same, prefix+dump.QuoteName(target)+"=c."+dump.QuoteName(c.key.columns[i]))
	}
	return strings.Join(same, " AND ")
}

func (k *kept) unstage() []byte { return []byte("DROP TABLE " + dump.QuoteName(k.stage) + ";") }

// watch ends the import where a row of another table points at one that goes.
func (k *kept) watch(c child) []string {
	says := fmt.Sprintf("%srows of %s point at rows of %s that the backup does not have", GuardSays, c.table, k.name)
	guard := dump.QuoteName(k.guard)
	return []string{
		"CREATE TABLE " + guard + " (n, CONSTRAINT " + dump.QuoteName(says) + " CHECK(n=0));",
		"INSERT INTO " + guard + " SELECT count(*) FROM " + dump.QuoteName(c.table) + " AS c, " + dump.QuoteName(k.name) + " AS t WHERE " +
			k.pointing(c, "t.") + " AND " + k.notStaged("t.") + ";",
		"DROP TABLE " + guard + ";",
	}
}

// notStaged says that a row of the table is not in the staging table.
func (k *kept) notStaged(prefix string) string {
	primary := k.shape.primary
	return "(" + quoted(prefix, primary) + ") NOT IN (SELECT " + quoted("", primary) + " FROM " + dump.QuoteName(k.stage) +
		" WHERE " + eachOf("", primary, " IS NOT NULL", " AND ") + ")"
}

// upsert takes the rows in, and changes those that are there.
func (k *kept) upsert() string {
	columns := k.shape.plainColumns()
	var set []string
	for _, name := range columns {
		if !holds(k.shape.primary, name) {
			set = append(set, dump.QuoteName(name)+"=excluded."+dump.QuoteName(name))
		}
	}
	do := "NOTHING"
	if len(set) > 0 {
		do = "UPDATE SET " + strings.Join(set, ",")
	}
	list := quoted("", columns)
	return "INSERT INTO " + dump.QuoteName(k.name) + " (" + list + ") SELECT " + list + " FROM " + dump.QuoteName(k.stage) +
		" WHERE true ON CONFLICT (" + quoted("", k.shape.primary) + ") DO " + do + ";"
}

// quoted are names as a list in SQL.
func quoted(prefix string, names []string) string { return eachOf(prefix, names, "", ",") }

// eachOf says something of each column, joined.
func eachOf(prefix string, names []string, says, joined string) string {
	each := make([]string, len(names))
	for i, name := range names {
		each[i] = prefix + dump.QuoteName(name) + says
	}
	return strings.Join(each, joined)
}
