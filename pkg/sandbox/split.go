package sandbox

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	createsTrigger = regexp.MustCompile(`(?is)^\s*create\s+(temp\s+|temporary\s+)?trigger\b`)
	endsTrigger    = regexp.MustCompile(`(?is);\s*end\s*$`)
)

// splitStatements cuts a text at the semicolons that end statements. Those in
// quotes, in comments and in the bodies of triggers do not. D1's own cutter
// differs on some triggers (section 3 of the fact sheet); those come by import.
func splitStatements(text string) []string {
	var all []string
	begin := 0
	for i := 0; i < len(text); {
		if text[i] != ';' {
			i = skipToken(text, i)
			continue
		}
		if body := text[begin:i]; !createsTrigger.MatchString(body) || endsTrigger.MatchString(body) {
			all = appendStatement(all, body)
			begin = i + 1
		}
		i++
	}
	return appendStatement(all, text[begin:])
}

func appendStatement(all []string, text string) []string {
	if blank(text) {
		return all
	}
	return append(all, strings.TrimSpace(text))
}

// blank says whether a text is nothing but space and comments.
func blank(text string) bool {
	for i := 0; i < len(text); {
		if strings.IndexByte(" \t\r\n\f", text[i]) < 0 && !strings.HasPrefix(text[i:], "--") && !strings.HasPrefix(text[i:], "/*") {
			return false
		}
		i = skipToken(text, i)
	}
	return true
}

// skipToken is the place after the quoted text, the comment or the byte at i.
func skipToken(text string, i int) int {
	until := func(end string, from int) int {
		if n := strings.Index(text[from:], end); n >= 0 {
			return from + n + len(end)
		}
		return len(text)
	}
	switch {
	case text[i] == '\'' || text[i] == '"' || text[i] == '`':
		return until(text[i:i+1], i+1)
	case text[i] == '[':
		return until("]", i+1)
	case strings.HasPrefix(text[i:], "--"):
		return until("\n", i)
	case strings.HasPrefix(text[i:], "/*"):
		return until("*/", i+2)
	}
	return i + 1
}

var (
	parameter = regexp.MustCompile(`^(\?[0-9]*|[:@$][A-Za-z0-9_]+)`)
	// word is a name, which may hold a dollar sign.
	word = regexp.MustCompile(`^[A-Za-z0-9_\x{80}-\x{10FFFF}][A-Za-z0-9_$\x{80}-\x{10FFFF}]*`)
)

// parameterCount is how many parameters a statement takes: the largest number
// of one, where ? counts on and a name counts once.
func parameterCount(text string) int {
	count := 0
	names := map[string]bool{}
	for i := 0; i < len(text); {
		found := parameter.FindString(text[i:])
		name := word.FindString(text[i:])
		switch {
		case name != "":
			i += len(name)
			continue
		case found == "":
			i = skipToken(text, i)
			continue
		case found == "?":
			count++
		case found[0] == '?':
			n, _ := strconv.Atoi(found[1:]) // SQLite refuses what is out of range
			count = max(count, n)
		case !names[found]:
			names[found] = true
			count++
		}
		i += len(found)
	}
	return count
}
