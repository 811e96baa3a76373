package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/archive"
	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// daily is a backup as it lies in a store, and what it holds.
type daily struct {
	archive.Dump
	stored, plain []byte
}

func (d daily) open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(d.stored)), nil }

// newDaily stores a dump, as the night's of a day of December 2024.
func newDaily(t testing.TB, day int, database string, plain []byte, p seal.Packing) daily {
	t.Helper()
	var stored bytes.Buffer
	w, err := seal.NewWriter(&stored, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 12, day, 3, 0, 4, 0, time.UTC)
	name := backup.Name{Day: backup.DayOf(at), Database: database}
	m := manifest.Backup{
		Database: backup.Database{ID: "id-of-" + database, Name: database}, JobID: "night", RunID: "7f3a",
		Trigger: backup.TriggerSchedule, StartedAt: at, EndedAt: at.Add(time.Second),
		Object: manifest.Object{Key: name.Object(p.Extension()), Stored: w.Stored(), ETag: "etag", Parts: 1, Compression: p.Compression},
		Plain:  w.Plain(), Source: w.Plain(), Fidelity: backup.FidelityUnchecked,
	}
	if !p.Recipients.IsZero() {
		if m, err = m.Seal(p.Recipients); err != nil {
			t.Fatal(err)
		}
	}
	document, err := manifest.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return daily{archive.Dump{Key: name.Manifest(), Manifest: m, Document: document}, stored.Bytes(), plain}
}

// keyPair is a fresh key of age.
func keyPair(t testing.TB) (seal.Recipients, seal.Identities) {
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

// sql is n bytes that compress like a dump; each seed gives others.
func sql(n int, seed uint64) []byte {
	var b bytes.Buffer
	random := rand.New(rand.NewPCG(seed, 1))
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "INSERT INTO \"users\" (\"id\",\"name\",\"token\") VALUES(%d,'user %d','%x');\n", i, i*7919%1000, random.Uint64())
	}
	return b.Bytes()[:n]
}

// index describes dailies.
func index(t testing.TB, dailies []daily) manifest.Index {
	t.Helper()
	i := manifest.Index{
		Week: backup.Week{Year: 2024, Number: 49}, Part: 1, Tool: "patina test", CreatedAt: time.Date(2024, 12, 8, 4, 0, 0, 0, time.UTC),
	}
	for _, d := range dailies {
		file, err := d.Describe()
		if err != nil {
			t.Fatal(err)
		}
		i.Files = append(i.Files, file)
	}
	return i
}

// write archives dailies in their order.
func write(t testing.TB, dst io.Writer, workers int, dailies []daily) (archive.Contents, error) {
	t.Helper()
	i := index(t, dailies)
	w := archive.NewWriter(dst, archive.Options{Workers: workers, At: i.CreatedAt})
	err := w.WriteIndex(i)
	for n, d := range dailies {
		if err != nil {
			break
		}
		repeated := n+1 < len(dailies) && dailies[n+1].Content() == d.Content()
		err = w.WriteDump(d.Dump, d.open, repeated)
	}
	contents, closeErr := w.Close()
	if err != nil && closeErr == nil {
		t.Error("a writer that failed is closed without an error")
	}
	return contents, errors.Join(err, closeErr)
}

// week is a week of dailies in every way of storing: small ones, ones of several
// blocks and ones that end with a block; repeats among them.
func week(t testing.TB) ([]daily, seal.Identities) {
	t.Helper()
	to, by := keyPair(t)
	var all []daily
	for _, c := range seal.Compressions() {
		for _, p := range []seal.Packing{{Compression: c}, {Compression: c, Recipients: to}} {
			database := "db" + strings.ReplaceAll(p.Extension(), ".", "-") + "-" + string(c)
			for i, size := range []int{1, 511, 512, 1 << 20, 1 << 20, 2<<20 + 7} {
				all = append(all, newDaily(t, 2+i, database, sql(size, uint64(size)), p))
			}
		}
	}
	return all, by
}

// TestEveryMemberIsReadByItself reads each by the range that its manifest tells.
func TestEveryMemberIsReadByItself(t *testing.T) {
	t.Parallel()
	dailies, by := week(t)
	for _, workers := range []int{1, 3, 100} {
		var file bytes.Buffer
		contents, err := write(t, &file, workers, dailies)
		if err != nil {
			t.Fatal(err)
		}
		if got := seal.SumOf(file.Bytes()); got != contents.Stored {
			t.Errorf("%d workers: stored is %v, told as %v", workers, got, contents.Stored)
		}
		if len(contents.Members) != len(dailies) {
			t.Fatalf("%d workers: %d members, want %d", workers, len(contents.Members), len(dailies))
		}
		for i, m := range contents.Members {
			if m.ManifestKey != dailies[i].Key || m.Manifest != seal.SumOf(dailies[i].Document) {
				t.Fatalf("member %d is %s", i, m.ManifestKey)
			}
			got, err := readMember(t, file.Bytes(), m, by)
			if err != nil || !bytes.Equal(got, dailies[i].plain) {
				t.Errorf("%d workers: %s comes back as %d bytes, %v", workers, m.Name, len(got), err)
			}
		}
		m := manifest.Archive{
			Week: backup.Week{Year: 2024, Number: 49}, Part: 1, JobID: "j", RunID: "7f3a",
			Object: manifest.ArchiveObject{Key: "k", Stored: contents.Stored}, Members: contents.Members,
		}
		if _, err := manifest.Encode(m); err != nil {
			t.Error(err)
		}
	}
}

// readMember reads a member through its range of a file.
func readMember(t testing.TB, file []byte, m manifest.Member, by seal.Identities) ([]byte, error) {
	t.Helper()
	opened, err := m.Backup.Open(by)
	if err != nil {
		t.Fatal(err)
	}
	m.Backup = opened
	r, err := archive.Unpack(bytes.NewReader(file[m.Offset:m.Offset+m.Packed.Bytes]), m, by)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

// files are what an archive of dailies unpacks to, by name.
func files(t testing.TB, dailies []daily) map[string]string {
	t.Helper()
	body, err := manifest.Encode(index(t, dailies))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"INDEX.json": string(body)}
	for _, d := range dailies {
		name, err := d.Name()
		if err != nil {
			t.Fatal(err)
		}
		all[d.DocumentName()], all[name] = string(d.Document), string(d.plain)
		if d.Manifest.Encrypted() {
			all[name] = string(d.stored)
		}
	}
	if len(all) != 2*len(dailies)+1 {
		t.Fatalf("%d names for %d dailies", len(all), len(dailies))
	}
	return all
}

// TestItIsAnOrdinaryTar reads the file with the standard library, in its order,
// the index first.
func TestItIsAnOrdinaryTar(t *testing.T) {
	t.Parallel()
	dailies, _ := week(t)
	var file bytes.Buffer
	if _, err := write(t, &file, 2, dailies); err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	want := files(t, dailies)
	reader := tar.NewReader(unzipped)
	for n := 0; ; n++ {
		head, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && head.Name != archive.IndexName {
			t.Errorf("the first file is %s", head.Name)
		}
		got, err := io.ReadAll(reader)
		if err != nil || string(got) != want[head.Name] || head.Mode != 0o600 || head.ModTime.Year() != 2024 {
			t.Errorf("%s: %d bytes, %v, %+v", head.Name, len(got), err, head)
		}
		delete(want, head.Name)
	}
	if len(want) != 0 {
		t.Errorf("%d files are missing", len(want))
	}
	if rest, err := io.ReadAll(unzipped); err != nil || len(rest) != 0 {
		t.Errorf("after the end there are %d bytes, %v", len(rest), err)
	}
}

// TestTarUnpacksIt lists and unpacks the file with the system's tar (and with
// bsdtar and Python, where they are), all of it and every member by itself.
func TestTarUnpacksIt(t *testing.T) {
	t.Parallel()
	dailies, _ := week(t)
	// A name so long that a plain tar header cannot hold it.
	long := newDaily(t, 3, strings.Repeat("long-", 45), sql(2000, 9), seal.Packing{Compression: seal.Gzip})
	dailies = append(dailies, long, newDaily(t, 3, "naïve name", sql(100, 3), seal.Packing{Compression: seal.None}))
	file := filepath.Join(t.TempDir(), "2024-W49.tar.gz")
	dst, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := write(t, dst, 2, dailies); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
	want := files(t, dailies)
	all := tool(t, "tar", "-tzf", file)
	if n := strings.Count(all, "\n"); n != len(want) || !strings.HasPrefix(all, "INDEX.json\n") {
		t.Errorf("tar lists %d files of %d:\n%s", n, len(want), all)
	}
	for name, content := range want {
		if got := tool(t, "tar", "-xzOf", file, name); got != content {
			t.Errorf("tar unpacks %s to %d bytes of %d", name, len(got), len(content))
		}
	}
	for _, unpack := range [][]string{
		{"tar", "-xzf", file, "-C"}, {"bsdtar", "-xzf", file, "-C"}, {"python3", "-m", "tarfile", "-e", file},
	} {
		if _, err := exec.LookPath(unpack[0]); err != nil {
			if unpack[0] == "tar" {
				t.Error(err)
			}
			continue
		}
		dir := t.TempDir()
		tool(t, unpack[0], append(unpack[1:], dir)...)
		got := map[string]string{}
		for name := range want {
			content, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Error(err)
			}
			got[name] = string(content)
		}
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%s unpacks %s to %d bytes of %d", unpack[0], name, len(got[name]), len(want[name]))
			}
		}
	}
}

// tool runs a program and returns what it prints; a word on stderr fails too.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "PYTHONWARNINGS=ignore")
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%s %v: %v\n%s", name, args, err, stderr.String())
	}
	return stdout.String()
}

// TestGzipIsCarriedOver finds the stored bytes of a gzip daily in the archive.
func TestGzipIsCarriedOver(t *testing.T) {
	t.Parallel()
	d := newDaily(t, 2, "alpha", sql(5<<20, 1), seal.Packing{Compression: seal.Gzip})
	var file bytes.Buffer
	contents, err := write(t, &file, 2, []daily{d})
	if err != nil {
		t.Fatal(err)
	}
	m := contents.Members[0]
	if m.Packed != d.Manifest.Object.Stored || !bytes.Equal(file.Bytes()[m.Offset:m.Offset+m.Packed.Bytes], d.stored) {
		t.Errorf("packed is %v, stored was %v", m.Packed, d.Manifest.Object.Stored)
	}
}

// TestRepeatsAreWrittenFromMemory counts which dailies are read, up to and over
// the limit of what is remembered.
func TestRepeatsAreWrittenFromMemory(t *testing.T) {
	t.Parallel()
	random := make([]byte, 33<<20) // it does not compress
	noise := rand.NewChaCha8([32]byte{1})
	if _, err := noise.Read(random); err != nil {
		t.Fatal(err)
	}
	to, by := keyPair(t)
	for _, c := range []struct {
		what  string
		plain []byte
		p     seal.Packing
		days  int
		reads int
	}{
		{"small", sql(4<<20, 1), seal.Packing{Compression: seal.Zstd}, 7, 1},
		{"large", random, seal.Packing{Compression: seal.None}, 2, 2},
		{"nearly large", random[:31<<20], seal.Packing{Compression: seal.None}, 2, 1},
		// Equal dumps that are encrypted differ, and must.
		{"encrypted", sql(1000, 1), seal.Packing{Compression: seal.Zstd, Recipients: to}, 3, 3},
	} {
		var dailies []daily
		for day := range c.days {
			dailies = append(dailies, newDaily(t, 2+day, "alpha", c.plain, c.p))
		}
		dailies = append(dailies, newDaily(t, 2, "beta", sql(10, 2), c.p))
		reads := 0
		var file bytes.Buffer
		w := archive.NewWriter(&file, archive.Options{Workers: 2})
		for i, d := range dailies {
			open := func() (io.ReadCloser, error) {
				if d.Manifest.Database.Name == "alpha" {
					reads++
				}
				return d.open()
			}
			if err := w.WriteDump(d.Dump, open, i+1 < len(dailies) && dailies[i+1].Content() == d.Content()); err != nil {
				t.Fatal(err)
			}
		}
		contents, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		if reads != c.reads {
			t.Errorf("%s: %d dailies were read, want %d", c.what, reads, c.reads)
		}
		for i, m := range contents.Members {
			if got, err := readMember(t, file.Bytes(), m, by); err != nil || !bytes.Equal(got, dailies[i].plain) {
				t.Errorf("%s: %s comes back as %d bytes, %v", c.what, m.Name, len(got), err)
			}
		}
	}
}

// TestWhatDoesNotMatchIsRefused damages stored bytes in every way: the writer
// says so, and never ends the archive.
func TestWhatDoesNotMatchIsRefused(t *testing.T) {
	t.Parallel()
	to, _ := keyPair(t)
	tries := 0
	for _, c := range seal.Compressions() {
		for _, p := range []seal.Packing{{Compression: c}, {Compression: c, Recipients: to}} {
			d := newDaily(t, 2, "alpha", sql(3000, 1), p)
			for what, damaged := range map[string][]byte{
				"flipped":      flip(d.stored, len(d.stored)/2),
				"first byte":   flip(d.stored, 0),
				"last byte":    flip(d.stored, len(d.stored)-1),
				"cut":          d.stored[:len(d.stored)-1],
				"cut in half":  d.stored[:len(d.stored)/2],
				"empty":        {},
				"one too many": append(bytes.Clone(d.stored), 0),
				"twice":        append(bytes.Clone(d.stored), d.stored...),
			} {
				tries++
				bad := d
				bad.stored = damaged
				good := newDaily(t, 3, "beta", sql(100, 1), p)
				var file bytes.Buffer
				if _, err := write(t, &file, 2, []daily{bad, good}); !errors.Is(err, seal.ErrDamaged) {
					t.Errorf("%s, %s: %v", p.Extension(), what, err)
				}
				if n := unpacked(file.Bytes()); n > 0 {
					t.Errorf("%s, %s: an archive was ended all the same", p.Extension(), what)
				}
			}
		}
	}
	if tries != 48 {
		t.Errorf("%d cases", tries)
	}
}

// unpacked counts the files of an archive; 0 for one that is not whole.
func unpacked(file []byte) int {
	unzipped, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return 0
	}
	reader := tar.NewReader(unzipped)
	for n := 0; ; n++ {
		if _, err := reader.Next(); errors.Is(err, io.EOF) {
			// Without its end a tar just stops.
			if rest, err := io.ReadAll(unzipped); err == nil && len(rest) == 0 && bytes.HasSuffix(unzip(file), make([]byte, 1024)) {
				return n
			}
			return 0
		} else if err != nil {
			return 0
		}
	}
}

func unzip(file []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil
	}
	all, _ := io.ReadAll(r)
	return all
}

func flip(p []byte, at int) []byte {
	p = bytes.Clone(p)
	p[at] ^= 1
	return p
}

var errNetwork = errors.New("connection lost")

// TestSourceAndSinkMayFail at any byte, and with the errors that look like an
// end.
func TestSourceAndSinkMayFail(t *testing.T) {
	t.Parallel()
	d := newDaily(t, 2, "alpha", sql(3<<20, 1), seal.Packing{Compression: seal.None})
	for what, body := range map[string]io.Reader{
		"at once":        iotest.ErrReader(errNetwork),
		"half way":       io.MultiReader(bytes.NewReader(d.stored[:2<<20]), iotest.ErrReader(errNetwork)),
		"unexpected end": io.MultiReader(bytes.NewReader(d.stored[:1<<20]), iotest.ErrReader(io.ErrUnexpectedEOF)),
		"after the last": io.MultiReader(bytes.NewReader(d.stored), iotest.ErrReader(errNetwork)),
	} {
		w := archive.NewWriter(io.Discard, archive.Options{Workers: 2})
		err := w.WriteDump(d.Dump, func() (io.ReadCloser, error) { return io.NopCloser(body), nil }, false)
		if err == nil || errors.Is(err, seal.ErrDamaged) {
			t.Errorf("%s: writing says %v", what, err)
		}
		if again := w.WriteDump(d.Dump, d.open, false); again == nil {
			t.Errorf("%s: the next dump is taken", what)
		}
		if _, err := w.Close(); err == nil {
			t.Errorf("%s: Close says nothing", what)
		}
	}
	w := archive.NewWriter(io.Discard, archive.Options{})
	if err := w.WriteDump(d.Dump, func() (io.ReadCloser, error) { return nil, errNetwork }, false); !errors.Is(err, errNetwork) {
		t.Errorf("a daily that cannot be opened: %v", err)
	}
	if _, err := w.Close(); !errors.Is(err, errNetwork) {
		t.Errorf("Close says %v", err)
	}
	sinks := 0
	for limit := 0; limit < 700_000; limit += 50_000 {
		sinks++
		_, err := write(t, &fullDisk{limit}, 2, []daily{d, newDaily(t, 3, "alpha", d.plain, seal.Packing{Compression: seal.None})})
		if !errors.Is(err, errFull) {
			t.Errorf("a disk of %d bytes: %v", limit, err)
		}
	}
	if sinks < 10 {
		t.Errorf("%d sinks", sinks)
	}
}

var errFull = errors.New("no space left")

type fullDisk struct{ left int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.left {
		return d.left, errFull
	}
	d.left -= len(p)
	return len(p), nil
}

// TestItIsTheSameWhateverTheWorkers compares bytes.
func TestItIsTheSameWhateverTheWorkers(t *testing.T) {
	t.Parallel()
	dailies, _ := week(t)
	var one, many bytes.Buffer
	if _, err := write(t, &one, 1, dailies); err != nil {
		t.Fatal(err)
	}
	if _, err := write(t, &many, 8, dailies); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), many.Bytes()) {
		t.Error("the files differ")
	}
}

// TestTheIndexIsAsDocumented holds what readers of other tools rely on.
func TestTheIndexIsAsDocumented(t *testing.T) {
	t.Parallel()
	d := newDaily(t, 2, "groveauth", []byte("SELECT 1;\n"), seal.Packing{Compression: seal.Zstd})
	i := index(t, []daily{d})
	i.Gaps = []manifest.Gap{{Day: "2024-12-03", Database: "groveauth", Why: "its backup failed"}}
	got, err := manifest.Encode(i)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "format": "patina.index",
  "version": 1,
  "week": "2024-W49",
  "part": 1,
  "tool": "patina test",
  "createdAt": "2024-12-08T04:00:00Z",
  "files": [
    {
      "name": "2024-12-02/groveauth.sql",
      "manifest": "2024-12-02/groveauth.json",
      "database": {
        "id": "id-of-groveauth",
        "name": "groveauth"
      },
      "startedAt": "2024-12-02T03:00:04Z",
      "content": {
        "bytes": 10,
        "sha256": "b4e0497804e46e0a0b0b8c31975b062152d551bac49c3c2e80932567b4085dcd"
      },
      "plainBytes": 10
    }
  ],
  "gaps": [
    {
      "day": "2024-12-03",
      "database": "groveauth",
      "why": "its backup failed"
    }
  ]
}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
	if _, err := manifest.Decode[manifest.Index](got); err != nil {
		t.Error(err)
	}
	newer := bytes.Replace(got, []byte(`"version": 1`), []byte(`"version": 2`), 1)
	if _, err := manifest.Decode[manifest.Index](newer); !errors.Is(err, manifest.ErrNewer) {
		t.Errorf("a newer index: %v", err)
	}
}

// TestAnIndexTellsNoPlainHashes of encrypted dumps.
func TestAnIndexTellsNoPlainHashes(t *testing.T) {
	t.Parallel()
	to, _ := keyPair(t)
	d := newDaily(t, 2, "alpha", []byte("SELECT 1;\n"), seal.Packing{Compression: seal.Gzip, Recipients: to})
	body, err := manifest.Encode(index(t, []daily{d}))
	if err != nil {
		t.Fatal(err)
	}
	plain, stored := seal.SumOf(d.plain).SHA256, seal.SumOf(d.stored).SHA256
	if bytes.Contains(body, []byte(plain)) || !bytes.Contains(body, []byte(stored)) || !bytes.Contains(body, []byte(`alpha.sql.gz.age"`)) {
		t.Errorf("the index is\n%s", body)
	}
}

// FuzzUnpack reads damaged bytes: what comes back is what was written, or an
// error.
func FuzzUnpack(f *testing.F) {
	to, by := keyPair(f)
	var file bytes.Buffer
	dailies := []daily{
		newDaily(f, 2, "alpha", sql(3000, 1), seal.Packing{Compression: seal.None}),
		newDaily(f, 2, "beta", sql(3000, 2), seal.Packing{Compression: seal.Gzip}),
		newDaily(f, 2, "gamma", sql(3000, 3), seal.Packing{Compression: seal.Zstd, Recipients: to}),
	}
	contents, err := write(f, &file, 1, dailies)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), uint(0), byte(0), 0)
	f.Add(uint8(1), uint(7), byte(1), 1)
	f.Add(uint8(2), uint(100), byte(255), -1)
	f.Fuzz(func(t *testing.T, which uint8, at uint, change byte, grow int) {
		n := int(which) % len(dailies)
		m := contents.Members[n]
		part := bytes.Clone(file.Bytes()[m.Offset : m.Offset+m.Packed.Bytes])
		part[at%uint(len(part))] ^= change
		if grow %= len(part); grow < 0 {
			part = part[:len(part)+grow]
		} else {
			part = append(part, part[:grow]...)
		}
		opened, err := m.Backup.Open(by)
		if err != nil {
			t.Fatal(err)
		}
		m.Backup = opened
		var got []byte
		r, err := archive.Unpack(bytes.NewReader(part), m, by)
		if err == nil {
			got, err = io.ReadAll(r)
			_ = r.Close()
		}
		whole := change == 0 && grow == 0
		switch {
		case whole && (err != nil || !bytes.Equal(got, dailies[n].plain)):
			t.Errorf("undamaged bytes come back as %d bytes, %v", len(got), err)
		case !whole && !errors.Is(err, seal.ErrDamaged):
			t.Errorf("damaged bytes come back as %d bytes, %v", len(got), err)
		}
	})
}
