package dump

import "fmt"

// finish judges the end of the dump.
func (s *scanner) finish() error {
	s.chunk, s.base = nil, s.tally.bytes
	switch s.lex {
	case lexWord:
		word := s.partial
		s.partial, s.lex = nil, lexNone
		if err := s.word(word); err != nil {
			return err
		}
	case lexDash, lexSlash:
		c := byte('-')
		if s.lex == lexSlash {
			c = '/'
		}
		s.lex = lexNone
		if err := s.punct(c, 0); err != nil {
			return err
		}
	}
	if s.progress.between() {
		return s.finishBetween()
	}
	if s.st.swallowed > 0 || s.lex == lexLineComment && s.swallows() {
		return s.finishSwallowed()
	}
	return fmt.Errorf("%w: statement %d%s, which begins at byte %d, does not end before byte %d%s",
		ErrTruncated, s.tally.statements+1, s.st.describe(), s.st.start, s.tally.bytes, s.lex.describe())
}

// finishBetween judges a dump whose last statement is whole.
func (s *scanner) finishBetween() error {
	switch {
	case s.tally.statements == 0:
		return fmt.Errorf("%w: %d bytes without a statement", ErrEmpty, s.tally.bytes)
	case s.lex == lexBlockComment || s.lex == lexBlockStar:
		return fmt.Errorf("%w: %d bytes%s", ErrTruncated, s.tally.bytes, s.lex.describe())
	case s.transaction == transactionOpen:
		return fmt.Errorf("%w: %d bytes without the COMMIT of its BEGIN", ErrTruncated, s.tally.bytes)
	case s.transaction == transactionRolledBack:
		return fmt.Errorf("%w: it ends in ROLLBACK, which sqlite3 writes after an error", ErrTruncated)
	}
	return nil
}

// finishSwallowed ends a statement whose semicolon stands in its own line
// comment. SQLite stores a view with the comment behind it, D1 puts the
// semicolon behind that, and the end of the dump ends the statement for any
// reader, so there is no finding.
func (s *scanner) finishSwallowed() error {
	end := s.st.swallowed
	if s.lex == lexLineComment {
		end = s.tally.bytes
	}
	s.st.commented = true
	if err := s.count(end); err != nil {
		return err
	}
	s.progress, s.lex = atStart, lexNone
	if err := s.out.keepIf(); err != nil {
		return err
	}
	return s.finishBetween()
}

func (st *statement) describe() string {
	switch st.verb {
	case wordInsert, wordReplace:
		return " (INSERT)"
	case wordCreate:
		return " (CREATE)"
	default:
		return ""
	}
}

func (l lexState) describe() string {
	switch l {
	case lexQuoted:
		return ", within quotes"
	case lexLineComment, lexBlockComment, lexBlockStar:
		return ", within a comment"
	default:
		return ""
	}
}
