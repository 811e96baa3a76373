package dump

import (
	"bytes"
	"iter"
)

// Token is a token of a statement: a word or number, a quoting, or one byte of
// anything else. White space and comments are none.
type Token struct {
	// Text is the token as it is written.
	Text []byte
	// Quoted says that it is a quoting.
	Quoted bool
}

// Is says whether the token is that word, in any case of letters.
func (t Token) Is(word string) bool {
	return !t.Quoted && bytes.EqualFold(t.Text, []byte(word))
}

// Name is the token as a name: without its quoting.
func (t Token) Name() string {
	if !t.Quoted || len(t.Text) < 2 {
		return string(t.Text)
	}
	inner, quote := t.Text[1:len(t.Text)-1], t.Text[:1]
	if quote[0] == '[' {
		return string(inner)
	}
	return string(bytes.ReplaceAll(inner, bytes.Repeat(quote, 2), quote))
}

// Tokens are those of a statement, which must be whole.
func Tokens(text []byte) iter.Seq[Token] {
	return func(yield func(Token) bool) {
		for i := 0; i < len(text); {
			n, token := tokenAt(text[i:])
			if token && !yield(Token{text[i : i+n], classes[text[i]] == classQuote}) {
				return
			}
			i += n
		}
	}
}

// tokenAt is how long the token, comment or white space at the start of p is.
func tokenAt(p []byte) (n int, token bool) {
	switch class := classes[p[0]]; {
	case class == classSpace:
		return skipSpace(p, 1), false
	case class == classWord:
		n = 1
		for n < len(p) && classes[p[n]] == classWord {
			n++
		}
		return n, true
	case class == classQuote:
		return orWhole(p, quotingEnd(p)), true
	case class == classDash && bytes.HasPrefix(p, []byte("--")):
		return orWhole(p, bytes.IndexByte(p, '\n')), false
	case class == classSlash && bytes.HasPrefix(p, []byte("/*")):
		if n = bytes.Index(p[2:], []byte("*/")); n >= 0 {
			n += 4
		}
		return orWhole(p, n), false
	}
	return 1, true
}

func orWhole(p []byte, n int) int {
	if n < 0 {
		return len(p)
	}
	return n
}
