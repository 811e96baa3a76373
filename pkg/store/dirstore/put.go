package dirstore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"github.com/AutumnsGrove/patina/pkg/store"
)

const (
	copyBytes = 256 << 10
	// maxEmptyReads is how often in a row a body may return nothing at all.
	maxEmptyReads = 100
	// maxPublishTries bounds the race with a Delete that removes the folder
	// again. Each lost try needs a Delete of its own.
	maxPublishTries = 1000
)

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, _ store.PutOptions) (store.Receipt, error) {
	if err := errors.Join(ctx.Err(), checkKey(key)); err != nil {
		return store.Receipt{}, fmt.Errorf("put %s: %w", key, err)
	}
	info, err := s.put(ctx, key, body)
	if err != nil {
		return store.Receipt{}, fmt.Errorf("put %s: %w", key, err)
	}
	return store.Receipt{Info: info, Parts: 1}, nil
}

func (s *Store) put(ctx context.Context, key string, body io.Reader) (_ store.Info, err error) {
	temp, err := s.newTemp()
	if err != nil {
		return store.Info{}, err
	}
	defer func() {
		// The name goes first: the lock must hold while it exists. An object
		// that is published does not need the temporary name any more, and
		// the sweep of a later process takes what cannot be removed now.
		_ = s.root.Remove(temp.name)
		_ = temp.file.Close()
	}()
	s.sweep.Do(func() { s.sweepTemps(temp) })
	if err := fill(ctx, temp.file, body); err != nil {
		return store.Info{}, err
	}
	fi, err := s.seal(temp)
	if err != nil {
		return store.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Info{}, err
	}
	if err := s.publish(temp, key, fi); err != nil {
		return store.Info{}, err
	}
	return infoOf(key, fi), nil
}

// fill writes body to file and compares what the file then holds with what
// body gave. The comparison finds what a file system lost on the way; it is
// mostly answered from memory and proves nothing of the disk.
func fill(ctx context.Context, file *os.File, body io.Reader) error {
	var given, kept maphash.Hash
	kept.SetSeed(given.Seed())
	buf := make([]byte, copyBytes)
	size, err := copyBody(ctx, io.MultiWriter(file, &given), body, buf)
	if err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	back, err := copyBody(ctx, &kept, file, buf)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if back != size || kept.Sum64() != given.Sum64() {
		return fmt.Errorf("file holds %d bytes that are not the %d bytes written", back, size)
	}
	return nil
}

// copyBody copies until a bare io.EOF. io.Copy would not look at ctx, and it
// trusts a reader that neither gives anything nor ends.
func copyBody(ctx context.Context, to io.Writer, from io.Reader, buf []byte) (int64, error) {
	var size int64
	for empty := 0; empty < maxEmptyReads; {
		if err := ctx.Err(); err != nil {
			return size, err
		}
		n, readErr := from.Read(buf)
		if n < 0 || n > len(buf) {
			return size, fmt.Errorf("body returned the count %d for %d bytes", n, len(buf))
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return size, err
		}
		size += int64(n)
		if readErr == io.EOF { // only the bare error is an end
			return size, nil
		}
		if readErr != nil {
			return size, fmt.Errorf("body after %d bytes: %w", size, readErr)
		}
		empty++
		if n > 0 {
			empty = 0
		}
	}
	return size, fmt.Errorf("body after %d bytes: %w", size, io.ErrNoProgress)
}

// seal gives the file the time that its ETag is made of, and syncs it.
func (s *Store) seal(temp *temp) (fs.FileInfo, error) {
	if err := s.stamp(temp); err != nil {
		return nil, err
	}
	if err := temp.file.Sync(); err != nil {
		return nil, err
	}
	return temp.file.Stat()
}

// publish gives the temporary file its name, creates the folders above it and
// makes all of that durable.
func (s *Store) publish(temp *temp, key string, fi fs.FileInfo) error {
	if err := s.linkTo(temp, key, fi); err != nil {
		return err
	}
	err := s.syncAbove(key)
	if err == nil {
		return nil
	}
	// The object is ours, but nobody may rely on it.
	if undo := s.root.Remove(filepath.FromSlash(key)); undo != nil {
		return fmt.Errorf("sync folder: %w (and the object could not be removed: %w)", err, undo)
	}
	return fmt.Errorf("sync folder: %w", err)
}

func (s *Store) linkTo(temp *temp, key string, fi fs.FileInfo) error {
	var err error
	for range maxPublishTries {
		if err = s.makeFolders(path.Dir(key)); err == nil {
			err = s.root.Link(temp.name, filepath.FromSlash(key))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		// A Delete took the folder away in between.
	}
	if errors.Is(err, fs.ErrExist) {
		return s.judgeTaken(key, fi)
	}
	if errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("file system refuses hard links: %w", err)
	}
	return err
}

// judgeTaken tells why a name is taken. It may be by this very file: NFS
// repeats a link request whose answer was lost, and then says "exists".
func (s *Store) judgeTaken(key string, fi fs.FileInfo) error {
	there, err := s.root.Lstat(filepath.FromSlash(key))
	if err != nil {
		return fmt.Errorf("%w (and then: %w)", store.ErrExists, err)
	}
	if os.SameFile(there, fi) {
		return nil
	}
	if there.IsDir() {
		return fmt.Errorf("%w: objects lie under %s/", store.ErrKey, key)
	}
	return store.ErrExists
}

// makeFolders creates a folder and those above it.
func (s *Store) makeFolders(folder string) error {
	if folder == "." {
		return nil
	}
	if err := s.makeFolders(path.Dir(folder)); err != nil {
		return err
	}
	err := s.root.Mkdir(filepath.FromSlash(folder), folderMode)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	fi, err := s.root.Lstat(filepath.FromSlash(folder))
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%w: %s is not a folder", store.ErrKey, folder)
	}
	return nil
}

// syncAbove syncs all folders above a key. Also those that were there: it may
// be that another writer made them a moment ago and has not synced them yet.
func (s *Store) syncAbove(key string) error {
	for folder := path.Dir(key); ; folder = path.Dir(folder) {
		if err := syncFolder(s.root.Open(filepath.FromSlash(folder))); err != nil {
			return err
		}
		if folder == "." {
			return nil
		}
	}
}
