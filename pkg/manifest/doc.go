// Package manifest is the JSON that lies in the bucket beside the dumps: the
// manifest that makes a dump a backup, and the records that a run leaves of
// what it set out to write and what it did.
//
// Its rules: every document names its format and version; a document is
// written once and never changed; a reader accepts fields it does not know,
// refuses versions newer than its own as ErrNewer, and anything else it cannot
// read as ErrForeign, so that nobody mistakes the one for debris. Documents
// hold no secret.
//
// It reads and writes bytes. Where they lie is backup's key grammar, and how
// they get there is the engine's work.
package manifest
