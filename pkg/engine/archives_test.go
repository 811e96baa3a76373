package engine_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// pack writes the listed backups into an archive by nothing but the standard
// library, as the layout describes it, and publishes it.
func (b *bench) pack(e *engine.Engine, part int, replaces []int, entries []engine.Entry) backup.ArchiveName {
	b.t.Helper()
	name := backup.ArchiveName{Week: backup.WeekOf(b.begin), Part: part}
	m := manifest.Archive{
		Week: name.Week, Part: part, Replaces: replaces, JobID: "archive", RunID: "0a0a", Trigger: backup.TriggerSchedule,
		StartedAt: b.now(), EndedAt: b.now(),
	}
	var file, tarred bytes.Buffer
	w := tar.NewWriter(&tarred)
	flush := func() seal.Sum {
		from := file.Len()
		packer := gzip.NewWriter(&file)
		_, _ = packer.Write(tarred.Bytes())
		_ = packer.Close()
		tarred.Reset()
		return seal.SumOf(file.Bytes()[from:])
	}
	for _, entry := range entries {
		var content bytes.Buffer
		stored := b.read(entry.Manifest().Object.Key)
		_, extension, _ := strings.Cut(entry.Manifest().Object.Key, ".sql")
		if entry.Manifest().Encrypted() {
			content.Write(stored)
		} else if err := e.Download(b.t.Context(), entry, &content); err != nil {
			b.t.Fatal(err)
		} else {
			extension = ""
		}
		file1 := entry.Name.Day.Format(time.DateOnly) + "/" + path.Base(entry.Name.String()) + ".sql" + extension
		if err := w.WriteHeader(&tar.Header{Name: file1, Size: int64(content.Len()), Mode: 0o600}); err != nil {
			b.t.Fatal(err)
		}
		flush()
		member := manifest.Member{
			Name: file1, Offset: int64(file.Len()), Content: seal.SumOf(content.Bytes()),
			ManifestKey: entry.Key, Manifest: seal.SumOf(b.read(entry.Key)), Backup: entry.Manifest(),
		}
		_, _ = w.Write(content.Bytes())
		member.Packed = flush()
		m.Members = append(m.Members, member)
		if err := w.Flush(); err != nil {
			b.t.Fatal(err)
		}
		flush()
	}
	_ = w.Close()
	flush()
	receipt := b.write(name.Object(""), file.Bytes())
	m.Object = manifest.ArchiveObject{Key: name.Object(""), Stored: seal.SumOf(file.Bytes()), ETag: receipt.ETag, PartBytes: receipt.PartBytes, Parts: receipt.Parts}
	body, err := manifest.Encode(m)
	if err != nil {
		b.t.Fatal(err)
	}
	b.write(name.Manifest(), body)
	return name
}

func (b *bench) read(key string) []byte {
	b.t.Helper()
	body, err := os.ReadFile(b.file(key))
	if err != nil {
		b.t.Fatal(err)
	}
	return body
}

func (b *bench) file(key string) string { return filepath.Join(b.dir, filepath.FromSlash(key)) }

func (b *bench) write(key string, body []byte) store.Receipt {
	b.t.Helper()
	receipt, err := b.store.Put(b.t.Context(), key, bytes.NewReader(body), store.PutOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return receipt
}

func (b *bench) remove(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		if err := b.store.Delete(b.t.Context(), key); err != nil {
			b.t.Fatal(err)
		}
	}
}

// TestAWeekIsReadOutOfItsArchive deletes the dailies that an archive holds: all
// is listed and comes back, in every way of packing.
func TestAWeekIsReadOutOfItsArchive(t *testing.T) {
	t.Parallel()
	for _, compression := range []seal.Compression{seal.None, seal.Gzip, seal.Zstd} {
		for _, encrypted := range []bool{false, true} {
			b := newBench(t, "alpha", "beta")
			taker, reader := b.host(func(o *engine.Options) { o.Packing.Compression = compression }), b.host(nil)
			if encrypted {
				taker, reader = sealedHosts(t, b)
			}
			b.night(taker)
			dailies := b.list(reader).Entries
			name := b.pack(reader, 1, nil, dailies)
			for _, entry := range b.list(reader).Entries {
				if !entry.Daily || entry.Archived == nil || entry.Kind() != engine.KindDaily {
					t.Errorf("%s: daily %t, archived %v", entry.ID(), entry.Daily, entry.Archived)
				}
				b.remove(entry.Key, entry.Manifest().Object.Key)
			}
			list := b.list(reader)
			if len(list.Entries) != 2 || len(list.Foreign)+len(list.Unfinished) != 0 {
				t.Fatalf("%d backups, foreign %v, unfinished %v", len(list.Entries), list.Foreign, list.Unfinished)
			}
			for i, entry := range list.Entries {
				if entry.Kind() != engine.KindWeekly || entry.Archived.Archive != name.Manifest() {
					t.Errorf("%s is %s of %+v", entry.ID(), entry.Kind(), entry.Archived)
				}
				opened, err := reader.Open(t.Context(), entry)
				if err != nil {
					t.Fatal(err)
				}
				list.Entries[i] = opened
			}
			b.wantEqual(reader, list)
		}
	}
}

// TestNoMoreIsReadThanTheMember counts the bytes that the store hands out.
func TestNoMoreIsReadThanTheMember(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	b.seed("large", "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)",
		"INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000) SELECT i, randomblob(500) FROM n")
	e := b.host(nil)
	b.night(e)
	name := b.pack(e, 1, nil, b.list(e).Entries)
	b.remove("daily/2024-12-08/alpha.json")
	counting := &countingStore{Store: b.store}
	reader := b.host(func(o *engine.Options) { o.Store = counting })
	choice, err := reader.Choose(t.Context(), engine.Date{Day: backup.DayOf(b.begin)}, "alpha", "")
	if err != nil {
		t.Fatal(err)
	}
	counting.bytes.Store(0)
	if err := reader.Download(t.Context(), choice.Entry, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got, want := counting.bytes.Load(), choice.Archived.Member.Packed.Bytes; got != want {
		t.Errorf("%d bytes of %s were read for a member of %d", got, name, want)
	}
}

// countingStore counts the bytes that are read of it.
type countingStore struct {
	store.Store
	bytes atomic.Int64
}

func (s *countingStore) Get(ctx context.Context, key string, opts store.GetOptions) (io.ReadCloser, store.Info, error) {
	body, info, err := s.Store.Get(ctx, key, opts)
	if err != nil {
		return nil, info, err
	}
	return &countingBody{body, &s.bytes}, info, nil
}

type countingBody struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (c *countingBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

// TestAnArchiveStandsInForADailyThatIsDamaged loses, cuts and condemns the
// daily's object under its manifest.
func TestAnArchiveStandsInForADailyThatIsDamaged(t *testing.T) {
	t.Parallel()
	const object = "daily/2024-12-08/alpha.sql"
	for what, damage := range map[string]func(*bench){
		"lost": func(b *bench) { b.remove(object) },
		"cut": func(b *bench) {
			whole := b.read(object)
			b.remove(object)
			b.write(object, whole[:len(whole)-1])
		},
		"condemned": func(b *bench) {
			b.remove(object)
			b.write(object, []byte("something else"))
			name, _, err := backup.ParseName("daily/2024-12-08/alpha.json")
			if err != nil {
				b.t.Fatal(err)
			}
			body, err := manifest.Encode(manifest.ProofRecord{
				Manifest: name.Manifest(), RunID: "0b0b", At: b.now(), Level: manifest.LevelIdentity, Detail: "not what was written",
			})
			if err != nil {
				b.t.Fatal(err)
			}
			b.write(backup.ProofKey(name, b.now(), "0b0b"), body)
		},
	} {
		b := newBench(t, "alpha")
		e := b.host(nil)
		b.night(e)
		b.pack(e, 1, nil, b.list(e).Entries)
		damage(b)
		list := b.list(e)
		if len(list.Entries) != 1 || !list.Entries[0].Good() {
			t.Fatalf("%s: %d backups, %+v", what, len(list.Entries), list.Entries)
		}
		b.wantEqual(e, list)
	}
}

// TestWhatIsWrongWithAnArchiveIsSaid damages archives in ways that a listing
// shows, and in those that only reading shows.
func TestWhatIsWrongWithAnArchiveIsSaid(t *testing.T) {
	t.Parallel()
	const object, index = "weekly/2024-W49.tar.gz", "weekly/2024-W49.json"
	whole := func(b *bench) engine.Entry {
		e := b.host(nil)
		b.night(e)
		b.pack(e, 1, nil, b.list(e).Entries)
		b.remove("daily/2024-12-08/alpha.json", "daily/2024-12-08/alpha.sql")
		return b.list(e).Entries[0]
	}
	replace := func(b *bench, key string, change func([]byte) []byte) {
		body := b.read(key)
		b.remove(key)
		b.write(key, change(bytes.Clone(body)))
	}
	for what, c := range map[string]struct {
		damage func(*bench, engine.Entry)
		listed string
		read   string
	}{
		"gone": {func(b *bench, _ engine.Entry) { b.remove(object) }, object + " is gone", "is gone"},
		"cut": {
			func(b *bench, _ engine.Entry) {
				replace(b, object, func(body []byte) []byte { return body[:len(body)-1] })
			},
			"bytes, its manifest says", object,
		},
		"changed": {func(b *bench, entry engine.Entry) {
			replace(b, object, func(body []byte) []byte { body[entry.Archived.Member.Offset+20] ^= 1; return body })
		}, "", object},
	} {
		b := newBench(t, "alpha")
		entry := whole(b)
		c.damage(b, entry)
		e := b.host(nil)
		entry = b.list(e).Entries[0]
		if !strings.Contains(entry.Failed, c.listed) || entry.Good() != (c.listed == "") {
			t.Errorf("%s: listed as %q, want %q", what, entry.Failed, c.listed)
		}
		err := e.Download(t.Context(), entry, io.Discard)
		if fault.KindOf(err) != fault.Proof || !strings.Contains(err.Error(), c.read) {
			t.Errorf("%s: reading it says %v, want %q", what, err, c.read)
		}
	}
	b := newBench(t, "alpha")
	whole(b)
	replace(b, index, func(body []byte) []byte {
		return bytes.Replace(body, []byte(`"version": 1`), []byte(`"version": 99`), 1)
	})
	list := b.list(b.host(nil))
	if len(list.Entries) != 0 || len(list.Foreign) != 2 || !strings.Contains(list.Foreign[0].Why, "newer version") {
		t.Errorf("of a newer archive: %d backups, foreign %+v", len(list.Entries), list.Foreign)
	}
}

// TestAReplacedPartIsIgnored lists the members of the replacing part only, and
// counts it alone; the replaced one is ours all the same.
func TestAReplacedPartIsIgnored(t *testing.T) {
	t.Parallel()
	b := newBench(t, "alpha", "beta")
	e := b.host(nil)
	b.night(e)
	dailies := b.list(e).Entries
	b.pack(e, 1, nil, dailies[:1])
	second := b.pack(e, 2, []int{1}, dailies)
	for _, entry := range dailies {
		b.remove(entry.Key, entry.Manifest().Object.Key)
	}
	status, err := e.Status(t.Context(), engine.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if status.WeeklyArchives != 1 || status.DailyBackups != 0 || len(status.Foreign)+len(status.Unfinished) != 0 || len(status.Databases) != 2 {
		t.Errorf("status is %+v", status)
	}
	list := b.list(e)
	for _, entry := range list.Entries {
		if entry.Archived.Archive != second.Manifest() {
			t.Errorf("%s is read from %s", entry.ID(), entry.Archived.Archive)
		}
	}
	b.wantEqual(e, list)
}
