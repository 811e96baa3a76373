// Package flock locks files and folders by which processes tell that they live:
// the kernel frees a lock when its process ends, however it ends.
//
// A lock says nothing of the name under which the file was opened: who takes one
// looks afterwards whether the file still has it. Where the system has no flock
// nothing is locked, and [Works] says so.
package flock

import "errors"

// ErrTaken is the error of a lock that another process holds.
var ErrTaken = errors.New("it is another process's")
