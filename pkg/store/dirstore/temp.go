package dirstore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/AutumnsGrove/patina/pkg/flock"
)

const (
	// maxLotteries bounds the tries for a temporary file of our own: a sweep
	// may take one in the instant between its creation and its lock.
	maxLotteries = 100
	// leftoverAge is how long a temporary file must have rested before it is
	// taken for a leftover. The lock alone would do on a local disk; the age
	// is for shares whose locks do not reach from host to host.
	leftoverAge = time.Hour
)

// temp is a temporary file that this process holds a lock on.
type temp struct {
	name string
	file *os.File
	// bornAt is when it was created, by the file system's clock.
	bornAt time.Time
}

// newTemp creates a temporary file that no sweep takes while it is open.
func (s *Store) newTemp() (*temp, error) {
	for range maxLotteries {
		if err := s.root.Mkdir(tempFolder, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		name := filepath.Join(tempFolder, rand.Text())
		file, err := s.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		fi, err := s.hold(name, file)
		if err == nil {
			return &temp{name: name, file: file, bornAt: fi.ModTime()}, nil
		}
		_ = file.Close() // nothing was written
		if !errors.Is(err, flock.ErrTaken) {
			_ = s.root.Remove(name)
			return nil, err
		}
	}
	return nil, fmt.Errorf("no temporary file in %d tries: %w", maxLotteries, flock.ErrTaken)
}

// hold locks a file and makes sure that it still has its name, in that order:
// from then on nobody else removes it.
func (s *Store) hold(name string, file *os.File) (fs.FileInfo, error) {
	if err := flock.Try(file); err != nil {
		return nil, err
	}
	fi, err := file.Stat()
	if err != nil {
		return nil, err
	}
	there, err := s.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(fi, there) {
		return nil, flock.ErrTaken
	}
	return fi, err
}

// stamp sets the file's time: that of its last write to the millisecond, and
// below that by lot (see ETag in the package comment).
func (s *Store) stamp(temp *temp) error {
	fi, err := temp.file.Stat()
	if err != nil {
		return err
	}
	lot := time.Duration(mathrand.Int64N(int64(time.Millisecond)))
	return s.root.Chtimes(temp.name, time.Time{}, fi.ModTime().Truncate(time.Millisecond).Add(lot))
}

// sweepTemps removes the temporary files of processes that are gone. It is no
// reason for a Put to fail: what stays is tried again by the next process.
func (s *Store) sweepTemps(own *temp) {
	folder, err := s.root.Open(tempFolder)
	if err != nil {
		return
	}
	defer folder.Close() //nolint:errcheck // it was only read
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, base := range names {
		if name := filepath.Join(tempFolder, base); name != own.name {
			s.removeLeftover(name, own.bornAt)
		}
	}
}

// removeLeftover removes one temporary file if it is at rest and nobody's.
// The age is measured by the file system's clock, which may not be ours.
func (s *Store) removeLeftover(name string, now time.Time) {
	fi, err := s.root.Lstat(name)
	if err != nil || !fi.Mode().IsRegular() || now.Sub(fi.ModTime()) < leftoverAge {
		return
	}
	file, err := s.root.Open(name)
	if err != nil {
		return
	}
	defer file.Close() //nolint:errcheck // it was only read
	if _, err := s.hold(name, file); err != nil {
		return
	}
	_ = s.root.Remove(name)
}
