package engine_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

func (b *bench) verify(e *engine.Engine, req engine.VerifyRequest) engine.VerifyResult {
	b.t.Helper()
	result, err := e.Verify(b.t.Context(), req)
	if err != nil {
		b.t.Fatalf("verify: %v", err)
	}
	return result
}

// TestEveryCopyIsProven proves the daily and the archived copy of each backup,
// at both levels, and records it for each.
func TestEveryCopyIsProven(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	e := b.host(nil)
	b.night(e)
	b.pack(e, 1, nil, b.list(e).Entries)
	for _, level := range []manifest.Level{manifest.LevelHash, manifest.LevelScan} {
		result := b.verify(e, engine.VerifyRequest{All: true, Level: level})
		if len(result.Verified) != 4 || result.Passed() != 4 || len(result.Kinds())+len(result.Warnings) != 0 {
			t.Errorf("%s: %+v", level, result)
		}
	}
	jobs, err := b.openCatalog().Jobs(t.Context(), catalog.JobFilter{Kind: catalog.KindVerify})
	if err != nil || len(jobs) != 2 || jobs[0].Status != catalog.JobSucceeded || len(jobs[0].Backups) != 2 || jobs[0].Backups[0].Status != catalog.BackupDone {
		t.Errorf("the catalogue has %+v, %v", jobs, err)
	}
	for _, entry := range b.list(e).Entries {
		if entry.Proof.Level != manifest.LevelScan || !entry.Proof.At.After(entry.Manifest().EndedAt) || !entry.Good() {
			t.Errorf("%s has the proof %+v", entry.ID(), entry.Proof)
		}
	}
}

// TestEveryFlippedByteIsFound changes each byte of the daily in turn, and then
// of the archived copy, and cuts them.
func TestEveryFlippedByteIsFound(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(nil)
	b.night(e)
	b.pack(e, 1, nil, b.list(e).Entries)
	entry := b.list(e).Entries[0]
	for _, c := range []struct {
		kind       engine.Kind
		key        string
		from, size int64
	}{
		{engine.KindDaily, entry.Manifest().Object.Key, 0, entry.Manifest().Object.Stored.Bytes},
		{engine.KindWeekly, entry.Archived.Object.Key, entry.Archived.Member.Offset, entry.Archived.Member.Packed.Bytes},
	} {
		whole := b.read(c.key)
		for i := c.from; i < c.from+c.size; i++ {
			flipped := bytes.Clone(whole)
			flipped[i] ^= 0x01
			b.rewrite(c.key, flipped)
			b.wantDamage(e, c.kind, c.key)
		}
		b.rewrite(c.key, whole[:len(whole)-1])
		b.wantDamage(e, c.kind, c.key)
		b.rewrite(c.key, append(bytes.Clone(whole), 'x'))
		b.wantDamage(e, c.kind, c.key)
		b.rewrite(c.key, whole)
		b.remove(b.records()...)
	}
}

// rewrite changes an object behind the store's back, and keeps its time, so that
// nothing but its content tells.
func (b *bench) rewrite(key string, body []byte) {
	b.t.Helper()
	before, err := os.Stat(b.file(key))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.file(key), body, 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chtimes(b.file(key), before.ModTime(), before.ModTime()); err != nil {
		b.t.Fatal(err)
	}
}

// records are the keys of all proof records.
func (b *bench) records() []string {
	b.t.Helper()
	var keys []string
	for info, err := range b.store.List(b.t.Context(), "records/proof/") {
		if err != nil {
			b.t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// wantDamage verifies all and wants one copy to fail, by its name.
func (b *bench) wantDamage(e *engine.Engine, kind engine.Kind, key string) {
	b.t.Helper()
	b.remove(b.records()...)
	result := b.verify(e, engine.VerifyRequest{All: true, Level: manifest.LevelHash})
	for _, v := range result.Verified {
		if v.Kind == kind && (fault.KindOf(v.Err) != fault.Proof || !strings.Contains(v.Err.Error(), key)) {
			b.t.Fatalf("the damaged copy: %v", v.Err)
		}
		if v.Kind != kind && v.Err != nil {
			b.t.Fatalf("the other copy: %v", v.Err)
		}
	}
}

// TestWithoutAnIdentityProofsStopAtHash is no failure.
func TestWithoutAnIdentityProofsStopAtHash(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	taker, reader := sealedHosts(t, b)
	b.night(taker)
	result := b.verify(taker, engine.VerifyRequest{Level: manifest.LevelScan})
	if v := result.Verified[0]; !v.Passed() || v.Level != manifest.LevelHash || v.Why == "" || len(result.Kinds()) != 0 {
		t.Errorf("without an identity: %+v", v)
	}
	result = b.verify(reader, engine.VerifyRequest{Level: manifest.LevelScan})
	if v := result.Verified[0]; !v.Passed() || v.Level != manifest.LevelScan || v.Why != "" {
		t.Errorf("with one: %+v", v)
	}
}

// TestAScanFindsAManifestThatTellsOfAnotherDump changes what the manifest says
// of tables, which no hash of the object shows.
func TestAScanFindsAManifestThatTellsOfAnotherDump(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha")
	e := b.host(nil)
	b.night(e)
	const key = "daily/2024-12-08/alpha.json"
	b.rewrite(key, bytes.Replace(b.read(key), []byte(`"rows": 1`), []byte(`"rows": 2`), 1))
	for level, passed := range map[manifest.Level]bool{manifest.LevelHash: true, manifest.LevelScan: false} {
		result := b.verify(e, engine.VerifyRequest{Level: level})
		if got := result.Verified[0]; got.Passed() != passed {
			t.Errorf("%s: %v", level, got.Err)
		}
		b.remove(b.records()...)
	}
}

// TestASampleTakesTheOldestProofsFirst goes through all of them in turn.
func TestASampleTakesTheOldestProofsFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta", "gamma", "delta")
	e := b.host(nil)
	b.night(e)
	seen := map[string]bool{}
	for range 4 {
		b.setClock(b.now().Add(1e9))
		result := b.verify(e, engine.VerifyRequest{Sample: 25, Level: manifest.LevelScan})
		if len(result.Verified) != 1 {
			t.Fatalf("a quarter of four is %d", len(result.Verified))
		}
		seen[result.Verified[0].Entry.Brief.Database] = true
	}
	if len(seen) != 4 {
		t.Errorf("four samples proved %v", seen)
	}
}
