package dirstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// Delete implements store.Store. Folders that it leaves empty are removed.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := errors.Join(ctx.Err(), checkKey(key)); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	if err := s.remove(key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

func (s *Store) remove(key string) error {
	_, err := s.lstat(key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.root.Remove(filepath.FromSlash(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.tidyAbove(path.Dir(key))
}

// tidyAbove makes a removal in folder durable and removes the folders that
// became empty. A Put that was about to use one of them makes it again.
func (s *Store) tidyAbove(folder string) error {
	for folder != "." && s.root.Remove(filepath.FromSlash(folder)) == nil {
		folder = path.Dir(folder)
	}
	err := syncFolder(s.root.Open(filepath.FromSlash(folder)))
	if folder != "." && errors.Is(err, fs.ErrNotExist) {
		return nil // another Delete emptied and removed it
	}
	return err
}
