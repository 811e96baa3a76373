package d1

import (
	"context"
	"strings"
)

// VirtualTable is a table that D1's export refuses.
type VirtualTable struct {
	Name string
	// Module is what USING names, such as "fts5"; empty where the stored
	// statement cannot be read.
	Module string
}

// virtualSQL finds what D1's dump generator looks for: SQLite stores the
// statements of virtual tables with exactly this beginning.
const virtualSQL = `SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%' ORDER BY name`

// VirtualTables returns the tables for which D1 would refuse to export the
// database. Where the database is being exported it waits, as long as ctx
// allows.
func (c *Client) VirtualTables(ctx context.Context, id string) ([]VirtualTable, error) {
	results, err := c.raw(ctx, opVirtual, id, sqlRequest{SQL: virtualSQL, readOnly: true})
	if err != nil {
		return nil, hinted(err)
	}
	if len(results) != 1 || len(results[0].Columns) != 2 {
		return nil, malformed(opVirtual)
	}
	var tables []VirtualTable
	for _, row := range results[0].Rows {
		name, named := row[0].(string)
		sql, ok := row[1].(string)
		if !named || !ok {
			return nil, malformed(opVirtual)
		}
		tables = append(tables, VirtualTable{Name: name, Module: moduleOf(sql)})
	}
	return tables, nil
}

// moduleOf reads the module out of a stored CREATE VIRTUAL TABLE statement:
// the word after USING, which stands after a name in any quotes.
func moduleOf(sql string) string {
	words := sqlWords(sql)
	for i, word := range words {
		if i > 2 && strings.EqualFold(word, "USING") && i+1 < len(words) {
			return strings.ToLower(strings.Trim(words[i+1], "\"'`[]"))
		}
	}
	return ""
}

// sqlWords splits the beginning of a statement, up to its first parenthesis,
// into words; a quoted name is one word, with its quotes.
func sqlWords(sql string) []string {
	var words []string
	for sql = skipSpace(sql); sql != "" && sql[0] != '('; sql = skipSpace(sql) {
		n := wordLength(sql)
		words = append(words, sql[:n])
		sql = sql[n:]
	}
	return words
}

// skipSpace drops spaces and comments.
func skipSpace(sql string) string {
	for {
		sql = strings.TrimLeft(sql, " \t\r\n\f")
		switch {
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			_, sql, _ = strings.Cut(sql[2:], "*/")
		default:
			return sql
		}
	}
}

// wordLength is the length of the word or quoted name at the head of sql, at
// least 1.
func wordLength(sql string) int {
	closing := sql[0]
	switch closing {
	case '[':
		closing = ']'
	case '"', '\'', '`':
	default:
		if n := strings.IndexAny(sql[1:], " \t\r\n\f(\"'`["); n >= 0 {
			return n + 1
		}
		return len(sql)
	}
	for i := 1; i < len(sql); i++ {
		if sql[i] != closing {
			continue
		}
		if closing == ']' || i+1 == len(sql) || sql[i+1] != closing {
			return i + 1
		}
		i++ // a doubled quote is part of the name
	}
	return len(sql)
}
