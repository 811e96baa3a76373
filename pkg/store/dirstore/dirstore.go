// Package dirstore keeps a backup store in a folder: a local disk, a mounted
// share, or a test's temporary directory.
//
// An object is a regular file whose path under the root is its key. Files are
// 0600 and folders 0700, since dumps hold users' data. The package keeps these
// rules:
//
//   - A body is written to a private temporary file on the same file system,
//     counted, read back and compared, synced, and only then linked to its
//     name with link(2), which fails when the name is taken. So a key is
//     created once, by one of several writers, and never shows half an object.
//   - When Put returns, the file and every folder above it are synced.
//   - Nothing outside of the root is touched whatever a key says: all access
//     goes through os.Root, and a symbolic link is neither an object nor a
//     folder of objects.
//   - Temporary files of killed processes are never listed. The first Put of a
//     Store removes those that no living process holds and that were not
//     written to for an hour.
//
// Two things that S3 has are missing in a folder. It cannot hold the keys "a"
// and "a/b" at once (the second is refused with store.ErrKey), and the first
// element of a key cannot be ".patina-tmp". Content types are not kept.
//
// An ETag is made of the length and the time of writing, whose digits below
// the millisecond are drawn by lot, so that two writings within one tick of
// the clock differ. It survives copies that keep times (cp -a, rsync -a, tar);
// where a file system keeps whole seconds only, it is as coarse as that. It
// does not notice a change that restores length and time: hashes do.
package dirstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/AutumnsGrove/patina/pkg/store"
)

const (
	tempFolder = ".patina-tmp"
	fileMode   = 0o600
	folderMode = 0o700
)

// Store is a store.Store in a folder. Make one with Open.
type Store struct {
	root  *os.Root
	sweep sync.Once
}

var _ store.Store = (*Store)(nil)

// Open opens the store in dir and creates the folder, and those above it,
// where they are missing. The Store holds one file descriptor until Close.
func Open(dir string) (*Store, error) {
	if dir == "" {
		return nil, errors.New("open directory store: no folder given")
	}
	if err := makeDurable(dir); err != nil {
		return nil, fmt.Errorf("open directory store: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory store: %w", err)
	}
	return &Store{root: root}, nil
}

// Close frees the store's file descriptor. Open bodies stay readable.
func (s *Store) Close() error { return s.root.Close() }

// makeDurable creates dir and syncs every folder that got a new entry by it.
func makeDurable(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var changed []string
	for at := dir; ; at = filepath.Dir(at) {
		_, err := os.Stat(at)
		if err == nil || filepath.Dir(at) == at {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		changed = append(changed, filepath.Dir(at))
	}
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return err
	}
	for _, folder := range changed {
		if err := syncFolder(os.Open(folder)); err != nil {
			return err
		}
	}
	return nil
}

// syncFolder syncs and closes what an Open returned.
func syncFolder(folder *os.File, err error) error {
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// checkKey refuses what no store takes and what lies among temporary files.
func checkKey(key string) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	first, _, _ := strings.Cut(key, "/")
	// Some file systems fold case.
	if strings.EqualFold(first, tempFolder) {
		return fmt.Errorf("%w: %q: %s is for temporary files", store.ErrKey, key, tempFolder)
	}
	return nil
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, key string) (store.Info, error) {
	if err := errors.Join(ctx.Err(), checkKey(key)); err != nil {
		return store.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	fi, err := s.lstat(key)
	if err != nil {
		return store.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	return infoOf(key, fi), nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string, opts store.GetOptions) (io.ReadCloser, store.Info, error) {
	if err := errors.Join(ctx.Err(), checkKey(key)); err != nil {
		return nil, store.Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	file, fi, err := s.open(key)
	if err != nil {
		return nil, store.Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	info := infoOf(key, fi)
	body, err := newBody(ctx, file, info, opts)
	if err != nil {
		_ = file.Close() // it was only read
		return nil, store.Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	return body, info, nil
}

func (s *Store) open(key string) (*os.File, fs.FileInfo, error) {
	if _, err := s.lstat(key); err != nil {
		return nil, nil, err
	}
	file, err := s.root.Open(filepath.FromSlash(key))
	if err != nil {
		return nil, nil, notFound(err)
	}
	fi, err := file.Stat()
	if err != nil {
		_ = file.Close() // it was only read
		return nil, nil, err
	}
	return file, fi, nil
}

// lstat finds an object: a regular file below folders that are no links.
func (s *Store) lstat(key string) (fs.FileInfo, error) {
	for i := range len(key) {
		if key[i] != '/' {
			continue
		}
		fi, err := s.root.Lstat(filepath.FromSlash(key[:i]))
		if err != nil {
			return nil, notFound(err)
		}
		if !fi.IsDir() {
			return nil, store.ErrNotFound
		}
	}
	fi, err := s.root.Lstat(filepath.FromSlash(key))
	if err != nil {
		return nil, notFound(err)
	}
	if !fi.Mode().IsRegular() {
		return nil, store.ErrNotFound
	}
	return fi, nil
}

// notFound turns the errors of a path that leads nowhere into ErrNotFound.
func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return store.ErrNotFound
	}
	return err
}

func infoOf(key string, fi fs.FileInfo) store.Info {
	return store.Info{
		Key:        key,
		Bytes:      fi.Size(),
		ETag:       strconv.FormatInt(fi.Size(), 16) + "-" + strconv.FormatInt(fi.ModTime().UnixNano(), 16),
		ModifiedAt: fi.ModTime().UTC(),
	}
}
