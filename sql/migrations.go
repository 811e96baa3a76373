// Package migrations holds the catalogue's database schemas, one folder for
// each kind of database, as files that are applied in the order of their
// numbers.
//
// Its rules: a number means the same in both folders, and both have the same
// tables and columns; migrations only go forward; a file that was released is
// never edited, which its hash in this package's test keeps.
//
// It applies nothing: that is the work of pgcatalog and litecatalog. In
// Postgres everything lies in a schema named patina, which is not created here
// because an administrator may have made it.
package migrations

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Postgres returns the migrations of a catalogue in Postgres.
func Postgres() (fs.FS, error) { return fs.Sub(files, "postgres") }

// SQLite returns the migrations of a catalogue in an SQLite file.
func SQLite() (fs.FS, error) { return fs.Sub(files, "sqlite") }

// Migration is one file.
type Migration struct {
	// Version is the number in front of its name.
	Version int64
	// Name is the file's name, such as "00001_jobs.sql".
	Name string
}

// List returns the migrations in a folder by rising version. It refuses files
// that are not numbered and numbers that come twice.
func List(folder fs.FS) ([]Migration, error) {
	names, err := fs.Glob(folder, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	if len(names) == 0 {
		return nil, errors.New("list migrations: there are none")
	}
	var list []Migration
	for _, name := range names {
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil || version <= 0 {
			return nil, fmt.Errorf("list migrations: %q has no number", name)
		}
		list = append(list, Migration{Version: version, Name: name})
	}
	slices.SortFunc(list, func(a, b Migration) int { return int(a.Version - b.Version) })
	for i := range list[1:] {
		if list[i].Version == list[i+1].Version {
			return nil, fmt.Errorf("list migrations: number %d comes twice", list[i].Version)
		}
	}
	return list, nil
}

// Newest is the number of the last migration in a list.
func Newest(list []Migration) int64 { return list[len(list)-1].Version }

// After are the names of the migrations past a version.
func After(list []Migration, version int64) []string {
	var names []string
	for _, m := range list {
		if m.Version > version {
			names = append(names, m.Name)
		}
	}
	return names
}
