// Package scratch makes the folders in which databases are built, and removes those
// that dead processes left.
//
// The rules it keeps:
//
//   - A folder is its user's alone, and locked while its process lives.
//   - Who makes one removes the leftovers that lie beside it: folders of its names,
//     of this user and this host, which nobody else may enter, which hold nothing but
//     such a database, and whose lock is free. Whatever else bears such a name is
//     left alone, and so is all of it where there are no locks.
//   - A leftover is no reason to fail: what stays is tried again by the next.
//   - A link is not followed. The folder around may be everybody's, as /tmp is.
//
// A share may not carry locks from host to host, which is why the names have the
// host.
package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/flock"
)

// database is the one file that is built in a folder.
const database = "new.db"

// maxTries bounds the tries for a folder of our own: a sweep may take one in the
// instant between its creation and its lock.
const maxTries = 100

// Folder is a folder that is this process's own.
type Folder struct {
	path string
	// lock is the open folder; nil where there are no locks.
	lock *os.File
}

// New makes a folder in a parent, which empty means the system's for temporary
// files, after it has removed what dead processes left there.
func New(parent string) (*Folder, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	// Before, because the leftovers may be what fills the disk.
	sweep(parent)
	for range maxTries {
		path, err := os.MkdirTemp(parent, prefix()+"*")
		if err != nil {
			return nil, fmt.Errorf("create a temporary folder: %w", err)
		}
		lock, err := hold(path)
		if err == nil {
			return &Folder{path, lock}, nil
		}
		if !errors.Is(err, flock.ErrTaken) {
			return nil, errors.Join(fmt.Errorf("hold the temporary folder: %w", err), os.Remove(path))
		}
	}
	return nil, fmt.Errorf("no temporary folder in %d tries: %w", maxTries, flock.ErrTaken)
}

// hold locks a folder and makes sure that it still has its name, in that order: from
// then on no sweep removes it. It returns flock.ErrTaken where one was faster.
func hold(path string) (*os.File, error) {
	folder, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, flock.ErrTaken
	}
	if err != nil {
		return nil, err
	}
	err = flock.Try(folder)
	if errors.Is(err, errors.ErrUnsupported) {
		// No sweep can lock it either. Such systems may not let go of an open folder.
		return nil, folder.Close()
	}
	if err == nil && !names(os.Lstat, path, folder) {
		err = flock.ErrTaken
	}
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return folder, nil
}

// names says whether a name is that of an open folder, and no link to it.
func names(lstat func(string) (fs.FileInfo, error), name string, folder *os.File) bool {
	there, err := lstat(name)
	if err != nil {
		return false
	}
	opened, err := folder.Stat()
	return err == nil && os.SameFile(there, opened)
}

// Database is where in the folder a database is built.
func (f *Folder) Database() string { return filepath.Join(f.path, database) }

// Remove removes the folder and all that is in it.
func (f *Folder) Remove() error {
	err := os.RemoveAll(f.path)
	if f.lock == nil {
		return err
	}
	return errors.Join(err, f.lock.Close())
}

// prefix is how the names of this host's folders begin, before a number.
func prefix() string {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	plain := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.':
			return r
		}
		return '_'
	}, host)
	return ".patina-" + plain[:min(len(plain), 64)] + "-"
}

// sweep removes the folders in a parent that dead processes left.
func sweep(parent string) {
	root, err := os.OpenRoot(parent)
	if err != nil {
		return
	}
	defer root.Close() //nolint:errcheck // nothing was written to it
	entries, err := readNames(root)
	if err != nil {
		return
	}
	for _, name := range entries {
		if number, ours := strings.CutPrefix(name, prefix()); ours && number != "" && strings.Trim(number, "0123456789") == "" {
			removeLeftover(root, name)
		}
	}
}

func readNames(root *os.Root) ([]string, error) {
	folder, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer folder.Close() //nolint:errcheck // it was only read
	return folder.Readdirnames(-1)
}

// removeLeftover removes a folder if it is a leftover for certain. Once it is locked
// and still has its name, nobody else removes it; and since it is this user's alone,
// nobody else puts anything into it.
func removeLeftover(parent *os.Root, name string) {
	if fi, err := parent.Lstat(name); err != nil || !private(fi) {
		return
	}
	folder, err := parent.OpenRoot(name)
	if err != nil {
		return
	}
	defer folder.Close() //nolint:errcheck // nothing was written to it
	lock, err := folder.Open(".")
	if err != nil {
		return
	}
	defer lock.Close() //nolint:errcheck // it was only read
	if flock.Try(lock) != nil || !names(parent.Lstat, name, lock) {
		return
	}
	// It may not be what was looked at first.
	if fi, err := lock.Stat(); err != nil || !private(fi) {
		return
	}
	files, err := lock.Readdirnames(-1)
	if err != nil || slices.ContainsFunc(files, func(file string) bool { return !built(folder, file) }) {
		return
	}
	for _, file := range files {
		if folder.Remove(file) != nil {
			return
		}
	}
	_ = parent.Remove(name) // a leftover is no reason to fail
}

// private says whether it is a folder that this user alone may enter.
func private(fi fs.FileInfo) bool {
	return fi.IsDir() && fi.Mode().Perm()&0o077 == 0 && own(fi)
}

// built says whether a file is of a database that was built.
func built(folder *os.Root, name string) bool {
	suffix, found := strings.CutPrefix(name, database)
	if !found || !slices.Contains([]string{"", "-journal", "-wal", "-shm"}, suffix) {
		return false
	}
	fi, err := folder.Lstat(name)
	return err == nil && fi.Mode().IsRegular()
}
