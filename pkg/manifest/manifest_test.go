package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sum(text string) seal.Sum { return seal.SumOf([]byte(text)) }

var (
	night = time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC)
	job   = backup.NightJob(night)
	aRun  = backup.Run{ID: "7f3a", JobID: job.ID, Host: "vault", Process: 4711, Version: "v1.0.0", StartedAt: night.Add(2 * time.Second)}
)

// aBackup is a manifest with every field set.
func aBackup() Backup {
	return Backup{
		Database: backup.Database{ID: "8f5b1c1e-0d4c-4d0e-9c5b-2a6f3f0c7a11", Name: "groveauth", Jurisdiction: "eu", Region: "WEUR"},
		JobID:    job.ID, RunID: "7f3a", Trigger: backup.TriggerSchedule, Reason: "the night", Night: night,
		Host: "vault", Tool: "patina v1.0.0", StartedAt: night.Add(4 * time.Second), EndedAt: night.Add(6 * time.Second),
		Export: Export{Method: "export", Why: "the database has no virtual tables", Bookmark: "00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683", Attempts: 1},
		Object: Object{
			Key: "daily/2024-12-08/groveauth.sql.zst", Stored: sum("stored"), ETag: "9b2cf535f27731c974343645a3985328-2",
			PartBytes: 5 << 20, Parts: 2, Compression: seal.Zstd,
		},
		Plain: sum("plain text"), Source: sum("plain text"),
		Tables:     []backup.Table{{Name: "users", Rows: 420, Fingerprint: "1:0123456789abcdef"}, {Name: "sessions", Rows: 900}},
		Objects:    []backup.Object{{Type: "index", Name: "sessions_by_user"}},
		Statements: 1328, LongestStatement: 412,
		Fidelity: backup.FidelityUnchecked,
		Findings: []backup.Finding{{Code: "integer_past_2_53", Table: "users", Count: 1, FirstRow: 7, FirstOffset: 901}},
		Proof:    Proof{Level: "scan", At: night.Add(6 * time.Second)},
	}
}

// anArchive is the manifest of an archive of one member.
func anArchive() Archive {
	b := aBackup()
	return Archive{
		Week: backup.Week{Year: 2024, Number: 49}, Part: 2, Replaces: []int{1},
		JobID: "archive-2024W49", RunID: "9c01", Trigger: backup.TriggerSchedule, Reason: "the week",
		Host: "vault", Tool: "patina v1.0.0", StartedAt: night.Add(time.Hour), EndedAt: night.Add(time.Hour + time.Minute),
		Object: ArchiveObject{
			Key: "weekly/2024-W49.2.9c01.tar.gz", Stored: seal.Sum{Bytes: 4096, SHA256: sum("archive").SHA256},
			ETag: "9b2cf535f27731c974343645a3985328-2", PartBytes: 5 << 20, Parts: 1,
		},
		Members: []Member{{
			Name: "2024-12-08/groveauth.sql", Offset: 512, Packed: sum("packed"), Content: b.Plain,
			ManifestKey: "daily/2024-12-08/groveauth.json", Manifest: sum("manifest"), Backup: b,
		}},
		Gaps: []Gap{{Day: "2024-12-07", Database: "groveauth", Why: "none was taken"}},
	}
}

func TestAnArchivesIndexMustBeSound(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Archive){
		"no week":          func(a *Archive) { a.Week = backup.Week{} },
		"no part":          func(a *Archive) { a.Part = 0 },
		"no members":       func(a *Archive) { a.Members = nil },
		"no object":        func(a *Archive) { a.Object = ArchiveObject{} },
		"before the start": func(a *Archive) { a.Members[0].Offset = -1 },
		"beyond the end":   func(a *Archive) { a.Members[0].Offset = 4096 },
		"overlap":          func(a *Archive) { a.Members = append(a.Members, a.Members[0]) },
		"no name":          func(a *Archive) { a.Members[0].Name = "" },
		"no hash":          func(a *Archive) { a.Members[0].Packed.SHA256 = "" },
		"another dump":     func(a *Archive) { a.Members[0].Content = sum("another") },
		"no backup":        func(a *Archive) { a.Members[0].Backup = Backup{} },
	} {
		a := anArchive()
		spoil(&a)
		if _, err := Encode(a); err == nil {
			t.Errorf("%s: it is encoded", name)
		}
	}
}

func TestGoldenDocuments(t *testing.T) {
	t.Parallel()
	golden(t, "backup.json", aBackup())
	golden(t, "begin.json", Begin{Job: job, Run: aRun, Writes: backup.Writes(night, "groveauth", "7f3a")})
	golden(t, "end.json", End{
		Job: job, Run: aRun, EndedAt: night.Add(9 * time.Second), Status: "partial",
		Results: []Result{
			{Database: "groveauth", DatabaseID: "8f5b1c1e", Status: "done", Attempts: 1, Manifest: &Written{Key: "daily/2024-12-08/groveauth.json", Sum: sum("manifest")}},
			{Database: "scout-db", Status: "failed", Error: "Timeout after 30s", Attempts: 5},
		},
	})
	golden(t, "archive.json", anArchive())
	golden(t, "capability.json", Capability{Host: "vault", Tool: "patina v1.0.0", At: night, SingleConditional: true})
	golden(t, "proof.json", ProofRecord{Manifest: "daily/2024-12-08/groveauth.json", RunID: "7f3a", At: night, Level: "identity", Detail: "not the object that was written"})
}

// golden holds a document against its file, and its reading against itself.
// Old files must stay readable for ever: a file is added, never changed, when
// the version grows.
func golden[D Document](t *testing.T, name string, doc D) {
	t.Helper()
	got, err := Encode(doc)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
	back, err := Decode[D](got)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if diff := cmp.Diff(doc, back); diff != "" {
		t.Errorf("%s does not read back (-written +read):\n%s", name, diff)
	}
}

func TestEmptyListsAreNeverNull(t *testing.T) {
	t.Parallel()
	b := aBackup()
	b.Tables, b.Objects, b.Findings = nil, nil, nil
	text, err := Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("null")) {
		t.Errorf("null in\n%s", text)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	good, err := Encode(aBackup())
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(map[string]any)) []byte {
		var doc map[string]any
		if err := json.Unmarshal(good, &doc); err != nil {
			t.Fatal(err)
		}
		f(doc)
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	cases := map[string]struct {
		text []byte
		want error
	}{
		"as written":            {good, nil},
		"with an unknown key":   {change(func(d map[string]any) { d["shoeSize"] = 43 }), nil},
		"a newer version":       {change(func(d map[string]any) { d["version"] = Version + 1 }), ErrNewer},
		"another format":        {change(func(d map[string]any) { d["format"] = "patina.begin" }), ErrForeign},
		"no format":             {change(func(d map[string]any) { delete(d, "format") }), ErrForeign},
		"no job":                {change(func(d map[string]any) { delete(d, "jobId") }), ErrForeign},
		"no plain sum":          {change(func(d map[string]any) { delete(d, "plain") }), ErrForeign},
		"no object":             {change(func(d map[string]any) { delete(d, "object") }), ErrForeign},
		"no time":               {change(func(d map[string]any) { delete(d, "startedAt") }), ErrForeign},
		"a field of wrong type": {change(func(d map[string]any) { d["statements"] = "many" }), ErrForeign},
		"half of it":            {good[:len(good)/2], ErrForeign},
		"nothing":               {nil, ErrForeign},
		"somebody else's JSON":  {[]byte(`{"name":"worker","version":"1.2"}`), ErrForeign},
		"no JSON":               {[]byte("PRAGMA defer_foreign_keys=TRUE;"), ErrForeign},
	}
	for name, c := range cases {
		_, err := Decode[Backup](c.text)
		if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestAUselessDocumentIsNotWritten(t *testing.T) {
	t.Parallel()
	b := aBackup()
	b.Plain = seal.Sum{}
	if _, err := Encode(b); err == nil {
		t.Error("a manifest without a sum is written")
	}
	other := aRun
	other.JobID = "another"
	if _, err := Encode(Begin{Job: job, Run: other}); err == nil {
		t.Error("a record of another job's run is written")
	}
}

func TestReadAllIsBounded(t *testing.T) {
	t.Parallel()
	if _, err := ReadAll(strings.NewReader("{}")); err != nil {
		t.Error(err)
	}
	if _, err := ReadAll(endless{}); !errors.Is(err, ErrForeign) {
		t.Errorf("an endless document gives %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		reencode[Backup](t, text)
		reencode[Begin](t, text)
		reencode[End](t, text)
		reencode[Capability](t, text)
		reencode[ProofRecord](t, text)
	})
}

// reencode holds that whatever is read can be written, and reads the same.
func reencode[D Document](t *testing.T, text []byte) {
	t.Helper()
	doc, err := Decode[D](text)
	if err != nil {
		if !errors.Is(err, ErrForeign) && !errors.Is(err, ErrNewer) {
			t.Errorf("%v is neither foreign nor newer", err)
		}
		return
	}
	first, err := Encode(doc)
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	again, err := Decode[D](first)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	second, err := Encode(again)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("written twice it differs: %v", err)
	}
}
