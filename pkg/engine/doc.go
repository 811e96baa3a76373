// Package engine is the verbs of Patina: what is done, in which order, under
// which lease, and what is recorded of it.
//
// Its rules: a backup exists when its manifest does, and the manifest is the
// last thing written; a failing database never stops the others; a missing
// catalogue never costs a backup; nothing is published that was not read whole
// and compared with what was sent. Every verb is a method that takes a request
// and returns a result with the errors in it. Nothing here prints: progress
// goes to an observer with one method, words to the caller.
//
// It knows the contracts (store, catalog) and the leaves, but no
// implementation of either: those are wired in cmd/patina.
package engine
