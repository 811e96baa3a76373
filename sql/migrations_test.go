package migrations_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	migrations "github.com/AutumnsGrove/patina/sql"
)

// folders are both kinds of databases by name.
func folders(t *testing.T) map[string]fs.FS {
	t.Helper()
	postgres, err := migrations.Postgres()
	if err != nil {
		t.Fatal(err)
	}
	sqlite, err := migrations.SQLite()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]fs.FS{"postgres": postgres, "sqlite": sqlite}
}

func list(t *testing.T, folder fs.FS) []migrations.Migration {
	t.Helper()
	all, err := migrations.List(folder)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(t *testing.T, folder fs.FS, name string) string {
	t.Helper()
	content, err := fs.ReadFile(folder, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestReleasedFilesStay keeps what was released as it was. A new file adds a
// line; a line never changes once its file was in a release.
func TestReleasedFilesStay(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"postgres/00001_jobs.sql":      "22fd4ef27ffcdb8aae6ec582af6ecade7c07a6374fcba061e071702461f31d87",
		"postgres/00002_documents.sql": "1308e5b556d2537287df7d81f2c9ec229de9106d4e267c7e5b6d0c4e4af79c88",
		"sqlite/00002_documents.sql":   "eee9bd7af371d4cd6f6944c5136ab8772785530079150028fa862dcae1a56144",
		"sqlite/00001_jobs.sql":        "01f16649a033b5d985e1dd1bee0c22b590d8dbc35c323b6df7074088ab0c1e54",
	}
	got := map[string]string{}
	for kind, folder := range folders(t) {
		for _, m := range list(t, folder) {
			sum := sha256.Sum256([]byte(read(t, folder, m.Name)))
			got[kind+"/"+m.Name] = hex.EncodeToString(sum[:])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hashes of the files (-want +got):\n%s", diff)
	}
}

// TestForwardOnly keeps to files that go up and have no way down.
func TestForwardOnly(t *testing.T) {
	t.Parallel()
	for kind, folder := range folders(t) {
		for _, m := range list(t, folder) {
			content := read(t, folder, m.Name)
			if !strings.Contains(content, "-- +goose Up\n") || strings.Contains(content, "+goose Down") {
				t.Errorf("%s/%s is not forward only", kind, m.Name)
			}
		}
	}
}

// TestSameColumns compares tables and columns of both kinds, file by file.
func TestSameColumns(t *testing.T) {
	t.Parallel()
	both := folders(t)
	postgres, sqlite := list(t, both["postgres"]), list(t, both["sqlite"])
	if diff := cmp.Diff(postgres, sqlite); diff != "" {
		t.Fatalf("files (-postgres +sqlite):\n%s", diff)
	}
	tables := 0
	for _, m := range postgres {
		inPostgres := columns(read(t, both["postgres"], m.Name))
		if diff := cmp.Diff(inPostgres, columns(read(t, both["sqlite"], m.Name))); diff != "" {
			t.Errorf("%s: columns (-postgres +sqlite):\n%s", m.Name, diff)
		}
		tables += len(inPostgres)
	}
	if tables == 0 {
		t.Error("no table was found")
	}
}

// columns are the columns of each table that a file makes, with what must be
// there, in order. It reads the way these files are written: one column a line.
func columns(content string) map[string][]string {
	table := regexp.MustCompile(`(?s)CREATE TABLE (?:patina\.)?(\w+) \((.*?)\n\)`)
	column := regexp.MustCompile(`(?m)^ {4}([a-z_]+) +(.*)$`)
	all := map[string][]string{}
	for _, found := range table.FindAllStringSubmatch(content, -1) {
		for _, line := range column.FindAllStringSubmatch(found[2], -1) {
			must := ""
			if strings.Contains(line[2], "NOT NULL") || strings.Contains(line[2], "PRIMARY KEY") {
				must = " NOT NULL"
			}
			all[found[1]] = append(all[found[1]], line[1]+must)
		}
	}
	return all
}

func TestList(t *testing.T) {
	t.Parallel()
	folder := fstest.MapFS{"00010_b.sql": {}, "00002_a.sql": {}, "notes.txt": {}}
	all := list(t, folder)
	want := []migrations.Migration{{Version: 2, Name: "00002_a.sql"}, {Version: 10, Name: "00010_b.sql"}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	if got := migrations.Newest(all); got != 10 {
		t.Errorf("Newest = %d, want 10", got)
	}
	if diff := cmp.Diff([]string{"00010_b.sql"}, migrations.After(all, 2)); diff != "" {
		t.Errorf("After (-want +got):\n%s", diff)
	}
	for name, bad := range map[string]fstest.MapFS{
		"no file":   {},
		"no number": {"jobs.sql": {}},
		"zero":      {"00000_jobs.sql": {}},
		"twice":     {"00001_a.sql": {}, "1_b.sql": {}},
	} {
		if got, err := migrations.List(bad); err == nil {
			t.Errorf("List of a folder with %s = %v, want an error", name, got)
		}
	}
}
