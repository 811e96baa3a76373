package manifest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/seal"
)

// newKeys makes a recipient, and what opens what is sealed to it.
func newKeys(t *testing.T) (seal.Recipients, seal.Identities) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := seal.ParseRecipients([]string{key.Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	by, err := seal.ParseIdentities([]byte(key.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return to, by
}

func TestASealedManifestTellsNothingOfTheContent(t *testing.T) {
	t.Parallel()
	to, by := newKeys(t)
	want := aBackup()
	sealed, err := want.Seal(to)
	if err != nil {
		t.Fatal(err)
	}
	body, err := Encode(sealed)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"users", "sessions", want.Plain.SHA256, `"rows"`, `"statements"`, "integer_past_2_53"} {
		if bytes.Contains(body, []byte(secret)) {
			t.Errorf("the manifest tells %q", secret)
		}
	}
	back, err := Decode[Backup](body)
	if err != nil {
		t.Fatal(err)
	}
	if !back.Encrypted() || back.Plain.Bytes != want.Plain.Bytes {
		t.Errorf("read as encrypted %t, %d plain bytes", back.Encrypted(), back.Plain.Bytes)
	}
	opened, err := back.Open(by)
	if err != nil {
		t.Fatal(err)
	}
	want.Object.Recipients, want.Sealed = to.Names(), sealed.Sealed
	if diff := cmp.Diff(want, opened); diff != "" {
		t.Errorf("opened (-want +got):\n%s", diff)
	}
	if _, err := Encode(opened); err == nil {
		t.Error("an opened manifest can be written, and tells all")
	}
}

func TestASealedPartOpensInItsOwnManifestOnly(t *testing.T) {
	t.Parallel()
	to, by := newKeys(t)
	_, others := newKeys(t)
	mine, err := aBackup().Seal(to)
	if err != nil {
		t.Fatal(err)
	}
	theirs := aBackup()
	theirs.Object.Key = strings.Replace(theirs.Object.Key, "groveauth", "scout-db", 1)
	moved, err := theirs.Seal(to)
	if err != nil {
		t.Fatal(err)
	}
	moved.Object.Key = mine.Object.Key
	damaged := mine
	damaged.Sealed = bytes.Clone(mine.Sealed)
	damaged.Sealed[len(damaged.Sealed)-1] ^= 1
	for name, c := range map[string]struct {
		manifest Backup
		by       seal.Identities
		want     error
	}{
		"without identity": {mine, seal.Identities{}, seal.ErrNoIdentity},
		"by others":        {mine, others, seal.ErrOtherIdentity},
		"moved":            {moved, by, seal.ErrDamaged},
		"damaged":          {damaged, by, seal.ErrDamaged},
	} {
		if _, err := c.manifest.Open(c.by); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	plain := aBackup()
	if got, err := plain.Open(seal.Identities{}); err != nil || cmp.Diff(plain, got) != "" {
		t.Errorf("one that is not encrypted is opened as %+v, %v", got, err)
	}
}

func TestASealedManifestMustBeWhole(t *testing.T) {
	t.Parallel()
	to, _ := newKeys(t)
	for name, spoil := range map[string]func(*Backup){
		"nothing sealed": func(b *Backup) { b.Sealed = nil },
		"plain hash":     func(b *Backup) { b.Plain.SHA256 = strings.Repeat("a", 64) },
		"tables":         func(b *Backup) { b.Tables = aBackup().Tables },
		"no plain size":  func(b *Backup) { b.Plain.Bytes = 0 },
	} {
		sealed, err := aBackup().Seal(to)
		if err != nil {
			t.Fatal(err)
		}
		spoil(&sealed)
		if _, err := Encode(sealed); err == nil {
			t.Errorf("%s: it can be written", name)
		}
	}
}
