//go:build unix

package scratch

import (
	"io/fs"
	"os"
	"syscall"
)

// own says whether it is this user's.
func own(fi fs.FileInfo) bool {
	stat, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
