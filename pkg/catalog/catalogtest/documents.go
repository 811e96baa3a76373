package catalogtest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

func documentTests() []test {
	return []test{
		{"what is remembered is recalled by range", testRecall},
		{"the last that is remembered counts", testRememberAgain},
		{"what is forgotten is not recalled", testForget},
		{"bodies are kept byte for byte", testBodies},
		{"many documents are remembered at once", testManyDocuments},
	}
}

func document(key, etag, body string) catalog.Document {
	return catalog.Document{Key: key, ETag: etag, Body: []byte(body)}
}

func remember(t *testing.T, c catalog.Catalog, documents ...catalog.Document) {
	t.Helper()
	if err := c.Remember(t.Context(), documents); err != nil {
		t.Fatalf("Remember: %v", err)
	}
}

// wantRecalled holds what is recalled from one key to another.
func wantRecalled(t *testing.T, c catalog.Catalog, first, last string, want ...catalog.Document) {
	t.Helper()
	got, err := c.Recall(t.Context(), first, last)
	if err != nil {
		t.Fatalf("Recall: %v", err)
	}
	same := func(a, b catalog.Document) bool {
		return a.Key == b.Key && a.ETag == b.ETag && bytes.Equal(a.Body, b.Body)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("from %s to %s there are %d documents %v, want %d", first, last, len(got), keysOf(got), len(want))
	}
}

func keysOf(documents []catalog.Document) []string {
	var keys []string
	for _, d := range documents {
		keys = append(keys, d.Key)
	}
	return keys
}

func testRecall(t *testing.T, b Bench) {
	c := b.Open(t)
	// In byte order, in which capitals come first and a hyphen before letters.
	all := []catalog.Document{
		document("daily/2024-12-08/Z.json", "1", "z"), document("daily/2024-12-08/a-b.json", "2", "ab"),
		document("daily/2024-12-08/a.json", "3", "a"), document("weekly/2024-W49.json", "4", "w"),
	}
	remember(t, c, all[2], all[0], all[3], all[1])
	other := b.Open(t)
	wantRecalled(t, other, "", "z", all...)
	wantRecalled(t, other, "daily/2024-12-08/Z.json", "daily/2024-12-08/a.json", all[:3]...)
	wantRecalled(t, other, "daily/2024-12-08/a-b.json", "daily/2024-12-08/a-b.json", all[1])
	wantRecalled(t, other, "daily/2024-12-09/", "daily/2024-12-09/z")
}

func testRememberAgain(t *testing.T, b Bench) {
	c := b.Open(t)
	remember(t, c, document("k", "1", "old"))
	remember(t, c, document("k", "2", "new"), document("l", "3", "first"), document("l", "4", "second"))
	wantRecalled(t, c, "k", "l", document("k", "2", "new"), document("l", "4", "second"))
	remember(t, c)
	wantRecalled(t, c, "k", "k", document("k", "2", "new"))
}

func testForget(t *testing.T, b Bench) {
	c := b.Open(t)
	remember(t, c, document("k", "1", "a"), document("l", "2", "b"))
	for range 2 {
		if err := c.Forget(t.Context(), []string{"k", "never"}); err != nil {
			t.Fatalf("Forget: %v", err)
		}
	}
	wantRecalled(t, c, "", "z", document("l", "2", "b"))
	if err := c.Forget(t.Context(), nil); err != nil {
		t.Errorf("Forget nothing: %v", err)
	}
}

func testBodies(t *testing.T, b Bench) {
	c := b.Open(t)
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	all := []catalog.Document{
		{Key: "a", ETag: `W/"odd"`, Body: binary},
		{Key: "b", ETag: "", Body: []byte{}},
		{Key: "c", ETag: "big", Body: bytes.Repeat([]byte{0xff, 0}, 4<<20)},
	}
	remember(t, c, all...)
	wantRecalled(t, c, "a", "c", all...)
}

func testManyDocuments(t *testing.T, b Bench) {
	c := b.Open(t)
	var all []catalog.Document
	for n := range 1500 {
		all = append(all, document(fmt.Sprintf("daily/%04d.json", n), fmt.Sprint(n), "{}"))
	}
	remember(t, c, all...)
	wantRecalled(t, c, "daily/0500.json", "daily/0999.json", all[500:1000]...)
}
