package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/store"
)

// keysOdd writes keys that are legal and that a careless store would change
// on their way through a URL, a path or a listing.
func (s Suite) keysOdd(t *testing.T) {
	st := s.Open(t)
	odd := []string{
		"per%cent", "a%2Fb", "a%2fb", "%", "%00", "with space", " lead", "trail ", "plus+plus", "a&b=c", "q?x", "h#x",
		"...", "dots..", ".hidden", "~", "~root/x", "-", "--x", "*", "x*y", "[x]", "{x}", "a:b", "a;b", "a,b", "a=b", "@", "$HOME",
		`"quoted"`, "'single'", "<tag>", "&amp;", "^", "`tick`", "|", "(x)", "!", "a'b\"c", "CON", "nul.txt",
		"daily/2024-12-08/a.101502Z-7f3a.sql.gz", "_/__/___", strings.Repeat("deep/", 50) + "x", strings.Repeat("l", 200),
		strings.Repeat(strings.Repeat("n", 199)+"/", 5) + "end",
	}
	for _, key := range odd {
		put(t, st, key, []byte(key))
	}
	for _, key := range odd {
		if got := string(get(t, st, key)); got != key {
			t.Errorf("key %q holds %q", key, got)
		}
	}
	slices.Sort(odd)
	if diff := cmp.Diff(odd, keys(t, st, "")); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	for _, key := range odd {
		if got := keys(t, st, key); !slices.Contains(got, key) {
			t.Errorf("List(%q) = %q, want the key itself in it", key, got)
		}
		if err := st.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete(%q): %v", key, err)
		}
	}
	wantNothing(t, st, "per%cent")
}

func (s Suite) keysBad(t *testing.T) {
	st := s.Open(t)
	bad := []string{
		"", "/", "/rooted", "trailing/", "a//b", ".", "..", "./a", "../a", "a/../b", "a/..", "a/./b", "/etc/passwd", "../../etc/passwd",
		`a\b`, `..\a`, "a\x00b", "a\nb", "a\x7fb", "ümlaut", strings.Repeat("k", 1025),
	}
	for _, key := range bad {
		if _, err := st.Put(t.Context(), key, strings.NewReader("x"), store.PutOptions{}); !errors.Is(err, store.ErrKey) {
			t.Errorf("Put(%q) = %v, want ErrKey", key, err)
		}
		if _, err := st.Stat(t.Context(), key); !errors.Is(err, store.ErrKey) {
			t.Errorf("Stat(%q) = %v, want ErrKey", key, err)
		}
		if _, _, err := st.Get(t.Context(), key, store.GetOptions{}); !errors.Is(err, store.ErrKey) {
			t.Errorf("Get(%q) = %v, want ErrKey", key, err)
		}
		if err := st.Delete(t.Context(), key); !errors.Is(err, store.ErrKey) {
			t.Errorf("Delete(%q) = %v, want ErrKey", key, err)
		}
	}
	wantNothing(t, st, "a")
}

// keysObjectAndFolder writes a key and one below it. S3 holds both, a folder
// cannot: then the second is refused and the first is as it was. No key that
// Patina writes is the beginning of another's path.
func (s Suite) keysObjectAndFolder(t *testing.T) {
	for _, pair := range [][2]string{{"a/b", "a/b/c"}, {"a/b/c", "a/b"}} {
		st := s.Open(t)
		put(t, st, pair[0], []byte("first"))
		want := []string{pair[0]}
		_, err := st.Put(t.Context(), pair[1], strings.NewReader("second"), store.PutOptions{})
		if err == nil {
			want = append(want, pair[1])
			slices.Sort(want)
		}
		if diff := cmp.Diff(want, keys(t, st, "")); diff != "" {
			t.Errorf("List after the second Put ended with %v (-want +got):\n%s", err, diff)
		}
		if got := string(get(t, st, pair[0])); got != "first" {
			t.Errorf("%s holds %q", pair[0], got)
		}
	}
}
