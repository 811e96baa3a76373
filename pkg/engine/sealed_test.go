package engine_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// sealedHosts are a host that encrypts and holds no private key, and one that
// holds the key and takes no backups.
func sealedHosts(t *testing.T, b *bench) (taker, reader *engine.Engine) {
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
	taker = b.host(func(o *engine.Options) { o.Packing = seal.Packing{Compression: seal.Gzip, Recipients: to} })
	reader = b.host(func(o *engine.Options) {
		o.Identities = func(context.Context) (seal.Identities, error) { return by, nil }
	})
	return taker, reader
}

func TestWhatAHostSealsAnotherOpens(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	taker, reader := sealedHosts(t, b)
	wantOutcomes(t, b.night(taker), map[string]engine.Outcome{"alpha": engine.OutcomeDone})
	entry := b.list(taker).Entries[0]
	if _, err := taker.Open(t.Context(), entry); err == nil {
		t.Error("the host that took it can open it")
	}
	entry, err := reader.Open(t.Context(), entry)
	if err != nil {
		t.Fatal(err)
	}
	var got, want strings.Builder
	if err := reader.Download(t.Context(), entry, &got); err != nil {
		t.Fatal(err)
	}
	if err := b.d1.Dump(t.Context(), "alpha", &want); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() || entry.Manifest().Rows() != 1 {
		t.Errorf("came back with %d rows as\n%s\nwant\n%s", entry.Manifest().Rows(), got.String(), want.String())
	}
}

// TestEveryDamageOfSealedBytesIsNamed flips every byte of a sealed object and
// cuts it at every length.
func TestEveryDamageOfSealedBytesIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	taker, reader := sealedHosts(t, b)
	b.night(taker)
	entry, err := reader.Open(t.Context(), b.list(taker).Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	object := entry.Manifest().Object.Key
	path := filepath.Join(b.dir, filepath.FromSlash(object))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x20
		for what, damaged := range map[string][]byte{"flipped": flipped, "cut": whole[:i]} {
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			err := reader.Download(t.Context(), entry, io.Discard)
			if err == nil || !strings.Contains(err.Error(), object) || !strings.Contains(err.Error(), "damaged") {
				t.Fatalf("%s at byte %d of %d: %v", what, i, len(whole), err)
			}
		}
	}
}

// TestEveryDamageOfTheSealedPartIsNamed changes every character of what the
// manifest seals, and cuts it at every length.
func TestEveryDamageOfTheSealedPartIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	taker, reader := sealedHosts(t, b)
	b.night(taker)
	entry := b.list(taker).Entries[0]
	sealed := entry.Manifest().Sealed
	if len(sealed) == 0 {
		t.Fatal("nothing is sealed")
	}
	for i := range sealed {
		flipped := bytes.Clone(sealed)
		flipped[i] ^= 0x20
		for what, damaged := range map[string][]byte{"flipped": flipped, "cut": sealed[:i]} {
			m := entry.Manifest()
			m.Sealed = damaged
			entry.Brief = manifest.NewBrief(m)
			_, err := reader.Open(t.Context(), entry)
			if err == nil || !strings.Contains(err.Error(), entry.Key) && !strings.Contains(err.Error(), entry.ID()) {
				t.Fatalf("%s at byte %d of %d: %v", what, i, len(sealed), err)
			}
		}
	}
}
