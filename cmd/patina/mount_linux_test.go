package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// mounted mounts a file system of so many bytes, and says whether it may.
func mounted(t *testing.T, dir string, bytes int) bool {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("patina-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return true
}

// roomy makes a mounted file system larger.
func roomy(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("patina-test", dir, "tmpfs", syscall.MS_REMOUNT, "size=100m"); err != nil {
		t.Fatal(err)
	}
}
