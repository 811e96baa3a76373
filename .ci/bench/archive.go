package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

const (
	// A week is that many dumps of archiveBytes and a little, each different.
	weekDumps    = 7
	archiveBytes = 60 << 20

	toolsFetch   = `rm -rf "$HOME/week" && rclone copy s3:` + bucket + `/daily "$HOME/week" && `
	toolsPack    = `tar -cf - -C "$HOME/week" . | pigz | rclone rcat s3:` + bucket + `/weekly/tools.tar.gz`
	toolsArchive = toolsFetch + toolsPack
	// toolsUnpack is what the tools need to make the same archive of dailies
	// stored as gzip: one that unpacks to plain dumps.
	toolsUnpack  = toolsFetch + `find "$HOME/week" -name '*.gz' -exec unpigz {} + && ` + toolsPack
	toolsAgainst = "rclone copy, tar, pigz, rclone rcat"
)

// takeWeek fills the bucket with the dailies of a week, and returns the names of
// the databases and the week.
func (b *bench) takeWeek(ctx context.Context, compression string) ([]string, backup.Week, error) {
	var names []string
	for i := range int64(weekDumps) {
		name := fmt.Sprintf("week-%d", i)
		if err := b.database(ctx, name, archiveBytes+i*1000); err != nil {
			return nil, backup.Week{}, err
		}
		names = append(names, name)
	}
	b.kept = nil
	if err := b.empty(); err != nil {
		return nil, backup.Week{}, err
	}
	return names, backup.WeekOf(time.Now()), b.once(ctx, settings(compression, names...), "backup")
}

// once runs patina outside of what is measured.
func (b *bench) once(ctx context.Context, set map[string]string, args ...string) error {
	cmd, err := b.patinaSays(set, args...)(ctx, 0)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("patina %v: %w: %s", args, err, out)
	}
	return nil
}

func archiveCase(ctx context.Context, b *bench) ([]row, error) {
	packed, err := b.archiveOf(ctx, "gzip", 1.0/5, "rclone copy, unpigz, tar, pigz, rclone rcat", toolsUnpack)
	if err != nil {
		return nil, err
	}
	plain, err := b.archiveOf(ctx, "none", 1/2.5, toolsAgainst, toolsArchive)
	return append(packed, plain...), err
}

// archiveOf archives a week of dailies that are stored in a way. Where they are
// compressed it is also held against the tools that leave them so, whose archive
// is another one.
func (b *bench) archiveOf(ctx context.Context, compression string, most float64, against, line string) ([]row, error) {
	defer func() { b.kept = nil }()
	names, week, err := b.takeWeek(ctx, compression)
	if err != nil {
		return nil, err
	}
	b.kept = []string{"daily"}
	what, lesser := "archive of dailies stored as "+compression, toolsAgainst+" (the .gz files as they are)"
	contenders := []contender{
		{what, b.patinaSays(settings(compression, names...), "archive", "--week", week.String())},
		{against, b.shell(names[0], line)},
	}
	if line != toolsArchive {
		contenders = append(contenders, contender{lesser, b.shell(names[0], toolsArchive)})
	}
	all, err := b.compare(ctx, contenders...)
	if err != nil {
		return nil, err
	}
	rows := []row{
		ratio(what+": wall time", medianWall(all[what]).Seconds(), medianWall(all[against]).Seconds(), most, "s", against),
		peakRow(what, medianPeak(all[what]), 96<<20),
	}
	if line != toolsArchive {
		other := ratio(what+": wall time", medianWall(all[what]).Seconds(), medianWall(all[lesser]).Seconds(), 1, "s", lesser)
		other.target = "-"
		rows = append(rows, other)
	}
	return rows, nil
}

func memberCase(ctx context.Context, b *bench) ([]row, error) {
	defer func() { b.kept = nil }()
	names, week, err := b.takeWeek(ctx, "none")
	if err != nil {
		return nil, err
	}
	if err := b.once(ctx, settings("none", names...), "archive", "--week", week.String()); err != nil {
		return nil, err
	}
	// The dump in the middle, and nothing but the archive to read it from.
	name := names[weekDumps/2]
	found, err := filepath.Glob(filepath.Join(b.root, "daily", "*", name+".*.json"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("the manifests of %s are %v: %w", name, found, err)
	}
	day := filepath.Base(filepath.Dir(found[0]))
	member := day + "/" + filepath.Base(found[0][:len(found[0])-len("json")]) + "sql"
	object, err := filepath.Glob(filepath.Join(b.root, "weekly", "*.tar.gz"))
	if err != nil || len(object) != 1 {
		return nil, fmt.Errorf("the archives are %v: %w", object, err)
	}
	if err := os.RemoveAll(filepath.Join(b.root, "daily")); err != nil {
		return nil, err
	}
	b.kept = []string{"weekly"}
	const ours, theirs = "one member: patina download", "rclone cat, tar xzO"
	all, err := b.compare(ctx,
		contender{ours, b.patinaSays(settings("none", names...), "download", day, name, "-f", "member.sql")},
		contender{theirs, func(ctx context.Context, run int) (*exec.Cmd, error) {
			return b.shell(name, fmt.Sprintf(`rclone cat s3:%s/weekly/%s | tar -xzOf - %q > "$HOME/member.sql"`, bucket, filepath.Base(object[0]), member))(ctx, run)
		}},
	)
	if err != nil {
		return nil, err
	}
	return []row{ratio(ours, medianWall(all[ours]).Seconds(), medianWall(all[theirs]).Seconds(), 0.25, "s", theirs)}, nil
}
