//go:build !unix

package scratch

import "io/fs"

// ours is never asked where nothing can be locked, and nothing is swept.
func ours(fs.FileInfo) bool { return false }
