package sandbox

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// jsNumber is how JavaScript prints a double, which is how D1 prints every
// number: the shortest digits that read back equal, with an exponent only
// below 1e-6 and from 1e21 on, and no sign for a zero
// (https://tc39.es/ecma262/#sec-numeric-types-number-tostring).
func jsNumber(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	if size := math.Abs(v); size >= 1e-6 && size < 1e21 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	digits := strconv.FormatFloat(v, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(digits, "e")
	sign, size := exponent[:1], strings.TrimLeft(exponent[1:], "0")
	return mantissa + "e" + sign + size
}

// jsText is what JavaScript makes of text: each byte that can be part of no
// character is replaced, and each beginning of a character that breaks off as a
// whole (https://encoding.spec.whatwg.org/#utf-8-decoder).
func jsText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			size = broken(s)
		}
		b.WriteRune(r)
		s = s[size:]
	}
	return b.String()
}

// broken is the length of what s, which begins with no character, begins with.
func broken(s string) int {
	n := 1
	for n < len(s) && !utf8.FullRuneInString(s[:n+1]) {
		n++
	}
	return n
}

// jsonValue is a value as the API returns it: integers pass through a double,
// what is not finite is null, and a blob is an array of its bytes.
func jsonValue(v any) any {
	switch v := v.(type) {
	case int64:
		return json.Number(jsNumber(float64(v)))
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil
		}
		return json.Number(jsNumber(v))
	case string:
		return jsText(v)
	case []byte:
		bytes := make([]int, len(v))
		for i, b := range v {
			bytes[i] = int(b)
		}
		return bytes
	case time.Time:
		// The driver reads columns declared as dates so; see rows.
		return v.Format("2006-01-02 15:04:05")
	}
	return v
}
