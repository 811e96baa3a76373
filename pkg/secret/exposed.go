package secret

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	groupRead, groupEnter   fs.FileMode = 0o040, 0o010
	othersRead, othersEnter fs.FileMode = 0o004, 0o001
)

// Exposed says whether users other than its owner can read a file, as far as
// permission bits tell: by the bits of the file itself, unless a folder above
// it keeps them out. A file that cannot be looked at is not exposed: whoever
// reads it gets that error. On Windows, where the bits mean nothing, no file
// is.
func Exposed(path string) bool {
	if runtime.GOOS == "windows" {
		return false
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	// A link's own bits and folder say nothing about the file behind it.
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	readable := mode(path) & (groupRead | othersRead)
	for readable != 0 {
		folder := filepath.Dir(path)
		if folder == path {
			return true
		}
		enter := mode(folder)
		if enter&othersEnter == 0 {
			readable &^= othersRead
		}
		if enter&(groupEnter|othersEnter) == 0 {
			readable = 0
		}
		path = folder
	}
	return false
}

// mode is the permission bits of a file; none where it cannot be looked at.
func mode(path string) fs.FileMode {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Mode().Perm()
}
