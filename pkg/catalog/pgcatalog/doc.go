// Package pgcatalog keeps the job catalogue in Postgres, for all hosts that
// work on one estate.
//
// Its rules:
//
//   - Everything lies in the schema patina, and every query names it, so that
//     no search_path matters. Open makes the tables itself only where that
//     schema is there already or the database holds nothing else; a database of
//     something else is left as it is.
//   - The server's clock is the only one. Leases are taken with SKIP LOCKED, so
//     that two hosts never wait for each other.
//   - Every call ends within a limit, whatever its context: a server that
//     accepts and says nothing must not hold up a backup. The server is told
//     the same limits, so that a host that freezes in the middle of a
//     transaction does not hold its rows for long.
//   - A transaction is tried again where it is known that it did not happen
//     (the answer was an error, or the connection broke before the commit was
//     sent). A commit whose answer was lost is tried again only where doing it
//     twice gives the same: Heartbeat, SetBackup, EndRun, Renew and Release,
//     whose rows have keys of the caller's making. BeginRun and Acquire are
//     not: they return catalog.ErrUnavailable.
//   - No error holds the password.
//
// A pooler in transaction mode, such as PgBouncer, works for everything but
// migrations, which hold a lock of their session: run "patina catalog migrate"
// over a direct connection. Poolers that lose prepared statements want
// default_query_exec_mode=exec (or simple_protocol) in the URL.
package pgcatalog
