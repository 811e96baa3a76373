package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// refusal is an answer of the API that says no.
type refusal struct {
	status, code int
	message      string
}

// Error is what the API says.
func (r *refusal) Error() string { return r.message }

// The refusals of facts that have a code (section 6.4 of the fact sheet).
func badRequest(format string, args ...any) error {
	return &refusal{http.StatusBadRequest, 7400, fmt.Sprintf(format, args...)}
}

func noRoute(path string) error {
	return &refusal{http.StatusNotFound, 7003, fmt.Sprintf("Could not route to %s, perhaps your object identifier is invalid?", path)}
}

func noDatabase(id string) error {
	return &refusal{http.StatusNotFound, 7404, fmt.Sprintf("The database %s could not be found", id)}
}

func sqlError(message string) error {
	return &refusal{http.StatusBadRequest, 7500, message}
}

// exchange is one call of the API.
type exchange struct {
	s *Server
	w http.ResponseWriter
	r *http.Request
	// call is the call's name; db is what it is about, if anything.
	call string
	db   *database
	// status is that of a good answer.
	status int
	// info goes into the envelope's result_info.
	info map[string]any
	// readOnly is set when the token may only read.
	readOnly bool
	// fault is what was ordered for this call, if anything.
	fault *Fault
}

// API is the API's host: everything below /client/v4.
func (s *Server) API() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("cf-ray", s.ray())
		x := &exchange{s: s, w: w, r: r, status: http.StatusOK}
		handle, err := x.route()
		s.note(Call{Name: x.call, Database: x.name(), Authorized: r.Header.Get("Authorization") != ""})
		if x.fault = s.takeFault(x.call, x.name()); x.fault != nil && x.fault.before(x) {
			return
		}
		if limited := s.rates.take(w.Header(), r.Header.Get("Authorization")); limited != nil && err == nil {
			err = limited
		}
		if err != nil {
			x.refuse(err)
			return
		}
		result, err := handle(x)
		if err != nil {
			x.refuse(err)
			return
		}
		x.answer(result)
	})
}

// ray is what support asks for: different for every answer.
func (s *Server) ray() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	return fmt.Sprintf("%016x-SBX", s.serial*0x9e3779b97f4a7c15)
}

func (x *exchange) name() string {
	if x.db == nil {
		return ""
	}
	return x.db.name
}

type handler func(*exchange) (any, error)

// route finds what a request asks for, and refuses who may not ask.
func (x *exchange) route() (handler, error) {
	x.call = "unknown"
	path, ok := strings.CutPrefix(x.r.URL.Path, "/client/v4/")
	if !ok {
		return nil, noRoute(x.r.URL.Path)
	}
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	x.call = callName(x.r.Method, parts)
	if err := x.authenticate(); err != nil {
		return nil, err
	}
	if x.call == "verify" {
		return (*exchange).verifyToken, nil
	}
	if x.call == "unknown" {
		return nil, noRoute("/" + path)
	}
	if parts[1] != x.s.opts.AccountID {
		return nil, &refusal{http.StatusForbidden, 7403, "The given account is not valid or is not authorized to access this service"}
	}
	if len(parts) > 4 {
		if x.db = x.s.find(parts[4], x.call == "get"); x.db == nil {
			return nil, noDatabase(parts[4])
		}
	}
	if x.readOnly && slices.Contains([]string{"create", "delete", "export", "import", "restore"}, x.call) {
		return nil, &refusal{http.StatusForbidden, 10000, "Authentication error"}
	}
	return handlers()[x.call], nil
}

// callName is what a method and a path below /client/v4 mean. Starts and polls
// share a route, and a name.
func callName(method string, parts []string) string {
	if len(parts) < 4 || parts[0] != "accounts" || parts[2] != "d1" || parts[3] != "database" {
		joined := strings.Join(parts, "/")
		if method == http.MethodGet && (joined == "user/tokens/verify" ||
			len(parts) == 4 && parts[0] == "accounts" && parts[2] == "tokens" && parts[3] == "verify") {
			return "verify"
		}
		return "unknown"
	}
	calls := map[string]string{
		"GET 0": "list", "POST 0": "create", "GET 1": "get", "DELETE 1": "delete",
		"POST query": "query", "POST raw": "raw", "POST export": "export", "POST import": "import",
		"GET time_travel/bookmark": "bookmark", "POST time_travel/restore": "restore",
	}
	what := fmt.Sprint(len(parts) - 4)
	if len(parts) > 5 {
		what = strings.Join(parts[5:], "/")
	}
	if call, ok := calls[method+" "+what]; ok {
		return call
	}
	return "unknown"
}

func handlers() map[string]handler {
	return map[string]handler{
		"list": (*exchange).list, "create": (*exchange).create, "get": (*exchange).get, "delete": (*exchange).delete,
		"query": (*exchange).query, "raw": (*exchange).raw, "export": (*exchange).export, "import": (*exchange).importFile,
		"bookmark": (*exchange).bookmark, "restore": (*exchange).restore,
	}
}

func (x *exchange) authenticate() error {
	switch x.r.Header.Get("Authorization") {
	case "Bearer " + x.s.opts.Token:
		return nil
	case "Bearer " + x.s.opts.ReadToken:
		if x.s.opts.ReadToken != "" {
			x.readOnly = true
			return nil
		}
	case "":
		return &refusal{http.StatusUnauthorized, 10000, "Authentication error"}
	}
	return &refusal{http.StatusUnauthorized, 10000, "Authentication error"}
}

// TokenID is what the API calls the token.
const TokenID = "5a4db0c0e1b24f0c8f5d3c0b6a1e9d77"

func (x *exchange) verifyToken() (any, error) {
	return map[string]string{"id": TokenID, "status": "active"}, nil
}

// maxBody is more than any call may send.
const maxBody = 16 << 20

// body reads the request's JSON into v, strictly.
func (x *exchange) body(v any) error {
	text, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	if err != nil {
		return badRequest("Invalid request body: %s", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badRequest("Invalid property: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if d.More() {
		return badRequest("Invalid request body: more than one document")
	}
	return nil
}

type envelope struct {
	Success    bool           `json:"success"`
	Errors     []message      `json:"errors"`
	Messages   []message      `json:"messages"`
	Result     any            `json:"result"`
	ResultInfo map[string]any `json:"result_info,omitempty"`
}

type message struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (x *exchange) answer(result any) {
	x.send(x.status, envelope{Success: true, Errors: []message{}, Messages: []message{}, Result: result, ResultInfo: x.info})
}

func (x *exchange) refuse(err error) {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{http.StatusInternalServerError, 7500, "internal error: " + err.Error()}
	}
	x.send(r.status, envelope{Errors: []message{{r.code, r.message}}, Messages: []message{}})
}

// send writes an answer, as an ordered fault may change it.
func (x *exchange) send(status int, body envelope) {
	text, err := json.Marshal(body)
	if err != nil {
		// Only values of our own making are marshalled.
		panic(fmt.Sprintf("sandbox: marshal the answer: %v", err))
	}
	if x.fault != nil && x.fault.after(x) {
		return
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(status)
	_, _ = x.w.Write(text) // a client that went away is its own affair
}
