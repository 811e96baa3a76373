package d1

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Class says what can be done about a failure.
type Class string

// The classes, from the mildest to the one that needs a person.
const (
	// ClassRetry is a failure that another try may not meet again.
	ClassRetry Class = "retry"
	// ClassWait is a refusal for now: the API or the database is busy.
	ClassWait Class = "wait"
	// ClassGiveUp is a failure that would meet every other try too.
	ClassGiveUp Class = "give_up"
	// ClassUnauthorized is a refusal of the token or the account.
	ClassUnauthorized Class = "unauthorized"
)

// ErrSilence is wrapped by the errors of exports and downloads that heard
// nothing for longer than they were told to bear.
var ErrSilence = errors.New("no answer")

// errSlow is the cause of a request's end by its own time limit.
var errSlow = errors.New("the request took too long")

// Error is a failed call. Its text is one line without secrets.
type Error struct {
	// Op is what was tried, in words: "list databases", "export".
	Op string
	// Status is the HTTP status; 0 when no answer came.
	Status int
	// Code is Cloudflare's own, such as 7404; 0 when none was told.
	Code int
	// Message is what the API said, on one line and of bounded length.
	Message string
	// RayID is the cf-ray of the answer, which Cloudflare's support asks for.
	RayID string
	Class Class
	// RetryAfter is how long the answer asks to wait; 0 when it does not.
	RetryAfter time.Duration
	// Hint is a remedy in words, where one is known.
	Hint string
	// Err is the cause below HTTP, where there is one.
	Err error

	// page says in words what came in place of an answer in JSON.
	page string
	// untouched is set when it is known that the request changed nothing,
	// because it was refused or never sent.
	untouched bool
	// throttled is set when the refusal concerns the whole account or token,
	// not the one database.
	throttled bool
	// busy is set when the database refused because it is exporting.
	busy bool
	// final is set when no further request for the same body can help.
	final bool
	// gone is set when the export that was asked about does not exist.
	gone bool
	// inner is set when the failure of an import was told inside an answer of
	// success.
	inner bool
}

// Error tells the operation, the status, what the API said, and its ray.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	b.WriteString(":")
	failedStatus := e.Status != 0 && (e.Status < 200 || e.Status > 299)
	if failedStatus || e.page != "" {
		fmt.Fprintf(&b, " %s", statusText(e.Status))
		if e.page != "" {
			b.WriteString(" with " + e.page)
		}
		if e.Message != "" || e.Err != nil {
			b.WriteString(":")
		}
	}
	if e.Message != "" {
		b.WriteString(" " + e.Message)
		if e.Err != nil {
			b.WriteString(":")
		}
	}
	if e.Err != nil {
		b.WriteString(" " + oneLine(e.Err.Error()))
	}
	b.WriteString(e.marks())
	return b.String()
}

// marks are what support asks for, in parentheses.
func (e *Error) marks() string {
	var marks []string
	if e.Code != 0 {
		marks = append(marks, fmt.Sprintf("code %d", e.Code))
	}
	if e.RayID != "" {
		marks = append(marks, "cf-ray "+e.RayID)
	}
	if len(marks) == 0 {
		return ""
	}
	return " (" + strings.Join(marks, ", ") + ")"
}

// Unwrap is the cause below HTTP, if any.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf is the class of the first [Error] in err's chain, and empty where
// there is none: an error of a context, or no error of this package.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ""
}

func statusText(status int) string {
	text := http.StatusText(status)
	if text == "" {
		return fmt.Sprintf("HTTP status %d", status)
	}
	return fmt.Sprintf("%d %s", status, text)
}
