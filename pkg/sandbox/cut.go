package sandbox

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// What an import says of a text that cannot be cut.
var (
	errIncomplete = errors.New("incomplete input: SQLITE_ERROR")
	errTooLong    = errors.New("statement too long: SQLITE_TOOBIG")
)

// cutter cuts a file into statements as D1's import does: with the rules of
// sqlite3_complete (https://www.sqlite.org/src/file/src/complete.c), stopped at
// the end of the first statement as workerd's patch has it. A statement has the
// space and the comments before it, which count for its length. The cutter
// holds one statement at a time.
type cutter struct {
	r     *bufio.Reader
	state completeness
	text  []byte
}

// completeness is a state of sqlite3_complete.
type completeness uint8

// The states, in the order of its table.
const (
	stateInvalid completeness = iota
	stateStart
	stateNormal
	stateExplain
	stateCreate
	stateTrigger
	stateSemicolon
	stateEnd
)

// token is a kind of token, in the order of the same table.
type token uint8

const (
	tokenSemicolon token = iota
	tokenSpace
	tokenOther
	tokenExplain
	tokenCreate
	tokenTemp
	tokenTrigger
	tokenEnd
)

// completeAfter is sqlite3_complete's table: the state after a token.
var completeAfter = [8][8]completeness{
	stateInvalid:   {1, 0, 2, 3, 4, 2, 2, 2},
	stateStart:     {1, 1, 2, 3, 4, 2, 2, 2},
	stateNormal:    {1, 2, 2, 2, 2, 2, 2, 2},
	stateExplain:   {1, 3, 3, 2, 4, 2, 2, 2},
	stateCreate:    {1, 4, 2, 2, 2, 4, 5, 2},
	stateTrigger:   {6, 5, 5, 5, 5, 5, 5, 5},
	stateSemicolon: {6, 6, 5, 5, 5, 5, 5, 7},
	stateEnd:       {1, 7, 5, 5, 5, 5, 5, 5},
}

func newCutter(r io.Reader) *cutter {
	return &cutter{r: bufio.NewReaderSize(r, 1<<16)}
}

// next is the next statement, its semicolon included; io.EOF says that nothing
// but space and comments is left.
func (c *cutter) next() (string, error) {
	c.state, c.text = stateInvalid, c.text[:0]
	for c.state != stateStart {
		kind, err := c.token()
		if errors.Is(err, io.EOF) && blank(string(c.text)) {
			return "", io.EOF
		}
		if errors.Is(err, io.EOF) {
			return "", errIncomplete
		}
		if err != nil {
			return "", err
		}
		c.state = completeAfter[c.state][kind]
	}
	return string(c.text), nil
}

// token reads one token to its end.
func (c *cutter) token() (token, error) {
	b, err := c.read()
	if err != nil {
		return 0, err
	}
	switch b {
	case ';':
		return tokenSemicolon, nil
	case ' ', '\t', '\r', '\n', '\f':
		return tokenSpace, nil
	case '\'', '"', '`':
		return tokenOther, c.until(string(b))
	case '[':
		return tokenOther, c.until("]")
	case '-':
		return c.comment("-", "\n")
	case '/':
		return c.comment("*", "*/")
	}
	if !wordByte(b) {
		return tokenOther, nil
	}
	return c.word()
}

// comment reads on if the next byte makes a comment of the one before.
func (c *cutter) comment(second, end string) (token, error) {
	if next, err := c.r.Peek(1); err != nil || string(next) != second {
		return tokenOther, nil //nolint:nilerr // the next read tells it
	}
	if _, err := c.read(); err != nil {
		return 0, err
	}
	return tokenSpace, c.until(end)
}

// until reads to the end of what ends with the given text.
func (c *cutter) until(end string) error {
	begin := len(c.text)
	for {
		if _, err := c.read(); err != nil {
			return err
		}
		if string(c.text[max(begin, len(c.text)-len(end)):]) == end {
			return nil
		}
	}
}

// longestKeyword is TEMPORARY: longer words are none.
const longestKeyword = 9

func (c *cutter) word() (token, error) {
	begin := len(c.text) - 1
	for {
		next, err := c.r.Peek(1)
		if err != nil || !wordByte(next[0]) {
			break
		}
		if _, err := c.read(); err != nil {
			return 0, err
		}
	}
	if len(c.text)-begin > longestKeyword {
		return tokenOther, nil
	}
	switch strings.ToLower(string(c.text[begin:])) {
	case "create":
		return tokenCreate, nil
	case "trigger":
		return tokenTrigger, nil
	case "temp", "temporary":
		return tokenTemp, nil
	case "end":
		return tokenEnd, nil
	case "explain":
		return tokenExplain, nil
	}
	return tokenOther, nil
}

func wordByte(b byte) bool {
	return b == '_' || b == '$' || b >= 0x80 || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
}

// read takes one byte more into the statement. A NUL ends the text, as it does
// in C; what stands behind it is never reached.
func (c *cutter) read() (byte, error) {
	b, err := c.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if b == 0 {
		return 0, errIncomplete
	}
	if len(c.text) >= maxStatementBytes {
		return 0, errTooLong
	}
	c.text = append(c.text, b)
	return b, nil
}
