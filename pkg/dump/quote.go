package dump

import "strings"

// QuoteName is a name as SQL, whatever it holds.
func QuoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// FoldName is a name as SQLite compares it: without the case of ASCII letters.
func FoldName(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name)
}

// SameName says whether SQLite takes two names for one.
func SameName(a, b string) bool { return FoldName(a) == FoldName(b) }

// QuoteText is a text as SQL.
func QuoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
