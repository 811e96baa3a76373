// Package seal turns the plain bytes of a dump into the bytes that are stored,
// and back.
//
// On the way out it counts and hashes on both sides of the compressor, in one
// pass; where nothing lies between the two sides, one hash serves both. On the
// way back it holds the stream against what was recorded: whatever byte was
// flipped, cut off or added, reading ends in an error that says so, and never
// in a clean end. The error is never a bare io.ErrUnexpectedEOF, which some
// upload libraries take for a clean end.
//
// It is the one home of the compression libraries and of age, the encryption.
// It does not know what the bytes mean or where they are kept.
package seal
