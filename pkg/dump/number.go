package dump

import (
	"bytes"
	"math"
	"strconv"
)

// firstInexact is 2^53, from which on a double does not hold every integer.
const firstInexact = "9007199254740992"

// judgeLiteral appends to codes what a bare literal may have lost; over says
// that it goes on beyond what is given.
func judgeLiteral(codes []string, literal []byte, over bool) []string {
	unsigned := bytes.TrimLeft(literal, "+-")
	switch {
	case len(unsigned) == 0:
		return codes
	case unsigned[0] == '.' || isDigit(unsigned[0]):
		return judgeNumber(codes, unsigned, over)
	case bytes.EqualFold(unsigned, []byte("Infinity")):
		return append(codes, FindingInfinity)
	case string(unsigned) == "ERROR":
		return append(codes, FindingErrorWord)
	}
	return codes
}

func judgeNumber(codes []string, number []byte, over bool) []string {
	if bytes.IndexByte(number, '_') >= 0 { // SQLite takes 1_000
		number = bytes.ReplaceAll(number, []byte("_"), nil)
	}
	if len(bytes.TrimLeft(number, "0123456789")) == 0 {
		if over || pastExact(number) {
			return append(codes, FindingInteger)
		}
		return codes
	}
	if len(number) > 2 && number[0] == '0' && number[1]|0x20 == 'x' {
		n, err := strconv.ParseUint(string(number[2:]), 16, 64)
		if err != nil || magnitude(int64(n)) >= 1<<53 {
			return append(codes, FindingInteger)
		}
		return codes
	}
	if f, _ := strconv.ParseFloat(string(number), 64); math.IsInf(f, 0) {
		return append(codes, FindingInfinity)
	}
	return codes
}

// magnitude is the absolute value of n, that of the least integer included.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// pastExact says whether the digits make a number of at least 2^53. It
// compares text, because the number may be larger than any integer type.
func pastExact(digits []byte) bool {
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
	}
	if len(digits) != len(firstInexact) {
		return len(digits) > len(firstInexact)
	}
	return string(digits) >= firstInexact
}
