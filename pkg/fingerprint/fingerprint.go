// Package fingerprint tells whether two tables hold the same rows without moving
// them: the SQL of one SELECT, which a SQLite file and a live D1 database answer
// alike, and a short text made of its answer.
//
// The rules it keeps:
//
//   - The order of rows does not matter, that of columns does.
//   - Of each value it sees the type; of integers all; of reals their first
//     thousandths; of texts and blobs the length in bytes, and the characters at
//     the beginning, the middle and the end. What changes in between, and keeps the
//     length, it does not see: SQL has no hash function, and D1 no other.
//   - Values of a row are bound to their neighbours, so that it is seen when rows
//     swap the values of a column.
//   - It asks for nothing that D1 does not answer: functions on its allow-list,
//     statements under 100,000 bytes, at most 100 columns or sums in an answer
//     (https://developers.cloudflare.com/d1/platform/limits/). It reads each row of
//     the table once, which D1 bills.
//   - It does not depend on how a version of SQLite parses, prints or rounds reals.
//
// It runs no SQL. It is no cryptographic hash: it finds what went wrong, and not
// what somebody forged.
package fingerprint

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/dump"
)

// version changes with what Query asks, so that fingerprints of different making
// are never held against each other.
const version = "1"

// Columns is the SELECT that names the stored columns of a table in their order,
// a row for each, which [Query] and [Of] are given.
func Columns(table string) string {
	return "SELECT name FROM pragma_table_xinfo(" + dump.QuoteText(table) + ") WHERE hidden=0 ORDER BY cid"
}

// Query is the SELECT about the rows of a table. Its answer is one row with one
// text for each column.
func Query(table string, columns []string) string {
	// Short names, because D1 bounds a statement. The LIMIT keeps SQLite from
	// computing each code again wherever it is named.
	names, codes, sums := make([]string, len(columns)), make([]string, len(columns)), make([]string, len(columns))
	for i, name := range columns {
		names[i] = fmt.Sprintf("%s AS c%d", dump.QuoteName(name), i)
		codes[i] = fmt.Sprintf("%s AS v%d", code(fmt.Sprintf("c%d", i)), i)
		// As text, because D1 answers numbers as doubles.
		sums[i] = fmt.Sprintf("coalesce(sum(v%d+v%d%%65521*(v%d%%65521)),0)||''", i, i, (i+1)%len(columns))
	}
	return "SELECT " + strings.Join(sums, ",") +
		" FROM (SELECT " + strings.Join(codes, ",") +
		" FROM (SELECT " + strings.Join(names, ",") + " FROM " + dump.QuoteName(table) + ") LIMIT -1)"
}

// code is a value as an integer below 2^35, whose sum over the rows of the largest
// database cannot overflow.
func code(c string) string {
	return strings.ReplaceAll("CASE typeof(@)"+
		" WHEN 'null' THEN 1"+
		" WHEN 'integer' THEN @%2147483629*7+2"+
		// Far from the bounds of integers, where a cast would saturate.
		" WHEN 'real' THEN CASE WHEN abs(@)<1e12 THEN CAST(@*1024.0 AS INTEGER)%2147483629*7+3 ELSE 10+(@>0) END"+
		" WHEN 'text' THEN "+bytesCode+"*7+4"+
		" ELSE "+bytesCode+"*7+5 END", "@", c)
}

// bytesCode is the code of a text or a blob. Its characters are looked for in the
// bytes, which all versions of SQLite count alike, whatever is in them.
const bytesCode = "(octet_length(@)*31" +
	"+3*coalesce(unicode(@),0)" +
	"+5*coalesce(unicode(substr(CAST(@ AS BLOB),octet_length(@)/2+1,4)),0)" +
	"+11*coalesce(unicode(substr(CAST(@ AS BLOB),-1)),0))"

// Of is the fingerprint of a table with those columns, by the answer to [Query].
func Of(columns, answer []string) string {
	var text strings.Builder
	for i, name := range columns {
		fmt.Fprintf(&text, "%q %s\n", name, answer[i])
	}
	sum := sha256.Sum256([]byte(text.String()))
	return version + ":" + hex.EncodeToString(sum[:8])
}

// Comparable says whether a fingerprint that was recorded can be held against one
// that is made now.
func Comparable(recorded string) bool { return strings.HasPrefix(recorded, version+":") }
