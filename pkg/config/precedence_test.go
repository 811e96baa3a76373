package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// TestMerge gives one key in every set of layers, every pair among them, and a
// second key in the layers that lack it, so that layers cannot be taken whole.
func TestMerge(t *testing.T) {
	t.Parallel()
	sources := []source{fromDefault, fromFile, fromEnvironment, fromFlag}
	for set := range 1 << len(sources) {
		layers := make([]layer, len(sources))
		want := map[string]source{}
		for i, from := range sources {
			key := "backup.concurrency"
			if set&(1<<i) == 0 {
				key = "store.url"
			}
			layers[i] = layer{key: {at: origin{source: from}, text: secret.New(string(from))}}
			want[key] = from
		}
		t.Run(fmt.Sprintf("%04b", set), func(t *testing.T) {
			t.Parallel()
			got := map[string]source{}
			for key, g := range merge(layers[0], layers[1], layers[2], layers[3]) {
				got[key] = g.at.source
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestMergeKeepsItsArguments(t *testing.T) {
	t.Parallel()
	file := layer{"store.url": {text: secret.New("file")}}
	environment := layer{"store.url": {text: secret.New("environment")}}
	merge(layer{}, file, environment, layer{})
	if got, want := file["store.url"].text.Reveal(), "file"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, xdg, home string
		want            []string
	}{
		{"home", "", "/h", []string{"/w/.patina.yaml", "/h/.config/patina/patina.yaml", "/etc/patina/patina.yaml"}},
		{"XDG", "/x", "/h", []string{"/w/.patina.yaml", "/x/patina/patina.yaml", "/etc/patina/patina.yaml"}},
		{"relative XDG is ignored", "x", "/h", []string{"/w/.patina.yaml", "/h/.config/patina/patina.yaml", "/etc/patina/patina.yaml"}},
		{"no home", "", "", []string{"/w/.patina.yaml", "/etc/patina/patina.yaml"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := candidates(LoadRequest{
				WorkDir: "/w", HomeDir: c.home,
				LookupEnv: func(name string) (string, bool) { return c.xdg, name == "XDG_CONFIG_HOME" },
			})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	here, there := filepath.Join(dir, "here"), filepath.Join(dir, "there")
	if err := os.WriteFile(here, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		paths []string
		want  string
	}{
		{"none exists", []string{there, filepath.Join(here, "below a file")}, ""},
		{"the second exists", []string{there, here, dir}, here},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := first(c.paths)
			if err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
	// A folder can be opened and not read: the next file must not stand in.
	if _, _, err := first([]string{dir, here}); err == nil {
		t.Error("an unreadable file was passed over")
	}
}

func TestNamedFileMustExist(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := func(name string) (string, bool) { return "named.yaml", name == configVariable }
	for _, req := range []LoadRequest{
		{Path: "missing.yaml", WorkDir: dir, LookupEnv: env},
		{WorkDir: dir, LookupEnv: env},
	} {
		if _, _, err := find(req); !errIsNotExist(err) {
			t.Errorf("got %v, want that the file does not exist", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "named.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, err := find(LoadRequest{WorkDir: dir, LookupEnv: env})
	if want := filepath.Join(dir, "named.yaml"); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func errIsNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// TestTable holds what the rest of the package takes for granted of the table.
func TestTable(t *testing.T) {
	t.Parallel()
	var names []string
	for _, d := range definitions() {
		names = append(names, d.key, d.env())
		if d.alias != "" {
			names = append(names, d.alias)
		}
		if d.secret != (d.show != nil) {
			t.Errorf("%s: a key that is secret has a way to be shown, and no other has", d.key)
		}
		if got := slices.Contains(names, "DATABASE_URL"); got {
			t.Errorf("%s: DATABASE_URL is not ours to read", d.key)
		}
	}
	sorted := slices.Sorted(slices.Values(names))
	if got := len(slices.Compact(sorted)); got != len(names) {
		t.Errorf("%d of %d names are used twice", len(names)-got, len(names))
	}
}
