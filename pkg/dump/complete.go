package dump

// progress says how far a statement has come, in the terms of SQLite's
// sqlite3_complete (https://sqlite.org/c3ref/complete.html).
type progress uint8

const (
	atNothing     progress = iota // nothing but white space and comments so far
	atStart                       // behind the semicolon that ended a statement
	inNormal                      // in a statement that the next semicolon ends
	inExplain                     // behind EXPLAIN
	inCreate                      // behind CREATE, perhaps with TEMP
	inTrigger                     // in a trigger, which only "; END ;" ends
	atTriggerSemi                 // behind the first semicolon of "; END ;"
	atTriggerEnd                  // behind the END of "; END ;"
)

// between says whether no statement is open.
func (p progress) between() bool { return p <= atStart }

// afterSemicolon is the progress behind a semicolon.
func (p progress) afterSemicolon() progress {
	switch p {
	case inTrigger, atTriggerSemi:
		return atTriggerSemi
	default:
		return atStart
	}
}

// afterToken is the progress behind any token that is neither a semicolon nor
// a word.
func (p progress) afterToken() progress {
	switch p {
	case inExplain:
		return inExplain
	case inTrigger, atTriggerSemi, atTriggerEnd:
		return inTrigger
	default:
		return inNormal
	}
}

// afterWord is the progress behind a word.
func (p progress) afterWord(w keyword) progress {
	switch {
	case p.between() && w == wordExplain:
		return inExplain
	case (p.between() || p == inExplain) && w == wordCreate:
		return inCreate
	case p == inExplain && w.completes():
		return inNormal
	case p == inCreate && w == wordTemp:
		return inCreate
	case p == inCreate && w == wordTrigger:
		return inTrigger
	case p == atTriggerSemi && w == wordEnd:
		return atTriggerEnd
	}
	return p.afterToken()
}
