package dump

import "bytes"

// lexState is where in a token a chunk's end has cut.
type lexState uint8

const (
	lexNone lexState = iota
	lexWord
	lexQuoted
	lexQuoteEnd     // behind a closing quote, which may be doubled
	lexDash         // behind a dash, which may begin a comment
	lexSlash        // behind a slash, which may begin a comment
	lexLineComment  // behind --
	lexBlockComment // behind /*
	lexBlockStar    // behind a star in a block comment
)

// maxName is how much of a name is kept; D1 takes no statement that is longer.
const maxName = LongStatement

// scanner reads statements out of chunks. Its general way goes from token to
// token and can stop behind any byte; fast.go takes over where a chunk holds
// plain rows.
type scanner struct {
	out      *output
	tally    *tally
	holdTail bool
	withhold func(Row) bool
	// each is told of every statement as it ends; nil for a filter.
	each  func(end int64) error
	spans []Span // rows of the statement at hand, for each
	rowAt int64  // where the row at hand begins

	chunk []byte
	base  int64 // offset of the chunk's first byte
	odd   oddBytes

	lex         lexState
	quote       byte // that closes the quoting at hand
	partial     []byte
	tokenAt     int64 // offset of the token at hand, where that is needed
	lastComment byte  // last byte of the line comment at hand

	progress progress
	st       statement
	val      value
	codes    []string // of the value judged last

	transaction transaction
	prefix      []byte // what the last INSERT had up to its first value
	prefixTable *tableTally
}

// transaction is where a dump of the sqlite3 shell stands.
type transaction uint8

const (
	transactionNone transaction = iota
	transactionOpen
	transactionDone
	transactionRolledBack
)

func newScanner(out *output, opts Options) *scanner {
	return &scanner{out: out, tally: newTally(), holdTail: opts.HoldTail, withhold: opts.Withhold}
}

// write reads a chunk to its end.
func (s *scanner) write(p []byte) error {
	s.chunk, s.base = p, s.tally.bytes
	s.odd = oddBytes{}
	s.tally.bytes += int64(len(p))
	i, err := s.resume(p)
	for i < len(p) && err == nil {
		i, err = s.token(p, i)
	}
	if err != nil {
		return err
	}
	return s.checkHeld()
}

// resume ends the token that the last chunk's end has cut.
func (s *scanner) resume(p []byte) (int, error) {
	switch s.lex {
	case lexNone:
		return 0, nil
	case lexWord:
		return s.wordFrom(p, 0)
	case lexQuoted:
		return s.quotedFrom(p, 0)
	case lexQuoteEnd:
		return s.quoteEnd(p, 0)
	case lexDash, lexSlash:
		return s.operator(p, 0)
	case lexLineComment:
		return s.lineComment(p, 0), nil
	default:
		return s.blockComment(p, 0), nil
	}
}

// token reads the token that begins at i, and returns where it ends, or the
// length of the chunk if it does not end there.
func (s *scanner) token(p []byte, i int) (int, error) {
	if s.st.at == inRow && s.st.depth == 1 && s.val.untouched() && !s.st.table.schema {
		j, err := s.rows(p, i)
		if j > i || err != nil {
			return j, err
		}
	}
	c := p[i]
	switch classes[c] {
	case classSpace:
		return skipSpace(p, i+1), nil
	case classWord:
		if s.progress.between() && s.repeats(p, i) {
			return s.repeat(i)
		}
		return s.wordFrom(p, i)
	case classQuote:
		return s.openQuote(p, i)
	case classDash:
		s.lex, s.tokenAt = lexDash, s.base+int64(i)
		return s.operator(p, i+1)
	case classSlash:
		s.lex, s.tokenAt = lexSlash, s.base+int64(i)
		return s.operator(p, i+1)
	default:
		s.tokenAt = s.base + int64(i)
		return i + 1, s.punct(c, i+1)
	}
}

func skipSpace(p []byte, i int) int {
	for i < len(p) && classes[p[i]] == classSpace {
		i++
	}
	return i
}

// wordFrom reads a word, or the rest of one, from i.
func (s *scanner) wordFrom(p []byte, i int) (int, error) {
	j := i
	for j < len(p) && classes[p[j]] == classWord {
		j++
	}
	if s.lex != lexWord {
		s.tokenAt = s.base + int64(i)
		s.beginWord(i)
	}
	if j == len(p) {
		s.lex = lexWord
		s.keepPart(p[i:j])
		return j, s.checkFirstWord()
	}
	word := p[i:j]
	if s.lex == lexWord {
		s.keepPart(word)
		word = s.partial
		s.partial = s.partial[:0]
		s.lex = lexNone
	}
	return j, s.word(word)
}

// beginWord is told that a word begins at i of the chunk.
func (s *scanner) beginWord(i int) {
	switch {
	case s.progress.between():
		s.open(i)
	case s.st.swallowed > 0 && !s.out.undecided && s.holds():
		s.out.hold(i) // it may begin a statement
	}
}

func (s *scanner) keepPart(b []byte) {
	room := maxName - len(s.partial)
	s.partial = append(s.partial, b[:min(len(b), room)]...)
}

func (s *scanner) openQuote(p []byte, i int) (int, error) {
	s.tokenAt = s.base + int64(i)
	if s.progress.between() {
		s.open(i)
	}
	s.lex, s.quote = lexQuoted, p[i]
	if p[i] == '[' {
		s.quote = ']'
	}
	if err := s.quoteBegins(); err != nil {
		return i, err
	}
	return s.quotedFrom(p, i+1)
}

// quotedFrom jumps from one quote to the next, to the one that closes.
func (s *scanner) quotedFrom(p []byte, i int) (int, error) {
	for {
		n := bytes.IndexByte(p[i:], s.quote)
		if n < 0 {
			s.quotedPart(p, i, len(p))
			return len(p), nil
		}
		j := i + n + 1
		if j == len(p) || p[j] != s.quote || s.quote == ']' {
			s.quotedPart(p, i, j-1)
			s.lex = lexQuoteEnd
			return s.quoteEnd(p, j)
		}
		s.quotedPart(p, i, j) // with one of the two quotes
		i = j + 1
	}
}

// quoteEnd looks whether the quote before i is doubled.
func (s *scanner) quoteEnd(p []byte, i int) (int, error) {
	if i == len(p) {
		return i, nil
	}
	if p[i] == s.quote && s.quote != ']' {
		s.lex = lexQuoted
		s.quotedPart(p, i, i+1)
		return s.quotedFrom(p, i+1)
	}
	s.lex = lexNone
	s.quoted(s.partial)
	s.partial = s.partial[:0]
	return i, nil
}

// operator looks at the byte behind a dash or a slash.
func (s *scanner) operator(p []byte, i int) (int, error) {
	if i == len(p) {
		return i, nil
	}
	lex := s.lex
	s.lex = lexNone
	switch {
	case lex == lexDash && p[i] == '-':
		s.lex, s.lastComment = lexLineComment, 0
		return s.lineComment(p, i+1), nil
	case lex == lexSlash && p[i] == '*':
		s.lex = lexBlockComment
		return s.blockComment(p, i+1), nil
	case lex == lexDash:
		return i, s.punct('-', i)
	default:
		return i, s.punct('/', i)
	}
}

func (s *scanner) lineComment(p []byte, i int) int {
	j := len(p)
	if n := bytes.IndexByte(p[i:], '\n'); n >= 0 {
		j = i + n
	}
	if j > i {
		s.lastComment = p[j-1]
	}
	if j == len(p) {
		return j
	}
	s.lex = lexNone
	if s.swallows() {
		s.st.swallowed = s.base + int64(j)
	}
	return j + 1
}

// swallows says whether the line comment at hand may have taken in the
// semicolon of its statement.
func (s *scanner) swallows() bool {
	return s.lastComment == ';' && s.progress == inNormal && s.st.depth == 0 && s.st.verb == wordCreate
}

func (s *scanner) blockComment(p []byte, i int) int {
	for i < len(p) {
		if s.lex == lexBlockStar && p[i] == '/' {
			s.lex = lexNone
			return i + 1
		}
		s.lex = lexBlockComment
		n := bytes.IndexByte(p[i:], '*')
		if n < 0 {
			return len(p)
		}
		s.lex = lexBlockStar
		i += n + 1
	}
	return i
}
