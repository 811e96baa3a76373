package main

import (
	"bytes"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
)

// The calls of restores, rewinds and drills, beside those that backups make, too:
// the listing, what is known of a database, the begin and the end record.
const (
	callMake        = "create"
	callSchema      = "schema query"
	callCount       = "count query"
	callBookmark    = "bookmark"
	callInit        = "import init"
	callUpload      = "upload"
	callIngest      = "ingest"
	callImportPoll  = "import poll"
	callLook        = "marker look"
	callSchemaAfter = "schema after"
	callCountAfter  = "count after"
	callDrop        = "marker drop"
	callAfter       = "bookmark after"
	callTravel      = "time travel"
	callDelete      = "delete"
	callProof       = "proof record"
)

// changeCalls names the calls of one run that changes a database.
type changeCalls struct {
	// changed is set once the database may have been changed: what is asked from
	// then on has another name.
	changed atomic.Bool
}

// api names the calls of D1's API.
func (c *changeCalls) api(r *http.Request) string {
	rest, ok := strings.CutPrefix(r.URL.Path, "/client/v4/accounts/"+scriptAccount+"/d1/database")
	if !ok {
		return ""
	}
	_, action, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	switch r.Method + " " + action {
	case "GET ":
		if rest == "" {
			return callList
		}
		return callGet
	case "POST ":
		return callMake
	case "DELETE ":
		return callDelete
	case "GET time_travel/bookmark":
		return c.after(callBookmark, callAfter)
	case "POST time_travel/restore":
		c.changed.Store(true)
		return callTravel
	case "POST import":
		return c.step(peek(r))
	case "POST query":
		if bytes.Contains(peek(r), []byte("DROP TABLE IF EXISTS")) {
			return callDrop
		}
	case "POST raw":
		return c.question(peek(r))
	}
	return ""
}

func (c *changeCalls) after(before, after string) string {
	if c.changed.Load() {
		return after
	}
	return before
}

// step names the calls of an import.
func (c *changeCalls) step(body []byte) string {
	switch {
	case bytes.Contains(body, []byte(`"init"`)):
		return callInit
	case bytes.Contains(body, []byte(`"ingest"`)):
		c.changed.Store(true)
		return callIngest
	}
	return callImportPoll
}

// question names the queries; that of the safety backup for virtual tables has no
// name.
func (c *changeCalls) question(body []byte) string {
	switch {
	case bytes.Contains(body, []byte("SELECT type, name, coalesce(sql")):
		return c.after(callSchema, callSchemaAfter)
	case bytes.Contains(body, []byte("SELECT (SELECT count(*) FROM")):
		return c.after(callCount, callCountAfter)
	case bytes.Contains(body, []byte("'_patina_restore")), bytes.Contains(body, []byte("max(piece)")):
		return callLook
	}
	return ""
}

// file names the upload of SQL.
func (c *changeCalls) file(r *http.Request) string {
	if r.Method == http.MethodPut {
		return callUpload
	}
	return ""
}

// store names the records. Those of the safety backup have no name.
func (c *changeCalls) store(r *http.Request) string {
	if r.Method != http.MethodPut {
		return ""
	}
	key := strings.TrimPrefix(r.URL.Path, "/patina-test/")
	if strings.HasPrefix(key, "records/proof/") {
		return callProof
	}
	for _, verb := range []string{"restore", "rewind", "drill"} {
		for end, call := range map[string]string{".begin.json": callBegin, ".end.json": callEnd} {
			if ok, _ := path.Match("jobs/*/"+verb+"-*"+end, key); ok {
				return call
			}
		}
	}
	return ""
}
