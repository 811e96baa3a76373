//go:build unix

package scratch

import (
	"io/fs"
	"os"
	"syscall"
)

// ours says whether a file belongs to the user of this process.
func ours(file fs.FileInfo) bool {
	stat, ok := file.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}
