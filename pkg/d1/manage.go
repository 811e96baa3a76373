package d1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
)

var (
	// ErrDatabaseExists says that the account has a database of that name.
	ErrDatabaseExists = errors.New("a database of that name exists")
	// ErrDatabaseLimit says that the account may have no more databases.
	ErrDatabaseLimit = errors.New("the account may have no more databases")
)

// IsNotFound says whether an error means that the account has no such database.
func IsNotFound(err error) bool {
	var failed *Error
	return errors.As(err, &failed) && failed.Code == codeNotFound
}

// IsOfQuery says whether D1 answered, and it is the query that failed: its SQL, or
// the time or memory that D1 gives to one.
func IsOfQuery(err error) bool {
	var failed *Error
	return errors.As(err, &failed) && failed.Code == codeSQL
}

// The codes of these refusals (cloudflare/workers-sdk, d1/create.ts).
const (
	codeExists   = 7502
	codeLimit    = 7406
	codeNotFound = 7404
	// codeSQL is that of whatever goes wrong below the API, errors of SQL first.
	codeSQL = 7500
)

// CreateRequest asks for a new database.
type CreateRequest struct {
	Name string
	// Location is a hint such as "weur"; Jurisdiction is "eu", "fedramp" or
	// "us". Empty leaves either to D1.
	Location, Jurisdiction string
}

// CreateDatabase makes a database, and returns it as D1 describes it afterwards.
// A lost answer is not followed by another try: it may have been made, and then
// the listing has it. Where it was made and cannot be described, the error comes
// with what the answer to its creation told, its id at least.
func (c *Client) CreateDatabase(ctx context.Context, req CreateRequest) (Database, error) {
	body := struct {
		Name         string `json:"name"`
		Location     string `json:"primary_location_hint,omitempty"`
		Jurisdiction string `json:"jurisdiction,omitempty"`
	}{req.Name, req.Location, req.Jurisdiction}
	env, err := c.do(ctx, call{op: opCreate, method: http.MethodPost, path: c.databasesPath(), body: body, once: true})
	if err != nil {
		return Database{}, hinted(createFailure(req.Name, err))
	}
	var wire databaseJSON
	if err := json.Unmarshal(env.Result, &wire); err != nil {
		return Database{}, unknownMade(req.Name, malformed(opCreate))
	}
	created, err := wire.database()
	if err != nil {
		return Database{}, unknownMade(req.Name, &Error{Op: opCreate, Class: ClassGiveUp, Err: err})
	}
	described, err := c.Get(ctx, created.ID)
	if err != nil {
		return created, fmt.Errorf("it was made (%s), and cannot be looked at: %w", created.ID, err)
	}
	return described, nil
}

func createFailure(name string, err error) error {
	var failed *Error
	if !errors.As(err, &failed) {
		return err
	}
	switch {
	case failed.Code == codeExists:
		return fmt.Errorf("%w: %w", ErrDatabaseExists, err)
	case failed.Code == codeLimit:
		return fmt.Errorf("%w: %w", ErrDatabaseLimit, err)
	case failed.Class == ClassRetry && !failed.untouched:
		return unknownMade(name, err)
	}
	return err
}

func unknownMade(name string, err error) error {
	return fmt.Errorf("it is not known whether %s was made; look before you try again: %w", name, err)
}

// uuidPattern is the form of a database's id. A name, which the API takes in its
// place elsewhere, must never be deleted by.
var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// DeleteDatabase deletes a database and everything in it, for good, by its id and
// never by its name. One that is gone already is no error.
func (c *Client) DeleteDatabase(ctx context.Context, id string) error {
	if !uuidPattern.MatchString(id) {
		return fmt.Errorf("%s: %q is no database id", opDelete, id)
	}
	_, err := c.do(ctx, call{op: opDelete, method: http.MethodDelete, path: c.databasePath(id, "")})
	if IsNotFound(err) {
		return nil
	}
	return hinted(err)
}

// Travelled is what a Time Travel restore did.
type Travelled struct {
	// Bookmark is where the database is now, and PreviousBookmark where it was.
	Bookmark, PreviousBookmark string
}

// TimeTravel takes a database back to a bookmark, in place. A lost answer is not
// followed by another try, which would put the way back out of reach: the
// bookmark of the database tells more.
func (c *Client) TimeTravel(ctx context.Context, id, bookmark string) (Travelled, error) {
	env, err := c.do(ctx, call{
		op: opTravel, method: http.MethodPost, path: c.databasePath(id, "/time_travel/restore"),
		query: url.Values{"bookmark": {bookmark}}, once: true,
	})
	if err != nil {
		return Travelled{}, hinted(err)
	}
	var result struct {
		Bookmark string `json:"bookmark"`
		Previous string `json:"previous_bookmark"`
	}
	if err := json.Unmarshal(env.Result, &result); err != nil {
		return Travelled{}, malformed(opTravel)
	}
	return Travelled{Bookmark: c.tame(result.Bookmark), PreviousBookmark: c.tame(result.Previous)}, nil
}

// Look runs a SELECT that the caller wrote and that is harmless to run twice: it
// is repeated as other reads are. See [Client.Raw] for its results.
func (c *Client) Look(ctx context.Context, id, sql string) (RawResult, error) {
	results, err := c.raw(ctx, opQuery, id, sqlRequest{SQL: sql, readOnly: true})
	if err != nil {
		return RawResult{}, hinted(err)
	}
	if len(results) != 1 {
		return RawResult{}, malformed(opQuery)
	}
	return results[0], nil
}
