package config

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/secret"
)

// Config is the checked configuration.
type Config struct {
	// File is the file that was read; empty where there was none.
	File string

	Cloudflare Cloudflare
	Databases  Databases
	Store      Store
	Catalog    Catalog
	Backup     Backup
	Schedule   Schedule
	Retention  Retention
	Checks     Checks

	// merged is what every value was parsed from.
	merged    layer
	lookupEnv func(string) (string, bool)
	workDir   string
}

// Backup says how dumps are taken.
type Backup struct {
	// Concurrency is how many databases are exported at once.
	Concurrency int
	// ExportTimeout bounds silence; Deadline bounds one database, and one call of
	// D1 where nothing else does.
	ExportTimeout, Deadline time.Duration
	Compression             seal.Compression
	Verify                  backup.Proving
	// Recipients are the public keys that dumps are encrypted to; zero where
	// they are not encrypted.
	Recipients seal.Recipients

	identity lazySecret
}

// Schedule holds cron expressions of five fields, in UTC.
type Schedule struct {
	Nightly, Weekly string
}

// LoadRequest is what Load works from: all that it knows of the process.
type LoadRequest struct {
	// Path is the file of --config; empty to look for one.
	Path string
	// Flags are the values of flags that were set, by dotted key; that of a
	// list is separated by commas.
	Flags map[string]string
	// LookupEnv reads a variable of the environment.
	LookupEnv func(name string) (string, bool)
	// Environ lists the environment as os.Environ does, to find PATINA_
	// names that nobody knows; nil skips that search.
	Environ func() []string
	// WorkDir is what relative paths start from; empty is the process's own.
	WorkDir string
	// HomeDir is the user's; may be empty.
	HomeDir string
}

// Load finds, merges and checks the configuration. Everything that is wrong
// with it is in the one error, of kind fault.Usage, a line each. What a
// command may do without is allowed to be missing: accessors such as
// Cloudflare.Token tell it when it is asked for.
func Load(req LoadRequest) (*Config, error) {
	path, content, err := find(req)
	if err != nil {
		return nil, err
	}
	file, wrong := decode(path, content)
	environment, more := fromEnv(req)
	wrong = append(wrong, more...)
	flags, more := flagLayer(req.Flags)
	wrong = append(wrong, more...)

	c := &Config{File: path, lookupEnv: req.LookupEnv, workDir: req.WorkDir}
	wrong = append(wrong, c.apply(defaultLayer(req), file, environment, flags)...)
	wrong = append(wrong, c.Databases.contradictions()...)
	wrong = append(wrong, c.Store.contradictions(c.merged)...)
	if len(wrong) == 0 { // a number that is wrong is no zero
		wrong = c.Retention.contradictions(c.merged)
	}
	if len(wrong) > 0 {
		return nil, wrong.fault()
	}
	return c, nil
}

// apply merges the layers into the configuration. A value that a stronger
// layer hides is parsed too, so that it does not lie in wait.
func (c *Config) apply(defaults, file, environment, flags layer) problems {
	c.merged = merge(defaults, file, environment, flags)
	hidden := &Config{lookupEnv: c.lookupEnv, workDir: c.workDir}
	var wrong problems
	for _, l := range []layer{defaults, file, environment, flags} {
		for _, d := range definitions() {
			g := l[d.key]
			if g == nil {
				continue
			}
			target := hidden
			if c.merged[d.key] == g {
				target = c
			}
			wrong = append(wrong, located(d.key, g.at, d.set(target, g))...)
		}
	}
	return wrong
}

// defaultLayer is the defaults of the table, and those that depend on the
// process.
func defaultLayer(req LoadRequest) layer {
	defaults := layer{}
	for _, d := range definitions() {
		text := d.fallback
		if d.key == "catalog.url" {
			text = defaultCatalog(req)
		}
		if text != "" {
			defaults[d.key] = &given{at: origin{source: fromDefault}, text: secret.New(text)}
		}
	}
	return defaults
}

// flagLayer is the values of flags. A flag is named after the last part of its
// key: --export-timeout for backup.export_timeout.
func flagLayer(flags map[string]string) (layer, problems) {
	values := layer{}
	var wrong problems
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		name := strings.ReplaceAll(key[strings.LastIndex(key, ".")+1:], "_", "-")
		at := origin{source: fromFlag, name: "--" + name}
		d, known := definitionOf(key)
		if !known {
			wrong = append(wrong, problem{at: at, text: "there is no configuration key " + key})
			continue
		}
		values[key] = plain(d, flags[key], at)
	}
	return values, wrong
}

// plain is a value given as one text: a list is separated by commas.
func plain(d definition, text string, at origin) *given {
	g := &given{at: at, text: secret.New(text)}
	if d.shape == scalar {
		return g
	}
	if d.shape == assertions { // commas are SQL's
		g.items = []item{{at: at, pattern: strings.TrimSpace(text)}}
		return g
	}
	for entry := range strings.SplitSeq(text, ",") {
		g.items = append(g.items, item{at: at, pattern: strings.TrimSpace(entry)})
	}
	return g
}

// definitionOf finds a key in the table.
func definitionOf(key string) (definition, bool) {
	for _, d := range definitions() {
		if d.key == key {
			return d, true
		}
	}
	return definition{}, false
}

// gives says whether a layer has a text for a scalar key that is not empty.
func (l layer) gives(key string) bool { return l[key] != nil && !l[key].text.IsZero() }

// contradictions are credentials of which a half is missing.
func (s Store) contradictions(merged layer) problems {
	const id, key, session = "store.access_key_id", "store.secret_access_key", "store.session_token"
	var wrong problems
	for _, pair := range [][2]string{{id, key}, {key, id}, {session, id}} {
		has, lacks := pair[0], pair[1]
		if merged.gives(has) && !merged.gives(lacks) {
			wrong = append(wrong, problem{at: merged[has].at, key: has, text: "is set, but " + lacks + " is not"})
		}
	}
	return wrong
}
