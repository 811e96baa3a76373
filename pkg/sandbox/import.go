package sandbox

import (
	"errors"
	"net/http"
	"regexp"
	"time"
)

// AbandonedImport is what becomes of an import that nobody polls. What
// production does is not documented, so both are offered.
type AbandonedImport string

const (
	// AbandonedUndo returns the database to its state before: the default.
	AbandonedUndo AbandonedImport = ""
	// AbandonedFinish goes on to the end, unseen.
	AbandonedFinish AbandonedImport = "finish"
)

// FailureForm is how the failure of an import is told.
type FailureForm string

const (
	// FailureInside tells it as a success that holds a failure, and an engine
	// that was reset as a 429 with code 7429: the default.
	FailureInside FailureForm = ""
	// FailureStatus tells it as a success whose status is "error".
	FailureStatus FailureForm = "status"
	// FailureRefused tells it as the API's refusal.
	FailureRefused FailureForm = "refused"
	// FailureUntold tells it in the words that are also said of an import that
	// has succeeded: "Not currently importing anything."
	FailureUntold FailureForm = "untold"
)

type importBody struct {
	Action          string `json:"action"`
	ETag            string `json:"etag"`
	Filename        string `json:"filename"`
	CurrentBookmark string `json:"current_bookmark"`
}

var md5Form = regexp.MustCompile(`^[0-9a-f]{32}$`)

func (b importBody) check() error {
	if b.Action != "poll" && !md5Form.MatchString(b.ETag) {
		return badRequest("Invalid property: etag => Invalid")
	}
	switch {
	case b.Action == "init":
		return nil
	case b.Action == "ingest" && b.Filename == "":
		return badRequest("Invalid property: filename => Required")
	case b.Action == "poll" && b.CurrentBookmark == "":
		return badRequest("Invalid property: current_bookmark => Required")
	case b.Action != "ingest" && b.Action != "poll":
		return badRequest("Invalid property: action => Invalid discriminator value. Expected 'init' | 'ingest' | 'poll'")
	}
	return nil
}

// importFile is the import's one route: init, ingest and poll.
func (x *exchange) importFile() (any, error) {
	var body importBody
	if err := x.body(&body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	var polled *string
	if body.Action == "poll" {
		polled = &body.CurrentBookmark
	}
	return x.step(taskImport, polled, x.imported, func(now time.Time) (any, error) {
		if body.Action == "init" {
			return x.initImport(body.ETag, now)
		}
		return x.ingest(body, now)
	})
}

// ingest starts with a file that was uploaded.
func (x *exchange) ingest(body importBody, now time.Time) (any, error) {
	path, ok := x.s.uploaded(x.db, body.Filename, body.ETag)
	if !ok {
		return inner("Input file " + body.Filename + " missing or invalid"), nil
	}
	return x.startImport(path, now)
}

// initImport asks for a file, or starts at once with one that is there already.
func (x *exchange) initImport(etag string, now time.Time) (any, error) {
	name := uploadName(x.db, etag)
	if path, ok := x.s.uploaded(x.db, name, etag); ok {
		return x.startImport(path, now)
	}
	return map[string]string{"filename": name, "upload_url": x.s.invite(x.db, name, now)}, nil
}

// startImport begins an import. D1 waits a moment for one that ends quickly; as
// long as ImportPolls is not negative, none does.
func (x *exchange) startImport(path string, now time.Time) (any, error) {
	d := x.db
	if kind, blocked := d.blocks(now); blocked {
		return inner(kind.underWay(taskImport)), nil
	}
	bookmark := d.tell(x.s.opts.BookmarkMoves, now)
	if err := d.keep(x.s.opts.History); err != nil {
		return nil, err
	}
	l, err := d.openLoad(x.r.Context(), path, now)
	if err != nil {
		return nil, err
	}
	d.task = &task{kind: taskImport, bookmark: bookmark, seenAt: now, load: l}
	return x.imported(now)
}

// imported does the next part of an import, and tells how far it is.
func (x *exchange) imported(now time.Time) (any, error) {
	t, d := x.db.task, x.db
	t.load.run(d, x.s.opts.ImportPart, x.s.reset())
	if t.polls <= x.s.opts.ImportPolls || t.load.err == nil && !t.load.read {
		x.status = http.StatusAccepted
		return t.active(t.load.news()...), nil
	}
	d.task = nil
	if err := t.load.finish(x.s, d, now); err != nil {
		return x.importFailed(t, err)
	}
	meta, err := t.load.meta(d, now)
	if err != nil {
		return nil, err
	}
	told := t.told("complete", t.load.news())
	told["result"] = map[string]any{
		"num_queries": t.load.queries, "final_bookmark": d.tell(x.s.opts.BookmarkMoves, now), "meta": meta,
	}
	return told, nil
}

// importFailed tells why the database is as it was before.
func (x *exchange) importFailed(t *task, err error) (any, error) {
	text := d1Text(err)
	var refused *refusal
	isReset := errors.As(err, &refused)
	form := x.s.opts.ImportFailure
	told := t.told("error", nil)
	told["error"] = text
	switch {
	case form == FailureUntold:
		return inner(taskImport.idle()), nil
	case form == FailureStatus:
		told["errors"] = []string{text}
		return told, nil
	case isReset:
		return nil, refused
	case form == FailureRefused:
		return nil, sqlError(text)
	}
	told["success"] = false
	return told, nil
}
