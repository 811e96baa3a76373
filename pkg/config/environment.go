package config

import (
	"slices"
	"strings"
)

// configVariable names the file to read; it is no key.
const configVariable = "PATINA_CONFIG"

// testPrefix begins the variables that steer Patina's own tests.
const testPrefix = "PATINA_TEST_"

// fromEnv is what the environment gives. The PATINA_ name of a key beats
// wrangler's. An empty variable counts as not set.
func fromEnv(req LoadRequest) (layer, problems) {
	values := layer{}
	known := []string{configVariable}
	for _, d := range definitions() {
		known = append(known, d.env())
		for _, name := range []string{d.env(), d.alias} {
			text, _ := req.LookupEnv(name)
			if name == "" || text == "" {
				continue
			}
			values[d.key] = plain(d, text, origin{source: fromEnvironment, name: name})
			values[d.key].verbatim = name == d.alias
			break
		}
	}
	return values, unknownVariables(req, known)
}

// unknownVariables are the PATINA_ variables that no key has: most likely
// misspelt, so that what they were to set is not set.
func unknownVariables(req LoadRequest, known []string) problems {
	if req.Environ == nil {
		return nil
	}
	var wrong problems
	for _, entry := range slices.Sorted(slices.Values(req.Environ())) {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, testPrefix) || slices.Contains(known, name) {
			continue
		}
		wrong = append(wrong, problem{
			at:   origin{source: fromEnvironment, name: name},
			text: "there is no setting of this name" + didYouMean(name, known),
		})
	}
	return wrong
}
