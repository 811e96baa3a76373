package sandbox

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"time"
)

// mark is the database's current one, in D1's form of 8-8-8-32 digits that
// sort by time. It is called with the database's lock held.
func (d *database) mark(mode BookmarkMode, now time.Time) string {
	looks := uint64(0)
	if mode == BookmarkOnRead {
		d.looks++
		looks = d.looks
	}
	day := now.UTC().Unix() / (24 * 60 * 60)
	if mode != BookmarkOnRead {
		// The day of reading would move it without a write.
		day = d.createdAt.Unix() / (24 * 60 * 60)
	}
	sum := md5.Sum(fmt.Appendf(nil, "%s %d %d", d.id, d.writes, looks))
	return fmt.Sprintf("%08x-%08x-%08x-%s", looks+1, d.writes, day, hex.EncodeToString(sum[:]))
}

// bookmark tells the current bookmark. History is not kept, so that of a
// timestamp in the past is the current one too.
func (x *exchange) bookmark() (any, error) {
	now := x.s.opts.Now()
	if text := x.r.URL.Query().Get("timestamp"); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, badRequest("Invalid property: timestamp => Invalid datetime")
		}
		if at.After(now) || at.Before(x.db.createdAt) {
			return nil, badRequest("timestamp is outside of the time that can be travelled to")
		}
	}
	x.db.lock.Lock()
	defer x.db.lock.Unlock()
	if err := x.db.busy(now, x.s.opts.PollTimeout); err != nil {
		return nil, err
	}
	return map[string]string{"bookmark": x.db.mark(x.s.opts.BookmarkMoves, now)}, nil
}
