// Package scratch makes the private places in which something is built before it
// gets its name, or is thrown away.
//
// The rules it keeps:
//
//   - Nobody else can open them: folders have mode 0700, files 0600.
//   - Who makes one holds a lock on it while he lives, and removes what dead
//     processes of the same user left beside it. So what a kill leaves, the next run
//     of its kind in that place clears away.
//   - Nothing else is touched: names that are not this package's, links, what belongs
//     to others or is open to them, folders with anything but a database in them, what
//     is locked, and what changed within the hour, for shares whose locks do not reach
//     from host to host. Who may rename what lies in a shared folder could else give
//     away, under such a name, what is another's.
//   - A sweep that fails is nobody's concern, and is tried again by the next.
package scratch

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/flock"
)

const (
	folderPrefix = ".patina-scratch-"
	fileSuffix   = ".part"
	// database is the file in a folder, beside which SQLite may put others.
	database = "new.db"
	// leftoverAge is how long a place must have rested before it is taken for a
	// leftover.
	leftoverAge = time.Hour
	// maxTries bounds the tries for a place: a sweep may take one in the instant
	// between its creation and its lock.
	maxTries = 100
)

// Folder is a folder in which a database is built, that is removed with all that is
// in it.
type Folder struct {
	path string
	held *os.File
}

// NewFolder makes a folder in another one, which empty means that of the system's
// temporary files. The caller removes it.
func NewFolder(parent string) (*Folder, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	path, held, err := claim(parent, folderPrefix, "", func(path string) (*os.File, error) {
		if err := os.Mkdir(path, 0o700); err != nil {
			return nil, err
		}
		return os.Open(path)
	})
	if err != nil {
		return nil, fmt.Errorf("create a temporary folder: %w", err)
	}
	return &Folder{path, held}, nil
}

// Database is where in the folder the database is built.
func (f *Folder) Database() string { return filepath.Join(f.path, database) }

// Remove removes the folder.
func (f *Folder) Remove() error { return errors.Join(f.held.Close(), os.RemoveAll(f.path)) }

// NewFile makes a file beside the one that it is to become. The caller closes it,
// and renames or removes it.
func NewFile(beside string) (*os.File, error) {
	folder, base := filepath.Split(beside)
	if folder == "" {
		folder = "."
	}
	_, file, err := claim(folder, "."+base+".", fileSuffix, func(path string) (*os.File, error) {
		return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	})
	if err != nil {
		return nil, fmt.Errorf("create a temporary file: %w", err)
	}
	return file, nil
}

// claim makes a place with a name that nobody has, holds it, and sweeps what the
// dead left under such names.
func claim(parent, prefix, suffix string, create func(path string) (*os.File, error)) (string, *os.File, error) {
	for range maxTries {
		path := filepath.Join(parent, prefix+rand.Text()+suffix)
		file, err := create(path)
		if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) && exists(parent) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		born, err := hold(path, file)
		if err == nil {
			sweep(parent, prefix, suffix, born.ModTime())
			return path, file, nil
		}
		_ = file.Close() // nothing was written
		if !errors.Is(err, flock.ErrTaken) {
			return "", nil, errors.Join(err, os.Remove(path))
		}
	}
	return "", nil, fmt.Errorf("none in %d tries: %w", maxTries, flock.ErrTaken)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// hold locks a file or folder and makes sure that it still has its name, in that
// order: from then on no sweep takes it. A file system may know no locks; then no
// sweep can take one there either.
func hold(path string, file *os.File) (fs.FileInfo, error) {
	if err := flock.Try(file); errors.Is(err, flock.ErrTaken) {
		return nil, err
	}
	return named(path, file)
}

// named is ErrTaken where a file has not the name under which it was opened.
func named(path string, file *os.File) (fs.FileInfo, error) {
	held, err := file.Stat()
	if err != nil {
		return nil, err
	}
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(held, there) {
		return nil, flock.ErrTaken
	}
	return held, err
}

// sweep removes what dead processes left. The time is the file system's.
func sweep(parent, prefix, suffix string, now time.Time) {
	if !flock.Works {
		return
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, entry := range entries {
		middle, begins := strings.CutPrefix(entry.Name(), prefix)
		middle, ends := strings.CutSuffix(middle, suffix)
		if begins && ends && isText(middle) {
			removeLeftover(filepath.Join(parent, entry.Name()), suffix == "", now)
		}
	}
}

// isText says whether a text may be of rand.Text: 26 letters and digits of base 32.
func isText(s string) bool {
	return len(s) >= 26 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

func removeLeftover(path string, folder bool, now time.Time) {
	found, err := os.Lstat(path)
	if err != nil || found.IsDir() != folder || !folder && !found.Mode().IsRegular() || !private(found) || now.Sub(lastChange(path, found)) < leftoverAge {
		return
	}
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close() //nolint:errcheck // it was only read
	if flock.Try(file) != nil {
		return
	}
	if _, err := named(path, file); err != nil {
		return
	}
	if folder && empty(path, file) != nil {
		return
	}
	_ = os.Remove(path)
}

// private says whether this user has it, and nobody else may open it.
func private(found fs.FileInfo) bool { return found.Mode().Perm()&0o077 == 0 && ours(found) }

// empty removes the database in a folder that is held, and nothing where there is
// anything else.
func empty(path string, held *os.File) error {
	folder, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer folder.Close() //nolint:errcheck // nothing was written
	is, err := held.Stat()
	if err != nil {
		return err
	}
	// Its name may have become another's since.
	if named, err := folder.Stat("."); err != nil || !os.SameFile(is, named) || !private(named) {
		return errors.Join(flock.ErrTaken, err)
	}
	names, err := held.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !ofDatabase(folder, name) {
			return fmt.Errorf("%s is none of ours", name)
		}
	}
	for _, name := range names {
		err = errors.Join(err, folder.Remove(name))
	}
	return err
}

// ofDatabase says whether a file is a database that was built, or one that SQLite
// puts beside it.
func ofDatabase(folder *os.Root, name string) bool {
	suffix, named := strings.CutPrefix(name, database)
	if !named || !slices.Contains([]string{"", "-journal", "-wal", "-shm"}, suffix) {
		return false
	}
	found, err := folder.Lstat(name)
	return err == nil && found.Mode().IsRegular()
}

// lastChange is when a file, or anything in a folder, was written last.
func lastChange(path string, found fs.FileInfo) time.Time {
	last := found.ModTime()
	if !found.IsDir() {
		return last
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return last
	}
	for _, entry := range entries {
		if inside, err := entry.Info(); err == nil && inside.ModTime().After(last) {
			last = inside.ModTime()
		}
	}
	return last
}
