// Command bench measures whole runs of patina against named alternatives: wall
// time, peak memory, and size. Every figure is the median of several runs, and
// the runs of what is compared are interleaved, so that what the machine does
// meanwhile falls on both alike. Ratios count; the times themselves are those
// of one machine on one day.
//
// Source, sandbox, S3 server and all that is measured are on this machine and
// speak over the loopback. A target that is missed is said so and ends nothing:
// this measures, it does not test.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// options are what the flags say.
type options struct {
	patina, rclone, versitygw string
	dir                       string
	bytes, largeBytes         int64
	runs                      int
	only                      *regexp.Regexp
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func parse() (options, error) {
	var o options
	var only string
	var mib, large int64
	flag.StringVar(&o.patina, "patina", "bin/patina", "the patina to measure")
	flag.StringVar(&o.rclone, "rclone", "rclone", "the rclone to compare with")
	flag.StringVar(&o.versitygw, "versitygw", "versitygw", "the S3 server")
	flag.StringVar(&o.dir, "dir", "", "a folder with room for several dumps (default: a temporary one)")
	flag.Int64Var(&mib, "mib", 1024, "the size of a dump, in MiB")
	flag.Int64Var(&large, "large", 4, "how many times as large the large dump is")
	flag.IntVar(&o.runs, "runs", 5, "how many runs the medians are of")
	flag.StringVar(&only, "only", "", "only the cases that match this expression")
	flag.Parse()
	o.bytes, o.largeBytes = mib<<20, large*mib<<20
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return o, err
	}
	for _, path := range []*string{&o.patina, &o.rclone, &o.versitygw} {
		if strings.Contains(*path, "/") {
			if *path, err = filepath.Abs(*path); err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

// benchCase is one comparison. It returns the rows of its result.
type benchCase struct {
	name string
	run  func(context.Context, *bench) ([]row, error)
}

func run(ctx context.Context) (err error) {
	o, err := parse()
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var rows []row
	for _, c := range cases() {
		if !o.only.MatchString(c.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", c.name)
		more, err := c.run(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		rows = append(rows, more...)
	}
	if len(rows) == 0 {
		return errors.New("no case matches")
	}
	printRows(rows)
	return nil
}

// row is one figure beside its target.
type row struct {
	what, figure, against, target string
	met                           bool
}

func printRows(rows []row) {
	fmt.Println("| what | measured | against | target | |")
	fmt.Println("|---|---|---|---|---|")
	for _, r := range rows {
		verdict := "met"
		if !r.met {
			verdict = "**missed**"
		}
		fmt.Printf("| %s | %s | %s | %s | %s |\n", r.what, r.figure, r.against, r.target, verdict)
	}
}

// median is the middle value.
func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
