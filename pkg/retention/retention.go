// Package retention decides which backups and archives are kept, which may go,
// and why. It is pure: it is given all that is known, and returns a decision for
// each object. It reads nothing, deletes nothing, and has no clock.
//
// Its rules come in two kinds. The policy is the operator's: how many days, weeks,
// months and years. The rules that no policy turns off are these: the newest good
// backup of a database is kept, and so is its only one; nothing goes that is
// pinned, held, or dated in the future; a daily goes only when an archive that is
// kept holds it, or when the policy wants no archives and a newer good backup is
// there; and where one run would take more than a third of a database's recovery
// points for good, nothing of that database goes at all.
//
// That an archive really holds what it is said to hold is not known here. A
// decision to let a daily go names the archives of which one must be proven
// first.
package retention

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

// Policy is how much is kept of one database. A count of zero keeps nothing for
// that reason.
type Policy struct {
	// Daily is the number of calendar days, in UTC, that hold a good backup.
	// All backups of these days, and of later ones, are kept.
	Daily int
	// Weekly is the number of ISO weeks, in UTC, that hold a good one in an
	// archive. Monthly and Yearly are numbers of months and years, of each of
	// which the first such week is kept.
	Weekly, Monthly, Yearly int
	// KeepAtLeast is the number of newest good backups that are kept, whatever
	// their age; the newest one is kept in any case.
	KeepAtLeast int
}

// KeepsNothing says whether the policy would keep no backup for its own sake.
func (p Policy) KeepsNothing() bool { return p.Daily <= 0 && !p.Archives() }

// Archives says whether the policy wants archives at all.
func (p Policy) Archives() bool { return p.Weekly > 0 || p.Monthly > 0 || p.Yearly > 0 }

// Backup is one recovery point, wherever it lies.
type Backup struct {
	// ID tells it apart; it is the key of its manifest.
	ID       string
	Database string
	// Day is the calendar day that it counts for, and Taken when it was begun.
	Day, Taken time.Time
	// Good says whether it counts as a backup to rely on.
	Good bool
	// Daily says that the daily itself is there.
	Daily bool
	// Keep is a reason why neither it nor an archive that holds it may go, such
	// as a pin; empty where there is none.
	Keep string
}

// Archive is one archive, or a part of one.
type Archive struct {
	// ID tells it apart; it is the key of its manifest.
	ID   string
	Week backup.Week
	// Members are the IDs of the backups that it holds.
	Members []string
	// Unreadable says that nothing can be read of it. It is kept, and nothing
	// rests on it.
	Unreadable bool
}

// State is all that is known.
type State struct {
	Backups  []Backup
	Archives []Archive
	// Now is the time by the most careful clock.
	Now time.Time
	// Policy is that of a database.
	Policy func(database string) Policy
	// Hold is, by database, why nothing of it may go, such as that its last run
	// failed.
	Hold map[string]string
	// Confirmed are databases of which more than a third may go.
	Confirmed map[string]bool
}

// Decision is what becomes of one object: the daily of a backup, or an archive.
type Decision struct {
	ID      string
	Archive bool
	Keep    bool
	// Why says in words what it is kept for, or why it may go.
	Why string
	// Proof are the archives of which one must be proven to hold the backup,
	// just before it goes; empty where it goes without.
	Proof []string
}

// Refusal is a database of which nothing goes, because too much would.
type Refusal struct {
	Database string
	// Lost and Of are recovery points.
	Lost, Of int
}

// Plan is what becomes of everything.
type Plan struct {
	// Decisions are those about dailies, and then those about archives, each in
	// the order of the state.
	Decisions []Decision
	Refused   []Refusal
}

// Decide makes the plan.
func Decide(s State) Plan {
	var refused []Refusal
	for {
		d := newDecider(s, refused)
		plan := d.plan()
		more := d.tooMuch(plan)
		if len(more) == 0 {
			plan.Refused = refused
			return plan
		}
		// A database that is left as it is keeps archives, in which others lie:
		// each turn loses less than the one before.
		refused = append(refused, more...)
	}
}

// decider makes one plan.
type decider struct {
	State
	refused   map[string]bool
	databases []string
	byName    map[string][]Backup
	// holders are the readable archives that hold a backup, by its ID.
	holders map[string][]int
	// dailies are the IDs of the backups whose daily is there.
	dailies map[string]bool
	// wanted is, by the ID of a backup, why it is kept wherever it lies, and
	// wantedDaily why its daily is.
	wanted, wantedDaily map[string]string
}

func newDecider(s State, refused []Refusal) *decider {
	d := &decider{
		State: s, refused: map[string]bool{}, byName: map[string][]Backup{}, holders: map[string][]int{}, dailies: map[string]bool{},
		wanted: map[string]string{}, wantedDaily: map[string]string{},
	}
	for _, r := range refused {
		d.refused[r.Database] = true
	}
	d.index()
	for _, database := range d.databases {
		d.want(database)
	}
	return d
}

func (d *decider) index() {
	for _, b := range d.Backups {
		if d.byName[b.Database] == nil {
			d.databases = append(d.databases, b.Database)
		}
		d.byName[b.Database] = append(d.byName[b.Database], b)
		if b.Daily {
			d.dailies[b.ID] = true
		}
	}
	for i, a := range d.Archives {
		if a.Unreadable {
			continue
		}
		for _, member := range a.Members {
			d.holders[member] = append(d.holders[member], i)
		}
	}
	slices.Sort(d.databases)
	for _, all := range d.byName {
		slices.SortFunc(all, func(a, b Backup) int { return cmp.Or(b.Taken.Compare(a.Taken), cmp.Compare(a.ID, b.ID)) })
	}
}

// want notes why backups of a database are kept. The first reason counts.
func (d *decider) want(database string) {
	all := d.byName[database]
	note := func(b Backup, why string) {
		if d.wantedDaily[b.ID] == "" {
			d.wantedDaily[b.ID] = why
		}
		if d.wanted[b.ID] == "" {
			d.wanted[b.ID] = why
		}
	}
	policy := d.Policy(database)
	d.wantNewest(all, max(1, policy.KeepAtLeast), note)
	for _, b := range all {
		switch {
		case b.Keep != "":
			note(b, b.Keep)
		case d.Hold[database] != "":
			note(b, d.Hold[database])
		case d.refused[database]:
			note(b, "too much of the database would go at once")
		case b.Taken.After(d.Now):
			note(b, "it is dated in the future")
		case len(all) == 1:
			note(b, "it is the only backup of the database")
		}
	}
	d.wantDays(all, policy.Daily, note)
	d.wantWeeks(all, policy)
}

func (d *decider) wantNewest(all []Backup, n int, note func(Backup, string)) {
	kept := 0
	for _, b := range all {
		if !b.Good || kept == n {
			continue
		}
		kept++
		if kept == 1 {
			note(b, "it is the newest good backup of the database")
		} else {
			note(b, fmt.Sprintf("it is one of the newest %d good backups", n))
		}
	}
}

// wantDays keeps the newest days that hold a good backup, and all after the
// oldest of them.
func (d *decider) wantDays(all []Backup, n int, note func(Backup, string)) {
	var days []time.Time
	seen := map[time.Time]bool{}
	for _, b := range all {
		if b.Good && !seen[b.Day] {
			seen[b.Day] = true
			days = append(days, b.Day)
		}
	}
	slices.SortFunc(days, func(a, b time.Time) int { return b.Compare(a) })
	if n <= 0 || len(days) == 0 {
		return
	}
	oldest := days[min(n, len(days))-1]
	for _, b := range all {
		if !b.Day.Before(oldest) {
			note(b, fmt.Sprintf("it is of the newest %d days", n))
		}
	}
}

// wantWeeks keeps what archives hold of the newest weeks, and of the first week
// of each of the newest months and years.
func (d *decider) wantWeeks(all []Backup, policy Policy) {
	weeks := d.archivedWeeks(all)
	keep := map[backup.Week]string{}
	for _, w := range weeks[:min(max(policy.Weekly, 0), len(weeks))] {
		keep[w] = fmt.Sprintf("it is of the newest %d weeks", policy.Weekly)
	}
	firsts(weeks, policy.Monthly, func(w backup.Week) string { return thursday(w).Format("2006-01") }, func(w backup.Week) {
		if keep[w] == "" {
			keep[w] = fmt.Sprintf("its week is the first of one of the newest %d months", policy.Monthly)
		}
	})
	firsts(weeks, policy.Yearly, func(w backup.Week) string { return fmt.Sprint(w.Year) }, func(w backup.Week) {
		if keep[w] == "" {
			keep[w] = fmt.Sprintf("its week is the first of one of the newest %d years", policy.Yearly)
		}
	})
	for _, b := range all {
		// The archive is wanted, not the daily that it was made of.
		if why := keep[backup.WeekOf(b.Day)]; why != "" && len(d.holders[b.ID]) > 0 && d.wanted[b.ID] == "" {
			d.wanted[b.ID] = why
		}
	}
}

// thursday decides which month a week belongs to, as it does for the year.
func thursday(w backup.Week) time.Time { return w.Monday().AddDate(0, 0, 3) }

// firsts finds the earliest week of each of the newest n periods. Weeks are
// newest first.
func firsts(weeks []backup.Week, n int, period func(backup.Week) string, found func(backup.Week)) {
	var periods []string
	first := map[string]backup.Week{}
	for _, w := range weeks {
		name := period(w)
		if !slices.Contains(periods, name) {
			periods = append(periods, name)
		}
		first[name] = w
	}
	for _, name := range periods[:min(max(n, 0), len(periods))] {
		found(first[name])
	}
}

// archivedWeeks are the weeks of which an archive holds a good backup, newest
// first.
func (d *decider) archivedWeeks(all []Backup) []backup.Week {
	var weeks []backup.Week
	seen := map[backup.Week]bool{}
	for _, b := range all {
		if w := backup.WeekOf(b.Day); b.Good && len(d.holders[b.ID]) > 0 && !seen[w] {
			seen[w] = true
			weeks = append(weeks, w)
		}
	}
	slices.SortFunc(weeks, func(a, b backup.Week) int { return b.Compare(a) })
	return weeks
}

// plan turns what is wanted into decisions.
func (d *decider) plan() Plan {
	kept := map[string]bool{} // archives by ID
	archives := make([]Decision, 0, len(d.Archives))
	for _, a := range d.Archives {
		decision := d.archive(a)
		kept[a.ID] = decision.Keep
		archives = append(archives, decision)
	}
	var plan Plan
	for _, b := range d.Backups {
		if b.Daily {
			plan.Decisions = append(plan.Decisions, d.daily(b, kept))
		}
	}
	plan.Decisions = append(plan.Decisions, archives...)
	return plan
}

// archive decides about an archive: it stays while any member is wanted, and as
// long as the dailies that it was made of.
func (d *decider) archive(a Archive) Decision {
	decision := Decision{ID: a.ID, Archive: true, Keep: true}
	if a.Unreadable {
		decision.Why = "it cannot be read"
		return decision
	}
	for _, member := range a.Members {
		if why := d.wanted[member]; why != "" {
			decision.Why = fmt.Sprintf("it holds %s: %s", member, why)
			return decision
		}
	}
	// It is what must be proven before the dailies may go, so it goes after
	// them, in a later run.
	for _, member := range a.Members {
		if d.dailies[member] {
			decision.Why = "dailies that it holds are still there"
			return decision
		}
	}
	decision.Keep, decision.Why = false, "no database wants any backup in it"
	return decision
}

// daily decides about a daily, when it is known which archives stay.
func (d *decider) daily(b Backup, kept map[string]bool) Decision {
	decision := Decision{ID: b.ID, Keep: true, Why: d.wantedDaily[b.ID]}
	if decision.Why != "" {
		return decision
	}
	policy := d.Policy(b.Database)
	for _, i := range d.holders[b.ID] {
		if id := d.Archives[i].ID; kept[id] {
			decision.Proof = append(decision.Proof, id)
		}
	}
	switch {
	case len(decision.Proof) > 0:
		decision.Keep, decision.Why = false, fmt.Sprintf("it is older than the newest %d days, and in an archive", policy.Daily)
	case policy.Archives():
		decision.Why = "no archive that is kept holds it"
	case !d.newerGood(b):
		decision.Why = "there is no newer good backup of the database"
	default:
		decision.Keep, decision.Why = false, fmt.Sprintf("it is older than the newest %d days", policy.Daily)
	}
	return decision
}

func (d *decider) newerGood(b Backup) bool {
	return slices.ContainsFunc(d.byName[b.Database], func(other Backup) bool { return other.Good && other.Taken.After(b.Taken) })
}

// tooMuch finds the databases of which a plan would take more than a third of
// the recovery points for good.
func (d *decider) tooMuch(plan Plan) []Refusal {
	left := map[string]bool{} // copies by backup ID
	for _, decision := range plan.Decisions {
		if decision.Keep && !decision.Archive {
			left[decision.ID] = true
		}
	}
	archives := plan.Decisions[len(plan.Decisions)-len(d.Archives):]
	var refused []Refusal
	for _, database := range d.databases {
		lost, all := 0, 0
		for _, b := range d.byName[database] {
			holders := d.holders[b.ID]
			if !b.Good || !b.Daily && len(holders) == 0 {
				continue
			}
			all++
			if !left[b.ID] && !slices.ContainsFunc(holders, func(i int) bool { return archives[i].Keep }) {
				lost++
			}
		}
		if lost*3 > all && !d.Confirmed[database] && !d.refused[database] {
			refused = append(refused, Refusal{Database: database, Lost: lost, Of: all})
		}
	}
	return refused
}
