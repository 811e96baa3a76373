package dump

import "fmt"

// openRow begins a row, whose parenthesis is before end.
func (s *scanner) openRow(end int) {
	s.st.at, s.st.column = inRow, 0
	s.rowAt = s.base + int64(end) - 1
	s.val.reset()
	if s.st.rows == 0 {
		s.st.first = s.st.table.rows + 1
		s.learnPrefix(end)
	}
}

// inRow takes an operator within a row.
func (s *scanner) inRow(c byte) {
	s.nest(c)
	switch {
	case c == '(':
		s.val.open()
	case c == ')' && s.st.depth == 0:
		s.endValue()
		s.addRow()
		s.span(s.tokenAt + 1)
		s.st.at = atRow
	case c == ',' && s.st.depth == 1:
		s.endValue()
	default:
		s.val.add([]byte{c}, s.st.depth)
	}
}

// span keeps where the row was that ends before the given offset.
func (s *scanner) span(end int64) {
	if s.each != nil {
		s.spans = append(s.spans, Span{int(s.rowAt - s.st.start), int(end - s.st.start)})
	}
}

func (s *scanner) addRow() {
	s.st.table.rows++
	s.st.rows++
	if s.st.rows == 1 {
		s.st.first = s.st.table.rows
	}
}

// namesVirtual says whether a quoting at hand is the name in a row of
// sqlite_schema, by which the sqlite3 shell writes a virtual table.
func (s *scanner) namesVirtual() bool {
	const nameColumn = 1
	return s.st.at == inRow && s.st.column == nameColumn && s.st.table.schema
}

// endValue judges the value at hand.
func (s *scanner) endValue() {
	s.st.odd = s.st.odd || !s.val.plain()
	s.codes = s.val.judge(s.codes[:0], s.transaction != transactionNone)
	for _, code := range s.codes {
		s.tally.find(code, s.st.table, s.st.first+s.st.rows, s.st.start)
		s.st.odd = s.st.odd || !loads(code)
	}
	s.val.reset()
	s.st.column++
}

// loads says whether a value with that finding is read by D1 and SQLite as it
// stands, changed or not.
func loads(code string) bool {
	switch code {
	case FindingInfinity, FindingErrorWord, FindingNUL:
		return false
	default:
		return true
	}
}

// decide ends a statement, whose semicolon is before end, for the output.
func (s *scanner) decide(end int) error {
	if s.out.dropping {
		s.out.dropped(end)
		return nil
	}
	if !s.out.undecided {
		return nil
	}
	if s.withhold == nil || s.st.rows == 0 || !s.ask(s.out.statement(end)) {
		return s.out.keep()
	}
	if err := s.out.drop(); err != nil {
		return err
	}
	s.out.dropped(end)
	return nil
}

// ask asks for the rows of the statement at hand whether it is withheld.
func (s *scanner) ask(text []byte) bool {
	withheld := false
	for n := range s.st.rows {
		row := Row{Table: s.st.table.name, Number: s.st.first + n, Offset: s.st.start, Statement: text}
		withheld = s.withhold(row) || withheld
	}
	return withheld
}

// checkHeld stops keeping a statement that is too long to be kept.
func (s *scanner) checkHeld() error {
	if !s.out.undecided || s.out.pending() <= maxHeld {
		return nil
	}
	if s.st.verb == wordCreate {
		return fmt.Errorf("%w: %d bytes of a statement do not tell what it creates", ErrTailTooLong, maxHeld)
	}
	if s.st.at != inRow && s.st.rows == 0 {
		return s.out.keep()
	}
	rows := s.st.rows
	if s.st.at == inRow {
		s.st.rows++ // the row at hand
	}
	withheld := s.ask(nil)
	s.st.rows = rows
	if withheld {
		return s.out.drop()
	}
	return s.out.keep()
}

// learnPrefix keeps the text of an INSERT up to its first value, so that the
// next one of the same table is known by comparing.
func (s *scanner) learnPrefix(end int) {
	start := s.st.start - s.base
	if start < 0 || s.st.table.schema {
		return
	}
	s.prefix = append(s.prefix[:0], s.chunk[start:end]...)
	s.prefixTable = s.st.table
}
