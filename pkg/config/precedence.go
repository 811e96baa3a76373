package config

import (
	"fmt"

	"github.com/spf13/viper"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// source is the kind of place a value comes from.
type source string

// The sources, the weakest first.
const (
	fromDefault     source = "default"
	fromFile        source = "file"
	fromEnvironment source = "environment"
	fromFlag        source = "flag"
)

// origin is where exactly a value comes from.
type origin struct {
	source source
	// name is the file's path, the variable's name, or the flag with its
	// hyphens.
	name string
	// line is 1-based; 0 but for files.
	line int
}

// String is the origin as `config show` and errors print it, such as
// "/etc/patina/patina.yaml:12" or "environment PATINA_STORE_URL".
func (o origin) String() string {
	switch o.source {
	case fromFile:
		return fmt.Sprintf("%s:%d", o.name, o.line)
	case fromEnvironment, fromFlag:
		return string(o.source) + " " + o.name
	}
	return string(fromDefault)
}

// given is a value as somebody gave it, not yet parsed.
type given struct {
	at origin
	// text is the value of a scalar key. Any may be a secret, and fmt prints
	// plain strings of structs that it meets on its way.
	text secret.String
	// items are those of a list.
	items []item
	// verbatim says that a secret's text is the secret, whatever it begins
	// with: wrangler's variables know no "file:".
	verbatim bool
}

// item is one entry of a list.
type item struct {
	at origin
	// pattern is a name or a glob; glob says that it was written as a glob.
	pattern string
	glob    bool
	// priority is empty where none was given.
	priority string
	// fields are the rest of a mapping, by name.
	fields map[string]string
}

// layer is what one source gives, by dotted key.
type layer map[string]*given

// delimiter keeps viper from taking the dots of our keys for nesting.
const delimiter = "::"

// merge decides: for each key the strongest layer that gives it.
func merge(defaults, file, environment, flags layer) layer {
	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	for key, value := range defaults {
		v.SetDefault(key, value)
	}
	for _, weaker := range []layer{file, environment} {
		values := make(map[string]any, len(weaker))
		for key, value := range weaker {
			values[key] = value
		}
		_ = v.MergeConfigMap(values) // never fails: see viper
	}
	for key, value := range flags {
		v.Set(key, value)
	}
	merged := layer{}
	for _, key := range v.AllKeys() {
		if value, ok := v.Get(key).(*given); ok {
			merged[key] = value
		}
	}
	return merged
}
