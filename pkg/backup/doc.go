// Package backup holds the nouns that all of Patina shares: the database, the
// job and its runs, the night, the findings, and the grammar of the keys under
// which everything lies in the bucket.
//
// It keeps two rules. Every key that Patina writes or understands is built and
// parsed here, so that the layout in docs/layout.md has one home in code. And
// a value of this package is plain data: nothing here reads a clock, a file or
// a network.
//
// It does not know what a store, a catalogue or the D1 API is, and it imports
// none of Patina's other packages.
package backup
