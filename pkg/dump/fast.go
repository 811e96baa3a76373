package dump

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// replacementChar is U+FFFD.
const replacementChar = "\uFFFD"

// oddBytes finds the bytes of a chunk that make a finding in text, in one
// search over the whole chunk for each kind instead of one for each literal.
type oddBytes struct {
	nul, replacement int // next position, plus one; 0 means not searched yet
}

// next is the position of the first odd byte from i on, or the length of p.
func (o *oddBytes) next(p []byte, i int) int {
	if o.nul <= i {
		o.nul = 1 + orEnd(p, i, bytes.IndexByte(p[i:], 0))
	}
	if o.replacement <= i {
		o.replacement = 1 + orEnd(p, i, bytes.Index(p[i:], []byte(replacementChar)))
	}
	return min(o.nul, o.replacement) - 1
}

// orEnd is i+n, or the length of p if nothing was found.
func orEnd(p []byte, i, n int) int {
	if n < 0 {
		return len(p)
	}
	return i + n
}

// in says whether p[i:j] may hold odd bytes. A U+FFFD may be cut by the
// chunk's end.
func (o *oddBytes) in(p []byte, i, j int) bool {
	return o.next(p, i) < j || j == len(p)
}

// repeats says whether the statement at i begins as the last INSERT did.
func (s *scanner) repeats(p []byte, i int) bool {
	return len(s.prefix) > 0 && bytes.HasPrefix(p[i:], s.prefix)
}

// repeat opens such a statement and returns where its first value begins.
func (s *scanner) repeat(i int) (int, error) {
	table := s.prefixTable
	st := &s.st // set piece by piece: this runs once for each row
	st.start = s.base + int64(i)
	st.verb, st.at, st.depth = wordInsert, inRow, 1
	st.table, st.rows, st.first, st.column = table, 0, table.rows+1, 0
	st.swallowed, st.odd = 0, false
	s.spans, s.rowAt = s.spans[:0], st.start+int64(len(s.prefix))-1
	s.progress = inNormal
	if s.holds() {
		s.out.hold(i)
	}
	i += len(s.prefix)
	if s.withhold != nil {
		return i, nil
	}
	return i, s.out.keepIf()
}

// rows reads values of the D1 form from i on, as long as they are whole in the
// chunk and make no finding, and statements as long as they repeat. It returns
// where the general way has to go on: at a value it left alone, or behind a
// statement.
func (s *scanner) rows(p []byte, i int) (int, error) {
	odd := s.odd.next(p, i)
	for {
		j := plainValue(p, i)
		if j < 0 || j > odd {
			return i, nil
		}
		if p[j] == ',' {
			i = j + 1
			continue
		}
		if p[j] != ')' {
			return i, nil
		}
		s.st.depth, s.st.at = 0, atRow
		s.addRow()
		i = j + 1
		s.span(s.base + int64(i))
		if i == len(p) || p[i] != ';' {
			return i, nil
		}
		i++
		s.progress = atStart
		if err := s.count(s.base + int64(i)); err != nil {
			return i, err
		}
		s.st.at = atVerb
		if err := s.decide(i); err != nil {
			return i, err
		}
		if i == len(p) || p[i] != '\n' || !s.repeats(p, i+1) {
			return i, nil
		}
		var err error
		if i, err = s.repeat(i + 1); err != nil {
			return i, err
		}
	}
}

// plainValue is where the value at i ends, which is within the chunk, or -1 if
// that is not seen at once or the value is one to judge.
func plainValue(p []byte, i int) int {
	if i >= len(p) {
		return -1
	}
	j := -1
	switch c := p[i]; c {
	case '\'':
		j = literalEnd(p, i+1)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		j = numberEnd(p, i)
	case 'N':
		if bytes.HasPrefix(p[i:], []byte("NULL")) {
			j = i + len("NULL")
		}
	case 'X':
		if i+1 < len(p) && p[i+1] == '\'' {
			j = literalEnd(p, i+2)
		}
	}
	if j >= len(p) {
		return -1
	}
	return j
}

// literalEnd is behind the quote that closes the literal whose text begins at
// i, or -1.
func literalEnd(p []byte, i int) int {
	for {
		i = nextQuote(p, i)
		if i < 0 || i+1 >= len(p) {
			return -1
		}
		if p[i+1] != '\'' {
			return i + 1
		}
		i += 2
	}
}

// nextQuote is the next ' from i on, or -1. Most literals are so short that
// calling a search costs more than it saves, so the first bytes are looked at
// eight at a time.
func nextQuote(p []byte, i int) int {
	const (
		quotes = 0x2727272727272727
		ones   = 0x0101010101010101
		tops   = 0x8080808080808080
		words  = 4
	)
	for range words {
		if i+8 > len(p) {
			break
		}
		w := binary.LittleEndian.Uint64(p[i:]) ^ quotes
		if found := (w - ones) & ^w & tops; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
		i += 8
	}
	if i > len(p) {
		return -1
	}
	n := bytes.IndexByte(p[i:], '\'')
	if n < 0 {
		return -1
	}
	return i + n
}

// numberEnd is behind the number at i, or -1 if it is one to judge: a long
// integer, or a real out of the range of a double.
func numberEnd(p []byte, i int) int {
	if p[i] == '-' {
		i++
	}
	start := i
	i = digitsEnd(p, i)
	if i == start || i == len(p) {
		return -1
	}
	if p[i] != '.' {
		if i-start >= len(firstInexact) && pastExact(p[start:i]) {
			return -1
		}
		return i
	}
	const inRange = 300 // digits, for certain
	if i-start > inRange {
		return -1
	}
	return digitsEnd(p, i+1)
}

// digitsEnd is behind the digits that begin at i. It looks at eight bytes at a
// time: a byte is a digit if nothing of it but its low nibble differs from
// '0', and that is below ten.
func digitsEnd(p []byte, i int) int {
	const (
		zeros = 0x3030303030303030
		lows  = 0x7f7f7f7f7f7f7f7f
		tens  = 0x7676767676767676 // 10 carries into the top bit
		tops  = 0x8080808080808080
	)
	for i+8 <= len(p) {
		w := binary.LittleEndian.Uint64(p[i:]) ^ zeros
		if other := (w&lows + tens | w) & tops; other != 0 {
			return i + bits.TrailingZeros64(other)/8
		}
		i += 8
	}
	for i < len(p) && isDigit(p[i]) {
		i++
	}
	return i
}
