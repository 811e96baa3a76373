package backup

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// The folders of the bucket.
const (
	DailyPrefix   = "daily/"
	WeeklyPrefix  = "weekly/"
	JobsPrefix    = "jobs/"
	RecordsPrefix = "records/"
)

const (
	dayLayout   = "2006-01-02"
	clockLayout = "150405Z"
)

// ErrKey is wrapped by every error of a key that is not one of ours.
var ErrKey = errors.New("not a key of a backup")

// Suffix tells apart the backups of one database and one day: empty for the
// night's, else time and run, such as "101502Z-7f3a".
type Suffix string

// NewSuffix is the suffix of what a run began at a time.
func NewSuffix(at time.Time, run RunID) Suffix {
	return Suffix(at.UTC().Format(clockLayout) + "-" + string(run))
}

// Name is the place of one daily backup in the bucket: its day, its database
// and its suffix. Manifest and object are told apart by what follows it.
type Name struct {
	Day      time.Time
	Database string
	Suffix   Suffix
}

// String is the common part of the backup's keys,
// "daily/2024-12-08/groveauth" or "daily/2024-12-08/groveauth.101502Z-7f3a".
func (n Name) String() string {
	s := DailyPrefix + n.Day.UTC().Format(dayLayout) + "/" + escapeName(n.Database)
	if n.Suffix != "" {
		s += "." + string(n.Suffix)
	}
	return s
}

// Manifest is the key of the backup's manifest.
func (n Name) Manifest() string { return n.String() + ".json" }

// Object is the key of the dump itself, with the extensions of what was done
// to it in order, such as ".gz" or ".zst" (empty for none).
func (n Name) Object(extensions ...string) string {
	return n.String() + ".sql" + strings.Join(extensions, "")
}

// ParseName reads the key of a manifest or a dump under daily/. The second
// result is what follows the name: "json", "sql", "sql.gz", "sql.zst",
// "sql.age" and so on. The error wraps ErrKey for any other key.
func ParseName(key string) (Name, string, error) {
	rest, ok := strings.CutPrefix(key, DailyPrefix)
	if !ok {
		return Name{}, "", fmt.Errorf("%q: %w", key, ErrKey)
	}
	day, file, ok := strings.Cut(rest, "/")
	if !ok || strings.Contains(file, "/") {
		return Name{}, "", fmt.Errorf("%q: %w", key, ErrKey)
	}
	at, ok := parseDay(day)
	if !ok {
		return Name{}, "", fmt.Errorf("%q: %w: bad day", key, ErrKey)
	}
	escaped, ext, ok := strings.Cut(file, ".")
	if !ok {
		return Name{}, "", fmt.Errorf("%q: %w: no extension", key, ErrKey)
	}
	database, err := unescapeName(escaped)
	if err != nil {
		return Name{}, "", fmt.Errorf("%q: %w: %w", key, ErrKey, err)
	}
	name := Name{Day: at, Database: database}
	if suffix, after, found := strings.Cut(ext, "."); isSuffix(suffix) {
		if !found {
			return Name{}, "", fmt.Errorf("%q: %w: no extension", key, ErrKey)
		}
		name.Suffix, ext = Suffix(suffix), after
	}
	if !isExtension(ext) {
		return Name{}, "", fmt.Errorf("%q: %w: unknown extension", key, ErrKey)
	}
	return name, ext, nil
}

// parseDay reads a day as time.Parse does, in a fraction of the time: a listing
// has hundreds of thousands.
func parseDay(s string) (time.Time, bool) {
	if len(s) != len(dayLayout) || s[4] != '-' || s[7] != '-' {
		return time.Time{}, false
	}
	year, month, day := digits(s[:4]), digits(s[5:7]), digits(s[8:])
	if year < 0 || month < 1 || day < 1 {
		return time.Time{}, false
	}
	at := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	return at, at.Month() == time.Month(month) && at.Day() == day
}

// digits is the number that s is; -1 where it is none.
func digits(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// isSuffix says whether s reads as time and run. An extension never does:
// none begins with six digits.
func isSuffix(s string) bool {
	clock, run, ok := strings.Cut(s, "-")
	if !ok || !isRunID(run) {
		return false
	}
	_, err := time.Parse(clockLayout, clock)
	return err == nil
}

func isExtension(ext string) bool {
	switch ext {
	case "json", "sql", "sql.gz", "sql.zst", "sql.age", "sql.gz.age", "sql.zst.age":
		return true
	}
	return false
}

// BeginKey is the key of the record that a run writes before its first write.
func BeginKey(job Job, run RunID) string { return runKey(job, run) + ".begin.json" }

// EndKey is the key of the record that a run writes after its last.
func EndKey(job Job, run RunID) string { return runKey(job, run) + ".end.json" }

func runKey(job Job, run RunID) string {
	return JobsPrefix + job.Day.UTC().Format(dayLayout) + "/" + job.ID + "." + string(run)
}

// DayPrefix is what the keys of one day's backups begin with.
func DayPrefix(day time.Time) string {
	return DailyPrefix + day.UTC().Format(dayLayout) + "/"
}

// escapeName writes a database's name as one path element without dots:
// letters, digits, hyphen and underscore stand for themselves, every other
// byte is percent-encoded.
func escapeName(name string) string {
	if isPlain(name) {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		if isPlain(name[i : i+1]) {
			b.WriteByte(name[i])
			continue
		}
		fmt.Fprintf(&b, "%%%02X", name[i])
	}
	return b.String()
}

// isPlain says whether every byte of s stands for itself in a key.
func isPlain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// unescapeName reads what escapeName wrote, and nothing else: a name has one
// spelling, so that one database cannot lie under two keys.
func unescapeName(s string) (string, error) {
	if s != "" && isPlain(s) {
		return s, nil
	}
	name, err := url.PathUnescape(s)
	if err != nil || name == "" || escapeName(name) != s {
		return "", fmt.Errorf("bad database name %q", s)
	}
	return name, nil
}

// storePseudoDatabase stands where a database's name does in the key of a
// record about the store itself. No database can have it: D1's names begin
// with a letter or a digit.
const storePseudoDatabase = "_store"

// weeklyPseudoDatabase stands there in the key of a record about an archive.
const weeklyPseudoDatabase = "_weekly"

// RecordKind is what a record tells of.
type RecordKind string

// The kinds of records.
const (
	RecordProof      RecordKind = "proof"
	RecordPin        RecordKind = "pin"
	RecordUnpin      RecordKind = "unpin"
	RecordAccept     RecordKind = "accept"
	RecordForget     RecordKind = "forget"
	RecordCapability RecordKind = "capability"
)

// CapabilityKey is the key of the record of what a store was seen to do.
func CapabilityKey(at time.Time, run RunID) string {
	return RecordPrefix(RecordCapability) + storePseudoDatabase + "/" + stamp(at, run) + ".json"
}

// ProbeKey is a key under which a run may try what its store can do.
func ProbeKey(at time.Time, run RunID) string {
	return RecordPrefix(RecordCapability) + storePseudoDatabase + "/" + stamp(at, run) + ".probe"
}

// ProofKey is the key of a proof record about a backup.
func ProofKey(name Name, at time.Time, run RunID) string {
	return recordStem(RecordProof, name, at, run) + ".json"
}

// ArchivedProofKey is the key of a proof record about the copy of a backup that
// lies in an archive.
func ArchivedProofKey(name Name, at time.Time, run RunID) string {
	return recordStem(RecordProof, name, at, run) + ".weekly.json"
}

// ArchiveProofKey is the key of a proof record about an archive as a whole.
func ArchiveProofKey(n ArchiveName, at time.Time, run RunID) string {
	id := strings.TrimPrefix(n.String(), WeeklyPrefix)
	return RecordPrefix(RecordProof) + weeklyPseudoDatabase + "/" + id + "/" + stamp(at, run) + ".json"
}

// PinKey is the key of the record that pins a backup.
func PinKey(name Name, at time.Time, run RunID) string {
	return recordStem(RecordPin, name, at, run) + ".json"
}

// UnpinKey is the key of the record that ends the pins of a backup.
func UnpinKey(name Name, at time.Time, run RunID) string {
	return recordStem(RecordUnpin, name, at, run) + ".json"
}

// AcceptKey is the key of the record that acknowledges what was found of a backup.
func AcceptKey(name Name, at time.Time, run RunID) string {
	return recordStem(RecordAccept, name, at, run) + ".json"
}

// ForgetKey is the key of the record that retires a database.
func ForgetKey(database string, at time.Time, run RunID) string {
	return RecordPrefix(RecordForget) + escapeName(database) + "/" + stamp(at, run) + ".json"
}

func recordStem(kind RecordKind, name Name, at time.Time, run RunID) string {
	id := name.Day.UTC().Format(dayLayout)
	if name.Suffix != "" {
		id += "." + string(name.Suffix)
	}
	return RecordPrefix(kind) + escapeName(name.Database) + "/" + id + "/" + stamp(at, run)
}

// IsProofOfDay says whether a key is that of a proof record about a backup of a
// day.
func IsProofOfDay(key string, day time.Time) bool {
	rest, ok := strings.CutPrefix(key, RecordPrefix(RecordProof))
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return false
	}
	of, _, _ := strings.Cut(parts[1], ".")
	return of == day.UTC().Format(dayLayout)
}

// ParseRecordKey reads the key of a record about a backup or an archive, and
// returns the key of the manifest that it is about. The error wraps ErrKey for
// any other key, such as that of a record about a store or a database.
func ParseRecordKey(key string) (string, error) {
	rest, isRecord := strings.CutPrefix(key, RecordsPrefix)
	parts := strings.Split(rest, "/")
	if !isRecord || len(parts) != 4 || !IsRecordKey(key) {
		return "", fmt.Errorf("%q: %w", key, ErrKey)
	}
	database, of := parts[1], parts[2]
	if database == weeklyPseudoDatabase {
		manifest := WeeklyPrefix + of + ".json"
		_, _, err := ParseArchiveName(manifest)
		return manifest, err
	}
	day, suffix, suffixed := strings.Cut(of, ".")
	manifest := DailyPrefix + day + "/" + database
	if suffixed {
		manifest += "." + suffix
	}
	manifest += ".json"
	_, _, err := ParseName(manifest)
	return manifest, err
}

// RecordPrefix is what the keys of all records of a kind begin with.
func RecordPrefix(kind RecordKind) string { return RecordsPrefix + string(kind) + "/" }

func stamp(at time.Time, run RunID) string {
	return at.UTC().Format("20060102T150405Z") + "-" + string(run)
}

// Writes are the patterns, in the sense of path.Match, of all keys that a run
// may write for a database: the night's plain keys, and those with the run's
// own suffix.
func Writes(day time.Time, database string, run RunID) []string {
	plain := DayPrefix(day) + escapeName(database)
	return []string{plain + ".json", plain + ".sql*", plain + ".*-" + string(run) + ".*"}
}

// JobsDayPrefix is what the keys of one day's begin and end records begin with.
func JobsDayPrefix(day time.Time) string {
	return JobsPrefix + day.UTC().Format(dayLayout) + "/"
}

// IsEndKey says whether a key is that of an end record.
func IsEndKey(key string) bool {
	return strings.HasPrefix(key, JobsPrefix) && strings.HasSuffix(key, ".end.json")
}

// IsRecordKey says whether a key is that of a record, as against what a probe
// left behind.
func IsRecordKey(key string) bool {
	return strings.HasPrefix(key, RecordsPrefix) && strings.HasSuffix(key, ".json")
}

// RunName is the place of a run's records in the bucket.
type RunName struct {
	Day   time.Time
	JobID string
	RunID RunID
}

// ParseRunKey reads the key of a begin or an end record. The second result says
// which: true for an end. The error wraps ErrKey for any other key.
func ParseRunKey(key string) (RunName, bool, error) {
	rest, ok := strings.CutPrefix(key, JobsPrefix)
	day, file, cut := strings.Cut(rest, "/")
	at, err := time.Parse(dayLayout, day)
	if !ok || !cut || err != nil {
		return RunName{}, false, fmt.Errorf("%q: %w", key, ErrKey)
	}
	parts := strings.Split(file, ".")
	if len(parts) != 4 || parts[0] == "" || !isRunID(parts[1]) || parts[3] != "json" || parts[2] != "begin" && parts[2] != "end" {
		return RunName{}, false, fmt.Errorf("%q: %w", key, ErrKey)
	}
	return RunName{Day: at, JobID: parts[0], RunID: RunID(parts[1])}, parts[2] == "end", nil
}
