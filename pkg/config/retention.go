package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/retention"
)

// Retention says how much is kept, and of which databases more or less.
type Retention struct {
	// Policy is that of every database that no override means.
	retention.Policy
	// Overrides are in the order of the list; the first that means a database
	// counts.
	Overrides []Override
}

// Override is what is kept of some databases. What it does not name is as for all.
type Override struct {
	// Entry says which; it has no priority.
	Entry Entry
	// Numbers are those that it names, by the last part of the key.
	Numbers map[string]int
}

// Of is how much is kept of a database.
func (r Retention) Of(database string) retention.Policy {
	for _, o := range r.Overrides {
		if o.Entry.Match(database) {
			return r.with(o)
		}
	}
	return r.Policy
}

// with is what an override makes of what is kept of all.
func (r Retention) with(o Override) retention.Policy {
	kept := r.Policy
	for _, k := range keptKeys() {
		if n, named := o.Numbers[k.name]; named {
			*k.field(&kept) = n
		}
	}
	return kept
}

// keptKey is one number of what is kept.
type keptKey struct {
	name, fallback string
	least          int
	field          func(*retention.Policy) *int
}

func keptKeys() []keptKey {
	return []keptKey{
		{"daily", "7", 0, func(p *retention.Policy) *int { return &p.Daily }},
		{"weekly", "12", 0, func(p *retention.Policy) *int { return &p.Weekly }},
		{"monthly", "0", 0, func(p *retention.Policy) *int { return &p.Monthly }},
		{"yearly", "0", 0, func(p *retention.Policy) *int { return &p.Yearly }},
		{"keep_at_least", "1", 1, func(p *retention.Policy) *int { return &p.KeepAtLeast }},
	}
}

const overridesKey = "retention.overrides"

func retentionKeys() []definition {
	var keys []definition
	for _, k := range keptKeys() {
		keys = append(keys, definition{
			key: "retention." + k.name, shape: scalar, fallback: k.fallback,
			set: value(number(k.least, maxKept), func(c *Config) *int { return k.field(&c.Retention.Policy) }),
		})
	}
	return append(keys, definition{key: overridesKey, shape: policies, set: setOverrides})
}

// setOverrides parses the list under "retention.overrides".
func setOverrides(c *Config, g *given) error {
	var wrong problems
	first := map[string]origin{}
	for _, it := range g.items {
		o, err := parseOverride(it)
		if at, twice := first[it.pattern]; err == nil && twice {
			err = fmt.Errorf("%q is listed twice, first at %s", it.pattern, at)
		}
		if err != nil {
			wrong = append(wrong, problem{at: it.at, key: overridesKey, text: err.Error()})
			continue
		}
		first[it.pattern] = it.at
		c.Retention.Overrides = append(c.Retention.Overrides, o)
	}
	return wrong.orNil()
}

func parseOverride(it item) (Override, error) {
	if err := checkPattern(it.pattern); err != nil {
		return Override{}, err
	}
	o := Override{Entry: Entry{Name: it.pattern, glob: it.glob || isGlob(it.pattern), at: it.at}, Numbers: map[string]int{}}
	for _, k := range keptKeys() {
		text, named := it.fields[k.name]
		if !named {
			continue
		}
		n, err := number(k.least, maxKept)(text)
		if err != nil {
			return Override{}, fmt.Errorf("%s: %w", k.name, err)
		}
		o.Numbers[k.name] = n
	}
	if len(o.Numbers) == 0 {
		return Override{}, errors.New("an entry says nothing of what is kept: it is set in a file, as a mapping such as { name: " + it.pattern + ", weekly: 4 }")
	}
	return o, nil
}

// contradictions are policies that would keep nothing.
func (r Retention) contradictions(merged layer) problems {
	const text = "would keep nothing: of daily, weekly, monthly and yearly one at least must be above 0"
	var wrong problems
	if r.KeepsNothing() {
		at := origin{source: fromDefault}
		if g := merged["retention.daily"]; g != nil {
			at = g.at
		}
		wrong = append(wrong, problem{at: at, key: "retention", text: text})
	}
	for _, o := range r.Overrides {
		if r.with(o).KeepsNothing() {
			wrong = append(wrong, problem{at: o.Entry.at, key: overridesKey, text: fmt.Sprintf("%q %s", o.Entry.Name, text)})
		}
	}
	return wrong
}

// costs says of each override that keeps archives longer than the rest what that
// takes: an archive is one file, and stays while any backup in it is wanted.
func (r Retention) costs(tell func(at origin, text string)) {
	for _, o := range r.Overrides {
		kept := r.with(o)
		var longer []string
		for _, k := range keptKeys()[1:4] {
			if n := *k.field(&kept); n > *k.field(&r.Policy) {
				longer = append(longer, fmt.Sprintf("%s: %d", k.name, n))
			}
		}
		if len(longer) > 0 {
			tell(o.Entry.at, fmt.Sprintf("%q is kept longer than the rest (%s), and an archive is one file: what it holds of all other databases stays with it",
				o.Entry.Name, strings.Join(longer, ", ")))
		}
	}
}

// shownOverride is an override as it may be printed.
func shownOverride(it item) string {
	var numbers []string
	for _, name := range slices.Sorted(maps.Keys(it.fields)) {
		numbers = append(numbers, name+": "+it.fields[name])
	}
	return fmt.Sprintf("%s (%s)", it.pattern, strings.Join(numbers, ", "))
}

// overrideFields are the keys of an override beside its name.
func overrideFields() []string {
	var names []string
	for _, k := range keptKeys() {
		names = append(names, k.name)
	}
	return names
}
