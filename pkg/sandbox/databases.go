package sandbox

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// find finds a database by its id, or by name where the route takes one.
func (s *Server) find(id string, byName bool) *database {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.databases {
		if d.id == id || byName && d.name == id {
			return d
		}
	}
	return nil
}

// listed is a database as the listing tells it: without sizes.
func (d *database) listed() map[string]any {
	return map[string]any{
		"uuid": d.id, "name": d.name, "version": "production",
		"created_at":   d.createdAt.Format("2006-01-02T15:04:05.000Z"),
		"jurisdiction": nullable(d.jurisdiction),
	}
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (x *exchange) list() (any, error) {
	page, err := x.number("page", 1, 1, 1<<31)
	if err != nil {
		return nil, err
	}
	perPage, err := x.number("per_page", 1000, 10, 10000)
	if err != nil {
		return nil, err
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	wanted := strings.ToLower(x.r.URL.Query().Get("name"))
	var found []map[string]any
	for _, d := range x.s.databases {
		if strings.Contains(strings.ToLower(d.name), wanted) {
			found = append(found, d.listed())
		}
	}
	begin := min((page-1)*perPage, len(found))
	result := append([]map[string]any{}, found[begin:min(begin+perPage, len(found))]...)
	// The total is that of all databases, whatever the filter (section 4).
	x.info = map[string]any{"page": page, "per_page": perPage, "count": len(result), "total_count": len(x.s.databases)}
	return result, nil
}

// number reads a number of the query string.
func (x *exchange) number(name string, otherwise, least, most int) (int, error) {
	text := x.r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, badRequest("Invalid property: %s => Expected a number from %d to %d", name, least, most)
	}
	return n, nil
}

func (x *exchange) get() (any, error) {
	x.db.lock.Lock()
	defer x.db.lock.Unlock()
	if err := x.s.settle(x.db, x.s.opts.Now()); err != nil {
		return nil, err
	}
	details, err := x.db.details(x.r.Context())
	if err != nil {
		return nil, err
	}
	fields := x.r.URL.Query().Get("fields")
	if fields == "" {
		delete(details, "running_in_region")
		return details, nil
	}
	picked := map[string]any{}
	for field := range strings.SplitSeq(fields, ",") {
		value, ok := details[field]
		if !ok {
			return nil, badRequest("Invalid property: fields => Invalid enum value, received '%s'", field)
		}
		picked[field] = value
	}
	return picked, nil
}

type createBody struct {
	Name         string `json:"name"`
	Hint         string `json:"primary_location_hint"`
	Jurisdiction string `json:"jurisdiction"`
	Replication  *struct {
		Mode string `json:"mode"`
	} `json:"read_replication"`
}

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]*$`)

func (b createBody) check() error {
	switch {
	case !nameForm.MatchString(b.Name):
		return badRequest("Invalid property: name => Invalid")
	case !slices.Contains([]string{"", "wnam", "enam", "weur", "eeur", "apac", "oc"}, b.Hint):
		return badRequest("Invalid property: primary_location_hint => Invalid enum value")
	case !slices.Contains([]string{"", "eu", "fedramp", "us"}, b.Jurisdiction):
		return badRequest("Invalid property: jurisdiction => Invalid enum value")
	case b.Replication != nil && b.Replication.Mode != "auto" && b.Replication.Mode != "disabled":
		return badRequest("Invalid property: read_replication.mode => Invalid enum value")
	}
	return nil
}

func (x *exchange) create() (any, error) {
	var body createBody
	if err := x.body(&body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	d, err := x.s.create(x.r.Context(), body)
	if err != nil {
		return nil, err
	}
	d.lock.Lock()
	defer d.lock.Unlock()
	details, err := d.details(x.r.Context())
	if err != nil {
		return nil, err
	}
	return details, nil
}

func (s *Server) create(ctx context.Context, wanted createBody) (*database, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.databases, func(d *database) bool { return d.name == wanted.Name }) {
		return nil, &refusal{http.StatusBadRequest, 7502, "Database with name '" + wanted.Name + "' already exists"}
	}
	if most := s.opts.MaxDatabases; len(s.databases) >= most {
		return nil, &refusal{http.StatusBadRequest, 7406, fmt.Sprintf("System limit reached: databases per account (%d)", most)}
	}
	return s.add(ctx, wanted)
}

// delete removes a database, and ends what is running in it.
func (x *exchange) delete() (any, error) {
	if !x.s.take(x.db) {
		return nil, noDatabase(x.db.id)
	}
	return nil, x.db.remove()
}
