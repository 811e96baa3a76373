package config

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
)

// Priority says how early a database is backed up.
type Priority string

// The priorities, the first one first.
const (
	PriorityCritical Priority = "critical"
	PriorityHigh     Priority = "high"
	PriorityNormal   Priority = "normal"
	PriorityLow      Priority = "low"
)

// Priorities returns every priority, the most urgent first.
func Priorities() []Priority {
	return []Priority{PriorityCritical, PriorityHigh, PriorityNormal, PriorityLow}
}

// parsePriority reads a priority; an empty text is PriorityNormal.
func parsePriority(s string) (Priority, error) {
	if s == "" {
		return PriorityNormal, nil
	}
	if p := Priority(s); slices.Contains(Priorities(), p) {
		return p, nil
	}
	return "", fmt.Errorf("priority %q: want critical, high, normal or low", s)
}

// Entry is one entry of the list of databases.
type Entry struct {
	// Name is the name of a database, or a glob in the sense of path.Match:
	// "*" is any run of characters but "/", "?" any one, "[a-z]" one of a set.
	Name     string
	Priority Priority
	glob     bool
	at       origin
}

// IsGlob says whether the entry is a glob and not the name of one database.
func (e Entry) IsGlob() bool { return e.glob }

// Match says whether the entry means a database.
func (e Entry) Match(name string) bool {
	if !e.glob {
		return e.Name == name
	}
	ok, err := path.Match(e.Name, name)
	return ok && err == nil
}

// Databases are those to back up: what Entries mean, less what the globs of
// Exclude match.
type Databases struct {
	// Entries are in the order of the list.
	Entries []Entry
	Exclude []string
	// excludedAt are the places of Exclude, index by index.
	excludedAt []origin
}

// Pick is one database to back up.
type Pick struct {
	Name     string
	Priority Priority
}

// Excluded says whether a glob of Exclude matches a name.
func (d Databases) Excluded(name string) bool { return d.excludedBy(name) >= 0 }

func (d Databases) excludedBy(name string) int {
	return slices.IndexFunc(d.Exclude, func(glob string) bool {
		ok, err := path.Match(glob, name)
		return ok && err == nil
	})
}

// Select chooses from the names of all databases. The picked ones come by
// priority, then in the order of the list, those of one glob by name. Where
// several entries match a name, the entry that is that very name decides on
// its priority, else the first of the list. The unmatched are the patterns, in
// the order of the list, that match no name once exclusions are taken off.
func (d Databases) Select(names []string) (picked []Pick, unmatched []string) {
	type ranked struct {
		Pick
		entry int
	}
	var found []ranked
	matched := make([]bool, len(d.Entries))
	for _, name := range names {
		if d.Excluded(name) {
			continue
		}
		best := -1
		for i, e := range d.Entries {
			if !e.Match(name) {
				continue
			}
			matched[i] = true
			if best < 0 || !e.glob {
				best = i
			}
		}
		if best >= 0 {
			found = append(found, ranked{Pick{name, d.Entries[best].Priority}, best})
		}
	}
	slices.SortFunc(found, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.Priority.rank(), b.Priority.rank()), cmp.Compare(a.entry, b.entry), cmp.Compare(a.Name, b.Name))
	})
	for _, f := range found {
		picked = append(picked, f.Pick)
	}
	for i, e := range d.Entries {
		if !matched[i] {
			unmatched = append(unmatched, e.Name)
		}
	}
	return picked, unmatched
}

// SelectNames is Select without the priorities, which the order tells too.
func (d Databases) SelectNames(names []string) (picked, unmatched []string) {
	picks, unmatched := d.Select(names)
	for _, pick := range picks {
		picked = append(picked, pick.Name)
	}
	return picked, unmatched
}

// rank orders priorities, the most urgent first.
func (p Priority) rank() int { return slices.Index(Priorities(), p) }

// setDatabases parses the list under "databases".
func setDatabases(c *Config, g *given) error {
	var wrong problems
	first := map[string]origin{}
	for _, it := range g.items {
		priority, err := parsePriority(it.priority)
		if err == nil {
			err = checkPattern(it.pattern)
		}
		if err == nil {
			if at, twice := first[it.pattern]; twice {
				err = fmt.Errorf("%q is listed twice, first at %s", it.pattern, at)
			}
		}
		if err != nil {
			wrong = append(wrong, problem{at: it.at, key: "databases", text: err.Error()})
			continue
		}
		first[it.pattern] = it.at
		c.Databases.Entries = append(c.Databases.Entries, Entry{
			Name: it.pattern, Priority: priority, glob: it.glob || isGlob(it.pattern), at: it.at,
		})
	}
	return wrong.orNil()
}

// setExclude parses the list under "exclude".
func setExclude(c *Config, g *given) error {
	var wrong problems
	for _, it := range g.items {
		err := checkPattern(it.pattern)
		if err == nil && slices.Contains(c.Databases.Exclude, it.pattern) {
			err = fmt.Errorf("%q is listed twice", it.pattern)
		}
		if err != nil {
			wrong = append(wrong, problem{at: it.at, key: "exclude", text: err.Error()})
			continue
		}
		c.Databases.Exclude = append(c.Databases.Exclude, it.pattern)
		c.Databases.excludedAt = append(c.Databases.excludedAt, it.at)
	}
	return wrong.orNil()
}

// contradictions are the names that are listed and excluded at once. Whoever
// names a database means it, and whoever excludes it means that too; dropping
// it silently would cost a backup.
func (d Databases) contradictions() problems {
	var wrong problems
	for _, e := range d.Entries {
		if e.glob {
			continue
		}
		if i := d.excludedBy(e.Name); i >= 0 {
			wrong = append(wrong, problem{at: e.at, key: "databases", text: fmt.Sprintf(
				"%q is listed by name, and excluded by %q at %s", e.Name, d.Exclude[i], d.excludedAt[i])})
		}
	}
	return wrong
}

func isGlob(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// checkPattern refuses what can match no database.
func checkPattern(pattern string) error {
	if pattern == "" {
		return errors.New("an entry is empty")
	}
	if strings.ContainsFunc(pattern, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '/' }) {
		return fmt.Errorf("%q: the name of a database holds no space, slash or control character", pattern)
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("%q: bad glob: a \"[\" is not closed, or a \"\\\" stands at the end", pattern)
	}
	return nil
}
