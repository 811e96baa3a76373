// Package flock takes locks on files and folders, by which processes of one machine
// tell what is in use from what a dead one left: the kernel frees a lock when its
// process ends, however it ends.
//
// A lock belongs to the open file, and is freed when that is closed. On a share it
// may not reach from host to host.
package flock

import "errors"

// ErrTaken is the error for a lock that another open file holds.
var ErrTaken = errors.New("it is in use")
