package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// keptRecords are what operators said of what is to be kept.
type keptRecords struct {
	// pins are the last of each backup, by the key of its manifest, if no unpin
	// came after. They may have ended by themselves.
	pins map[string]manifest.Pin
	// unpinned is when the last unpin of a backup was.
	unpinned map[string]time.Time
	// accepted is when what was found of a backup was acknowledged last.
	accepted map[string]time.Time
	// forgotten is when a database was retired last, by its name.
	forgotten map[string]time.Time
	// unclear is the key of a record of a pin of which it is not even known what
	// it keeps; empty for none.
	unclear string
}

// pinned is the pin of a backup that holds at a time; nil for none.
func (k keptRecords) pinned(manifestKey string, now time.Time) *manifest.Pin {
	if pin, ok := k.pins[manifestKey]; ok && pin.Holds(now) {
		return &pin
	}
	return nil
}

// keptIn reads the records of pins and of retired databases, of those that were
// listed. One of a pin that cannot be read is a pin: what is not understood keeps.
func (e *Engine) keptIn(ctx context.Context, kinds map[backup.RecordKind][]store.Info) (keptRecords, error) {
	kept := keptRecords{pins: map[string]manifest.Pin{}, unpinned: map[string]time.Time{}, accepted: map[string]time.Time{}, forgotten: map[string]time.Time{}}
	pins, err := e.readRecords(ctx, kinds[backup.RecordPin])
	if err != nil {
		return kept, err
	}
	unpins, err := e.readRecords(ctx, kinds[backup.RecordUnpin])
	if err != nil {
		return kept, err
	}
	accepts, err := e.readRecords(ctx, kinds[backup.RecordAccept])
	if err != nil {
		return kept, err
	}
	forgets, err := e.readRecords(ctx, kinds[backup.RecordForget])
	if err != nil {
		return kept, err
	}
	for _, r := range pins {
		kept.addPin(r)
	}
	for _, r := range unpins {
		if unpin, err := manifest.Decode[manifest.Unpin](r.body); err == nil {
			kept.unpinned[unpin.Manifest] = later(kept.unpinned[unpin.Manifest], unpin.At)
		}
	}
	for key, at := range kept.unpinned {
		if !kept.pins[key].At.After(at) {
			delete(kept.pins, key)
		}
	}
	for _, r := range accepts {
		if accept, err := manifest.Decode[manifest.Accept](r.body); err == nil {
			kept.accepted[accept.Manifest] = later(kept.accepted[accept.Manifest], accept.At)
		}
	}
	for _, r := range forgets {
		forget, err := manifest.Decode[manifest.Forget](r.body)
		if err == nil && forget.At.After(kept.forgotten[forget.Database]) {
			kept.forgotten[forget.Database] = forget.At
		}
	}
	return kept, nil
}

// addPin takes note of a pin. Of several the last counts, by time, and by its key
// where two hosts wrote at once.
func (k *keptRecords) addPin(r bareRecord) {
	pin, err := manifest.Decode[manifest.Pin](r.body)
	if err != nil {
		key, keyErr := backup.ParseRecordKey(r.key)
		if keyErr != nil {
			k.unclear = r.key
			return
		}
		// No unpin of this version can tell whether it came after it.
		pin = manifest.Pin{Manifest: key, At: endOfTime, Reason: "the record of its pin cannot be read: " + err.Error()}
	}
	if last, known := k.pins[pin.Manifest]; !known || !pin.At.Before(last.At) {
		k.pins[pin.Manifest] = pin
	}
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// endOfTime is after everything that is recorded.
var endOfTime = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// bareRecord is a record as it lies there.
type bareRecord struct {
	key  string
	body []byte
}

// readRecords reads records that were listed, in the order of their keys.
func (e *Engine) readRecords(ctx context.Context, infos []store.Info) ([]bareRecord, error) {
	bodies, err := e.readDocuments(ctx, infos)
	if err != nil {
		return nil, err
	}
	var records []bareRecord
	for i, info := range infos {
		if bodies[i] != nil { // it is not gone
			records = append(records, bareRecord{info.Key, bodies[i]})
		}
	}
	return records, nil
}

// PinRequest chooses what is pinned or unpinned: of a bare day all backups, and
// else the one of each database that the date means.
type PinRequest struct {
	Date Date
	// Database asks for one database's; empty for all.
	Database string
	// Until is when the pin ends by itself; zero for never.
	Until  time.Time
	Reason string
	// DryRun says what would be done, and does nothing.
	DryRun bool
}

// PinResult is what was pinned or unpinned, newest first.
type PinResult struct {
	// Changed are those that were, or in a dry run would be; their Pin is the new
	// one, or nil. Unchanged were so before.
	Changed, Unchanged []Entry
	DryRun             bool
}

// Pin keeps backups from being removed, whether they lie in a daily or in an
// archive.
func (e *Engine) Pin(ctx context.Context, req PinRequest) (PinResult, error) {
	now := e.opts.Now().UTC()
	if !req.Until.IsZero() && !req.Until.After(now) {
		return PinResult{}, fault.New(fault.Usage, "patina pin --help", "--until %s is past", req.Until.UTC().Format(time.RFC3339))
	}
	return e.keep(ctx, req, func(entry Entry, kept keptRecords) (*manifest.Pin, error) {
		run := e.opts.NewRunID()
		// After the unpin that it takes back, whatever this host's clock says.
		at := later(now, kept.unpinned[entry.Key].Add(time.Millisecond))
		pin := manifest.Pin{Manifest: entry.Key, RunID: run, Host: e.opts.Host, At: at, Until: req.Until, Reason: req.Reason}
		if old := entry.Pin; old != nil && old.Until.Equal(pin.Until) && (req.Reason == "" || old.Reason == req.Reason) {
			return old, nil
		}
		if req.DryRun {
			return &pin, nil
		}
		return &pin, record(ctx, e, backup.PinKey(entry.Name, at, run), pin)
	})
}

// Unpin lets what was pinned go when retention does.
func (e *Engine) Unpin(ctx context.Context, req PinRequest) (PinResult, error) {
	now := e.opts.Now().UTC()
	return e.keep(ctx, req, func(entry Entry, _ keptRecords) (*manifest.Pin, error) {
		if entry.Pin == nil || req.DryRun {
			return nil, nil
		}
		if entry.Pin.At.Equal(endOfTime) {
			return nil, fault.New(fault.Refused, "patina unpin, of the version that pinned it", "%s", entry.Pin.Reason)
		}
		run := e.opts.NewRunID()
		at := later(now, entry.Pin.At) // whatever this host's clock says
		unpin := manifest.Unpin{Manifest: entry.Key, RunID: run, Host: e.opts.Host, At: at, Reason: req.Reason}
		return nil, record(ctx, e, backup.UnpinKey(entry.Name, at, run), unpin)
	})
}

// keep changes the pins of the backups that are asked for.
func (e *Engine) keep(ctx context.Context, req PinRequest, change func(Entry, keptRecords) (*manifest.Pin, error)) (PinResult, error) {
	inv, err := e.takeInventory(ctx, ListRequest{Date: req.Date}.prefixes()...)
	if err != nil {
		return PinResult{}, err
	}
	chosen, err := meant(inv.entries, req.Date, req.Database)
	if err != nil {
		return PinResult{}, err
	}
	result := PinResult{DryRun: req.DryRun}
	for _, entry := range chosen {
		pin, err := change(entry, inv.kept)
		if err != nil {
			return result, fmt.Errorf("%s: %w", entry.ID(), err)
		}
		same := pin == entry.Pin
		entry.Pin = pin
		if same {
			result.Unchanged = append(result.Unchanged, entry)
			continue
		}
		result.Changed = append(result.Changed, entry)
	}
	return result, nil
}

// meant are the backups, of all newest first, that a date means: all of a bare day,
// and else the newest good one of each database.
func meant(entries []Entry, date Date, database string) ([]Entry, error) {
	req := ListRequest{Database: database, Date: date}
	chosen := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return !req.matches(e) })
	if date.Latest || !date.Minute.IsZero() {
		seen := map[string]bool{}
		chosen = slices.DeleteFunc(chosen, func(entry Entry) bool {
			name := entry.Brief.Database
			skip := seen[name] || !entry.Good()
			seen[name] = seen[name] || entry.Good()
			return skip
		})
	}
	if len(chosen) == 0 {
		return nil, fault.New(fault.Failed, "patina list", "there is no backup%s", meantBy(date, database))
	}
	return chosen, nil
}

// AcceptRequest acknowledges what was found of backups that are not good.
type AcceptRequest struct {
	Date Date
	// Database asks for one database's; empty for all.
	Database string
	Reason   string
	// DryRun says what would be done, and does nothing.
	DryRun bool
}

// AcceptResult is what was acknowledged, newest first.
type AcceptResult struct {
	// Accepted are those that were, or in a dry run would be; Before those that
	// had been already.
	Accepted, Before []Entry
	DryRun           bool
}

// Accept acknowledges what was found of backups. They stay what they are; but what
// is acknowledged keeps their databases no longer from being pruned.
func (e *Engine) Accept(ctx context.Context, req AcceptRequest) (AcceptResult, error) {
	inv, err := e.takeInventory(ctx, ListRequest{Date: req.Date}.prefixes()...)
	if err != nil {
		return AcceptResult{}, err
	}
	result := AcceptResult{DryRun: req.DryRun}
	for _, entry := range inv.entries {
		if entry.Good() || !(ListRequest{Database: req.Database, Date: req.Date}).matches(entry) {
			continue
		}
		if !inv.isOpen(entry) {
			result.Before = append(result.Before, entry)
			continue
		}
		result.Accepted = append(result.Accepted, entry)
		if err := e.accept(ctx, inv, entry, req); err != nil {
			return result, fmt.Errorf("%s: %w", entry.ID(), err)
		}
	}
	if len(result.Accepted)+len(result.Before) == 0 {
		return result, fault.New(fault.Failed, "patina list", "there is nothing to accept: no backup%s failed a check", meantBy(req.Date, req.Database))
	}
	return result, nil
}

func (e *Engine) accept(ctx context.Context, inv inventory, entry Entry, req AcceptRequest) error {
	if req.DryRun {
		return nil
	}
	// After what it acknowledges, whatever this host's clock says.
	at, run := later(e.opts.Now().UTC(), inv.lastFailure(entry)), e.opts.NewRunID()
	return record(ctx, e, backup.AcceptKey(entry.Name, at, run), manifest.Accept{
		Manifest: entry.Key, RunID: run, Host: e.opts.Host, At: at, Found: entry.Failed, Reason: req.Reason,
	})
}

// isOpen says whether something was found of a backup that nobody acknowledged.
func (inv *inventory) isOpen(entry Entry) bool {
	at, accepted := inv.kept.accepted[entry.Key]
	return !entry.Good() && (!accepted || at.Before(inv.lastFailure(entry)))
}

// lastFailure is when a check of a backup failed last; zero where no record tells.
func (inv *inventory) lastFailure(entry Entry) time.Time {
	var last time.Time
	for _, proof := range inv.proofs[entry.Key] {
		if !proof.Passed {
			last = later(last, proof.At)
		}
	}
	return last
}

// meantBy says in words which backups are meant.
func meantBy(date Date, database string) string {
	text := ""
	if database != "" {
		text += " of " + database
	}
	if !date.Latest {
		text += " for " + date.String()
	}
	return text
}

// ForgetRequest retires a database.
type ForgetRequest struct {
	Database string
	Reason   string
	// DryRun says what would be done, and does nothing.
	DryRun bool
}

// ForgetResult is what is left of a retired database.
type ForgetResult struct {
	Database string
	// Backups is how many it has; Newest is the one that stays.
	Backups int
	Newest  *Entry
	// Since is when it was retired before; zero if it was not.
	Since  time.Time
	DryRun bool
}

// Forget retires a database that the account no longer has.
func (e *Engine) Forget(ctx context.Context, req ForgetRequest) (ForgetResult, error) {
	live, err := e.opts.D1.List(ctx)
	if err != nil {
		return ForgetResult{}, fmt.Errorf("it is not known whether the account still has %s: %w", req.Database, err)
	}
	for _, db := range live {
		if db.Name == req.Database {
			return ForgetResult{}, fault.New(fault.Refused, "", "the account still has %s: what is backed up is not forgotten", req.Database)
		}
	}
	inv, err := e.takeInventory(ctx, backup.DailyPrefix, backup.WeeklyPrefix)
	if err != nil {
		return ForgetResult{}, err
	}
	result := ForgetResult{Database: req.Database, DryRun: req.DryRun}
	for i, entry := range inv.entries {
		if entry.Brief.Database != req.Database {
			continue
		}
		result.Backups++
		if result.Newest == nil && entry.Good() {
			result.Newest = &inv.entries[i]
		}
	}
	if result.Backups == 0 {
		return result, fault.New(fault.Failed, "patina list", "there is no backup of %s", req.Database)
	}
	if inv.isForgotten(req.Database) {
		result.Since = inv.kept.forgotten[req.Database]
		return result, nil
	}
	if req.DryRun {
		return result, nil
	}
	now, run := e.opts.Now().UTC(), e.opts.NewRunID()
	return result, record(ctx, e, backup.ForgetKey(req.Database, now, run), manifest.Forget{
		Database: req.Database, RunID: run, Host: e.opts.Host, At: now, Reason: req.Reason,
	})
}

// isForgotten says whether a database was retired, and not backed up since.
func (inv *inventory) isForgotten(database string) bool {
	if _, retired := inv.kept.forgotten[database]; !retired {
		return false
	}
	var last time.Time
	newest := slices.IndexFunc(inv.entries, func(e Entry) bool { return e.Brief.Database == database })
	if newest >= 0 {
		last = inv.entries[newest].Brief.StartedAt
	}
	return inv.kept.isForgotten(database, last)
}

// isForgotten says whether a database was retired whose newest backup began at a
// time.
func (k keptRecords) isForgotten(database string, lastTaken time.Time) bool {
	at, retired := k.forgotten[database]
	return retired && !lastTaken.After(at)
}
