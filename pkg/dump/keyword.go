package dump

// keyword is a word that means something to this package.
type keyword uint8

const (
	wordOther keyword = iota
	wordBegin
	wordCommit
	wordCreate
	wordDefault
	wordDelete
	wordEnd
	wordExists
	wordExplain
	wordFrom
	wordIf
	wordIndex
	wordInsert
	wordInto
	wordNot
	wordReplace
	wordRollback
	wordSelect
	wordTable
	wordTemp
	wordTrigger
	wordValues
	wordView
	wordVirtual
	wordWith
	wordVerb // any other word that a statement of SQLite may begin with
)

const longestKeyword = len("TEMPORARY")

// completes says whether sqlite3_complete knows the word, which in its state
// behind EXPLAIN differs from a word it does not know.
func (w keyword) completes() bool {
	switch w {
	case wordCreate, wordEnd, wordExplain, wordTemp, wordTrigger:
		return true
	default:
		return false
	}
}

// opens says whether a statement can begin with the word.
func (w keyword) opens() bool {
	switch w {
	case wordBegin, wordCommit, wordCreate, wordDelete, wordEnd, wordExplain, wordInsert,
		wordReplace, wordRollback, wordSelect, wordValues, wordWith, wordVerb:
		return true
	default:
		return false
	}
}

// keywordOf reads a word, in any case of letters.
func keywordOf(word []byte) keyword {
	if len(word) < 2 || len(word) > longestKeyword {
		return wordOther
	}
	var upper [longestKeyword]byte
	for i, c := range word {
		upper[i] = c
		if 'a' <= c && c <= 'z' {
			upper[i] = c - ('a' - 'A')
		}
	}
	switch string(upper[:len(word)]) {
	case "BEGIN":
		return wordBegin
	case "COMMIT":
		return wordCommit
	case "CREATE":
		return wordCreate
	case "DEFAULT":
		return wordDefault
	case "DELETE":
		return wordDelete
	case "END":
		return wordEnd
	case "EXISTS":
		return wordExists
	case "EXPLAIN":
		return wordExplain
	case "FROM":
		return wordFrom
	case "IF":
		return wordIf
	case "INDEX":
		return wordIndex
	case "INSERT":
		return wordInsert
	case "INTO":
		return wordInto
	case "NOT":
		return wordNot
	case "REPLACE":
		return wordReplace
	case "ROLLBACK":
		return wordRollback
	case "SELECT":
		return wordSelect
	case "TABLE":
		return wordTable
	case "TEMP", "TEMPORARY":
		return wordTemp
	case "TRIGGER":
		return wordTrigger
	case "VALUES":
		return wordValues
	case "VIEW":
		return wordView
	case "VIRTUAL":
		return wordVirtual
	case "WITH":
		return wordWith
	case "ALTER", "ANALYZE", "ATTACH", "DETACH", "DROP", "PRAGMA", "REINDEX",
		"RELEASE", "SAVEPOINT", "UPDATE", "VACUUM":
		return wordVerb
	}
	return wordOther
}
