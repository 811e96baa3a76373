package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/engine"
)

// importableCell says whether plain wrangler would load a dump, and if not, by
// which kinds of obstacles.
func importableCell(i *engine.Importability) string {
	switch {
	case i == nil:
		return "unknown"
	case len(i.Obstacles) == 0:
		return "yes"
	}
	var codes []string
	for _, o := range i.Obstacles {
		if !slices.Contains(codes, o.Code) {
			codes = append(codes, o.Code)
		}
	}
	return "no: " + strings.Join(codes, ", ")
}

// printObstacles says in words why plain wrangler would not load a dump.
func printObstacles(w io.Writer, v engine.Verified) {
	if v.Import == nil {
		return
	}
	for _, o := range v.Import.Obstacles {
		fmt.Fprintf(w, "- %s: wrangler would not load it as it is: %s (%d times, first at byte %d)\n", v.Key, o, o.Count, o.FirstOffset)
	}
}

// importableJSON is left out where it is not known.
type importableJSON struct {
	Importable *bool          `json:"importable,omitempty"`
	Obstacles  []obstacleJSON `json:"obstacles,omitzero"`
}

type obstacleJSON struct {
	plan.Obstacle
	Text string `json:"text"`
}

func importableDocument(i *engine.Importability) importableJSON {
	if i == nil {
		return importableJSON{}
	}
	loads := len(i.Obstacles) == 0
	doc := importableJSON{Importable: &loads, Obstacles: []obstacleJSON{}}
	for _, o := range i.Obstacles {
		doc.Obstacles = append(doc.Obstacles, obstacleJSON{o, o.String()})
	}
	return doc
}
