package d1

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

// Database is a database as the API describes it.
type Database struct {
	backup.Database
	// Version is D1's generation: "alpha", "beta" or "production".
	Version string
	// CreatedAt is zero where the API does not tell it in a known form.
	CreatedAt time.Time
	// Bytes and Tables are told by [Client.Get] only: a listing has neither.
	Bytes  int64
	Tables int
}

// pageSize is how many databases are asked for at once: the API's default,
// which it must therefore accept.
const pageSize = 1000

// databaseJSON is a database on the wire. Counts are json.Number because they
// are told as numbers with and without a point.
type databaseJSON struct {
	UUID         string      `json:"uuid"`
	Name         string      `json:"name"`
	Version      string      `json:"version"`
	CreatedAt    string      `json:"created_at"`
	Jurisdiction string      `json:"jurisdiction"`
	Region       string      `json:"running_in_region"`
	FileSize     json.Number `json:"file_size"`
	NumTables    json.Number `json:"num_tables"`
}

func (d databaseJSON) database() (Database, error) {
	if d.UUID == "" || d.Name == "" {
		return Database{}, fmt.Errorf("a database without id or name")
	}
	db := Database{
		Database: backup.Database{ID: d.UUID, Name: d.Name, Jurisdiction: d.Jurisdiction, Region: d.Region},
		Version:  d.Version, Bytes: whole(d.FileSize), Tables: int(whole(d.NumTables)),
	}
	if at, err := time.Parse(time.RFC3339, d.CreatedAt); err == nil {
		db.CreatedAt = at.UTC()
	}
	return db, nil
}

// whole is a count; 0 where it is none.
func whole(n json.Number) int64 {
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil {
		return 0
	}
	return int64(f)
}

// List returns all databases of the account, sorted by name and each once.
//
// It asks for pages until the listing has certainly ended, and trusts no single
// statement about where that is: neither that the server kept to the page size
// asked for, nor the total, which is documented to ignore filters. A server
// that repeats itself is an error.
func (c *Client) List(ctx context.Context) ([]Database, error) {
	g := gathering{seen: map[string]bool{}}
	for page := 1; ; page++ {
		batch, info, err := c.listPage(ctx, page)
		if err != nil {
			return nil, hinted(err)
		}
		if len(batch) == 0 {
			break
		}
		if g.add(batch); g.repeats() {
			return nil, &Error{Op: opList, Class: ClassGiveUp, Message: fmt.Sprintf("the listing repeats itself on page %d", page)}
		}
		if info.ends(len(batch), len(g.all)) {
			break
		}
	}
	slices.SortFunc(g.all, func(a, b Database) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return g.all, nil
}

// gathering is what a listing has brought so far.
type gathering struct {
	all  []Database
	seen map[string]bool
	// last is the ids of the last page, again that they were those of the
	// page before.
	last  []string
	again bool
	// stale counts pages in a row with nothing new.
	stale int
}

func (g *gathering) add(batch []Database) {
	ids := make([]string, len(batch))
	g.stale++
	for i, db := range batch {
		ids[i] = db.ID
		if !g.seen[db.ID] {
			g.seen[db.ID] = true
			g.all = append(g.all, db)
			g.stale = 0
		}
	}
	g.again = slices.Equal(ids, g.last)
	g.last = ids
}

// repeats says whether the server goes round in circles. One page may hold
// nothing new: a database created meanwhile shifts the others.
func (g *gathering) repeats() bool { return g.again || g.stale > 1 }

// resultInfo is what a page says of itself.
type resultInfo struct {
	PerPage    json.Number `json:"per_page"`
	TotalCount json.Number `json:"total_count"`
}

// ends says whether a page is the last beyond doubt: it is shorter than pages
// are, and the total is what was gathered. In doubt one more page costs less
// than a database that is not backed up.
func (r resultInfo) ends(length, gathered int) bool {
	perPage := whole(r.PerPage)
	if perPage <= 0 {
		perPage = pageSize
	}
	return int64(length) < perPage && whole(r.TotalCount) == int64(gathered)
}

func (c *Client) listPage(ctx context.Context, page int) ([]Database, resultInfo, error) {
	env, err := c.do(ctx, call{
		op: opList, method: http.MethodGet, path: c.databasesPath(), size: maxListAnswer,
		query: url.Values{"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(pageSize)}},
	})
	if err != nil {
		return nil, resultInfo{}, err
	}
	var wire []databaseJSON
	if err := json.Unmarshal(env.Result, &wire); err != nil {
		return nil, resultInfo{}, malformed(opList)
	}
	var info resultInfo
	// A result_info in another form only means that one more page is read.
	if json.Unmarshal(env.ResultInfo, &info) != nil {
		info = resultInfo{}
	}
	batch := make([]Database, len(wire))
	for i, w := range wire {
		if batch[i], err = w.database(); err != nil {
			return nil, resultInfo{}, &Error{Op: opList, Class: ClassGiveUp, Err: err}
		}
	}
	return batch, info, nil
}

// Get describes one database, with its size and number of tables. The API takes
// its name in place of the id.
func (c *Client) Get(ctx context.Context, id string) (Database, error) {
	env, err := c.do(ctx, call{
		op: opGet, method: http.MethodGet, path: c.databasePath(id, ""),
		// The region is told only to those who ask for it.
		query: url.Values{"fields": {"uuid,name,created_at,version,jurisdiction,num_tables,file_size,running_in_region"}},
	})
	if err != nil {
		return Database{}, hinted(err)
	}
	var wire databaseJSON
	if err := json.Unmarshal(env.Result, &wire); err != nil {
		return Database{}, malformed(opGet)
	}
	db, err := wire.database()
	if err != nil {
		return Database{}, &Error{Op: opGet, Class: ClassGiveUp, Err: err}
	}
	return db, nil
}

// malformed is the error of an answer that claims success and has another form
// than the API's description says.
func malformed(op string) error {
	return &Error{Op: op, Class: ClassGiveUp, Message: "the answer has an unknown form"}
}
