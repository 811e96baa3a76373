package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/scratch"
)

// restoreSQLite builds a database in a folder of its own beside the file, and
// gives it its name when it is found to be right: whatever happens, there is the
// old file, or none, or the new one. A dry run builds it too, and throws it away.
func restoreSQLite(ctx context.Context, eng *engine.Engine, opts restoreOptions, target restoreTarget, source *engine.Source) (result engine.LoadResult, err error) {
	folder, err := scratch.NewFolder(target.folder())
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, folder.Remove()) }()
	built := folder.Database()
	if result, err = eng.LoadSQLite(ctx, source, built); err != nil || opts.request.DryRun {
		return result, err
	}
	// It took a while: somebody may have opened the old one meanwhile.
	if err := freeOfJournals(target.name); err != nil {
		return result, err
	}
	return result, name(built, target.name, opts.request.Replace)
}

// freeOfJournals refuses a name beside which a journal lies that SQLite would play
// into the new file.
func freeOfJournals(path string) error {
	for _, suffix := range []string{"-wal", "-journal", "-shm"} {
		if _, err := os.Lstat(path + suffix); err == nil {
			return fault.New(fault.Refused, "close what has it open, or name another file",
				"%s lies beside it: SQLite would take it for the new database's", path+suffix)
		}
	}
	return nil
}

// name gives a finished file its name.
func name(built, path string, replace bool) error {
	if replace {
		return os.Rename(built, path)
	}
	// A link fails where a rename would replace what came up meanwhile.
	if err := os.Link(built, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Remove(built)
}
