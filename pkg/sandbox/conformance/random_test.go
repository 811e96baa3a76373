package conformance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// drawn is a database of drawn values: the same ones in every run. There are
// randomTables tables with randomRows rows each.
func drawn() fidelityCase {
	return fidelityCase{"drawn", randomDatabase(rand.New(rand.NewPCG(20241208, 1)))}
}

const (
	randomTables = 12
	randomRows   = 60
)

// randomDatabase draws tables of every declared type and rows whose values have
// any type, as SQLite lets them.
func randomDatabase(r *rand.Rand) []string {
	types := []string{"", "INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC", "BOOLEAN", "VARCHAR(20)", "DOUBLE", "DATETIME"}
	var all []string
	for n := range randomTables {
		table := fmt.Sprintf("drawn_%d", n)
		columns := make([]string, 1+r.IntN(6))
		for i := range columns {
			columns[i] = fmt.Sprintf("c%d %s", i, types[r.IntN(len(types))])
		}
		all = append(all, fmt.Sprintf("CREATE TABLE %s(%s)", table, strings.Join(columns, ", ")))
		rows := make([]string, randomRows)
		for i := range rows {
			values := make([]string, len(columns))
			for j := range values {
				values[j] = randomLiteral(r)
			}
			rows[i] = "(" + strings.Join(values, ",") + ")"
		}
		all = append(all, fmt.Sprintf("INSERT INTO %s VALUES%s", table, strings.Join(rows, ",")))
	}
	return all
}

// randomLiteral draws a value as SQL writes it.
func randomLiteral(r *rand.Rand) string {
	switch r.IntN(6) {
	case 0:
		return "NULL"
	case 1:
		return strconv.FormatInt(randomInteger(r), 10)
	case 2, 3:
		return randomReal(r)
	case 4:
		return "'" + strings.ReplaceAll(randomText(r), "'", "''") + "'"
	}
	return fmt.Sprintf("X'%x'", randomBytes(r, r.IntN(12)))
}

// randomInteger draws from around the places where a double loses digits.
func randomInteger(r *rand.Rand) int64 {
	near := []int64{0, 1 << 53, -(1 << 53), 1 << 62, math.MaxInt64 - 64, math.MinInt64 + 65, 1e18, 1e17}
	return near[r.IntN(len(near))] + int64(r.IntN(129)) - 64
}

// randomReal draws any double that is a number, or one from around the places
// where JavaScript changes the form.
func randomReal(r *rand.Rand) string {
	edges := []float64{1e21, 1e-6, 1e-7, 1e20, 5e-324, 2.2250738585072014e-308, math.MaxFloat64, math.Copysign(0, -1), 0.1}
	v := math.Float64frombits(r.Uint64())
	if r.IntN(2) == 0 {
		v = edges[r.IntN(len(edges))] * (1 + float64(r.IntN(3)))
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "9e999"
	}
	return strconv.FormatFloat(v, 'e', 16, 64)
}

// randomText strings together what dumps have to write in a special way.
func randomText(r *rand.Rand) string {
	pieces := []string{
		"a", "'", `"`, "`", `\`, `\n`, `\r`, "\n", "\r", "\r\n", "\t", ";", "--", "/*", "é", "🌲", "\u2028", "\ufeff", "\x01", "%s",
		"replace(", "char(10)", "$1", "$&",
	}
	var b strings.Builder
	for range r.IntN(10) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func randomBytes(r *rand.Rand, n int) []byte {
	all := make([]byte, n)
	for i := range all {
		all[i] = byte(r.Uint32())
	}
	return all
}
