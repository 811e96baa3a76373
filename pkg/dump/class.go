package dump

// class says what kind of token a byte begins outside of quotings and
// comments.
type class uint8

const (
	classOther class = iota
	classSpace
	classWord // also a byte of a word or number
	classQuote
	classDash
	classSlash
)

// classes follow sqlite3_complete: only these five bytes are white space, and
// every byte of a character beyond ASCII belongs to a word.
var classes = makeClasses()

func makeClasses() [256]class {
	var of [256]class
	for c := range of {
		switch b := byte(c); {
		case b >= 0x80, b == '_', b == '$', '0' <= b && b <= '9', 'a' <= b|0x20 && b|0x20 <= 'z':
			of[c] = classWord
		}
	}
	for _, b := range " \t\n\f\r" {
		of[b] = classSpace
	}
	for _, b := range "'\"`[" {
		of[b] = classQuote
	}
	of['-'], of['/'] = classDash, classSlash
	return of
}
