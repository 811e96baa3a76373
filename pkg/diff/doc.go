// Package diff compares two databases: their schemas, and the rows of their
// tables, which it walks on both sides at once in the order of their keys.
//
// The rules it keeps:
//
//   - Values are exact: an integer 1, a real 1.0 and a text '1' are different, and
//     text and blobs are compared byte by byte. A real -0.0 is 0.0, as in SQLite.
//   - Names are those that SQLite takes for one: the case of ASCII letters does not
//     count.
//   - Keys are ordered by bytes, whatever the collation of their columns, so that
//     both sides are in the same order.
//   - Rows are told apart by the primary key, or by the rowid where there is none.
//     Where the two sides have different keys, or columns took all names of the
//     rowid, a row is its whole content, and is never changed, only added or
//     removed; so is a row with NULL in its key.
//   - Columns that one side lacks are told, and the others are compared.
//   - Virtual tables are compared by their schema only. What SQLite and D1 keep for
//     themselves is left out.
//   - Memory does not grow with the tables: one row of each side is held, and as many
//     examples as are asked for.
//
// It knows databases, and not where they came from.
package diff
