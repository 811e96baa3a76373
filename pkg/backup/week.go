package backup

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Week is a week of ISO 8601, in UTC: it begins on Monday, and week 1 is that
// which holds the year's first Thursday.
type Week struct {
	Year   int
	Number int
}

var errWeek = errors.New("want a week such as 2024-W49")

// WeekOf is the week that a time falls into.
func WeekOf(t time.Time) Week {
	year, number := t.UTC().ISOWeek()
	return Week{Year: year, Number: number}
}

// ParseWeek reads "2024-W49", and no other spelling.
func ParseWeek(s string) (Week, error) {
	year, number, ok := strings.Cut(s, "-W")
	y, yErr := strconv.Atoi(year)
	n, nErr := strconv.Atoi(number)
	w := Week{Year: y, Number: n}
	if !ok || yErr != nil || nErr != nil || w.String() != s || y < 1 || n < 1 || WeekOf(w.Monday()) != w {
		return Week{}, fmt.Errorf("%q: %w", s, errWeek)
	}
	return w, nil
}

// String is "2024-W49".
func (w Week) String() string { return fmt.Sprintf("%04d-W%02d", w.Year, w.Number) }

// MarshalText is the week as String prints it.
func (w Week) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads a week as ParseWeek does.
func (w *Week) UnmarshalText(text []byte) error {
	parsed, err := ParseWeek(string(text))
	if err != nil {
		return err
	}
	*w = parsed
	return nil
}

// Compare orders weeks, the earlier first.
func (w Week) Compare(other Week) int {
	return cmp.Or(cmp.Compare(w.Year, other.Year), cmp.Compare(w.Number, other.Number))
}

// Monday is the first moment of the week.
func (w Week) Monday() time.Time {
	// The fourth of January is always in week 1.
	fourth := time.Date(w.Year, time.January, 4, 0, 0, 0, 0, time.UTC)
	sinceMonday := (int(fourth.Weekday()) + 6) % 7
	return fourth.AddDate(0, 0, 7*(w.Number-1)-sinceMonday)
}

// End is the first moment after the week.
func (w Week) End() time.Time { return w.Monday().AddDate(0, 0, 7) }

// Days are the week's seven days, each at midnight.
func (w Week) Days() []time.Time {
	days := make([]time.Time, 7)
	for i := range days {
		days[i] = w.Monday().AddDate(0, 0, i)
	}
	return days
}

// Before says whether the week comes before another.
func (w Week) Before(other Week) bool { return w.Monday().Before(other.Monday()) }

const (
	archiveExtension  = "tar.gz"
	manifestExtension = "json"
	// maxPart bounds the parts of a week, so that a part is never taken for a
	// run, which has four digits or more.
	maxPart = 999
)

// ArchiveName is the place of a week's archive in the bucket. Part is 1 for the
// first, and counts on for what came late or replaces another.
type ArchiveName struct {
	Week Week
	Part int
}

// String is the common part of the archive's keys, "weekly/2024-W49" or
// "weekly/2024-W49.2".
func (n ArchiveName) String() string {
	s := WeeklyPrefix + n.Week.String()
	if n.Part > 1 {
		s += "." + strconv.Itoa(n.Part)
	}
	return s
}

// Manifest is the key of the archive's manifest.
func (n ArchiveName) Manifest() string { return n.String() + "." + manifestExtension }

// Object is the key of the archive itself: the plain one where run is empty,
// else one that only that run writes, such as "weekly/2024-W49.7f3a.tar.gz".
func (n ArchiveName) Object(run RunID) string {
	if run == "" {
		return n.String() + "." + archiveExtension
	}
	return n.String() + "." + string(run) + "." + archiveExtension
}

// ParseArchiveName reads the key of an archive's manifest or object under
// weekly/. The second result is "json" or "tar.gz". The error wraps ErrKey for
// any other key.
func ParseArchiveName(key string) (ArchiveName, string, error) {
	rest, ok := strings.CutPrefix(key, WeeklyPrefix)
	if !ok {
		return ArchiveName{}, "", fmt.Errorf("%q: %w", key, ErrKey)
	}
	text, rest, _ := strings.Cut(rest, ".")
	week, err := ParseWeek(text)
	if err != nil {
		return ArchiveName{}, "", fmt.Errorf("%q: %w: %w", key, ErrKey, err)
	}
	name := ArchiveName{Week: week, Part: 1}
	if number, after, _ := strings.Cut(rest, "."); isPart(number) {
		name.Part, _ = strconv.Atoi(number) // isPart has read it
		rest = after
	}
	run, ext := RunID(""), rest
	if first, after, found := strings.Cut(rest, "."); found && isRunID(first) {
		run, ext = RunID(first), after
	}
	if key != name.Manifest() && (ext != archiveExtension || key != name.Object(run)) {
		return ArchiveName{}, "", fmt.Errorf("%q: %w", key, ErrKey)
	}
	return name, ext, nil
}

// WeekPrefix is what the keys of one week's archives begin with.
func WeekPrefix(w Week) string { return WeeklyPrefix + w.String() + "." }

// isPart says whether s is the number of a second part or a later one.
func isPart(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 1 && n <= maxPart && strconv.Itoa(n) == s
}

func isRunID(s string) bool { return len(s) >= 4 && strings.Trim(s, "0123456789abcdef") == "" }

// ArchiveWrites are the patterns, in the sense of path.Match, of all keys that
// a run may write for a part of a week.
func ArchiveWrites(n ArchiveName, run RunID) []string {
	return []string{n.Manifest(), n.Object(""), n.Object(run)}
}
