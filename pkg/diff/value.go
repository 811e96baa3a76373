package diff

import (
	"bytes"
	"cmp"
	"database/sql/driver"
	"math"
	"strings"
)

// rank is the place of a value's type in SQLite's order
// (https://sqlite.org/datatype3.html#sort_order).
func rank(v driver.Value) int {
	switch v.(type) {
	case nil:
		return 0
	case int64, float64:
		return 1
	case string:
		return 2
	}
	return 3
}

// compare orders values as SQLite does with the collation BINARY: an integer and
// a real of one value are equal.
func compare(a, b driver.Value) int {
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
		return compareMixed(x, b.(float64))
	case float64:
		if y, ok := b.(float64); ok {
			return cmp.Compare(x, y)
		}
		return -compareMixed(b.(int64), x)
	case string:
		return strings.Compare(x, b.(string))
	case []byte:
		return bytes.Compare(x, b.([]byte))
	}
	return 0
}

// compareExactly tells an integer from a real of the same value, too.
func compareExactly(a, b driver.Value) int {
	if c := compare(a, b); c != 0 {
		return c
	}
	_, aReal := a.(float64)
	_, bReal := b.(float64)
	switch {
	case aReal == bReal:
		return 0
	case aReal: // typeof says "integer" and "real", which is how they are ordered
		return 1
	}
	return -1
}

// compareMixed compares exactly, also where a real cannot hold the integer.
func compareMixed(i int64, r float64) int {
	switch {
	case r < math.MinInt64:
		return 1
	case r >= -math.MinInt64:
		return -1
	}
	whole := int64(r)
	if c := cmp.Compare(i, whole); c != 0 {
		return c
	}
	return cmp.Compare(float64(whole), r)
}
