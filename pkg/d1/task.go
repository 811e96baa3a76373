package d1

import (
	"encoding/json"
	"net/http"
)

// taskJSON is what the answers about an export and about an import have in common,
// on the wire.
type taskJSON struct {
	Success  *bool           `json:"success"`
	Status   string          `json:"status"`
	Bookmark string          `json:"at_bookmark"`
	Problem  json.RawMessage `json:"error"`
	Problems json.RawMessage `json:"errors"`

	running bool
}

func (s taskJSON) failed() bool {
	return s.Success != nil && !*s.Success || s.Status == "error"
}

// problem is the reason of a failure, which the description puts into "error"
// and wrangler, for imports, reads from "errors".
func (s taskJSON) problem() string {
	if text := plainText(s.Problem); text != "" {
		return text
	}
	return plainText(s.Problems)
}

// settle finds out whether the task still runs, which the HTTP status tells where
// the answer does not.
func (s *taskJSON) settle(status int) {
	s.running = s.Status == "active" || s.Status == "" && status == http.StatusAccepted
}
