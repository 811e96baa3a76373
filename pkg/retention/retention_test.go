package retention_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/retention"
)

// tick is the time of the first night: Monday 2024-01-01.
var tick = time.Date(2024, 1, 1, 3, 0, 0, 0, time.UTC)

func always(p retention.Policy) func(string) retention.Policy {
	return func(string) retention.Policy { return p }
}

// daily is a good daily of a night, counted from the first.
func daily(database string, night int) retention.Backup {
	at := tick.AddDate(0, 0, night)
	return retention.Backup{
		ID: fmt.Sprintf("daily/%s/%s.json", at.Format(time.DateOnly), database), Database: database,
		Day: backup.DayOf(at), Taken: at, Good: true, Daily: true,
	}
}

// weekOf is an archive of the week that a night falls into.
func weekOf(night int, members ...retention.Backup) retention.Archive {
	w := backup.WeekOf(tick.AddDate(0, 0, night))
	a := retention.Archive{ID: "weekly/" + w.String() + ".json", Week: w}
	for _, m := range members {
		a.Members = append(a.Members, m.ID)
	}
	return a
}

// going are the ids of what the plan lets go.
func going(plan retention.Plan) []string {
	var ids []string
	for _, d := range plan.Decisions {
		if !d.Keep {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

func decisionOn(t *testing.T, plan retention.Plan, id string) retention.Decision {
	t.Helper()
	for _, d := range plan.Decisions {
		if d.ID == id {
			return d
		}
	}
	t.Fatalf("there is no decision about %s", id)
	return retention.Decision{}
}

// nights are good dailies of one database, from the first night on.
func nights(n int) []retention.Backup {
	var all []retention.Backup
	for i := range n {
		all = append(all, daily("app", i))
	}
	return all
}

// TestWhatStaysAndWhy has one small state for each rule.
func TestWhatStaysAndWhy(t *testing.T) {
	t.Parallel()
	standard := retention.Policy{Daily: 7, Weekly: 12, KeepAtLeast: 1}
	tenNights := nights(10)
	old := tenNights[0].ID
	cases := map[string]struct {
		change func(*retention.State)
		keep   bool
		why    string
	}{
		"an old daily that an archive holds": {func(*retention.State) {}, false, "in an archive"},
		"one that no archive holds":          {func(s *retention.State) { s.Archives = nil }, true, "no archive that is kept holds it"},
		"one whose archive cannot be read":   {func(s *retention.State) { s.Archives[0].Unreadable = true }, true, "no archive that is kept holds it"},
		"one that is pinned":                 {func(s *retention.State) { s.Backups[0].Keep = "it is pinned: before the move" }, true, "it is pinned: before the move"},
		"one of a database on hold": {func(s *retention.State) {
			s.Hold = map[string]string{"app": "its last run failed"}
		}, true, "its last run failed"},
		"one that is dated in the future": {func(s *retention.State) { s.Now = tick.Add(-time.Hour) }, true, "dated in the future"},
		"one of those to keep at least": {func(s *retention.State) {
			s.Policy = always(retention.Policy{Daily: 7, Weekly: 12, KeepAtLeast: 10})
		}, true, "one of the newest 10 good backups"},
		"one where only failed ones came since": {func(s *retention.State) {
			for i := 1; i < len(s.Backups); i++ {
				s.Backups[i].Good = false
			}
		}, true, "newest good backup"},
		"one of the newest days that hold a good one": {func(s *retention.State) {
			for i := 4; i < len(s.Backups); i++ {
				s.Backups[i].Good = false
			}
		}, true, "of the newest 7 days"},
		"without archives, one that is older": {func(s *retention.State) {
			s.Archives, s.Policy = nil, always(retention.Policy{Daily: 7})
		}, false, "older than the newest 7 days"},
	}
	for name, c := range cases {
		s := retention.State{
			Backups: slices.Clone(tenNights), Archives: []retention.Archive{weekOf(0, tenNights[:7]...)},
			Now: tick.AddDate(0, 0, 9), Policy: always(standard),
		}
		c.change(&s)
		got := decisionOn(t, retention.Decide(s), old)
		if got.Keep != c.keep || !strings.Contains(got.Why, c.why) {
			t.Errorf("%s: keep %t, %q; want %t, %q", name, got.Keep, got.Why, c.keep, c.why)
		}
	}
}

func TestTheOnlyBackupStays(t *testing.T) {
	t.Parallel()
	b := daily("app", 0)
	b.Good = false
	s := retention.State{Backups: []retention.Backup{b}, Now: tick.AddDate(5, 0, 0), Policy: always(retention.Policy{Daily: 1})}
	if got := going(retention.Decide(s)); len(got) != 0 {
		t.Errorf("%v go", got)
	}
}

// TestMoreThanAThirdIsRefused holds the limit on both of its sides, and that
// only the database concerned is left.
func TestMoreThanAThirdIsRefused(t *testing.T) {
	t.Parallel()
	s := retention.State{Backups: nights(10), Now: tick.AddDate(0, 0, 9), Policy: func(database string) retention.Policy {
		if database == "app" {
			return retention.Policy{Daily: 6}
		}
		return retention.Policy{Daily: 7}
	}}
	for night := range 10 {
		s.Backups = append(s.Backups, daily("other", night))
	}
	plan := retention.Decide(s)
	want := []retention.Refusal{{Database: "app", Lost: 4, Of: 10}}
	if !slices.Equal(plan.Refused, want) || len(going(plan)) != 3 {
		t.Errorf("refused %v, and %v go; want %v, and three of the other", plan.Refused, going(plan), want)
	}
	s.Confirmed = map[string]bool{"app": true}
	if plan := retention.Decide(s); len(plan.Refused) != 0 || len(going(plan)) != 7 {
		t.Errorf("confirmed: refused %v, and %v go", plan.Refused, going(plan))
	}
}

func TestMonthsAndYearsKeepTheirFirstArchive(t *testing.T) {
	t.Parallel()
	s := retention.State{Now: tick.AddDate(2, 0, 0), Policy: always(retention.Policy{Daily: 7, Weekly: 2, Monthly: 3, Yearly: 2})}
	for night := range 2 * 364 {
		b := daily("app", night)
		b.Daily = false
		s.Backups = append(s.Backups, b)
		if night%7 == 6 {
			s.Archives = append(s.Archives, weekOf(night, s.Backups[night-6:]...))
		}
	}
	s.Confirmed = map[string]bool{"app": true}
	var kept []string
	for _, d := range retention.Decide(s).Decisions {
		if d.Keep {
			kept = append(kept, strings.TrimSuffix(strings.TrimPrefix(d.ID, "weekly/"), ".json"))
		}
	}
	// The newest is 2025-W52, whose Thursday is the 25th of December.
	want := []string{"2024-W01", "2025-W01", "2025-W40", "2025-W45", "2025-W49", "2025-W51", "2025-W52"}
	if !slices.Equal(kept, want) {
		t.Errorf("kept %v, want %v", kept, want)
	}
}

// world is a bucket in which backups come and go by night.
type world struct {
	t      *testing.T
	random *rand.Rand
	state  retention.State
	night  int
	// stale is the plan of a host that was held up. best is the newest good backup
	// of each database, and pinned are those that are.
	stale  *retention.Plan
	best   map[string]retention.Backup
	pinned map[string]bool
}

// live lets one night pass: a backup of each database, or none, or one that is
// not good; on Sundays an archive of the week; and then a prune, which may be
// cut off anywhere, and may be run twice.
func (w *world) live(databases []string, failures, cuts float64) {
	for _, name := range databases {
		if w.random.Float64() < failures {
			if w.random.IntN(2) == 0 {
				bad := daily(name, w.night)
				bad.Good = false
				w.state.Backups = append(w.state.Backups, bad)
			}
			continue
		}
		w.state.Backups = append(w.state.Backups, daily(name, w.night))
		if w.best != nil {
			w.best[name] = daily(name, w.night)
		}
	}
	at := tick.AddDate(0, 0, w.night)
	if at.Weekday() == time.Sunday {
		w.archive()
	}
	w.state.Now = at.Add(2 * time.Hour)
	if w.best != nil && w.random.IntN(20) == 0 {
		// The clocks were wrong, both of them.
		w.state.Now = w.state.Now.AddDate(0, 0, w.random.IntN(60)-50)
	}
	w.night++
	w.prune(cuts)
	// An archive goes one run after the last of its dailies.
	w.prune(cuts)
}

func (w *world) archive() {
	if !slices.ContainsFunc(w.state.Backups, func(b retention.Backup) bool { return w.state.Policy(b.Database).Archives() }) {
		return
	}
	week := backup.WeekOf(tick.AddDate(0, 0, w.night))
	var members []retention.Backup
	for _, b := range w.state.Backups {
		if b.Daily && b.Good && backup.WeekOf(b.Day) == week {
			members = append(members, b)
		}
	}
	if len(members) > 0 {
		w.state.Archives = append(w.state.Archives, weekOf(w.night, members...))
	}
}

// prune carries out a plan, perhaps only a part of it. A second host, which made
// its plan some nights ago and was held up, may carry that out beside it.
func (w *world) prune(cuts float64) {
	plan := retention.Decide(w.state)
	w.wantRules(plan)
	if w.stale != nil && w.random.IntN(4) == 0 {
		w.carryOut(*w.stale, cuts)
		w.stale = nil
	}
	if w.stale == nil {
		w.stale = &plan
	}
	w.carryOut(plan, cuts)
	w.wantNewest()
}

// carryOut lets go what a plan does, as far as it is seen right before that it
// still may: what a daily rests on is there, and nothing was pinned meanwhile.
func (w *world) carryOut(plan retention.Plan, cuts float64) {
	var gone []string
	for _, d := range plan.Decisions {
		if !d.Keep && w.mayGo(d) && w.random.Float64() >= cuts {
			gone = append(gone, d.ID)
		}
	}
	w.state.Archives = slices.DeleteFunc(w.state.Archives, func(a retention.Archive) bool { return slices.Contains(gone, a.ID) })
	held := map[string]bool{}
	for _, a := range w.state.Archives {
		for _, m := range a.Members {
			held[m] = true
		}
	}
	w.state.Backups = slices.DeleteFunc(w.state.Backups, func(b retention.Backup) bool {
		return (!b.Daily || slices.Contains(gone, b.ID)) && !held[b.ID]
	})
	for i, b := range w.state.Backups {
		if slices.Contains(gone, b.ID) {
			w.state.Backups[i].Daily = false
		}
	}
}

// mayGo is what a run looks at right before something goes.
func (w *world) mayGo(d retention.Decision) bool {
	at := slices.IndexFunc(w.state.Archives, func(a retention.Archive) bool { return a.ID == d.ID })
	if d.Archive && at < 0 {
		return false
	}
	of := []string{d.ID}
	if d.Archive {
		of = w.state.Archives[at].Members
	}
	for _, b := range w.state.Backups {
		if slices.Contains(of, b.ID) && (b.Keep != "" || d.Archive && b.Daily) {
			return false
		}
	}
	return len(d.Proof) == 0 || slices.ContainsFunc(w.state.Archives, func(a retention.Archive) bool {
		return slices.Contains(d.Proof, a.ID) && slices.Contains(a.Members, d.ID)
	})
}

// wantNewest wants the newest good backup of each database to be there, whatever
// came together, and everything that was pinned.
func (w *world) wantNewest() {
	w.t.Helper()
	for name, best := range w.best {
		if !slices.ContainsFunc(w.state.Backups, func(b retention.Backup) bool { return b.ID == best.ID }) {
			w.t.Fatalf("night %d: the newest good backup of %s, %s, is gone", w.night, name, best.ID)
		}
	}
	for id := range w.pinned {
		if !slices.ContainsFunc(w.state.Backups, func(b retention.Backup) bool { return b.ID == id }) {
			w.t.Fatalf("night %d: %s was pinned, and is gone", w.night, id)
		}
	}
}

// wantRules holds a plan against the rules that no policy turns off.
func (w *world) wantRules(plan retention.Plan) {
	w.t.Helper()
	keeps := map[string]bool{}
	for _, d := range plan.Decisions {
		if d.Keep {
			keeps[d.ID] = true
		}
		if d.Why == "" {
			w.t.Fatalf("night %d: no reason is told for %s", w.night, d.ID)
		}
	}
	copies := map[string]int{}
	newest := map[string]retention.Backup{}
	lost, all := map[string]int{}, map[string]int{}
	for _, a := range w.state.Archives {
		for _, m := range a.Members {
			if keeps[a.ID] && !a.Unreadable {
				copies[m]++
			}
		}
	}
	for _, b := range w.state.Backups {
		if b.Daily && keeps[b.ID] {
			copies[b.ID]++
		}
		if b.Good && !b.Taken.Before(newest[b.Database].Taken) {
			newest[b.Database] = b
		}
		if b.Good {
			all[b.Database]++
			if copies[b.ID] == 0 {
				lost[b.Database]++
			}
		}
		if b.Keep != "" && b.Daily && !keeps[b.ID] {
			w.t.Fatalf("night %d: %s goes, and %s", w.night, b.ID, b.Keep)
		}
	}
	for name, b := range newest {
		if copies[b.ID] == 0 {
			w.t.Fatalf("night %d: the newest good backup of %s, %s, goes", w.night, name, b.ID)
		}
		if lost[name]*3 > all[name] {
			w.t.Fatalf("night %d: %d of %d of %s are lost at once", w.night, lost[name], all[name], name)
		}
	}
	for _, d := range plan.Decisions {
		for _, id := range d.Proof {
			if !keeps[id] {
				w.t.Fatalf("night %d: %s goes for the sake of %s, which goes too", w.night, d.ID, id)
			}
		}
	}
}

// TestRandomLivesKeepTheRules lets many histories pass, with failed nights, pins
// that come and go, clocks that jump, prunes that are cut off, and a second host
// that carries out an old plan.
func TestRandomLivesKeepTheRules(t *testing.T) {
	t.Parallel()
	policies := []retention.Policy{
		{Daily: 7, Weekly: 12, KeepAtLeast: 1},
		{Daily: 3},
		{Daily: 3, Weekly: 2},
		{Daily: 2, Weekly: 1},
		{Daily: 1},
		{Weekly: 4},
		{Daily: 7, Weekly: 4, Monthly: 12, Yearly: 3},
		{Daily: 30, KeepAtLeast: 5},
	}
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := &world{t: t, random: random, best: map[string]retention.Backup{}, pinned: map[string]bool{}}
		w.state.Policy = func(database string) retention.Policy { return policies[(int(seed)+len(database))%len(policies)] }
		failures, cuts := random.Float64()*0.8, random.Float64()*0.9
		for range 150 {
			w.live([]string{"a", "bb", "ccc"}, failures, cuts)
			if len(w.state.Backups) > 0 && random.IntN(30) == 0 {
				b := &w.state.Backups[random.IntN(len(w.state.Backups))]
				b.Keep = "it is pinned"
				w.pinned[b.ID] = true
			}
			if len(w.state.Backups) > 0 && random.IntN(60) == 0 {
				b := &w.state.Backups[random.IntN(len(w.state.Backups))]
				b.Keep = ""
				delete(w.pinned, b.ID)
			}
			if random.IntN(40) == 0 {
				w.night += random.IntN(60) // the host was down
			}
		}
	}
}

// TestThreeYearsEndWithWhatThePolicyPromises lets nights pass without trouble.
func TestThreeYearsEndWithWhatThePolicyPromises(t *testing.T) {
	t.Parallel()
	for _, policy := range []retention.Policy{
		{Daily: 7, Weekly: 12, KeepAtLeast: 1}, {Daily: 3}, {Daily: 3, Weekly: 4}, {Daily: 2}, {Daily: 14, Weekly: 2},
	} {
		w := &world{t: t, random: rand.New(rand.NewPCG(1, 1))}
		w.state.Policy = always(policy)
		const years = 3 * 364
		for range years {
			w.live([]string{"app", "other"}, 0, 0)
		}
		dailies := map[string]int{}
		for _, b := range w.state.Backups {
			if b.Daily {
				dailies[b.Database]++
			}
		}
		for name, n := range dailies {
			if n != policy.Daily {
				t.Errorf("%+v: %d dailies of %s are left", policy, n, name)
			}
		}
		if len(w.state.Archives) != policy.Weekly {
			t.Errorf("%+v: %d archives are left", policy, len(w.state.Archives))
		}
	}
}

// TestAPlanThatIsCarriedOutIsTheLast decides again what was just decided.
func TestAPlanThatIsCarriedOutIsTheLast(t *testing.T) {
	t.Parallel()
	w := &world{t: t, random: rand.New(rand.NewPCG(3, 3))}
	w.state.Policy = always(retention.Policy{Daily: 5, Weekly: 3})
	for range 100 {
		w.live([]string{"app"}, 0.2, 0)
		if again := going(retention.Decide(w.state)); len(again) != 0 {
			t.Fatalf("night %d: a second plan lets %v go", w.night, again)
		}
	}
}

// BenchmarkDecide plans for a bucket of many objects. "ns/object" must not grow
// with their number.
func BenchmarkDecide(b *testing.B) {
	for _, databases := range []int{50, 500, 2400} {
		var s retention.State
		s.Policy, s.Now = always(retention.Policy{Daily: 7, Weekly: 12, KeepAtLeast: 1}), tick.AddDate(0, 0, 140)
		for night := range 140 {
			for n := range databases {
				s.Backups = append(s.Backups, daily(fmt.Sprint("db-", n), night))
			}
			if night%7 == 6 {
				s.Archives = append(s.Archives, weekOf(night, s.Backups[(night-6)*databases:]...))
			}
		}
		b.Run(fmt.Sprint(len(s.Backups)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				retention.Decide(s)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(s.Backups)), "ns/object")
		})
	}
}
