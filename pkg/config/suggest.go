package config

import (
	"fmt"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/spell"
)

// maxShown bounds how much of an unknown name is repeated.
const maxShown = 40

// shown is an unknown name as an error may repeat it. What follows a colon is
// left out: "api_token:abc", with its space forgotten, is a secret.
func shown(name string) string {
	name, _, colon := strings.Cut(name, ":")
	if len(name) > maxShown {
		name, colon = strings.ToValidUTF8(name[:maxShown], ""), true
	}
	if colon {
		name += "..."
	}
	return fmt.Sprintf("%q", name)
}

// didYouMean is ": did you mean X?" for the known name closest to a wrong one,
// and empty where none is close.
func didYouMean(wrong string, known []string) string {
	best, distance := "", max(2, len(wrong)/3)+1
	for _, candidate := range known {
		if d := spell.Distance(strings.ToLower(wrong), strings.ToLower(candidate), distance); d < distance {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + best + "?"
}
