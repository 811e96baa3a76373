package secret

import (
	"io/fs"
	"os"
	"runtime"
)

// readByAnyone are the permission bits with which group or others read.
const readByAnyone fs.FileMode = 0o044

// Exposed says whether the permission bits of a file let users other than its
// owner read it; folders above it are not looked at. A file that cannot be
// looked at is not exposed: whoever reads it gets that error. On Windows,
// where the bits mean nothing, no file is.
func Exposed(path string) bool {
	info, err := os.Stat(path)
	return err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&readByAnyone != 0
}
