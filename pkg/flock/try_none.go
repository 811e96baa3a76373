//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package flock

import (
	"errors"
	"os"
)

// Try takes no lock, for there is none: the error is [errors.ErrUnsupported].
func Try(*os.File) error { return errors.ErrUnsupported }
