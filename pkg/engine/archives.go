package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// Archive is a week's archive, or a further part of it, as found in the bucket.
type Archive struct {
	Name backup.ArchiveName
	// Key is the manifest's.
	Key      string
	Manifest manifest.Archive
	// Failed says why nothing can be read of it; empty for a good one.
	Failed string
}

// Archived tells where an archive holds a backup.
type Archived struct {
	// Archive is the key of the archive's manifest.
	Archive string
	Object  manifest.ArchiveObject
	Member  manifest.Member
	// Stream says that the archive is one gzip stream.
	Stream bool
	// Failed says why it cannot be read there; empty for a good one.
	Failed string
}

// readArchives reads the manifests of archives, and claims their objects. Those
// that another part replaces are claimed, and else ignored. What cannot be read as
// ours is foreign.
func (e *Engine) readArchives(ctx context.Context, infos []store.Info, stored *objects, inv *inventory) error {
	read, whys := make([]Archive, len(infos)), make([]string, len(infos))
	err := e.eachDocument(ctx, infos, func(i int, _ store.Info, body []byte) {
		read[i], whys[i] = archiveOf(infos[i].Key, body)
	})
	if err != nil {
		return err
	}
	var all []Archive
	for i, info := range infos {
		switch {
		case whys[i] == vanished:
			inv.vanished = append(inv.vanished, info)
		case whys[i] != "":
			inv.foreign = append(inv.foreign, Stray{Info: info, Why: whys[i]})
		default:
			object := read[i].Manifest.Object
			why, listed := stored.claim(object.Key, object.Stored.Bytes)
			if !listed {
				inv.elsewhere = append(inv.elsewhere, object.Key)
			}
			read[i].Failed = why
			all = append(all, read[i])
		}
	}
	inv.archives, inv.replaced = inForce(all)
	return nil
}

// archiveOf is the archive whose manifest a body is, or why it is none.
func archiveOf(key string, body []byte) (Archive, string) {
	if body == nil {
		return Archive{}, vanished
	}
	m, err := manifest.Decode[manifest.Archive](body)
	if err != nil {
		return Archive{}, err.Error()
	}
	name := backup.ArchiveName{Week: m.Week, Part: m.Part}
	if name.Manifest() != key {
		return Archive{}, "it is the manifest of " + name.String()
	}
	return Archive{Name: name, Key: key, Manifest: m}, ""
}

// inForce tells the archives from those that another one replaces, if that can be
// read. Both are oldest first.
func inForce(all []Archive) (inForce, replaced []Archive) {
	gone := map[backup.ArchiveName]bool{}
	for _, a := range all {
		if a.Failed != "" {
			continue
		}
		for _, part := range a.Manifest.Replaces {
			gone[backup.ArchiveName{Week: a.Name.Week, Part: part}] = true
		}
	}
	slices.SortFunc(all, func(a, b Archive) int {
		return cmp.Or(a.Name.Week.Compare(b.Name.Week), cmp.Compare(a.Name.Part, b.Name.Part))
	})
	for _, a := range all {
		if gone[a.Name] {
			replaced = append(replaced, a)
			continue
		}
		inForce = append(inForce, a)
	}
	return inForce, replaced
}

// addMembers makes each member of an archive an entry, or the second place of
// the daily that it was made of.
func (inv *inventory) addMembers() {
	if len(inv.archives) == 0 {
		return
	}
	places := inv.newPlaces()
	for _, archive := range inv.archives {
		for _, member := range archive.Manifest.Members {
			inv.addMember(archive, member, places)
		}
	}
}

// backupID tells backups apart, wherever they lie.
type backupID struct {
	manifestKey, jobID string
	runID              backup.RunID
}

func idOf(key string, m manifest.Backup) backupID { return backupID{key, m.JobID, m.RunID} }

func (e *Entry) backupID() backupID { return backupID{e.Key, e.Brief.JobID, e.Brief.RunID} }

// places is where backups stand among the entries: first the dailies, in the order
// of their keys, of which no two are the same, and then members of archives.
type places struct {
	dailies []Entry
	members map[backupID]int
}

func (inv *inventory) newPlaces() places {
	slices.SortFunc(inv.entries, func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
	return places{dailies: slices.Clip(inv.entries), members: map[backupID]int{}}
}

func (p places) of(id backupID) (int, bool) {
	i, found := slices.BinarySearchFunc(p.dailies, id.manifestKey, func(e Entry, key string) int { return cmp.Compare(e.Key, key) })
	if found && p.dailies[i].backupID() == id {
		return i, true
	}
	i, found = p.members[id]
	return i, found
}

func (inv *inventory) addMember(archive Archive, member manifest.Member, places places) {
	name, _, err := backup.ParseName(member.ManifestKey)
	if err != nil {
		return // no key that any daily can have: nothing could ask for it
	}
	archived := &Archived{
		Archive: archive.Key, Object: archive.Manifest.Object, Member: member, Stream: archive.Manifest.Stream,
		Failed: cmp.Or(archive.Failed, failure(about(inv.proofs[member.ManifestKey], archive.Key))),
	}
	id := idOf(member.ManifestKey, member.Backup)
	i, known := places.of(id)
	if !known {
		places.members[id] = len(inv.entries)
		inv.entries = append(inv.entries, Entry{
			Name: name, Key: member.ManifestKey, Brief: manifest.NewBrief(member.Backup), Archived: archived, Failed: archived.Failed,
		})
		return
	}
	// A second copy counts where the first cannot be read.
	if entry := &inv.entries[i]; entry.Archived == nil || entry.Archived.Failed != "" && archived.Failed == "" {
		entry.Archived = archived
		if !entry.Daily {
			entry.Failed = archived.Failed
		}
	}
}

// member is the part of the store that holds a member, and nothing else. The
// archive must be the one that its manifest tells of.
func (a Archived) member() (key string, part store.GetOptions) {
	if a.Stream {
		return a.Object.Key, store.GetOptions{IfMatch: a.Object.ETag}
	}
	return a.Object.Key, store.GetOptions{Offset: a.Member.Offset, Length: a.Member.Packed.Bytes, IfMatch: a.Object.ETag}
}
