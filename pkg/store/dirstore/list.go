package dirstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// List implements store.Store. Symbolic links, devices and temporary files
// are no objects. A file whose name no key may have is listed as it is.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		_, err := s.walk(ctx, "", prefix, yield)
		if err != nil {
			yield(store.Info{}, fmt.Errorf("list %q: %w", prefix, err))
		}
	}
}

// walk yields what lies under a folder ("" or a name that ends in a slash) and
// says whether to go on.
func (s *Store) walk(ctx context.Context, folder, prefix string, yield func(store.Info, error) bool) (bool, error) {
	keys, err := s.readFolder(folder)
	if err != nil {
		return false, err
	}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		goOn, err := true, error(nil)
		if strings.HasSuffix(key, "/") {
			if strings.HasPrefix(key, prefix) || strings.HasPrefix(prefix, key) {
				goOn, err = s.walk(ctx, key, prefix, yield)
			}
		} else if strings.HasPrefix(key, prefix) {
			goOn, err = s.yieldFile(key, yield)
		}
		if !goOn || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (s *Store) yieldFile(key string, yield func(store.Info, error) bool) (bool, error) {
	fi, err := s.root.Lstat(filepath.FromSlash(key))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // deleted since the folder was read
	}
	if err != nil {
		return false, err
	}
	return yield(infoOf(key, fi), nil), nil
}

// readFolder is the files and folders in a folder, folders with a slash at
// their end, in the order of the keys under them: "a-b" comes before what is
// in "a/", although the name "a" comes before the name "a-b".
func (s *Store) readFolder(folder string) ([]string, error) {
	dir, err := s.root.Open(cmp.Or(strings.TrimSuffix(filepath.FromSlash(folder), string(filepath.Separator)), "."))
	if folder != "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it was empty and a Delete took it
	}
	if err != nil {
		return nil, err
	}
	entries, err := dir.ReadDir(-1)
	err = errors.Join(err, dir.Close())
	if folder != "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the same, between the opening and the reading
	}
	if err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(entries))
	for _, entry := range entries {
		switch {
		case folder == "" && strings.EqualFold(entry.Name(), tempFolder):
		case entry.IsDir():
			keys = append(keys, folder+entry.Name()+"/")
		case entry.Type().IsRegular():
			keys = append(keys, folder+entry.Name())
		}
	}
	slices.Sort(keys)
	return keys, nil
}
