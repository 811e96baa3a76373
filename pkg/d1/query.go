package d1

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"unicode/utf8"
)

// Meta is what D1 tells about one statement.
type Meta struct {
	RowsRead    int64
	RowsWritten int64
	Changes     int64
	LastRowID   int64
	// SizeAfter is the database's size in bytes after the statement.
	SizeAfter int64
	ChangedDB bool
	// Region is where the statement ran, where D1 tells it.
	Region string
}

// Result is what one statement gave, each row as an object. Numbers are
// json.Number, blobs are lists of numbers, and of columns with the same name
// only one is left: use [Client.Raw] where that matters.
type Result struct {
	Rows []map[string]any
	Meta Meta
}

// RawResult is what one statement gave, each row in the order of Columns.
// Numbers are json.Number, blobs are lists of numbers.
//
// D1 itself passes integers through a double before they come here: those
// beyond 2^53 are not what is stored. Select CAST(c AS TEXT) for exact ones.
type RawResult struct {
	Columns []string
	Rows    [][]any
	Meta    Meta
}

// Query runs SQL and returns one result per statement. It repeats the request
// only when it is known that D1 did not run it; that includes a database that
// is being exported, whose end is waited for as long as ctx allows.
func (c *Client) Query(ctx context.Context, id, sql string, params ...string) ([]Result, error) {
	statements, err := c.statements(ctx, opQuery, c.databasePath(id, "/query"), sqlRequest{SQL: sql, Params: params})
	if err != nil {
		return nil, hinted(err)
	}
	results := make([]Result, len(statements))
	for i, s := range statements {
		if decode(s.Results, &results[i].Rows) != nil {
			return nil, malformed(opQuery)
		}
		results[i].Meta = s.Meta.meta()
	}
	return results, nil
}

// Raw runs SQL and returns one result per statement, with the columns in order.
// It repeats the request as [Client.Query] does.
func (c *Client) Raw(ctx context.Context, id, sql string, params ...string) ([]RawResult, error) {
	results, err := c.raw(ctx, opQuery, id, sqlRequest{SQL: sql, Params: params})
	return results, hinted(err)
}

func (c *Client) raw(ctx context.Context, op, id string, body sqlRequest) ([]RawResult, error) {
	statements, err := c.statements(ctx, op, c.databasePath(id, "/raw"), body)
	if err != nil {
		return nil, err
	}
	results := make([]RawResult, len(statements))
	for i, s := range statements {
		var rows struct {
			Columns []string `json:"columns"`
			Rows    [][]any  `json:"rows"`
		}
		if decode(s.Results, &rows) != nil {
			return nil, malformed(op)
		}
		for _, row := range rows.Rows {
			if len(row) != len(rows.Columns) {
				return nil, malformed(op)
			}
		}
		results[i] = RawResult{Columns: rows.Columns, Rows: rows.Rows, Meta: s.Meta.meta()}
	}
	return results, nil
}

// sqlRequest is the body of both calls. D1 refuses params of null, so they are
// left out when there are none.
type sqlRequest struct {
	SQL    string   `json:"sql"`
	Params []string `json:"params,omitempty"`

	// readOnly: the client wrote the SQL, and running it twice is harmless.
	readOnly bool
}

// valid refuses what JSON cannot carry and would replace without a word.
func (r sqlRequest) valid(op string) error {
	if utf8.ValidString(r.SQL) && !slices.ContainsFunc(r.Params, func(p string) bool { return !utf8.ValidString(p) }) {
		return nil
	}
	return &Error{Op: op, Class: ClassGiveUp, Message: "the SQL or a parameter is not valid UTF-8; pass such bytes as hex"}
}

// statementJSON is the answer to one statement.
type statementJSON struct {
	Success *bool           `json:"success"`
	Problem json.RawMessage `json:"error"`
	Results json.RawMessage `json:"results"`
	Meta    metaJSON        `json:"meta"`
}

func (c *Client) statements(ctx context.Context, op, path string, body sqlRequest) ([]statementJSON, error) {
	if err := body.valid(op); err != nil {
		return nil, err
	}
	env, err := c.do(ctx, call{
		op: op, method: http.MethodPost, path: path, body: body,
		size: maxRowsAnswer, once: !body.readOnly,
	})
	if err != nil {
		return nil, err
	}
	var statements []statementJSON
	if err := json.Unmarshal(env.Result, &statements); err != nil {
		return nil, malformed(op)
	}
	for _, s := range statements {
		if s.Success != nil && !*s.Success {
			return nil, c.innerFailure(op, http.StatusOK, plainText(s.Problem))
		}
	}
	return statements, nil
}

// innerFailure is a failure told inside an answer of HTTP success.
func (c *Client) innerFailure(op string, status int, text string) *Error {
	failed := &Error{Op: op, Status: status, Message: c.tame(text)}
	if failed.Message == "" {
		failed.Message = "the answer tells of a failure without a reason"
	}
	failed.settle(symptom{op: op, status: status, text: text, inner: true})
	return failed
}

// metaJSON is Meta on the wire.
type metaJSON struct {
	RowsRead    json.Number `json:"rows_read"`
	RowsWritten json.Number `json:"rows_written"`
	Changes     json.Number `json:"changes"`
	LastRowID   json.Number `json:"last_row_id"`
	SizeAfter   json.Number `json:"size_after"`
	ChangedDB   bool        `json:"changed_db"`
	Region      string      `json:"served_by_region"`
}

func (m metaJSON) meta() Meta {
	return Meta{
		RowsRead: whole(m.RowsRead), RowsWritten: whole(m.RowsWritten), Changes: whole(m.Changes),
		LastRowID: whole(m.LastRowID), SizeAfter: whole(m.SizeAfter), ChangedDB: m.ChangedDB, Region: m.Region,
	}
}
