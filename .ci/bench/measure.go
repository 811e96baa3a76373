package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// figures are what one run took.
type figures struct {
	wall time.Duration
	// cpu is what it used of processors; of a shell, its children included.
	cpu time.Duration
	// peak is the greatest resident memory (VmHWM) of the process, in bytes; of
	// a shell, that of the largest of its children.
	peak int64
	// stored is how much lies in the bucket afterwards, records excluded.
	stored int64
}

// contender is one of those that are compared.
type contender struct {
	name string
	// command makes the process of one run.
	command func(ctx context.Context, run int) (*exec.Cmd, error)
}

// compare runs the contenders in turn, as often as asked for, and returns the
// figures of each by its name.
func (b *bench) compare(ctx context.Context, contenders ...contender) (map[string][]figures, error) {
	all := map[string][]figures{}
	// The first round warms the caches of files, and does not count.
	for run := range b.runs + 1 {
		for _, c := range contenders {
			f, err := b.measure(ctx, c, run)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if run > 0 {
				all[c.name] = append(all[c.name], f)
			}
		}
	}
	return all, nil
}

func (b *bench) measure(ctx context.Context, c contender, run int) (figures, error) {
	if err := b.empty(); err != nil {
		return figures{}, err
	}
	cmd, err := c.command(ctx, run)
	if err != nil {
		return figures{}, err
	}
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return figures{}, fmt.Errorf("%w: %s", err, output.String())
	}
	f := figures{wall: time.Since(start)}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		f.peak = usage.Maxrss << 10
	}
	f.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	f.stored, err = b.stored()
	fmt.Fprintf(os.Stderr, "  %-40s %8.3f s  %8.3f s of CPU  %6.1f MiB\n", c.name, f.wall.Seconds(), f.cpu.Seconds(), mib(f.peak))
	return f, err
}

// stored is the size of all that lies in the bucket but JSON.
func (b *bench) stored() (int64, error) {
	var n int64
	err := filepath.WalkDir(b.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".json") {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func medianWall(all []figures) time.Duration {
	var values []time.Duration
	for _, f := range all {
		values = append(values, f.wall)
	}
	return median(values)
}

func medianPeak(all []figures) int64 {
	var values []int64
	for _, f := range all {
		values = append(values, f.peak)
	}
	return median(values)
}

func medianStored(all []figures) int64 {
	var values []int64
	for _, f := range all {
		values = append(values, f.stored)
	}
	return median(values)
}

// patinaSays is a run of patina with the bench's servers, and settings by the
// names of their variables.
func (b *bench) patinaSays(settings map[string]string, args ...string) func(context.Context, int) (*exec.Cmd, error) {
	return func(ctx context.Context, run int) (*exec.Cmd, error) {
		home, err := os.MkdirTemp(b.dir, "home-*")
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, b.patina, args...)
		cmd.Dir = home
		cmd.Env = []string{
			"HOME=" + home, "PATH=" + os.Getenv("PATH"),
			"CLOUDFLARE_API_BASE_URL=" + b.api, "CLOUDFLARE_ACCOUNT_ID=" + account, "CLOUDFLARE_API_TOKEN=" + token,
			"PATINA_STORE_URL=s3://" + bucket + "?endpoint=" + b.s3 + "&region=auto",
			"PATINA_STORE_ACCESS_KEY_ID=" + accessKey, "PATINA_STORE_SECRET_ACCESS_KEY=" + secretKey,
			"PATINA_DATABASES=" + settings["PATINA_DATABASES"],
		}
		for name, value := range settings {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		return cmd, nil
	}
}

// shell is a run of a line of sh, in which rclone knows the bench's store as
// "s3" and $URL is the dump's.
func (b *bench) shell(database, line string) func(context.Context, int) (*exec.Cmd, error) {
	return func(ctx context.Context, _ int) (*exec.Cmd, error) {
		url, err := b.dumpURL(ctx, database)
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", line)
		cmd.Env = []string{
			"HOME=" + b.dir, "PATH=" + filepath.Dir(b.rclone) + ":" + os.Getenv("PATH"), "URL=" + url, "RCLONE_CONFIG=/dev/null",
			"RCLONE_CONFIG_S3_TYPE=s3", "RCLONE_CONFIG_S3_PROVIDER=Other", "RCLONE_CONFIG_S3_ENDPOINT=" + b.s3,
			"RCLONE_CONFIG_S3_REGION=auto", "RCLONE_CONFIG_S3_ACCESS_KEY_ID=" + accessKey,
			"RCLONE_CONFIG_S3_SECRET_ACCESS_KEY=" + secretKey, "RCLONE_S3_NO_CHECK_BUCKET=true",
		}
		return cmd, nil
	}
}
