// Package sandbox is Cloudflare's REST API for D1 over a real SQLite engine,
// for tests, for `patina demo` and for `patina sandbox`.
//
// It is as strict as D1 is known to be, because a lenient fake hides bugs: an
// unknown route, field or token is refused in the API's own envelope and with
// its own codes. It is stateful: an export is started, polled and fetched, dies
// when it is not polled, is told as complete once, and keeps the database from
// serving queries meanwhile. So is an import, whose file is uploaded under a
// signed URL, cut and run statement by statement, and leaves nothing if it
// fails. The states behind bookmarks are kept, so that a time-travel restore
// goes back to them, and forward again. And it is lossy where D1's own dump
// generator is: integers pass through a double, a literal `\n` beside a line
// feed is lost, bytes that are no UTF-8 are replaced. What it imitates is held
// against Cloudflare's wrangler and workerd by the tests in its folder
// conformance.
//
// Time, faults and limits come from options, so that a test decides when a
// signed URL expires, which call meets a 502, or after how many statements an
// import dies.
//
// What is inferred, because no source tells it: the words about an import that
// keeps the database busy, that a restore waits for exports and imports to end,
// the code for too many restores, and that the bookmark in a restore's answer is
// the one that was asked for.
//
// What it does not do: the sqlite3_cli_only dump format, read replication, and
// permissions finer than a token that may read and one that may write. It
// imports nothing else of Patina, so that it cannot share a bug with what it
// tests.
package sandbox
