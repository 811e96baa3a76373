package dump

import "bytes"

// maxLiteral is longer than every number that SQLite, D1 or JavaScript write.
const maxLiteral = 400

// value is what is known of the value at hand in a row.
type value struct {
	literal []byte // its words and operators, unless it is a call
	over    bool   // the literal was longer than that
	calls   bool   // it has parentheses, or a quoting that is no literal
	replace bool   // it is a call of replace
	quotes  int    // quotings begun

	nul, replacement bool
	carry            int // bytes of a U+FFFD that the last piece ended in

	backslash         bool // the last piece ended in a backslash
	newlines, returns int  // \n and \r in the text
	mark              [3]byte
	markLen           int
	marksLF, marksCR  bool // there is a replace for \n, for \r
}

func (v *value) reset() { *v = value{literal: v.literal[:0]} }

// untouched says whether nothing of the value was seen.
func (v *value) untouched() bool {
	return len(v.literal) == 0 && v.quotes == 0 && !v.calls
}

// plain says whether the value is a literal, or a call of replace. An operator
// between quotings is one in the literal's place.
func (v *value) plain() bool {
	switch {
	case v.calls:
		return v.replace
	case v.quotes > 0:
		return len(v.literal) == 0 || len(v.literal) == 1 && v.literal[0]|0x20 == 'x'
	case len(v.literal) > 0 && (isDigit(v.literal[0]) || v.literal[0] == '-'):
		return len(bytes.Trim(v.literal[1:], ".0123456789eE+-")) == 0
	}
	return bytes.EqualFold(v.literal, []byte("NULL"))
}

// add takes a word or an operator.
func (v *value) add(b []byte, depth int) {
	if depth != 1 {
		return
	}
	room := maxLiteral - len(v.literal)
	v.over = v.over || len(b) > room
	v.literal = append(v.literal, b[:min(len(b), room)]...)
}

// open takes a parenthesis within the value.
func (v *value) open() {
	if !v.calls && v.quotes == 0 {
		v.replace = keywordOf(v.literal) == wordReplace
	}
	v.calls = true
}

func (v *value) beginQuote(quote byte) {
	v.quotes++
	v.carry, v.backslash, v.markLen = 0, false, 0
	v.calls = v.calls || quote != '\''
}

// text takes a piece of a literal; odd says that it may hold NUL or U+FFFD, or
// a part of one.
func (v *value) text(piece []byte, odd bool) {
	if odd || v.carry > 0 {
		v.oddText(piece)
	}
	switch {
	case !v.replace:
	case v.quotes == 1:
		v.countEscapes(piece)
	default:
		v.markLen += copy(v.mark[v.markLen:], piece)
	}
}

func (v *value) oddText(piece []byte) {
	v.nul = v.nul || bytes.IndexByte(piece, 0) >= 0
	for v.carry > 0 {
		if len(piece) == 0 {
			return
		}
		if piece[0] != replacementChar[v.carry] {
			v.carry = 0
			break
		}
		piece = piece[1:]
		v.carry++
		if v.carry == len(replacementChar) {
			v.replacement, v.carry = true, 0
		}
	}
	v.replacement = v.replacement || bytes.Contains(piece, []byte(replacementChar))
	for n := len(replacementChar) - 1; n > 0; n-- {
		if bytes.HasSuffix(piece, []byte(replacementChar[:n])) {
			v.carry = n
			return
		}
	}
}

// countEscapes counts \n and \r as replace finds them. More than one of each
// need not be told apart.
func (v *value) countEscapes(piece []byte) {
	for len(piece) > 0 && (v.newlines < 2 || v.returns < 2) {
		if v.backslash {
			v.backslash = false
			switch piece[0] {
			case 'n':
				v.newlines++
			case 'r':
				v.returns++
			}
		}
		n := bytes.IndexByte(piece, '\\')
		if n < 0 {
			return
		}
		v.backslash = true
		piece = piece[n+1:]
	}
}

func (v *value) endQuote() {
	if !v.replace || v.quotes < 2 {
		return
	}
	switch string(v.mark[:v.markLen]) {
	case `\n`:
		v.marksLF = true
	case `\r`:
		v.marksCR = true
	}
}

// judge appends to codes what the value may have lost. In a dump of the sqlite3
// shell replace loses nothing: its mark is one that the text does not have.
func (v *value) judge(codes []string, shell bool) []string {
	if v.quotes == 0 {
		if v.calls {
			return codes
		}
		return judgeLiteral(codes, v.literal, v.over)
	}
	if v.nul {
		codes = append(codes, FindingNUL)
	}
	if v.replacement {
		codes = append(codes, FindingReplacement)
	}
	if !shell && (v.marksLF && v.newlines > 1 || v.marksCR && v.returns > 1) {
		codes = append(codes, FindingNewline)
	}
	return codes
}
