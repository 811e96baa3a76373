package engine

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/fault"
)

// plan finds the databases that the request means, in order of priority, and
// marks those whose backup of this night is there already.
func (r *backupRun) plan(ctx context.Context) error {
	live, err := r.e.opts.D1.List(ctx)
	if err != nil {
		return err
	}
	byName := make(map[string]d1.Database, len(live))
	names := make([]string, 0, len(live))
	for _, db := range live {
		byName[db.Name] = db
		names = append(names, db.Name)
	}
	picked, unmatched := r.selected(names)
	for _, name := range picked {
		r.add(byName[name].Database, nil)
	}
	for _, name := range unmatched {
		r.add(backup.Database{Name: name}, missing(name))
	}
	if len(r.tasks) == 0 {
		return fault.New(fault.Failed, "patina config show", "there is no database to back up: the list of databases is empty")
	}
	if !r.job.IsNight() {
		return nil
	}
	return r.markDone(ctx)
}

func missing(pattern string) error {
	if isGlob(pattern) {
		return fault.New(fault.Failed, "", "the glob matches no database of the account")
	}
	return fault.New(fault.Failed, "", "no database of this name in the account")
}

// selected applies the request's names, or the configuration where there are
// none, to the names in the account.
func (r *backupRun) selected(names []string) (picked, unmatched []string) {
	names = slices.DeleteFunc(names, func(name string) bool { return backup.IsDrillName(name) && !slices.Contains(r.req.Names, name) })
	if len(r.req.Names) == 0 {
		return r.e.opts.Select(names)
	}
	for _, pattern := range r.req.Names {
		found := false
		for _, name := range r.prioritised(names) {
			if !r.asked(pattern, name) {
				continue
			}
			found = true
			if !slices.Contains(picked, name) {
				picked = append(picked, name)
			}
		}
		if !found {
			unmatched = append(unmatched, pattern)
		}
	}
	return picked, unmatched
}

// prioritised is all names, the configured ones first and in their order.
func (r *backupRun) prioritised(names []string) []string {
	ordered, _ := r.e.opts.Select(names)
	for _, name := range names {
		if !slices.Contains(ordered, name) {
			ordered = append(ordered, name)
		}
	}
	return ordered
}

// asked says whether a name or glob of the command line means a database. A
// glob passes over what the configuration excludes; a name does not.
func (r *backupRun) asked(pattern, name string) bool {
	if pattern == name {
		return true
	}
	if !isGlob(pattern) || r.e.opts.Excluded(name) || backup.IsDrillName(name) {
		return false
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

func isGlob(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// markDone settles the databases whose backup of this night exists. One that
// failed a proof does not count: the run that was to take it again may have
// died.
func (r *backupRun) markDone(ctx context.Context) error {
	failed, err := r.e.failedDailies(ctx, r.job.Day)
	if err != nil {
		return fmt.Errorf("look for backups that failed a proof: %w", err)
	}
	for _, t := range r.tasks {
		for key := range failed {
			t.spoiled[key] = true
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, t := range r.tasks {
		if t.outcome != OutcomePlanned {
			continue
		}
		group.Go(func() error {
			if _, err := r.findNight(ctx, t); err != nil {
				// Each try looks again, and then it is this database's failure
				// and not that of all.
				r.e.opts.Log.Info("night is not known yet", "database", t.database.Name, "error", err)
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// findNight looks for this night's manifest of a database, and settles the
// task if there is one.
func (r *backupRun) findNight(ctx context.Context, t *task) (bool, error) {
	prefix := backup.Name{Day: r.job.Day, Database: t.database.Name}.String()
	for info, err := range r.e.opts.Store.List(ctx, prefix) {
		if err != nil {
			return false, fmt.Errorf("look for the night's backup of %s: %w", t.database.Name, err)
		}
		name, ext, err := backup.ParseName(info.Key)
		if err != nil || ext != "json" || name.Database != t.database.Name {
			continue
		}
		m, body, err := r.e.readManifest(ctx, info.Key)
		if err != nil {
			// Not ours to judge here: publishing will go round it.
			r.e.opts.Log.Warn("manifest is not readable", "key", info.Key, "error", err)
			continue
		}
		if m.JobID == r.job.ID && !t.spoiled[info.Key] {
			r.found(t, info.Key, m, body)
			return true, nil
		}
	}
	return false, nil
}

// sizeUp asks D1 how large the planned databases are, and whether it could
// export them.
func (r *backupRun) sizeUp(ctx context.Context) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, t := range r.tasks {
		if t.outcome != OutcomePlanned {
			continue
		}
		group.Go(func() error {
			db, err := r.e.opts.D1.Get(ctx, t.database.ID)
			if err != nil {
				r.fail(t, fmt.Errorf("get size: %w", err))
				return nil
			}
			t.liveBytes = db.Bytes
			if err := refuseVirtual(ctx, r.e.opts.D1, t.database.ID); err != nil {
				r.fail(t, err)
			}
			return nil
		})
	}
	_ = group.Wait() // the tasks keep their own errors
}
