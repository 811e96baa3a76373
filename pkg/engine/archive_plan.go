package engine

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/archive"
	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// weekPlan is what is to be done for a week.
type weekPlan struct {
	// name is that of the next part; replaces are the parts that cannot be read
	// any more.
	name     backup.ArchiveName
	replaces []int
	// dailies are to be archived, database by database. More says that others
	// are left, of which the manifest of one archive cannot tell too.
	dailies []Entry
	more    bool
	// known are all backups of the week, wherever they lie.
	known []Entry
	// damaged says of dailies, by the keys of their manifests, why they are not
	// archived.
	damaged map[string]string
	// runs are what the end records of the week's days tell, by the day.
	runs map[string][]manifest.End
}

// plan looks at what lies in the bucket of a week.
func (r *archiveRun) plan(ctx context.Context, week backup.Week) (weekPlan, error) {
	p := weekPlan{damaged: map[string]string{}}
	inv, err := r.e.takeInventory(ctx, weekPrefixes(week)...)
	if err != nil {
		return weekPlan{}, err
	}
	p.known = inv.entries
	for _, entry := range inv.entries {
		if !entry.unarchived() {
			continue
		}
		if why := failure(ofStoredDaily(inv.proofs[entry.Key])); why != "" {
			p.damaged[entry.Key] = why
			continue
		}
		p.dailies = append(p.dailies, entry)
	}
	slices.SortFunc(p.dailies, byDatabase)
	fit, err := fitting(p.dailies, r.e.opts.ArchiveManifest)
	if err != nil {
		return weekPlan{}, err
	}
	p.dailies, p.more = p.dailies[:fit], fit < len(p.dailies)
	for _, stray := range inv.foreign {
		if _, ext, err := backup.ParseName(stray.Key); err == nil && ext == "json" {
			r.warn(fmt.Errorf("%s is not archived: %s", stray.Key, stray.Why))
		}
	}
	if p.name, err = r.e.nextPart(ctx, week); err != nil {
		return weekPlan{}, err
	}
	p.runs, err = r.e.runsOf(ctx, week)
	return p, err
}

// fitting is how many of the dailies a manifest of that many bytes can tell of:
// one at least.
func fitting(dailies []Entry, most int64) (int, error) {
	// What a member has beside its backup's manifest, and what that grows by
	// where it stands within another document.
	const perMember, perLine = 2048, 8
	size := int64(0)
	for i, entry := range dailies {
		body, err := manifest.Encode(entry.Manifest())
		if err != nil {
			return 0, err
		}
		size += int64(len(body)) + perMember + perLine*int64(bytes.Count(body, []byte("\n")))
		if size > most && i > 0 {
			return i, nil
		}
	}
	return len(dailies), nil
}

// ofStoredDaily are the records about what is stored of a daily, and those that
// passed and prove as much.
func ofStoredDaily(records []manifest.ProofRecord) []manifest.ProofRecord {
	return slices.DeleteFunc(about(records, ""), func(p manifest.ProofRecord) bool { return !p.Passed && !p.OfStoredBytes() })
}

// byDatabase is the order of an archive: days of one database follow each other,
// so that those that are equal do.
func byDatabase(a, b Entry) int {
	return cmp.Or(
		cmp.Compare(a.Brief.Database, b.Brief.Database),
		a.Name.Day.Compare(b.Name.Day), a.Brief.StartedAt.Compare(b.Brief.StartedAt), cmp.Compare(a.Key, b.Key))
}

// nextPart is the first part of a week that has no manifest, nor any after it.
func (e *Engine) nextPart(ctx context.Context, week backup.Week) (backup.ArchiveName, error) {
	next := backup.ArchiveName{Week: week, Part: 1}
	for info, err := range e.opts.Store.List(ctx, backup.WeekPrefix(week)) {
		if err != nil {
			return next, fmt.Errorf("list the bucket: %w", err)
		}
		name, ext, err := backup.ParseArchiveName(info.Key)
		if err == nil && ext == "json" && name.Part >= next.Part {
			next.Part = name.Part + 1
		}
	}
	return next, nil
}

// runsOf reads the end records of the backups of a week.
func (e *Engine) runsOf(ctx context.Context, week backup.Week) (map[string][]manifest.End, error) {
	runs := map[string][]manifest.End{}
	for _, day := range week.Days() {
		for info, err := range e.opts.Store.List(ctx, backup.JobsDayPrefix(day)) {
			if err != nil {
				return nil, fmt.Errorf("list the bucket: %w", err)
			}
			end, err := e.readEnd(ctx, info.Key)
			if err != nil {
				return nil, err
			}
			if end != nil && catalog.KindOf(end.Job) == catalog.KindBackup {
				key := dayText(day)
				runs[key] = append(runs[key], *end)
			}
		}
	}
	return runs, nil
}

func dayText(day time.Time) string { return day.UTC().Format(time.DateOnly) }

// gaps are the days and databases of which there is no backup to archive: of
// every database that was backed up in the week, or should have been.
func (p weekPlan) gaps(now time.Time) []manifest.Gap {
	days := map[string][]string{} // with a good backup, by database, in order
	for _, entry := range p.known {
		name, day := entry.Brief.Database, dayText(entry.Name.Day)
		if _, seen := days[name]; !seen {
			days[name] = nil
		}
		if p.damaged[entry.Key] == "" && !slices.Contains(days[name], day) {
			days[name] = append(days[name], day)
		}
	}
	for _, name := range p.tried() {
		if _, seen := days[name]; !seen {
			days[name] = nil
		}
	}
	gaps := []manifest.Gap{}
	for _, day := range p.name.Week.Days() {
		for name, has := range days {
			if !slices.Contains(has, dayText(day)) {
				slices.Sort(has)
				gaps = append(gaps, manifest.Gap{Day: dayText(day), Database: name, Why: p.why(day, name, has, now)})
			}
		}
	}
	slices.SortFunc(gaps, func(a, b manifest.Gap) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Database, b.Database))
	})
	return gaps
}

// tried are the databases that a run of the week was about.
func (p weekPlan) tried() []string {
	var names []string
	for _, ends := range p.runs {
		for _, end := range ends {
			for _, result := range end.Results {
				if !isGlob(result.Database) {
					names = append(names, result.Database)
				}
			}
		}
	}
	return names
}

// why says why there is no backup of a day, as far as it is known. Has are the
// days that have one, in order.
func (p weekPlan) why(day time.Time, database string, has []string, now time.Time) string {
	for _, entry := range p.known {
		if why := p.damaged[entry.Key]; why != "" && entry.Name.Day.Equal(day) && entry.Brief.Database == database {
			return "its stored bytes are damaged: " + why
		}
	}
	ends := p.runs[dayText(day)]
	for _, end := range slices.Backward(ends) {
		for _, result := range end.Results {
			if result.Database == database && result.Error != "" {
				return "its backup failed: " + result.Error
			}
		}
	}
	switch {
	case day.After(now):
		return "the day had not come when the archive was made"
	case len(ends) == 0:
		return "no run took backups that day"
	case len(has) > 0 && dayText(day) < has[0]:
		return "no run was about it before " + has[0]
	case len(has) > 0 && dayText(day) > has[len(has)-1]:
		return "no run was about it after " + has[len(has)-1]
	}
	return "no run was about it"
}

// describe is the archive's index of what is going to be written.
func (w *weekRun) describe(dailies []Entry) (manifest.Index, error) {
	index := manifest.Index{
		Week: w.name.Week, Part: w.name.Part, Tool: w.e.opts.Tool, CreatedAt: w.startedAt.Truncate(time.Second),
		Gaps: w.plan.gaps(w.startedAt),
	}
	for _, entry := range dailies {
		file, err := archive.Dump{Key: entry.Key, Manifest: entry.Manifest()}.Describe()
		if err != nil {
			return manifest.Index{}, err
		}
		index.Files = append(index.Files, file)
	}
	return index, nil
}

// objectName is where an attempt writes the archive. The plain key is taken by a
// first attempt only, where the store keeps conditions, and while it is free;
// everything else has the run in its name, and its number after the first.
func (w *weekRun) objectName(ctx context.Context) (string, error) {
	if w.attempts > 1 {
		return w.name.Object(w.run.ID + backup.RunID(fmt.Sprintf("%02x", w.attempts))), nil
	}
	own := w.name.Object(w.run.ID)
	if !w.conditions.Single || !w.conditions.Multipart {
		return own, nil
	}
	free, err := w.e.isFree(ctx, w.name.Object(""))
	if err != nil || !free {
		return own, err
	}
	return w.name.Object(""), nil
}

// writes are the patterns of all keys that the run may write.
func (w *weekRun) writes() []string {
	return append(backup.ArchiveWrites(w.name, w.run.ID), strings.TrimSuffix(w.name.Object(w.run.ID), ".tar.gz")+"*.tar.gz")
}
