package dump

// position is where in a statement the scanner is, as far as it matters here.
type position uint8

const (
	atVerb       position = iota // before the first token
	inRest                       // in a part that is not looked at
	atInto                       // INSERT: before INTO
	atKind                       // CREATE: before TABLE, INDEX, TRIGGER or VIEW
	atDeleteFrom                 // DELETE: before FROM
	atName                       // before the name of the object or table
	atIf                         // behind the IF of IF NOT EXISTS, or of a name
	atNameEnd                    // behind the name, which may be a schema's
	atValues                     // INSERT: before VALUES, in names of columns
	atDefault                    // INSERT: behind DEFAULT
	atRow                        // between rows
	inRow                        // in a row
)

// statement is what is known of the statement at hand.
type statement struct {
	start int64 // offset of its first token
	at    position
	verb  keyword // its first word
	kind  keyword // CREATE: what
	// virtual: it creates a virtual table.
	virtual bool
	// temporary: what it creates is gone with the connection.
	temporary bool
	// odd: a value of it is none that every reader takes as it stands.
	odd       bool
	commented bool // its semicolon stands in its own line comment
	depth     int  // of parentheses
	name      []byte
	table     *tableTally // INSERT: the table
	rows      int64       // INSERT: rows so far
	first     int64       // INSERT: the number of its first row; 0 if it has none
	column    int         // INSERT: of the value at hand, from 0
	// swallowed is behind the semicolon that ended a line comment and may have
	// been meant to end the statement; 0 if there was none.
	swallowed int64
}

// open begins a statement whose first token is at i of the chunk.
func (s *scanner) open(i int) {
	s.st = statement{start: s.base + int64(i), name: s.st.name[:0]}
	s.spans = s.spans[:0]
	if s.holds() {
		s.out.hold(i)
	}
}

// holds says whether a statement is kept until more of it is known: the first
// one, because it may turn out not to be SQL, and those that may be withheld
// or begin the tail.
func (s *scanner) holds() bool {
	return s.tally.statements == 0 || s.withhold != nil || s.holdTail && !s.out.inTail
}

// word takes a word, keyword or number.
func (s *scanner) word(word []byte) error {
	if s.st.at == inRow {
		s.progress = s.progress.afterToken()
		s.val.add(word, s.st.depth)
		return nil
	}
	key := keywordOf(word)
	if s.st.swallowed > 0 {
		if err := s.afterSwallowed(key); err != nil {
			return err
		}
	}
	s.progress = s.progress.afterWord(key)
	if s.st.at == atVerb {
		return s.verb(key)
	}
	return s.head(word, key)
}

// punct takes a token that is no word and not quoted and ends before end.
func (s *scanner) punct(c byte, end int) error {
	if c == ';' {
		return s.semicolon(end)
	}
	if s.progress.between() {
		s.open(max(end-1, 0))
		s.st.start = s.tokenAt
	}
	s.progress = s.progress.afterToken()
	s.st.swallowed = 0
	switch s.st.at {
	case atVerb:
		return s.oddVerb()
	case atNameEnd, atIf:
		if c == '.' {
			s.st.at = atName
			return nil
		}
		s.named()
	case atRow:
		if c == '(' {
			s.openRow(end)
		}
	case inRow:
		s.inRow(c)
		return nil
	}
	s.nest(c)
	return nil
}

func (s *scanner) nest(c byte) {
	switch c {
	case '(':
		s.st.depth++
	case ')':
		s.st.depth--
	}
}

// quoteBegins takes the opening of a quoting.
func (s *scanner) quoteBegins() error {
	s.progress = s.progress.afterToken()
	s.st.swallowed = 0
	switch s.st.at {
	case atVerb:
		return s.oddVerb()
	case atIf, atNameEnd:
		s.named()
	case inRow:
		s.val.beginQuote(s.quote)
	}
	return nil
}

// quotedPart takes p[i:j], which lies within a quoting.
func (s *scanner) quotedPart(p []byte, i, j int) {
	switch {
	case s.st.at == atName || s.namesVirtual():
		s.keepPart(p[i:j])
	case s.st.at == inRow && s.quote == '\'' && j > i:
		s.val.text(p[i:j], s.odd.in(p, i, j))
	}
}

// quoted takes the end of a quoting; name is what it held, if that was kept.
func (s *scanner) quoted(name []byte) {
	switch {
	case s.st.at == atName:
		s.st.name = append(s.st.name[:0], name...)
		s.st.at = atNameEnd
	case s.namesVirtual():
		s.tally.object(ObjectVirtual, name)
	case s.st.at == inRow:
		s.val.endQuote()
	}
}

func (s *scanner) semicolon(end int) error {
	open := !s.progress.between()
	s.progress = s.progress.afterSemicolon()
	if !open || s.progress != atStart {
		return nil
	}
	if s.st.at == atNameEnd || s.st.at == atIf {
		s.named()
	}
	if err := s.count(s.base + int64(end)); err != nil {
		return err
	}
	s.st.at = atVerb
	return s.decide(end)
}

// count counts the statement at hand, which ends before the given offset, and
// tells of it.
func (s *scanner) count(end int64) error {
	length := end - s.st.start
	s.tally.statements++
	s.tally.longest = max(s.tally.longest, length)
	if length > LongStatement {
		s.tally.find(FindingLong, s.st.table, s.st.first, s.st.start)
	}
	if s.each == nil {
		return nil
	}
	return s.each(end)
}

// afterSwallowed looks at the word behind a line comment that ended in a
// semicolon. No statement that begins with CREATE and is not a trigger can
// have one of these words outside of parentheses, so the semicolon was meant.
// SQLite does not see it that way and refuses the dump, which is a finding;
// but what the dump holds is told right.
func (s *scanner) afterSwallowed(key keyword) error {
	end := s.st.swallowed
	s.st.swallowed = 0
	if key != wordCreate && key != wordInsert && key != wordDelete {
		return s.out.keepIf()
	}
	s.tally.find(FindingComment, nil, 0, s.st.start)
	s.st.commented = true
	if err := s.count(end); err != nil {
		return err
	}
	s.st = statement{start: s.tokenAt, name: s.st.name[:0]}
	s.spans = s.spans[:0]
	s.progress = atStart
	return nil
}
