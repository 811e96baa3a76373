package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

const (
	dumpName  = "large"
	hugeName  = "huge"
	mebibytes = "MiB"
)

func cases() []benchCase {
	return []benchCase{
		{"none", plainCase},
		{"zstd", zstdCase},
		{"gzip", gzipCase},
		{"age", ageCase},
		{"three", threeCase},
		{"memory", hugeCase},
		{"small", smallCase},
		{"limit", limitCase},
		{"version", versionCase},
		{"completion", completionCase},
		{"archive", archiveCase},
		{"member", memberCase},
	}
}

// settings are those of a run over the databases named.
func settings(compression string, databases ...string) map[string]string {
	return map[string]string{"PATINA_DATABASES": strings.Join(databases, ","), "PATINA_BACKUP_COMPRESSION": compression}
}

// ratio is a row about one measure of two contenders.
func ratio(what string, ours, theirs, most float64, unit, against string) row {
	return row{
		what: what, figure: fmt.Sprintf("%.2f times (%.2f %s)", ours/theirs, ours, unit),
		against: fmt.Sprintf("%s: %.2f %s", against, theirs, unit), target: fmt.Sprintf("at most %.2f times", most),
		met: ours/theirs <= most,
	}
}

func plainCase(ctx context.Context, b *bench) ([]row, error) {
	if err := b.database(ctx, dumpName, b.bytes); err != nil {
		return nil, err
	}
	const copyurl = "rclone copyurl"
	all, err := b.compare(ctx,
		contender{"patina backup, none", b.patinaSays(settings("none", dumpName), "backup")},
		contender{copyurl, b.shell(dumpName, `exec rclone copyurl "$URL" s3:`+bucket+`/dump.sql`)},
	)
	if err != nil {
		return nil, err
	}
	ours, theirs := all["patina backup, none"], all[copyurl]
	peak := medianPeak(ours)
	return []row{
		ratio("none: wall time", medianWall(ours).Seconds(), medianWall(theirs).Seconds(), 1.1, "s", copyurl),
		{
			what: "none: peak memory", figure: fmt.Sprintf("%.0f MiB", mib(peak)),
			against: fmt.Sprintf("%s: %.0f MiB", copyurl, mib(medianPeak(theirs))), target: "at most 64 MiB", met: peak <= 64<<20,
		},
	}, nil
}

func zstdCase(ctx context.Context, b *bench) ([]row, error) {
	return b.packed(ctx, "zstd", `curl -sS "$URL" | zstd -3 -c -q | rclone rcat s3:`+bucket+`/dump.sql.zst`, "curl, zstd -3, rclone rcat", 1.1, 1.03)
}

func gzipCase(ctx context.Context, b *bench) ([]row, error) {
	return b.packed(ctx, "gzip", `curl -sS "$URL" | gzip | rclone rcat s3:`+bucket+`/dump.sql.gz`, "curl, gzip, rclone rcat", 0.25, 1.10)
}

// packed compares a compression with a pipeline that does the same.
func (b *bench) packed(ctx context.Context, compression, line, against string, mostTime, mostSize float64) ([]row, error) {
	if err := b.database(ctx, dumpName, b.bytes); err != nil {
		return nil, err
	}
	all, err := b.compare(ctx,
		contender{compression, b.patinaSays(settings(compression, dumpName), "backup")},
		contender{against, b.shell(dumpName, line)},
	)
	if err != nil {
		return nil, err
	}
	ours, theirs := all[compression], all[against]
	return []row{
		ratio(compression+": wall time", medianWall(ours).Seconds(), medianWall(theirs).Seconds(), mostTime, "s", against),
		ratio(compression+": size", mib(medianStored(ours)), mib(medianStored(theirs)), mostSize, mebibytes, against),
		peakRow(compression, medianPeak(ours), 0),
	}, nil
}

// peakRow is a row about memory alone; most is 0 where no target is set.
func peakRow(what string, peak, most int64) row {
	r := row{what: what + ": peak memory", figure: fmt.Sprintf("%.0f MiB", mib(peak)), against: "-", target: "-", met: true}
	if most > 0 {
		r.target, r.met = fmt.Sprintf("at most %.0f MiB", mib(most)), peak <= most
	}
	return r
}

func ageCase(ctx context.Context, b *bench) ([]row, error) {
	if err := b.database(ctx, dumpName, b.bytes); err != nil {
		return nil, err
	}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, compression := range []string{"none", "zstd"} {
		open, sealed := settings(compression, dumpName), settings(compression, dumpName)
		sealed["PATINA_BACKUP_ENCRYPTION_RECIPIENTS"] = key.Recipient().String()
		all, err := b.compare(ctx,
			contender{compression, b.patinaSays(open, "backup")},
			contender{compression + " and age", b.patinaSays(sealed, "backup")},
		)
		if err != nil {
			return nil, err
		}
		rows = append(rows, ratio(compression+" and age: wall time",
			medianWall(all[compression+" and age"]).Seconds(), medianWall(all[compression]).Seconds(), 1.15, "s", "without age"))
	}
	return rows, nil
}

func threeCase(ctx context.Context, b *bench) ([]row, error) {
	names := []string{"one", "two", "three"}
	for _, name := range names {
		if err := b.database(ctx, name, b.bytes); err != nil {
			return nil, err
		}
	}
	var rows []row
	for _, compression := range []string{"none", "zstd"} {
		what := "three at once, " + compression
		set := settings(compression, names...)
		set["PATINA_BACKUP_CONCURRENCY"] = "3"
		all, err := b.compare(ctx, contender{what, b.patinaSays(set, "backup")})
		if err != nil {
			return nil, err
		}
		rows = append(rows, peakRow(what, medianPeak(all[what]), 160<<20))
	}
	return rows, nil
}

func hugeCase(ctx context.Context, b *bench) ([]row, error) {
	if err := b.database(ctx, dumpName, b.bytes); err != nil {
		return nil, err
	}
	if err := b.database(ctx, hugeName, b.largeBytes); err != nil {
		return nil, err
	}
	all, err := b.compare(ctx,
		contender{"small", b.patinaSays(settings("none", dumpName), "backup")},
		contender{"large", b.patinaSays(settings("none", hugeName), "backup")},
	)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("peak memory of %d MiB", b.largeBytes>>20)
	return []row{ratio(what, mib(medianPeak(all["large"])), mib(medianPeak(all["small"])), 1.1, mebibytes, fmt.Sprintf("%d MiB", b.bytes>>20))}, nil
}

func versionCase(ctx context.Context, b *bench) ([]row, error) {
	all, err := b.compare(ctx,
		contender{"patina version", b.patinaSays(settings("none", "x"), "version")},
		contender{"rclone version", func(ctx context.Context, _ int) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, b.rclone, "version"), nil
		}},
	)
	if err != nil {
		return nil, err
	}
	return []row{ratio("patina version", float64(medianWall(all["patina version"]).Milliseconds()),
		float64(medianWall(all["rclone version"]).Milliseconds()), 1, "ms", "rclone version")}, nil
}

// completionCase completes a database's name after one backup of many.
func completionCase(ctx context.Context, b *bench) ([]row, error) {
	names, err := b.smallDatabases(ctx)
	if err != nil {
		return nil, err
	}
	const what = "completing a database's name"
	set := settings("none", names...)
	set["PATINA_BACKUP_CONCURRENCY"] = "8"
	backup, err := b.patinaSays(set, "backup")(ctx, 0)
	if err != nil {
		return nil, err
	}
	if out, err := backup.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	kept := filepath.Join(b.dir, "kept")
	if err := os.CopyFS(kept, os.DirFS(b.root)); err != nil {
		return nil, err
	}
	all, err := b.compare(ctx, contender{what, func(ctx context.Context, run int) (*exec.Cmd, error) {
		if err := os.CopyFS(b.root, os.DirFS(kept)); err != nil {
			return nil, err
		}
		return b.patinaSays(set, "__complete", "download", "latest", "small-")(ctx, run)
	}})
	if err != nil {
		return nil, err
	}
	wall := medianWall(all[what])
	return []row{{
		what: what, figure: fmt.Sprintf("%d ms", wall.Milliseconds()), against: fmt.Sprintf("%d databases, S3", len(names)),
		target: "under 300 ms", met: wall.Milliseconds() < 300,
	}}, nil
}
