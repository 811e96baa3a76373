package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// ListRequest chooses backups. Its zero value asks for all.
type ListRequest struct {
	// Database asks for one database's.
	Database string
	// Date asks for those of one day or minute; zero means all.
	Date Date
	// Since asks for those begun at or after a time.
	Since time.Time
	// Kind asks for those that a daily or an archive holds; empty means both.
	Kind Kind
	// Limit is the greatest number of backups; 0 means no limit.
	Limit int
}

// ListResult is what can be restored, newest first.
type ListResult struct {
	// Now is when it was looked, so that ages can be told.
	Now     time.Time
	Entries []Entry
	// Foreign and Unfinished are what else lies in the folders looked at.
	Foreign, Unfinished []Stray
}

// List tells what can be restored.
func (e *Engine) List(ctx context.Context, req ListRequest) (ListResult, error) {
	inv, err := e.takeInventory(ctx, req.prefixes()...)
	if err != nil {
		return ListResult{}, err
	}
	result := ListResult{Now: e.opts.Now().UTC(), Foreign: inv.foreign, Unfinished: inv.unfinished}
	result.Entries = slices.DeleteFunc(inv.entries, func(e Entry) bool { return !req.matches(e) })
	if req.Limit > 0 {
		result.Entries = result.Entries[:min(req.Limit, len(result.Entries))]
	}
	return result, nil
}

// prefixes are the folders that may hold what is asked for.
func (r ListRequest) prefixes() []string {
	if r.Date.IsZero() || r.Date.Latest {
		return []string{backup.DailyPrefix, backup.WeeklyPrefix}
	}
	return []string{backup.DayPrefix(r.Date.Day), backup.WeekPrefix(backup.WeekOf(r.Date.Day))}
}

func (r ListRequest) matches(e Entry) bool {
	if r.Kind == KindDaily && !e.Daily || r.Kind == KindWeekly && e.Archived == nil {
		return false
	}
	if !r.Date.Day.IsZero() && !e.Name.Day.Equal(r.Date.Day) {
		return false // another day of the same week
	}
	if r.Database != "" && e.Brief.Database != r.Database {
		return false
	}
	if !r.Since.IsZero() && e.Brief.StartedAt.Before(r.Since) {
		return false
	}
	return r.Date.Minute.IsZero() || e.Brief.StartedAt.Before(r.Date.Minute.Add(time.Minute))
}

// Date is a day or a minute of a day, in UTC, or the newest there is.
type Date struct {
	// Day is at midnight UTC.
	Day time.Time
	// Minute is the minute asked for; zero for a bare day.
	Minute time.Time
	// Latest asks for the newest backup of any day.
	Latest bool
}

// ParseDate reads "2024-12-08", "2024-12-08T10:15" or "latest".
func ParseDate(s string) (Date, error) {
	if s == "latest" {
		return Date{Latest: true}, nil
	}
	if day, err := time.Parse("2006-01-02", s); err == nil {
		return Date{Day: day}, nil
	}
	minute, err := time.Parse("2006-01-02T15:04", strings.TrimSuffix(s, "Z"))
	if err != nil {
		return Date{}, fault.New(fault.Usage, "patina list", "bad date %q: want 2024-12-08, 2024-12-08T10:15 (UTC) or latest", s)
	}
	return Date{Day: backup.DayOf(minute), Minute: minute}, nil
}

// IsZero says whether no date was asked for.
func (d Date) IsZero() bool { return d.Day.IsZero() && !d.Latest }

// String is the date as it is typed.
func (d Date) String() string {
	switch {
	case d.Latest:
		return "latest"
	case !d.Minute.IsZero():
		return d.Minute.Format("2006-01-02T15:04")
	default:
		return d.Day.Format("2006-01-02")
	}
}

// Choice is a backup that was chosen, and the others that might have been: those
// of its day, and the safety backups that were passed over.
type Choice struct {
	Entry
	Others []Entry
}

// Choose finds the backup of a database that a date means: the one of a job
// where a job is named, else the newest good one of that day, not after the
// minute where there is one. Only where there is no other it is one that was
// taken for safety: who restores a second time does not mean what the first
// restore replaced.
func (e *Engine) Choose(ctx context.Context, date Date, database, jobID string) (Choice, error) {
	list, err := e.List(ctx, ListRequest{Database: database, Date: date})
	if err != nil {
		return Choice{}, err
	}
	chosen := choose(list.Entries, jobID)
	if chosen < 0 {
		return Choice{}, noSuchBackup(date, database, jobID, list.Entries)
	}
	entry := list.Entries[chosen]
	var others []Entry
	for i, other := range list.Entries {
		if i != chosen && (other.Name.Day.Equal(entry.Name.Day) || i < chosen && other.IsSafety()) {
			others = append(others, other)
		}
	}
	return Choice{Entry: entry, Others: others}, nil
}

// choose is the index of the entry that is meant, of entries newest first; -1 for
// none.
func choose(entries []Entry, jobID string) int {
	if jobID != "" {
		return slices.IndexFunc(entries, func(e Entry) bool { return e.Brief.JobID == jobID })
	}
	if i := slices.IndexFunc(entries, func(e Entry) bool { return e.Good() && !e.IsSafety() }); i >= 0 {
		return i
	}
	return slices.IndexFunc(entries, Entry.Good)
}

// IsSafety says whether the backup was taken of what a restore or a rewind was
// about to replace.
func (e Entry) IsSafety() bool { return e.Manifest().Trigger == backup.TriggerSafety }

func noSuchBackup(date Date, database, jobID string, entries []Entry) error {
	hint := "patina list --database " + database
	if jobID != "" {
		return fault.New(fault.Failed, hint, "there is no backup of %s in job %s on %s", database, jobID, date)
	}
	if len(entries) > 0 {
		return fault.New(fault.Failed, hint, "there is no good backup of %s for %s; %d failed a check and can be had by --job", database, date, len(entries))
	}
	return fault.New(fault.Failed, hint, "there is no backup of %s for %s", database, date)
}

// ID names an entry to people: the common part of its keys.
func (e Entry) ID() string { return fmt.Sprint(e.Name) }

// Start is the first moment of the day, or the minute, that is meant.
func (d Date) Start() time.Time {
	if !d.Minute.IsZero() {
		return d.Minute
	}
	return d.Day
}

// DatabaseNames adds to the names given those that have a backup in the
// bucket, as far as ctx lets it look. It reads keys only, and is for TAB.
func (e *Engine) DatabaseNames(ctx context.Context, names []string) []string {
	names = slices.Clone(names)
	for info, err := range e.opts.Store.List(ctx, backup.DailyPrefix) {
		if err != nil {
			break
		}
		name, _, err := backup.ParseName(info.Key)
		if err == nil && !slices.Contains(names, name.Database) {
			names = append(names, name.Database)
		}
	}
	return names
}

// Days are the days that have a backup, or lie in a week that has an archive, the
// newest first, as far as ctx lets it look. It reads keys only, and is for TAB.
func (e *Engine) Days(ctx context.Context) []time.Time {
	days := map[time.Time]bool{}
	for info, err := range e.opts.Store.List(ctx, backup.DailyPrefix) {
		if err != nil {
			break
		}
		if name, _, err := backup.ParseName(info.Key); err == nil {
			days[name.Day] = true
		}
	}
	for info, err := range e.opts.Store.List(ctx, backup.WeeklyPrefix) {
		if err != nil {
			break
		}
		if name, _, err := backup.ParseArchiveName(info.Key); err == nil {
			for i := range 7 {
				days[name.Week.Monday().AddDate(0, 0, i)] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(days), func(a, b time.Time) int { return b.Compare(a) })
}
