package config

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/fault"
)

// problem is one thing wrong with what was given.
type problem struct {
	at origin
	// key is empty where the trouble is not with one key.
	key  string
	text string
}

// Error is the problem on one line: where, which key, what.
func (p problem) Error() string {
	if p.key == "" {
		return p.at.String() + ": " + p.text
	}
	return p.at.String() + ": " + p.key + ": " + p.text
}

// problems are several, each with its own place.
type problems []problem

// Error is one line for each.
func (ps problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// located gives an error of a parser the place of the value, unless the parser
// knew better.
func located(key string, at origin, err error) problems {
	var own problems
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	}
	return problems{{at: at, key: key, text: err.Error()}}
}

// fault is the one error of all problems: the file's by line first, then the
// environment's, then the flags'. It is nil if there are none.
func (ps problems) fault() error {
	slices.SortStableFunc(ps, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.at.source.rank(), b.at.source.rank()), cmp.Compare(a.at.line, b.at.line))
	})
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return fault.Wrap(fault.Usage, "", errors.Join(errs...))
}

// rank orders sources from the weakest.
func (s source) rank() int {
	return slices.Index([]source{fromDefault, fromFile, fromEnvironment, fromFlag}, s)
}

// orNil keeps an empty list from becoming an error that is not nil.
func (ps problems) orNil() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
