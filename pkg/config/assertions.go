package config

import (
	"errors"
	"fmt"
	"strings"
)

// Check is an assertion that must hold of some databases once they are loaded.
type Check struct {
	// Entry says of which; it has no priority.
	Entry Entry
	// Query is a SELECT with one value, which must be a number other than zero.
	Query string
}

// Checks are in the order of the list.
type Checks []Check

// Of are the queries for a database.
func (c Checks) Of(database string) []string {
	var queries []string
	for _, check := range c {
		if check.Entry.Match(database) {
			queries = append(queries, check.Query)
		}
	}
	return queries
}

const checksKey = "checks"

// setChecks parses the list under "checks". A text is a check of every database.
func setChecks(c *Config, g *given) error {
	var wrong problems
	for _, it := range g.items {
		check, err := parseCheck(it)
		if err != nil {
			wrong = append(wrong, problem{at: it.at, key: checksKey, text: err.Error()})
			continue
		}
		c.Checks = append(c.Checks, check)
	}
	return wrong.orNil()
}

func parseCheck(it item) (Check, error) {
	check := Check{Entry: Entry{Name: "*", glob: true, at: it.at}, Query: it.pattern}
	if it.fields != nil {
		if err := checkPattern(it.pattern); err != nil {
			return Check{}, err
		}
		check.Entry.Name, check.Entry.glob = it.pattern, it.glob || isGlob(it.pattern)
		check.Query = it.fields["query"]
	}
	if check.Query == "" {
		return Check{}, errors.New("an entry has no query: want such as { name: " + it.pattern + `, query: "SELECT count(*) > 0 FROM users" }`)
	}
	word, _, _ := strings.Cut(strings.TrimSpace(check.Query), " ")
	if !strings.EqualFold(word, "SELECT") && !strings.EqualFold(word, "WITH") {
		return Check{}, fmt.Errorf("%q: want a SELECT with one value", check.Query)
	}
	return check, nil
}

// shownCheck is a check as it is printed.
func shownCheck(it item) string {
	if it.fields == nil {
		return it.pattern
	}
	return it.pattern + ": " + it.fields["query"]
}
