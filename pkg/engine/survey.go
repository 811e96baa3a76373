package engine

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/retention"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// survey is what a run that prunes needs to know of all that lies in the bucket.
// It is gathered week by week, so that of the manifests, of which there may be
// hundreds of thousands, no more are held at once than those of one week.
type survey struct {
	said
	// points are the backups, oldest week first, and dailies what is known of
	// those of them that are dailies, by the key of the manifest.
	points  []retention.Backup
	dailies []daily
	// archives are as the policy sees them; objects, and why one cannot be read,
	// by the key of the manifest.
	archives []retention.Archive
	weeklies map[string]weekly
	// replaced are archives that another part replaces.
	replaced            []weekly
	foreign, unfinished []Stray
	vanished            []store.Info
	// runs are the records of runs, and ended those of which there is an end.
	runs  []store.Info
	ended map[runKey]bool
	// newest is what is known of the newest backups of a database, by its name.
	newest map[string]newest
	// names are the names of databases, each once.
	names map[string]string
}

// daily is where a daily lies.
type daily struct {
	key, object string
	bytes       int64
	// point is its place among the points.
	point int
}

// weekly is where an archive lies.
type weekly struct {
	key, object string
	bytes       int64
	failed      string
}

// newest tells when a database's newest backup began, and its newest good one, and
// what was found of one of its backups that nobody acknowledged.
type newest struct {
	taken, good time.Time
	open        string
}

// takeSurvey lists the bucket and reads all manifests.
func (e *Engine) takeSurvey(ctx context.Context) (*survey, error) {
	var found listing
	if err := e.listBackups(ctx, "", &found); err != nil {
		return nil, err
	}
	known, err := e.readSaid(ctx)
	if err != nil {
		return nil, err
	}
	s := &survey{
		said: known, runs: found.runs, ended: endedRuns(found.runs),
		weeklies: map[string]weekly{}, newest: map[string]newest{}, names: map[string]string{},
	}
	weeks, rest := found.byWeek()
	// Manifests of dumps that were adopted may name objects anywhere.
	elsewhere := map[string]bool{}
	for _, week := range slices.SortedFunc(maps.Keys(weeks), backup.Week.Compare) {
		inv, err := e.inventoryOf(ctx, *weeks[week], known, nil)
		if err != nil {
			return nil, err
		}
		s.add(inv)
		for _, key := range inv.elsewhere {
			if subjectOf(key) == "" {
				elsewhere[key] = true
			}
		}
		delete(weeks, week)
	}
	inv, err := e.inventoryOf(ctx, rest, known, elsewhere)
	if err != nil {
		return nil, err
	}
	s.add(inv)
	return s, nil
}

// byWeek tells what was listed apart by the week that the keys are about. The
// rest is about none.
func (l listing) byWeek() (map[backup.Week]*listing, listing) {
	weeks, rest := map[backup.Week]*listing{}, listing{}
	of := func(week backup.Week) *listing {
		if weeks[week] == nil {
			weeks[week] = &listing{}
		}
		return weeks[week]
	}
	for _, daily := range l.manifests {
		in := of(backup.WeekOf(daily.name.Day))
		in.manifests = append(in.manifests, daily)
	}
	for _, all := range [][]store.Info{l.archives, l.others} {
		for _, info := range all {
			if week, known := weekOfKey(info.Key); known {
				of(week).add(info)
				continue
			}
			rest.add(info)
		}
	}
	return weeks, rest
}

// weekOfKey is the week that a key is about; false for a key that is none of ours.
func weekOfKey(key string) (backup.Week, bool) {
	if name, _, err := backup.ParseName(key); err == nil {
		return backup.WeekOf(name.Day), true
	}
	name, _, err := backup.ParseArchiveName(key)
	return name.Week, err == nil
}

// add takes what is needed of a week.
func (s *survey) add(inv inventory) {
	s.foreign, s.unfinished = append(s.foreign, inv.foreign...), append(s.unfinished, inv.unfinished...)
	s.vanished = append(s.vanished, inv.vanished...)
	ids := newPointIDs(inv)
	for _, entry := range slices.Backward(inv.entries) { // oldest first, for people
		s.addEntry(inv, entry, ids)
	}
	for _, archive := range inv.archives {
		a := retention.Archive{ID: archive.Key, Week: archive.Name.Week, Unreadable: archive.Failed != ""}
		for _, member := range archive.Manifest.Members {
			a.Members = append(a.Members, ids.of(idOf(member.ManifestKey, member.Backup)))
		}
		s.archives = append(s.archives, a)
		s.weeklies[archive.Key] = weeklyOf(archive)
	}
	for _, archive := range inv.replaced {
		s.replaced = append(s.replaced, weeklyOf(archive))
	}
}

func weeklyOf(a Archive) weekly {
	return weekly{key: a.Key, object: a.Manifest.Object.Key, bytes: a.Manifest.Object.Stored.Bytes, failed: a.Failed}
}

func (s *survey) addEntry(inv inventory, entry Entry, ids pointIDs) {
	brief := entry.Brief
	point := retention.Backup{
		ID: ids.of(entry.backupID()), Database: s.name(brief.Database),
		Day: entry.Name.Day, Taken: brief.StartedAt, Good: entry.Good(), Daily: entry.Daily || entry.DamagedDaily,
	}
	if entry.Name.Day.After(point.Taken) {
		point.Taken = entry.Name.Day // a night's tick may lie just ahead of its start
	}
	if entry.Archived == nil && inv.lacking[entry.Key] != "" {
		point.Good = false
	}
	if point.Daily {
		s.dailies = append(s.dailies, daily{
			key: entry.Key, object: strings.Clone(brief.Object), bytes: brief.StoredBytes, point: len(s.points),
		})
	}
	s.points = append(s.points, point)
	s.noteNewest(point.Database, entry, inv.isOpen(entry))
}

func (s *survey) noteNewest(database string, entry Entry, open bool) {
	n := s.newest[database]
	n.taken = later(n.taken, entry.Brief.StartedAt)
	if open {
		n.open = entry.ID() + " is not good, which nobody accepted: " + entry.Failed
	}
	if entry.Good() {
		n.good = later(n.good, entry.Brief.StartedAt)
	}
	s.newest[database] = n
}

// name is the one copy of a database's name.
func (s *survey) name(database string) string {
	if one, known := s.names[database]; known {
		return one
	}
	one := strings.Clone(database)
	s.names[one] = one
	return one
}

// isForgotten says whether a database was retired, and not backed up since.
func (s *survey) isForgotten(database string) bool {
	return s.kept.isForgotten(database, s.newest[database].taken)
}

// pointIDs name backups to the policy: by the common part of their keys, and by
// the run too where backups of several runs have them.
type pointIDs struct{ sharing map[string]int }

func newPointIDs(inv inventory) pointIDs {
	ids := pointIDs{map[string]int{}}
	for _, entry := range inv.entries {
		ids.sharing[entry.Key]++
	}
	return ids
}

// ofRun stands between the key and the run.
const ofRun = " of run "

func (p pointIDs) of(id backupID) string {
	stem := strings.TrimSuffix(id.manifestKey, ".json")
	if p.sharing[id.manifestKey] < 2 {
		return strings.Clone(stem)
	}
	return stem + ofRun + string(id.runID) + " of " + id.jobID
}

// keyOfPoint is the key of the manifest of a backup that is so named.
func keyOfPoint(id string) string {
	stem, _, _ := strings.Cut(id, ofRun)
	return stem + ".json"
}

// runKey tells runs apart.
type runKey struct {
	job string
	run backup.RunID
}

func runOf(name backup.RunName) runKey { return runKey{name.JobID, name.RunID} }

// endedRuns are those of which an end record was listed.
func endedRuns(records []store.Info) map[runKey]bool {
	ended := map[runKey]bool{}
	for _, info := range records {
		if name, isEnd, err := backup.ParseRunKey(info.Key); err == nil && isEnd {
			ended[runOf(name)] = true
		}
	}
	return ended
}
