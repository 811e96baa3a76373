// Package archive writes and reads the archive of a week: one ordinary .tar.gz
// with a dump of each database and day, of which any one can be read without the
// rest.
//
// The file is a tar made of independent gzip members, one after the other: a
// member with the tar header, one or more with a file's content and nothing
// else, a member with the padding to 512 bytes and, at last, one with the end of
// the tar. gzip and tar read it as they read any other. Whoever knows where the
// members of one file's content lie (manifest.Member says so) reads that file
// alone, with nothing but gunzip.
//
// A dump that is stored as gzip is carried over as it is. Others are unpacked
// and compressed again, in blocks, side by side. An encrypted dump stays what it
// is, a file that ends in ".age", in gzip members that do not try to compress
// it. Whatever is read is held against the backup's manifest on the way, so that
// an archive never holds what its manifest does not tell.
//
// The package knows no store: the writer writes to an io.Writer, and the reader
// is given the bytes of one member, from wherever they were fetched.
package archive
