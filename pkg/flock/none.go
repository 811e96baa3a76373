//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package flock

import "os"

// Works says whether locks lock.
const Works = false

// Try does nothing where there is no flock.
func Try(*os.File) error { return nil }
