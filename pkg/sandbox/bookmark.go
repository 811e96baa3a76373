package sandbox

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"time"
)

// tell is the database's current bookmark, in D1's form of 8-8-8-32 digits that
// sort by time. Whoever is told it may come back to it. It is called with the
// database's lock held.
func (d *database) tell(mode BookmarkMode, now time.Time) string {
	if mode == BookmarkOnRead {
		d.looks++
	}
	d.told = true
	return d.markOf(d.writes, d.looks, d.day(mode, now))
}

// day is the bookmark's third part.
func (d *database) day(mode BookmarkMode, now time.Time) int64 {
	if mode != BookmarkOnRead {
		// The day of reading would move it without a write.
		now = d.createdAt
	}
	return now.UTC().Unix() / (24 * 60 * 60)
}

func (d *database) markOf(writes, looks uint64, day int64) string {
	sum := md5.Sum(fmt.Appendf(nil, "%s %d %d", d.id, writes, looks))
	return fmt.Sprintf("%08x-%08x-%08x-%s", looks+1, writes, day, hex.EncodeToString(sum[:]))
}

// parse finds the number of writes in one of the database's own bookmarks.
func (d *database) parse(bookmark string) (writes uint64, err error) {
	var looks uint64
	var day int64
	var sum string
	_, err = fmt.Sscanf(bookmark, "%08x-%08x-%08x-%32s", &looks, &writes, &day, &sum)
	if err != nil || looks == 0 || looks-1 > d.looks || writes > d.writes || d.markOf(writes, looks-1, day) != bookmark {
		return 0, badRequest("Invalid property: bookmark => Invalid bookmark")
	}
	return writes, nil
}

// bookmark tells the current bookmark, or that of a time.
func (x *exchange) bookmark() (any, error) {
	now := x.s.opts.Now()
	x.db.lock.Lock()
	defer x.db.lock.Unlock()
	if err := x.s.busy(x.db, now); err != nil {
		return nil, err
	}
	if text := x.r.URL.Query().Get("timestamp"); text != "" {
		mark, err := x.at(text, now)
		if err != nil {
			return nil, err
		}
		return map[string]string{"bookmark": mark}, nil
	}
	return map[string]string{"bookmark": x.db.tell(x.s.opts.BookmarkMoves, now)}, nil
}
