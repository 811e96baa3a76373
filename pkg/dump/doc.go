// Package dump reads SQL dumps as streams: it passes a dump through byte for
// byte while it finds out what the dump holds, whether it is whole, and what
// of it may not come back as it was.
//
// A dump comes in pieces of any size through [Filter.Write]. Where a statement
// ends is decided by the rules of SQLite's own sqlite3_complete: comments, all
// four quotings, and trigger bodies with their inner semicolons. Two kinds of
// dump are known: what D1 exports (https://developers.cloudflare.com/d1/), in
// all the forms it has had, and what the sqlite3 shell's .dump writes. Rows of
// other tools' dumps are counted too, several to a statement included.
//
// The rules it keeps:
//
//   - Memory does not grow with the dump. What is kept beyond a call is the
//     list of tables, objects and findings, the piece of a name or number that
//     a cut went through, and, if asked for, one statement and the schema tail.
//   - Where the pieces are cut changes nothing: neither the output nor the
//     summary.
//   - Errors and findings tell where and what kind, never what a row holds.
//
// What a number, text or word may have lost is judged from the dump alone, so
// a finding is a risk, not a proof. [ReadStatements] hands out the statements one
// by one, and [ParseRow] the values of a row, for those who write a dump anew or
// load it. The package does not parse SQL beyond what it counts and the values
// of rows, runs none of it, and cannot see a cut between two statements of a
// D1 export, which has no end marker: the length that the server promised must
// be compared by the caller.
package dump
