package dump

import (
	"fmt"
	"strconv"
)

// verb takes the first word of a statement.
func (s *scanner) verb(key keyword) error {
	s.st.verb, s.st.at = key, inRest
	switch key {
	case wordInsert, wordReplace:
		s.st.at = atInto
		if s.withhold != nil {
			return nil // stays held to its end
		}
	case wordCreate:
		s.st.at = atKind
		if s.holdTail {
			return nil // stays held until its kind is known
		}
	case wordDelete:
		s.st.at = atDeleteFrom
	case wordBegin:
		s.transaction = transactionOpen
	case wordCommit, wordEnd:
		s.transaction = transactionDone
	case wordRollback:
		s.transaction = transactionRolledBack
	default:
		if !key.opens() {
			return s.oddVerb()
		}
	}
	return s.out.keepIf()
}

// oddVerb takes a first token that no statement can begin with.
func (s *scanner) oddVerb() error {
	if s.tally.statements == 0 {
		return s.notSQL()
	}
	s.tally.find(FindingUnknown, nil, 0, s.st.start)
	s.st.at = inRest
	return s.out.keepIf()
}

// maxFirstWord is longer than every word that a dump may begin with.
const maxFirstWord = 16

// checkFirstWord looks at the part of a word that a chunk's end has cut, so
// that no more is held of a first word than a first word can have.
func (s *scanner) checkFirstWord() error {
	if s.tally.statements == 0 && s.st.at == atVerb && len(s.partial) > maxFirstWord {
		return s.notSQL()
	}
	return nil
}

// notSQL is the error for a dump that begins with something else. It shows
// only the first bytes, which are no row's.
func (s *scanner) notSQL() error {
	const show = 16
	seen := append([]byte{}, s.out.held...)
	if at := max(s.st.start-s.base, 0); at < int64(len(s.chunk)) {
		seen = append(seen, s.chunk[at:min(int64(len(s.chunk)), at+show)]...)
	}
	return fmt.Errorf("%w: at byte %d it has %s", ErrNotSQL, s.st.start,
		strconv.QuoteToASCII(string(seen[:min(len(seen), show)])))
}

// head takes a word behind the verb.
func (s *scanner) head(word []byte, key keyword) error {
	switch s.st.at {
	case atInto, atDeleteFrom:
		if key == wordInto || key == wordFrom {
			s.st.at = atName
		}
	case atKind:
		return s.createKind(key)
	case atName:
		s.st.name, s.st.at = append(s.st.name[:0], word...), atNameEnd
		if key == wordIf && s.st.verb == wordCreate {
			s.st.at = atIf
		}
	case atIf:
		s.behindIf(key)
	case atNameEnd:
		s.named()
		s.behindName(key)
	case atValues:
		s.behindName(key)
	case atDefault:
		s.st.at = inRest
		if key == wordValues {
			s.addRow()
		}
	case atRow:
		s.st.at = inRest
	}
	return nil
}

// createKind takes a word between CREATE and the name.
func (s *scanner) createKind(key keyword) error {
	switch key {
	case wordVirtual:
		s.st.virtual = true
	case wordTemp:
		s.st.temporary = true
	case wordTable:
		s.st.kind, s.st.at = key, atName
		return s.out.keepIf()
	case wordIndex, wordTrigger, wordView:
		s.st.kind, s.st.at = key, atName
		if s.holdTail && !s.out.inTail {
			return s.out.startTail()
		}
		return s.out.keepIf()
	}
	return nil
}

// behindIf takes a word behind IF where a name may be, which is NOT EXISTS
// unless something is called "if".
func (s *scanner) behindIf(key keyword) {
	switch key {
	case wordNot:
	case wordExists:
		s.st.at = atName
	default:
		s.named()
	}
}

// behindName takes a word between an INSERT's table and its rows.
func (s *scanner) behindName(key keyword) {
	if s.st.at != atValues || s.st.depth > 0 {
		return
	}
	switch key {
	case wordValues:
		s.st.at = atRow
	case wordDefault:
		s.st.at = atDefault
	case wordSelect, wordWith:
		s.st.at = inRest
	}
}

// named records the object or table whose name has come to its end.
func (s *scanner) named() {
	s.st.at = inRest
	switch s.st.verb {
	case wordInsert, wordReplace:
		s.st.at = atValues
		s.st.table = s.tally.table(s.st.name)
	case wordDelete:
		s.tally.deleted(s.st.name)
	case wordCreate:
		s.created()
	}
}

func (s *scanner) created() {
	switch s.st.kind {
	case wordIndex:
		s.tally.object(ObjectIndex, s.st.name)
	case wordTrigger:
		s.tally.object(ObjectTrigger, s.st.name)
	case wordView:
		s.tally.object(ObjectView, s.st.name)
	default:
		if s.st.virtual {
			s.tally.object(ObjectVirtual, s.st.name)
			return
		}
		s.tally.table(s.st.name)
	}
}
