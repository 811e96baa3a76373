package dump

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ValueKind is what a [Value] is.
type ValueKind uint8

// The kinds of values.
const (
	// ValueExpression is anything that is not one of the others; only its text
	// is known.
	ValueExpression ValueKind = iota
	ValueNull
	ValueInteger
	ValueReal
	ValueText
	ValueBlob
	// ValueError is the word ERROR, by which D1 writes a value it does not
	// know. There is nothing to bring back.
	ValueError
)

// Value is one value of a row.
type Value struct {
	Kind    ValueKind
	Integer int64
	Real    float64
	// Bytes are those of a text or blob. They may share memory with the row.
	Bytes []byte
	// Source is how the row has it, without white space around it.
	Source []byte
}

// errRow is the error of a row that is none.
var errRow = errors.New("this is not a row of values")

// ParseRow reads the values of a row, parentheses included, and appends them
// to dst. It knows the literals of SQLite, the calls of replace and char by
// which D1 and the sqlite3 shell write line ends, unistr, and the words
// Infinity and ERROR.
func ParseRow(dst []Value, row []byte) ([]Value, error) {
	if len(row) < 2 || row[0] != '(' || row[len(row)-1] != ')' {
		return dst, errRow
	}
	rest := row[1 : len(row)-1]
	for {
		end := valueEnd(rest)
		if end < 0 {
			return dst, errRow
		}
		dst = append(dst, parseValue(bytes.TrimSpace(rest[:end])))
		if end == len(rest) {
			return dst, nil
		}
		rest = rest[end+1:]
	}
}

// valueEnd is where the value at the start of p ends: at a comma outside of
// parentheses, quotings and comments, or at the end. -1 says that something
// does not end.
func valueEnd(p []byte) int {
	depth := 0
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == ',' && depth == 0:
			return i
		case c == '(':
			depth++
		case c == ')':
			depth--
		case classes[c] == classQuote:
			n := quotingEnd(p[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case c == '-' && bytes.HasPrefix(p[i:], []byte("--")):
			n := bytes.IndexByte(p[i:], '\n')
			if n < 0 {
				return -1
			}
			i += n
		case c == '/' && bytes.HasPrefix(p[i:], []byte("/*")):
			n := bytes.Index(p[i+2:], []byte("*/"))
			if n < 0 {
				return -1
			}
			i += n + 3
		}
	}
	if depth != 0 {
		return -1
	}
	return len(p)
}

// quotingEnd is behind the quoting at the start of p, or -1.
func quotingEnd(p []byte) int {
	quote := p[0]
	if quote == '[' {
		quote = ']'
	}
	for i := 1; ; i += 2 {
		n := bytes.IndexByte(p[i:], quote)
		if n < 0 {
			return -1
		}
		i += n
		if i+1 == len(p) || p[i+1] != quote || quote == ']' {
			return i + 1
		}
	}
}

// parseValue reads one value.
func parseValue(source []byte) Value {
	v := Value{Source: source}
	if len(source) == 0 {
		return v
	}
	switch c := source[0]; {
	case c == '\'':
		v.setBytes(ValueText, textOf(source))
	case (c == 'X' || c == 'x') && len(source) > 2 && source[1] == '\'':
		v.setBytes(ValueBlob, blobOf(source))
	case isDigit(c), c == '-', c == '+', c == '.':
		v.number()
	case bytes.EqualFold(source, []byte("NULL")):
		v.Kind = ValueNull
	case string(source) == "Infinity":
		v.Kind, v.Real = ValueReal, math.Inf(1)
	case string(source) == "ERROR":
		v.Kind = ValueError
	default:
		v.call()
	}
	return v
}

// setBytes makes v a text or blob, unless there are no bytes to have.
func (v *Value) setBytes(kind ValueKind, b []byte) {
	if b != nil {
		v.Kind, v.Bytes = kind, b
	}
}

// textOf is what a literal between single quotes says, or nil if the source is
// not one.
func textOf(source []byte) []byte {
	if len(source) < 2 || source[0] != '\'' || quotingEnd(source) != len(source) {
		return nil
	}
	inner := source[1 : len(source)-1]
	if bytes.IndexByte(inner, '\'') < 0 {
		return inner
	}
	return bytes.ReplaceAll(inner, []byte("''"), []byte("'"))
}

func blobOf(source []byte) []byte {
	digits := textOf(source[1:])
	if digits == nil {
		return nil
	}
	b := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(b, digits); err != nil {
		return nil
	}
	return b
}

// number reads a literal as SQLite does: an integer that fits 64 bits, or else
// a double.
func (v *Value) number() {
	text := string(bytes.ReplaceAll(v.Source, []byte("_"), nil))
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		v.Kind, v.Integer = ValueInteger, n
		return
	}
	if len(text) > 2 && text[0] == '0' && text[1]|0x20 == 'x' {
		if n, err := strconv.ParseUint(text[2:], 16, 64); err == nil {
			v.Kind, v.Integer = ValueInteger, int64(n)
		}
		return
	}
	if text == "-Infinity" {
		v.Kind, v.Real = ValueReal, math.Inf(-1)
		return
	}
	if len(strings.Trim(text, "+-.0123456789eE")) > 0 {
		return // arithmetic
	}
	f, err := strconv.ParseFloat(text, 64)
	if err == nil || math.IsInf(f, 0) {
		v.Kind, v.Real = ValueReal, f
	}
}

// call reads the calls by which dumps write text.
func (v *Value) call() {
	name, arguments, ok := splitCall(v.Source)
	if !ok {
		return
	}
	switch {
	case keywordOf(name) == wordReplace && len(arguments) == 3:
		v.setBytes(ValueText, replaced(arguments))
	case bytes.EqualFold(name, []byte("unistr")) && len(arguments) == 1:
		v.setBytes(ValueText, unistr(textOf(arguments[0])))
	case bytes.EqualFold(name, []byte("CAST")) && len(arguments) == 1:
		v.setBytes(ValueText, castToText(arguments[0]))
	}
}

// splitCall takes a call apart.
func splitCall(source []byte) (name []byte, arguments [][]byte, ok bool) {
	open := bytes.IndexByte(source, '(')
	if open < 0 || source[len(source)-1] != ')' {
		return nil, nil, false
	}
	rest := source[open+1 : len(source)-1]
	for {
		end := valueEnd(rest)
		if end < 0 {
			return nil, nil, false
		}
		arguments = append(arguments, bytes.TrimSpace(rest[:end]))
		if end == len(rest) {
			return source[:open], arguments, true
		}
		rest = rest[end+1:]
	}
}

// replaced evaluates replace(text, mark, char(n)), where the text may be such
// a call again.
func replaced(arguments [][]byte) []byte {
	text := parseValue(arguments[0])
	mark := textOf(arguments[1])
	by := charOf(arguments[2])
	if text.Kind != ValueText || len(mark) == 0 || by == nil {
		return nil
	}
	return bytes.ReplaceAll(text.Bytes, mark, by)
}

// charOf is what a call of char with one number says, or nil.
func charOf(source []byte) []byte {
	name, arguments, ok := splitCall(source)
	if !ok || len(arguments) != 1 || !bytes.EqualFold(name, []byte("char")) {
		return nil
	}
	n, err := strconv.Atoi(string(arguments[0]))
	if err != nil || n < 0 || n > utf8.MaxRune {
		return nil
	}
	return utf8.AppendRune(nil, rune(n))
}

// castToText reads X'...' AS TEXT, by which Patina writes text that no literal
// can hold.
func castToText(argument []byte) []byte {
	blob, found := bytes.CutSuffix(argument, []byte(" AS TEXT"))
	if !found || len(blob) < 3 || blob[0] != 'X' {
		return nil
	}
	return blobOf(blob)
}

// unistr decodes the escapes that the sqlite3 shell writes since 3.50 for
// control characters (https://sqlite.org/lang_corefunc.html#unistr), or is nil
// if one is broken.
func unistr(text []byte) []byte {
	if text == nil {
		return nil
	}
	out := make([]byte, 0, len(text))
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return append(out, text...)
		}
		out = append(out, text[:i]...)
		text = text[i+1:]
		digits, skip := 4, 0
		switch {
		case len(text) == 0:
			return nil
		case text[0] == '\\':
			out, text = append(out, '\\'), text[1:]
			continue
		case text[0] == 'u':
			skip = 1
		case text[0] == 'U':
			digits, skip = 8, 1
		case text[0] == '+':
			digits, skip = 6, 1
		}
		if len(text) < skip+digits {
			return nil
		}
		n, err := strconv.ParseUint(string(text[skip:skip+digits]), 16, 32)
		if err != nil || n > utf8.MaxRune {
			return nil
		}
		out = utf8.AppendRune(out, rune(n))
		text = text[skip+digits:]
	}
}

// AppendSQL appends the value as D1 and every SQLite read it: infinity as a
// number out of range, text with NUL or broken UTF-8 as a cast blob, ERROR as
// NULL, and everything else as it was written.
func (v Value) AppendSQL(dst []byte) []byte {
	switch {
	case v.Kind == ValueError:
		return append(dst, "NULL"...)
	case v.Kind == ValueReal && math.IsInf(v.Real, 1):
		return append(dst, "9e999"...)
	case v.Kind == ValueReal && math.IsInf(v.Real, -1):
		return append(dst, "-9e999"...)
	case v.Kind == ValueText && !plainText(v.Bytes):
		dst = append(dst, "CAST(X'"...)
		dst = hex.AppendEncode(dst, v.Bytes)
		return append(dst, "' AS TEXT)"...)
	case v.Kind == ValueText && !quoted(v.Source) && !isReplace(v.Source):
		dst = append(dst, '\'')
		dst = append(dst, bytes.ReplaceAll(v.Bytes, []byte("'"), []byte("''"))...)
		return append(dst, '\'')
	}
	return append(dst, v.Source...)
}

func plainText(b []byte) bool { return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) }

func quoted(source []byte) bool { return len(source) > 0 && source[0] == '\'' }

func isReplace(source []byte) bool {
	name, _, _ := bytes.Cut(source, []byte("("))
	return keywordOf(name) == wordReplace
}
