package secret_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

func TestParse(t *testing.T) {
	t.Parallel()
	type result struct {
		Way         secret.Way
		Shown, Path string
	}
	for text, want := range map[string]result{
		"":                     {},
		"hunter2":              {Way: secret.Literal, Shown: "[redacted]"},
		"https://a:b@c":        {Way: secret.Literal, Shown: "[redacted]"},
		"ENV:NAME":             {Way: secret.Literal, Shown: "[redacted]"},
		"environment":          {Way: secret.Literal, Shown: "[redacted]"},
		"env:NAME":             {Way: secret.Env, Shown: "env:NAME"},
		"file:/run/secrets/cf": {Way: secret.File, Shown: "file:/run/secrets/cf", Path: "/run/secrets/cf"},
		"file:C:/cf":           {Way: secret.File, Shown: "file:C:/cf", Path: "C:/cf"},
		"cmd:pass show cf":     {Way: secret.Command, Shown: "cmd:[redacted]"},
		"credential:cf":        {Way: secret.Credential, Shown: "credential:cf"},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			s, err := secret.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			got := result{s.Way(), s.String(), s.Path()}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if s.IsZero() != (text == "") {
				t.Errorf("IsZero: got %v", s.IsZero())
			}
		})
	}
	for _, text := range []string{"env:", "file: ", "cmd:", "credential:", "env:A=B", "credential:../x", "credential:a/b", "credential:.."} {
		if s, err := secret.Parse(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, s)
		}
	}
}

// resolver knows a variable, a folder with files, and no other.
func resolver(t *testing.T, files map[string]string) secret.Resolver {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"TOKEN": value, "EMPTY": "", "CREDENTIALS_DIRECTORY": dir}
	return secret.Resolver{
		LookupEnv: func(name string) (string, bool) { v, set := env[name]; return v, set },
		Dir:       dir,
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	r := resolver(t, map[string]string{"unix": value + "\n", "dos": value + "\r\n", "bare": value, "spaces": " " + value + " \n"})
	for text, want := range map[string]string{
		"":                                     "",
		value:                                  value,
		"env:TOKEN":                            value,
		"file:unix":                            value,
		"file:dos":                             value,
		"file:bare":                            value,
		"file:spaces":                          " " + value + " ",
		"file:" + filepath.Join(r.Dir, "unix"): value,
		"credential:unix":                      value,
		"cmd:printf '  %s\\n\\n' " + value:     value,
		"cmd:echo warning >&2; echo " + value:  value,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			s, err := secret.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Resolve(t.Context(), s)
			if err != nil || got.Reveal() != want {
				t.Errorf("got %q, %v, want %q", got.Reveal(), err, want)
			}
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	t.Parallel()
	r := resolver(t, map[string]string{
		"empty": "", "newline": "\n", "two": value + "\n" + value + "\n", "bytes": value + "\xff", "long": strings.Repeat(value, 10_000),
	})
	for text, want := range map[string]string{
		"env:MISSING":       "env:MISSING: the variable is not set",
		"env:EMPTY":         "env:EMPTY: it is empty",
		"file:missing":      "file:missing: no such file or directory",
		"file:.":            "file:.: is a directory",
		"file:empty":        "file:empty: it is empty",
		"file:newline":      "file:newline: it is empty",
		"file:two":          "file:two: it holds a line break: a secret is one line",
		"file:bytes":        "file:bytes: it holds bytes that are no text",
		"file:long":         "file:long: the file is larger than a secret may be (65536 bytes)",
		"credential:absent": "credential:absent: no such file or directory",
		"cmd:true":          "cmd:[redacted]: it is empty",
		"cmd:false":         "cmd:[redacted]: the command ended with exit status 1",
		"cmd:echo " + value + "; echo 'no  such\n item' >&2; exit 4": "cmd:[redacted]: the command ended with exit status 4: no such item",
		"cmd:yes " + value + " | head -c 200000":                     "cmd:[redacted]: the command printed more than a secret may hold (65536 bytes)",
		value + "\n" + value:                                         "[redacted]: it holds a line break: a secret is one line",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			s, err := secret.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Resolve(t.Context(), s)
			if err == nil || err.Error() != want || !got.IsZero() {
				t.Errorf("got %q, %v, want %s", got.Reveal(), err, want)
			}
		})
	}
}

func TestResolveWithoutSystemd(t *testing.T) {
	t.Parallel()
	r := secret.Resolver{LookupEnv: func(string) (string, bool) { return "", false }}
	s, err := secret.Parse("credential:cf")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resolve(t.Context(), s); err == nil || !strings.Contains(err.Error(), "LoadCredential=") {
		t.Errorf("got %v, want what is missing", err)
	}
}

func TestCommandEndsWithTheContext(t *testing.T) {
	t.Parallel()
	s, err := secret.Parse("cmd:exec sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := (secret.Resolver{}).Resolve(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

func TestExposed(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o622: false, 0o640: true, 0o604: true, 0o444: true} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil { // whatever the umask is
				t.Fatal(err)
			}
			// A link's own bits are open whatever the file's are.
			link := path + ".link"
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			for _, p := range []string{path, link} {
				if got := secret.Exposed(p); got != want {
					t.Errorf("%s: got %v, want %v", p, got, want)
				}
			}
		})
	}
	if secret.Exposed(filepath.Join(t.TempDir(), "missing")) {
		t.Error("a missing file is exposed")
	}
}

func TestResolveTextTakesSeveralLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("# created today\nAGE\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bytes"), []byte("\xff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := secret.Resolver{Dir: dir}
	for text, want := range map[string]string{"file:key": "# created today\nAGE", "file:bytes": "", "file:none": ""} {
		source, err := secret.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.ResolveText(t.Context(), source)
		if got.Reveal() != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", text, got.Reveal(), err, want)
		}
	}
}
