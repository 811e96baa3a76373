package engine

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// readers is how many small documents are read at once.
const readers = 8

// Entry is a backup as found in the bucket.
type Entry struct {
	Name backup.Name
	// Key is the manifest's.
	Key      string
	Manifest manifest.Backup
	// Failed is the detail of a proof that this backup did not pass; empty
	// for a good one.
	Failed string
}

// Good says whether the entry counts as a backup to rely on.
func (e Entry) Good() bool { return e.Failed == "" }

// Stray is an object that belongs to no readable manifest.
type Stray struct {
	store.Info
	// Why says in words what it is taken for.
	Why string
}

// inventory is what lies in the bucket under a prefix.
type inventory struct {
	// entries are newest first.
	entries []Entry
	// foreign are objects that Patina did not write, or cannot read. They
	// are kept. unfinished are objects that a run of ours announced, but
	// never made into a backup, or not yet.
	foreign, unfinished []Stray
	// archives are the objects under weekly/.
	archives []store.Info
	bytes    int64
}

// takeInventory lists everything below a prefix of the daily or weekly folder
// (or all of it, where prefix is empty) and reads the manifests.
func (e *Engine) takeInventory(ctx context.Context, prefix string) (inventory, error) {
	var inv inventory
	manifests, others, err := e.listBackups(ctx, prefix, &inv)
	if err != nil {
		return inventory{}, err
	}
	claimed, err := e.readManifests(ctx, manifests, &inv)
	if err != nil {
		return inventory{}, err
	}
	orphans := slices.DeleteFunc(others, func(i store.Info) bool { return claimed[i.Key] })
	if err := e.sortOrphans(ctx, orphans, &inv); err != nil {
		return inventory{}, err
	}
	if err := e.applyProofs(ctx, &inv); err != nil {
		return inventory{}, err
	}
	slices.SortFunc(inv.entries, newestFirst)
	return inv, nil
}

func newestFirst(a, b Entry) int {
	return cmp.Or(b.Manifest.StartedAt.Compare(a.Manifest.StartedAt), cmp.Compare(a.Key, b.Key))
}

// listBackups lists the folders of backups and tells manifests from the rest.
func (e *Engine) listBackups(ctx context.Context, prefix string, inv *inventory) (manifests, others []store.Info, err error) {
	for info, err := range e.opts.Store.List(ctx, prefix) {
		if err != nil {
			return nil, nil, fmt.Errorf("list the bucket: %w", err)
		}
		switch {
		case strings.HasPrefix(info.Key, backup.JobsPrefix), strings.HasPrefix(info.Key, backup.RecordsPrefix):
			continue
		case strings.HasPrefix(info.Key, backup.WeeklyPrefix):
			inv.archives = append(inv.archives, info)
		default:
			if _, ext, err := backup.ParseName(info.Key); err == nil && ext == "json" {
				manifests = append(manifests, info)
			} else {
				others = append(others, info)
			}
		}
		inv.bytes += info.Bytes
	}
	return manifests, others, nil
}

// readManifests reads all manifests and returns the keys of the objects that
// they name. One that cannot be read as ours is foreign, never an error: one
// bad file must not hide the good ones.
func (e *Engine) readManifests(ctx context.Context, infos []store.Info, inv *inventory) (map[string]bool, error) {
	bodies, err := e.readDocuments(ctx, infos)
	if err != nil {
		return nil, err
	}
	claimed := make(map[string]bool, len(infos))
	for i, info := range infos {
		m, err := manifest.Decode[manifest.Backup](bodies[i])
		if err != nil {
			inv.foreign = append(inv.foreign, Stray{Info: info, Why: err.Error()})
			continue
		}
		name, _, err := backup.ParseName(info.Key)
		if err != nil {
			return nil, err
		}
		claimed[m.Object.Key] = true
		inv.entries = append(inv.entries, Entry{Name: name, Key: info.Key, Manifest: m})
	}
	return claimed, nil
}

// readDocuments reads small objects side by side, in the order given.
func (e *Engine) readDocuments(ctx context.Context, infos []store.Info) ([][]byte, error) {
	bodies := make([][]byte, len(infos))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, info := range infos {
		group.Go(func() error {
			body, err := e.readDocument(ctx, info.Key)
			bodies[i] = body
			return err
		})
	}
	return bodies, group.Wait()
}

func (e *Engine) readDocument(ctx context.Context, key string) ([]byte, error) {
	r, _, err := e.opts.Store.Get(ctx, key, store.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	body, err := manifest.ReadAll(r)
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return body, nil
}

// sortOrphans tells what runs of ours left unfinished from what is foreign: an
// object is ours only if a begin record announces its key.
func (e *Engine) sortOrphans(ctx context.Context, orphans []store.Info, inv *inventory) error {
	announced := map[string][]string{} // by day, in the form of the folder's name
	for _, orphan := range orphans {
		name, _, err := backup.ParseName(orphan.Key)
		if err != nil {
			inv.foreign = append(inv.foreign, Stray{Info: orphan, Why: "its key is none of patina's"})
			continue
		}
		prefix := backup.JobsDayPrefix(name.Day)
		patterns, known := announced[prefix]
		if !known {
			if patterns, err = e.announcedKeys(ctx, prefix); err != nil {
				return err
			}
			announced[prefix] = patterns
		}
		if matchesAny(patterns, orphan.Key) {
			inv.unfinished = append(inv.unfinished, Stray{Info: orphan, Why: "a run announced it and wrote no manifest"})
			continue
		}
		inv.foreign = append(inv.foreign, Stray{Info: orphan, Why: "no manifest, and no run announced it"})
	}
	return nil
}

// announcedKeys reads the begin records of one day.
func (e *Engine) announcedKeys(ctx context.Context, prefix string) ([]string, error) {
	var begins []store.Info
	for info, err := range e.opts.Store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list the bucket: %w", err)
		}
		if strings.HasSuffix(info.Key, ".begin.json") {
			begins = append(begins, info)
		}
	}
	bodies, err := e.readDocuments(ctx, begins)
	if err != nil {
		return nil, err
	}
	var patterns []string
	for _, body := range bodies {
		if begin, err := manifest.Decode[manifest.Begin](body); err == nil {
			patterns = append(patterns, begin.Writes...)
		}
	}
	return patterns, nil
}

func matchesAny(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, key)
		return ok && err == nil
	})
}

// applyProofs marks the entries that did not pass a later check.
func (e *Engine) applyProofs(ctx context.Context, inv *inventory) error {
	failed, err := e.failedProofs(ctx)
	for i := range inv.entries {
		if detail, found := failed[inv.entries[i].Key]; found {
			inv.entries[i].Failed = detail
		}
	}
	return err
}

// failedProofs tells, by the key of the manifest, which backups did not pass a
// check that was made after they were published, and why.
func (e *Engine) failedProofs(ctx context.Context) (map[string]string, error) {
	var infos []store.Info
	for info, err := range e.opts.Store.List(ctx, backup.RecordPrefix(backup.RecordProof)) {
		if err != nil {
			return nil, fmt.Errorf("list the bucket: %w", err)
		}
		infos = append(infos, info)
	}
	bodies, err := e.readDocuments(ctx, infos)
	if err != nil {
		return nil, err
	}
	failed := map[string]string{}
	for _, body := range bodies {
		if proof, err := manifest.Decode[manifest.ProofRecord](body); err == nil && !proof.Passed {
			failed[proof.Manifest] = cmp.Or(proof.Detail, "a "+proof.Level+" proof failed")
		}
	}
	return failed, nil
}

// putDocument writes a small document, create-only.
func (e *Engine) putDocument(ctx context.Context, key string, body []byte) (store.Receipt, error) {
	return e.opts.Store.Put(ctx, key, bytes.NewReader(body), store.PutOptions{ContentType: "application/json"})
}

// cleanUpTime bounds what must still be written when a run was interrupted.
const cleanUpTime = time.Minute

// afterwards is a context for clean-up: it does not end with the work's.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
}
