package sandbox

import (
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

func (x *exchange) create() (any, error) {
	var body createBody
	if err := x.body(&body); err != nil {
		return nil, err
	}
	switch {
	case !regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]*$`).MatchString(body.Name):
		return nil, badRequest("Invalid property: name => Invalid")
	case !slices.Contains([]string{"", "wnam", "enam", "weur", "eeur", "apac", "oc"}, body.Hint):
		return nil, badRequest("Invalid property: primary_location_hint => Invalid enum value")
	case !slices.Contains([]string{"", "eu", "fedramp", "us"}, body.Jurisdiction):
		return nil, badRequest("Invalid property: jurisdiction => Invalid enum value")
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if slices.ContainsFunc(x.s.databases, func(d *database) bool { return d.name == body.Name }) {
		return nil, &refusal{http.StatusBadRequest, 7502, "Database with name '" + body.Name + "' already exists"}
	}
	d, err := x.s.add(x.r.Context(), body.Name, body.Jurisdiction)
	if err != nil {
		return nil, err
	}
	return d.listed(), nil
}

func (x *exchange) delete() (any, error) {
	x.s.mu.Lock()
	x.s.databases = slices.DeleteFunc(x.s.databases, func(d *database) bool { return d == x.db })
	x.s.mu.Unlock()
	return nil, x.db.remove()
}
