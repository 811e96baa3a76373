package d1

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// envelope is the frame of every v4 answer. Parts that some answers shape
// differently stay raw until they are looked at.
type envelope struct {
	Success    *bool           `json:"success"`
	Errors     json.RawMessage `json:"errors"`
	Result     json.RawMessage `json:"result"`
	ResultInfo json.RawMessage `json:"result_info"`
	// Code and Problem are the whole answer where it is not the v4 envelope.
	Code    json.RawMessage `json:"code"`
	Problem json.RawMessage `json:"error"`

	// status is that of the HTTP answer.
	status int
}

// apiError is one entry of "errors".
type apiError struct {
	Code    json.RawMessage `json:"code"`
	Message string          `json:"message"`
	Chain   []apiError      `json:"error_chain"`
}

// parseEnvelope reads an answer; false when it is not a JSON object.
func parseEnvelope(body []byte) (envelope, bool) {
	var env envelope
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, &env) != nil {
		return envelope{}, false
	}
	return env, true
}

// succeeded says whether the answer itself claims success. An answer in
// another frame than v4's never does.
func (e envelope) succeeded() bool { return e.Success != nil && *e.Success }

// failure is the code and the text of what went wrong, all entries and what
// led to them, and empty where the answer tells nothing.
func (e envelope) failure() (code int, text string) {
	var entries []apiError
	if json.Unmarshal(e.Errors, &entries) == nil && len(entries) > 0 {
		texts := make([]string, len(entries))
		for i, entry := range entries {
			texts[i] = entry.text(0)
		}
		return number(entries[0].Code), strings.Join(texts, "; ")
	}
	if text := plainText(e.Problem); text != "" {
		return number(e.Code), text
	}
	if text := plainText(e.Errors); text != "" {
		return number(e.Code), text
	}
	var inner struct {
		Problem json.RawMessage `json:"error"`
	}
	if json.Unmarshal(e.Result, &inner) != nil {
		return number(e.Code), ""
	}
	return number(e.Code), plainText(inner.Problem)
}

// text is the message with those of its chain. The depth is bounded because
// the answer is somebody else's.
func (a apiError) text(depth int) string {
	text := a.Message
	if depth > 4 {
		return text
	}
	for _, cause := range a.Chain {
		text += ": " + cause.text(depth+1)
	}
	return text
}

// number reads a code that may be a number or a string; 0 if it is neither.
func number(raw json.RawMessage) int {
	n, err := strconv.Atoi(strings.Trim(string(raw), `"`))
	if err != nil {
		return 0
	}
	return n
}

// plainText is the text of a JSON string, or the JSON itself where it is
// something else that says anything.
func plainText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	switch trimmed := string(bytes.TrimSpace(raw)); trimmed {
	case "", "null", "[]", "{}":
		return ""
	default:
		return trimmed
	}
}

// decode reads a result with its numbers as json.Number.
func decode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}
