package config

import (
	"fmt"
)

// Setting is one value that is in force.
type Setting struct {
	// Key is dotted; an entry of a list has its index: "databases[0]".
	Key string `json:"key"`
	// Value never shows a secret: a literal is "[redacted]", a place such as
	// "env:NAME" is shown. It is empty where nothing is set.
	Value string `json:"value"`
	// Origin is "default", "FILE:LINE", "environment NAME" or "flag --NAME".
	Origin string `json:"origin"`
}

// Effective returns every key with the value in force, in the order of the
// example file.
func (c *Config) Effective() []Setting {
	var settings []Setting
	for _, d := range definitions() {
		g := c.merged[d.key]
		switch {
		case g == nil:
			settings = append(settings, Setting{Key: d.key, Origin: string(fromDefault)})
		case d.shape != scalar && len(g.items) > 0:
			settings = append(settings, c.list(d, g)...)
		case d.show != nil:
			settings = append(settings, Setting{d.key, d.show(g), g.at.String()})
		default:
			settings = append(settings, Setting{d.key, g.text.Reveal(), g.at.String()})
		}
	}
	return settings
}

func (c *Config) list(d definition, g *given) []Setting {
	settings := make([]Setting, len(g.items))
	for i, it := range g.items {
		shown := it.pattern
		if d.shape == entries {
			shown += fmt.Sprintf(" (%s)", c.Databases.Entries[i].Priority)
		}
		if d.shape == policies {
			shown = shownOverride(it)
		}
		if d.shape == assertions {
			shown = shownCheck(it)
		}
		settings[i] = Setting{fmt.Sprintf("%s[%d]", d.key, i), shown, it.at.String()}
	}
	return settings
}
