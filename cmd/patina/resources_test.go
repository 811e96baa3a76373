package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// limitsVariable tells a process of the program what it has to live with, in
// words with a space between: "files N" for open files, "bytes N" for the
// length of files, which is as a full disk is, and "user" for the rights of
// nobody where the test runs as root, who may write anywhere.
const limitsVariable = "PATINA_TEST_LIMITS"

// nobody is a user without rights.
const nobody = 65534

func setLimits(text string) error {
	words := strings.Fields(text)
	for len(words) > 0 {
		switch {
		case words[0] == "user":
			if os.Geteuid() == 0 {
				if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
					return err
				}
			}
			words = words[1:]
			continue
		case len(words) < 2:
			return fmt.Errorf("%q is no limit", text)
		}
		n, err := strconv.ParseUint(words[1], 10, 64)
		if err != nil {
			return err
		}
		which := map[string]int{"files": syscall.RLIMIT_NOFILE, "bytes": syscall.RLIMIT_FSIZE}[words[0]]
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(which, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
		words = words[2:]
	}
	return nil
}

// wantClean wants nothing in the store that is not what a run announced, one of
// the backups that are listed, or one of patina's records, and no temporary
// file. Every listed backup equals its database.
func (i *installation) wantClean(d1 *sandbox.Server, names ...string) {
	i.t.Helper()
	listed := i.wantEqualBackups(d1, names...)
	if len(listed.Unfinished) != 0 {
		i.t.Errorf("unfinished: %+v", listed.Unfinished)
	}
	temps, err := filepath.Glob(filepath.Join(i.bucket(), ".*", "*"))
	if err != nil {
		i.t.Fatal(err)
	}
	if len(temps) != 0 {
		i.t.Errorf("temporary files: %q", temps)
	}
}

// bucket is the folder of a sandboxed installation's store.
func (i *installation) bucket() string { return filepath.Join(i.state, "bucket") }

// wantTold wants all of these texts on stderr, and no crash.
func wantTold(t *testing.T, got outcome, texts ...string) {
	t.Helper()
	for _, crash := range []string{"panic:", "goroutine ", "fatal error:"} {
		if strings.Contains(got.stderr, crash) {
			t.Fatalf("it crashed:\n%s", got.stderr)
		}
	}
	for _, text := range texts {
		if !strings.Contains(got.stderr, text) {
			t.Errorf("it does not say %q:\n%s", text, got.stderr)
		}
	}
}

// seedLarge gives a database a dump of a megabyte.
func seedLarge(t *testing.T, server *sandbox.Server, name string) {
	t.Helper()
	if _, err := server.Seed(t.Context(), name,
		"INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20) SELECT printf('%.*c', 50000, 'x') FROM n",
	); err != nil {
		t.Fatal(err)
	}
}

// TestTheDiskIsFull has a dump that does not fit, on a file system that holds no
// more where the test may mount one, and by a limit of the process everywhere.
func TestTheDiskIsFull(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{"file system": "no space left on device", "limit": "file too large"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, server := sandboxed(t, "alpha", "beta")
			seedLarge(t, server, "alpha")
			o := processOptions{env: map[string]string{limitsVariable: "bytes 500000"}}
			full := name == "file system" && mounted(t, i.bucket(), 500_000)
			if full {
				o.env[limitsVariable] = "files 500" // more than enough
			} else {
				says = "file too large"
			}
			got := i.process(3, o, "backup", "--trigger", "schedule")
			wantTold(t, got, "Databases: 1/2 successful", "- alpha: store daily/2024-12-08/alpha", says, "patina: hint: ")
			i.wantClean(server, "beta")
			if full {
				roomy(t, i.bucket())
			}
			i.process(0, processOptions{}, "backup", "--trigger", "schedule")
			i.wantClean(server, "alpha", "beta")
		})
	}
}

// TestNothingFits has a disk on which not even a record fits.
func TestNothingFits(t *testing.T) {
	t.Parallel()
	i, server := sandboxed(t, "alpha", "beta")
	got := i.process(1, processOptions{env: map[string]string{limitsVariable: "bytes 10"}}, "backup", "--trigger", "schedule")
	wantTold(t, got, "Databases: 0/2 successful", "- alpha: store daily/2024-12-08/alpha", "- beta: store daily/2024-12-08/beta",
		"write the begin record", "write the end record", "the catalogue was not written", "file too large")
	if strings.Contains(got.stderr, "every backup is safe") {
		t.Errorf("it says that every backup is safe, and none is:\n%s", got.stderr)
	}
	i.wantClean(server)
	i.process(0, processOptions{}, "backup", "--trigger", "schedule")
	i.wantClean(server, "alpha", "beta")
}

// TestTheCataloguesDiskIsFull has room for what a backup writes, and none for
// the catalogue.
func TestTheCataloguesDiskIsFull(t *testing.T) {
	t.Parallel()
	i, server := sandboxed(t, "alpha", "beta")
	got := i.process(7, processOptions{env: map[string]string{limitsVariable: "bytes 8000"}}, "backup", "--trigger", "schedule")
	wantTold(t, got, "Databases: 2/2 successful", "the catalogue was not written")
	i.wantClean(server, "alpha", "beta")
	i.process(0, processOptions{}, "backup", "--trigger", "schedule")
	i.wantClean(server, "alpha", "beta")
}

// TestFoldersThatCannotBeWritten has each folder that Patina writes to be one
// that it must not, or not be a folder.
func TestFoldersThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil  func(i *installation) (mend func() error, err error)
		env    map[string]string
		status int
		says   []string
	}{
		"the store's": {
			spoil: readOnly("bucket"), status: 1,
			says: []string{"Databases: 0/2 successful", "- alpha: store daily/2024-12-08/alpha", "permission denied"},
		},
		"the store's is a file": {
			spoil: isFile("bucket"), status: 1,
			says: []string{"open the store", "not a directory"},
		},
		"the catalogue's": {
			spoil: readOnly("log"), status: 7, env: map[string]string{"PATINA_CATALOG_URL": "sqlite://%s/log/catalog.db"},
			says: []string{"Databases: 2/2 successful", "the catalogue was not written", "open catalogue"},
		},
		"the catalogue's is a file": {
			spoil: isFile("log"), status: 7, env: map[string]string{"PATINA_CATALOG_URL": "sqlite://%s/log/catalog.db"},
			says: []string{"Databases: 2/2 successful", "the catalogue was not written", "not a directory"},
		},
		"the state's": {
			spoil: readOnly("state"), status: 7, env: map[string]string{"XDG_STATE_HOME": "%s/state"},
			says: []string{"Databases: 2/2 successful", "the catalogue was not written", "permission denied"},
		},
		"the state's is a file": {
			spoil: isFile("state"), status: 7, env: map[string]string{"XDG_STATE_HOME": "%s/state"},
			says: []string{"Databases: 2/2 successful", "the catalogue was not written", "not a directory"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, server := sandboxed(t, "alpha", "beta")
			for key, value := range c.env {
				i.env[key] = strings.ReplaceAll(value, "%s", i.state)
			}
			if c.env["XDG_STATE_HOME"] != "" {
				i.catalogByDefault()
			}
			i.openToAll()
			mend, err := c.spoil(i)
			if err != nil {
				t.Fatal(err)
			}
			got := i.process(c.status, processOptions{env: map[string]string{limitsVariable: "user"}}, "backup", "--trigger", "schedule")
			wantTold(t, got, c.says...)
			if c.status == 7 {
				i.wantClean(server, "alpha", "beta")
			}
			if err := mend(); err != nil {
				t.Fatal(err)
			}
			if c.status != 7 {
				i.wantClean(server)
			}
			i.process(0, processOptions{env: map[string]string{limitsVariable: "user"}}, "backup", "--trigger", "schedule")
			i.wantClean(server, "alpha", "beta")
		})
	}
}

// catalogByDefault takes the catalogue out of the configuration.
func (i *installation) catalogByDefault() {
	i.t.Helper()
	text, err := os.ReadFile(i.config)
	if err != nil {
		i.t.Fatal(err)
	}
	lines := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(l string) bool { return strings.HasPrefix(l, "catalog:") })
	if err := os.WriteFile(i.config, []byte(strings.Join(lines, "")), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// openToAll lets the user without rights read the configuration, which holds no
// secret, and write what is not spoilt.
func (i *installation) openToAll() {
	i.t.Helper()
	err := errors.Join(os.Chmod(filepath.Dir(i.dir), 0o755), os.Chmod(i.config, 0o644), os.Chmod(i.state, 0o777), os.Chmod(i.dir, 0o777))
	if err != nil {
		i.t.Fatal(err)
	}
}

// readOnly makes a folder of the installation read-only.
func readOnly(name string) func(*installation) (func() error, error) {
	return func(i *installation) (func() error, error) {
		dir := filepath.Join(i.state, name)
		err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o555))
		return func() error { return os.Chmod(dir, 0o777) }, err
	}
}

// isFile puts a file in the place of a folder.
func isFile(name string) func(*installation) (func() error, error) {
	return func(i *installation) (func() error, error) {
		file := filepath.Join(i.state, name)
		mend := func() error {
			return errors.Join(os.Remove(file), os.Mkdir(file, 0o777), os.Chmod(file, 0o777))
		}
		return mend, os.WriteFile(file, nil, 0o600)
	}
}

// TestTooFewOpenFiles runs a backup of several databases with every limit on
// open files, from one with which nothing can be opened to one that does. Each
// run ends with a status of the table, and a later one does the work. All run
// at once, since those that fail pause between their tries.
func TestTooFewOpenFiles(t *testing.T) {
	t.Parallel()
	names := []string{"alpha", "beta", "delta", "gamma"}
	statuses := []int{0}
	for _, row := range exitTable() {
		statuses = append(statuses, row.status)
	}
	type limited struct {
		*installation
		*program
		server *sandbox.Server
		files  int
	}
	var runs []limited
	for files := 4; files <= 40; files += 2 {
		i, server := sandboxed(t, names...)
		o := processOptions{env: map[string]string{limitsVariable: fmt.Sprintf("files %d", files)}}
		runs = append(runs, limited{i, i.start(o, "backup", "--trigger", "schedule"), server, files})
	}
	met := map[int]int{}
	for _, r := range runs {
		got := r.wait()
		met[got.status]++
		t.Logf("with %d files it ended with %d", r.files, got.status)
		wantTold(t, got)
		if !slices.Contains(statuses, got.status) {
			t.Errorf("it ended with %d and\n%s", got.status, got.stderr)
		}
		if got.status != 0 {
			wantTold(t, got, "too many open files")
		}
		if r.files == 40 && got.status != 0 {
			t.Errorf("40 files are not enough: it ended with %d and\n%s", got.status, got.stderr)
		}
		r.wantEqualBackupsOf(r.server)
		r.process(0, processOptions{}, "backup", "--trigger", "schedule")
		r.wantEqualBackups(r.server, names...)
	}
	if len(met) < 2 || met[0] == 0 {
		t.Errorf("of the limits some must suffice, and some not: %v", met)
	}
}
