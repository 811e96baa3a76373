package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/config"
	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// guides are guides of backups of every kind.
func guides() map[string]guide {
	at := time.Date(2024, 12, 8, 3, 0, 0, 0, time.UTC)
	m := manifest.Backup{
		Database: backup.Database{ID: "6f1c", Name: "alpha", Region: "WEUR"}, JobID: "night-20241208T0300Z", StartedAt: at,
		Object: manifest.Object{Key: "daily/2024-12-08/alpha.sql.zst", Compression: seal.Zstd, Stored: seal.Sum{Bytes: 9, SHA256: "aa"}},
		Export: manifest.Export{Bookmark: "00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683"},
		Plain:  seal.Sum{Bytes: 99, SHA256: "bb"}, Tables: []backup.Table{{Name: "users", Rows: 2}}, Statements: 4,
	}
	of := func(change func(*guide)) guide {
		g := guide{target: "alpha-restored", file: "alpha.sql", now: at.Add(time.Hour)}
		g.choice.Entry = engine.Entry{Brief: manifest.NewBrief(m), Daily: true, Name: backup.Name{Database: "alpha", Day: at.Truncate(24 * time.Hour)}}
		g.store = config.StoreURL{Kind: config.StoreR2, Bucket: "grove"}
		change(&g)
		return g
	}
	archived := &engine.Archived{
		Object: manifest.ArchiveObject{Key: "weekly/2024-W49.tar.gz"},
		Member: manifest.Member{Name: "2024-12-08/alpha.sql", Content: seal.Sum{SHA256: "bb"}},
	}
	alter := func(g *guide, change func(*manifest.Backup)) {
		m := g.choice.Manifest()
		change(&m)
		g.choice.Brief = manifest.NewBrief(m)
	}
	encrypt := func(g *guide) {
		alter(g, func(m *manifest.Backup) { m.Object.Recipients = []string{"age1one", "age1two"} })
	}
	return map[string]guide{
		"plain":           of(func(*guide) {}),
		"in its place":    of(func(g *guide) { g.target = "alpha" }),
		"another's place": of(func(g *guide) { g.target, g.replace = "omega", true }),
		"another":         of(func(g *guide) { g.target = "omega" }),
		"archived":        of(func(g *guide) { g.choice.Daily, g.choice.Archived = false, archived }),
		"old":             of(func(g *guide) { g.now = at.Add(31 * 24 * time.Hour) }),
		"large":           of(func(g *guide) { alter(g, func(m *manifest.Backup) { m.Plain.Bytes = 1 << 30 }) }),
		"no bookmark":     of(func(g *guide) { alter(g, func(m *manifest.Backup) { m.Export.Bookmark = "" }) }),
		"failed":          of(func(g *guide) { g.choice.Failed = "its stored bytes are damaged" }),
		"sealed":          of(func(g *guide) { encrypt(g); g.sealed = true }),
		"opened":          of(encrypt),
		"with a key":      of(func(g *guide) { encrypt(g); g.identity = "my keys/it's mine.txt" }),
		"configured":      of(func(g *guide) { g.config = "/etc/a b.yaml" }),
	}
}

// Every command line of this program that a guide prints is one that it takes.
func TestGuideCommandsParse(t *testing.T) {
	t.Parallel()
	seen := 0
	for name, g := range guides() {
		for _, step := range g.steps() {
			for _, c := range step.Commands {
				words := shellWords(t, c.Run)
				if words[0] != "patina" {
					continue
				}
				seen++
				if err := parses(words[1:]); err != nil {
					t.Errorf("%s, %s: %s: %v", name, step.Title, c.Run, err)
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d commands were seen", seen)
	}
}

// shellWords is what a shell makes of a command line.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	line, _, _ = strings.Cut(line, " < ")
	line, _, _ = strings.Cut(line, " > ")
	line, _, _ = strings.Cut(line, " | ")
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\0' `+line).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// parses runs the real command tree with commands that do nothing but look at
// their arguments.
func parses(args []string) error {
	root := newRootCmd(&app{})
	ran := false
	for _, cmd := range root.Commands() {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			ran = true
			return checkArguments(cmd, args)
		}
	}
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		return err
	}
	if !ran {
		return fmt.Errorf("no command ran")
	}
	return nil
}

// checkArguments reads what the commands read themselves.
func checkArguments(cmd *cobra.Command, args []string) error {
	value := func(flag string) string { return cmd.Flags().Lookup(flag).Value.String() }
	switch cmd.Name() {
	case "rewind":
		o := rewindOptions{at: value("at"), req: engine.RewindRequest{Bookmark: value("bookmark")}}
		return o.aim()
	case "restore":
		if _, err := parseTarget(value("to")); err != nil && value("guide") != "true" {
			return err
		}
		_, err := engine.ParseDate(args[0])
		return err
	case "download", "verify":
		_, err := engine.ParseDate(args[0])
		return err
	}
	return nil
}

// What a guide says follows from the backup.
func TestGuideSteps(t *testing.T) {
	t.Parallel()
	all := guides()
	for name, want := range map[string]string{
		"plain":        "npx wrangler r2 object get grove/daily/2024-12-08/alpha.sql.zst --remote --file alpha.sql.zst",
		"archived":     "tar -xzf 2024-W49.tar.gz 2024-12-08/alpha.sql",
		"in its place": "patina restore 2024-12-08 alpha --job night-20241208T0300Z --to d1:alpha --replace",
		"large":        "--to d1:alpha --replace --allow-partial",
		"no bookmark":  "npx wrangler d1 time-travel restore alpha --timestamp 2024-12-08T03:00:00Z",
		"failed":       "It failed a check: its stored bytes are damaged.",
		"sealed":       "age -d -i KEYFILE alpha.sql.zst | zstd -dc > alpha-20241208T030000Z.sql",
		"with a key":   `--identity 'my keys/it'\''s mine.txt' -f`,
		"configured":   "patina --config '/etc/a b.yaml' undo JOB",
		"old":          "out of reach since 2025-01-07 03:00 UTC",
	} {
		var b strings.Builder
		if err := guideMarkdown(&b, "x", all[name].steps()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.ReplaceAll(b.String(), "\n", " "), want) {
			t.Errorf("%s: %q is not in\n%s", name, want, b.String())
		}
	}
}

// Tables are counted five at a time, with any names, and those that a restore
// makes anew are not.
func TestGuideCounts(t *testing.T) {
	t.Parallel()
	g := guides()["plain"]
	m := g.choice.Manifest()
	m.Tables = []backup.Table{{Name: "sqlite_sequence", Rows: 1}, {Name: "f_data", Rows: 2}, {Name: "_cf_KV", Rows: 1}, {Name: `a"b'c`, Rows: 7}}
	for i := range 5 {
		m.Tables = append(m.Tables, backup.Table{Name: fmt.Sprint("t", i), Rows: int64(i)})
	}
	m.Objects = []backup.Object{{Type: dump.ObjectVirtual, Name: "f"}, {Type: dump.ObjectIndex, Name: "by_name"}}
	g.choice.Brief = manifest.NewBrief(m)
	step := g.verify()
	want := []guideCommand{
		{Run: `SELECT 'a"b''c' AS name, count(*) AS n FROM "a""b'c"`, Says: `a"b'c 7, t0 0, t1 1, t2 2, t3 3`},
		{Run: `SELECT 't4' AS name, count(*) AS n FROM "t4"`, Says: "t4 4"},
		{Run: "SELECT name FROM sqlite_schema", Says: "by_name, f"},
	}
	if len(step.Commands) != len(want) {
		t.Fatalf("%d commands: %v", len(step.Commands), step.Commands)
	}
	for i, c := range step.Commands {
		words := shellWords(t, c.Run)
		if sql := words[len(words)-1]; !strings.HasPrefix(sql, want[i].Run) || c.Says != want[i].Says {
			t.Errorf("%s says %q, want %s and %q", sql, c.Says, want[i].Run, want[i].Says)
		}
	}
}
