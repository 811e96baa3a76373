package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// objects are what was listed and is no manifest, in the order of the keys, and
// which of it manifests name.
type objects struct {
	infos []store.Info
	named []bool
	// next is where that is which is asked for next, most often: manifests are
	// listed in the order of their objects.
	next int
}

func newObjects(infos []store.Info) *objects {
	byKey := func(a, b store.Info) int { return cmp.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(infos, byKey) {
		infos = slices.SortedFunc(slices.Values(infos), byKey)
	}
	return &objects{infos: infos, named: make([]bool, len(infos))}
}

// claim says that a manifest names an object of a length, and what the listing
// tells against it; empty for nothing. Listed is false where it is not there.
func (o *objects) claim(key string, want int64) (why string, listed bool) {
	i, listed := o.next, o.next < len(o.infos) && o.infos[o.next].Key == key
	if !listed {
		i, listed = slices.BinarySearchFunc(o.infos, key, func(info store.Info, key string) int { return cmp.Compare(info.Key, key) })
	}
	if !listed {
		return key + " is gone", false
	}
	o.next, o.named[i] = i+1, true
	if bytes := o.infos[i].Bytes; bytes != want {
		return fmt.Sprintf("%s has %d bytes, its manifest says %d", key, bytes, want), true
	}
	return "", true
}

// unclaimed are those that no manifest names.
func (o *objects) unclaimed() []store.Info {
	var rest []store.Info
	for i, info := range o.infos {
		if !o.named[i] {
			rest = append(rest, info)
		}
	}
	return rest
}

// claimObjects claims the objects of the dailies, and finds those whose objects are
// gone, or not as long as they were. That of an adopted one may lie where nothing
// was listed.
func (inv *inventory) claimObjects(stored *objects) {
	for i := range inv.entries {
		entry := &inv.entries[i]
		why, listed := stored.claim(entry.Brief.Object, entry.Brief.StoredBytes)
		if !listed {
			inv.elsewhere = append(inv.elsewhere, entry.Brief.Object)
		}
		if why != "" && strings.HasPrefix(entry.Brief.Object, backup.DayPrefix(entry.Name.Day)) {
			inv.lacking[entry.Key] = why
		}
	}
}
