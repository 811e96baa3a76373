package d1

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Bookmark returns the Time Travel bookmark of a database at a time, which is
// that of the nearest state at or before it; for the zero time the current one.
// Two equal bookmarks mean the same state, two different ones nothing.
func (c *Client) Bookmark(ctx context.Context, id string, at time.Time) (string, error) {
	query := url.Values{}
	if !at.IsZero() {
		query.Set("timestamp", at.UTC().Format("2006-01-02T15:04:05.999Z07:00"))
	}
	env, err := c.do(ctx, call{
		op: opBookmark, method: http.MethodGet, path: c.databasePath(id, "/time_travel/bookmark"), query: query,
	})
	if err != nil {
		return "", hinted(err)
	}
	var result struct {
		Bookmark string `json:"bookmark"`
	}
	if err := json.Unmarshal(env.Result, &result); err != nil || result.Bookmark == "" {
		return "", malformed(opBookmark)
	}
	return result.Bookmark, nil
}

// TokenID returns the id of the API token, which is R2's access key id of the
// same token. User tokens and account tokens are verified at different paths,
// and the token itself does not tell which it is.
func (c *Client) TokenID(ctx context.Context) (string, error) {
	id, err := c.verifyToken(ctx, "/user/tokens/verify")
	if err == nil {
		return id, nil
	}
	var failed *Error
	// Anything but a refusal says nothing about the kind of token.
	if !errors.As(err, &failed) || failed.Class != ClassUnauthorized && failed.Class != ClassGiveUp {
		return "", hinted(err)
	}
	id, second := c.verifyToken(ctx, "/accounts/"+url.PathEscape(c.account)+"/tokens/verify")
	if ClassOf(second) == ClassGiveUp {
		return "", hinted(err) // the path did not fit; the first answer says more
	}
	return id, hinted(second)
}

func (c *Client) verifyToken(ctx context.Context, path string) (string, error) {
	env, err := c.do(ctx, call{op: opToken, method: http.MethodGet, path: path})
	if err != nil {
		return "", err
	}
	var result struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	if err := json.Unmarshal(env.Result, &result); err != nil || result.ID == "" {
		return "", malformed(opToken)
	}
	if result.Status != "" && result.Status != "active" {
		return "", &Error{Op: opToken, Class: ClassUnauthorized, Message: "the token is " + c.tame(result.Status), Hint: hintToken}
	}
	return result.ID, nil
}
