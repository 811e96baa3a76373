// Package litedb builds a real SQLite database of a planned dump, and looks at
// it: it is how a backup is known to load, how it is brought back into a file, and
// how two are compared.
//
// The rules it keeps:
//
//   - A dump is not trusted. While it loads and while it is looked at, an
//     authorizer lets nothing past that reaches out of the one database: no
//     ATTACH, no extension, no PRAGMA, no file, nothing temporary. Functions and
//     virtual tables that are not harmless do not run out of its schema.
//   - Rows are bound as values and never compiled: text is what the dump's bytes
//     say, NUL and broken UTF-8 included.
//   - A database is built in one transaction, at a path that did not exist, and is
//     gone again if it cannot be finished. Giving it its name is the caller's.
//   - Memory is bounded by the page cache, whatever the dump.
//   - A database that it did not build is opened to be read, under the same guard,
//     and is never changed or removed.
//
// It does not judge what should be in the database.
package litedb
