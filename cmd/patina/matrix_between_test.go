package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The calls of the fault matrix, in the order of a backup.
const (
	callList      = "list"
	callGet       = "get"
	callStart     = "export start"
	callPoll      = "poll"
	callDownload  = "download"
	callPut       = "put"
	callParts     = "parts"
	callComplete  = "complete"
	callManifest  = "manifest"
	callCatalogue = "catalogue"
)

// Calls beside the matrix: the look for virtual tables, the listing that finds
// this night's backup, what begins an upload in parts, and the run's records.
const (
	callVirtual = "virtual tables"
	callNight   = "store list"
	callCreate  = "create upload"
	callBegin   = "begin record"
	callEnd     = "end record"
)

// The faults of the matrix.
const (
	fault429     = "429"
	fault500     = "500"
	fault502     = "502, HTML"
	fault503     = "503"
	faultReset   = "reset"
	faultStall   = "stall"
	faultCut     = "cut"
	faultLength  = "wrong length"
	faultExpired = "expired"
	faultSlow    = "slow"
)

// faultLie is beside the matrix: an answer with other numbers in it.
const faultLie = "lie"

// between stands between the program and the servers of D1 and the store, and
// does one fault to one call of the database alpha.
type between struct {
	mu    sync.Mutex
	call  string
	fault string
	// left is how many requests the fault is still to meet; below 0 all.
	left int
	// met counts the requests that met the fault, seen all of the call.
	met, seen int
	// alpha is the id of the database alpha.
	alpha string
	// change names the calls of restores, rewinds and drills; nil names those of
	// backups.
	change *changeCalls
	// first is what goes wrong before, so that the call is made at all.
	first spell
}

// spell is a fault of a call, until it has ended.
type spell struct {
	call, fault string
	left        int
}

// order makes a fault happen from now on.
func (b *between) order(call, fault string, times int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.call, b.fault, b.left, b.met, b.seen = call, fault, times, 0, 0
}

// clear ends the fault, and says how many requests met it and how many of the
// call there were.
func (b *between) clear() (met, seen int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.call, b.first = "", spell{}
	return b.met, b.seen
}

// meet says whether a request of a call meets the fault, and which.
func (b *between) meet(call string) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if call != "" && call == b.first.call && b.first.left != 0 {
		b.first.left--
		return b.first.fault, true
	}
	if call == "" || call != b.call {
		return "", false
	}
	b.seen++
	if b.left == 0 {
		return "", false
	}
	b.left--
	b.met++
	return b.fault, true
}

// wrap puts the faults before a server whose requests name tells the calls of.
func (b *between) wrap(name func(*http.Request) string, answers answers) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			call := name(r)
			fault, met := b.meet(call)
			if !met {
				next.ServeHTTP(w, r)
				return
			}
			answers.spoil(w, r, next, call, fault)
		})
	}
}

// apiCall names the calls of D1's API.
func (b *between) apiCall(r *http.Request) string {
	if b.change != nil {
		return b.change.api(r)
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/client/v4/accounts/"+scriptAccount+"/d1/database")
	switch {
	case !ok:
		return ""
	case rest == "" && r.Method == http.MethodGet:
		return callList
	case rest == "/"+b.alpha && r.Method == http.MethodGet:
		return callGet
	case rest == "/"+b.alpha+"/raw":
		return callVirtual
	case rest != "/"+b.alpha+"/export":
		return ""
	}
	body := peek(r)
	if bytes.Contains(body, []byte("current_bookmark")) {
		return callPoll
	}
	return callStart
}

// peek reads a request's body and leaves it to be read again.
func peek(r *http.Request) []byte {
	body, _ := io.ReadAll(r.Body) // what is missing is the server's to refuse
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// fileCall names the download of a dump.
func (b *between) fileCall(r *http.Request) string {
	if b.change != nil {
		return b.change.file(r)
	}
	if strings.Contains(r.URL.Path, "/"+b.alpha+"-") {
		return callDownload
	}
	return ""
}

// storeCall names the calls of the store that write alpha's backup. Where a
// store may tell a wrong length of a multipart object, it is by what follows
// the call that completes it: to the program the two are one step.
func (b *between) storeCall(r *http.Request) string {
	if b.change != nil {
		return b.change.store(r)
	}
	key := strings.TrimPrefix(r.URL.Path, "/patina-test/")
	dump, _ := path.Match("daily/*/alpha*.sql", key)
	manifest, _ := path.Match("daily/*/alpha*.json", key)
	query := r.URL.Query()
	b.mu.Lock()
	told := b.call == callComplete && b.fault == faultLength
	b.mu.Unlock()
	begin, _ := path.Match("jobs/*/*.begin.json", key)
	end, _ := path.Match("jobs/*/*.end.json", key)
	switch {
	case begin && r.Method == http.MethodPut:
		return callBegin
	case end && r.Method == http.MethodPut:
		return callEnd
	case query.Has("list-type") && query.Get("prefix") == "daily/2024-12-08/alpha":
		return callNight
	case dump && r.Method == http.MethodPost && query.Has("uploads"):
		return callCreate
	case manifest && r.Method == http.MethodPut:
		return callManifest
	case dump && r.Method == http.MethodPut && query.Has("partNumber"):
		return callParts
	case dump && r.Method == http.MethodPut:
		return callPut
	case dump && r.Method == http.MethodPost && query.Has("uploadId") && !told,
		dump && r.Method == http.MethodHead && told:
		return callComplete
	}
	return ""
}

// answers are the forms in which one kind of server refuses.
type answers struct {
	// refuse makes the answer of a status.
	refuse func(w http.ResponseWriter, status int)
	// expired makes the answer of a call that came too late.
	expired func(w http.ResponseWriter, call string)
}

// pieces is into how many a slow body is cut, and pause what lies between two:
// well below every limit on silence, together above none.
const (
	pieces = 4
	lull   = 2 * time.Second
)

// spoil does a fault to a request.
func (a answers) spoil(w http.ResponseWriter, r *http.Request, next http.Handler, call, fault string) {
	switch fault {
	case fault429:
		w.Header().Set("Retry-After", "2")
		a.refuse(w, http.StatusTooManyRequests)
	case fault500:
		a.refuse(w, http.StatusInternalServerError)
	case fault502:
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>")
	case fault503:
		a.refuse(w, http.StatusServiceUnavailable)
	case faultReset:
		panic(http.ErrAbortHandler)
	case faultStall:
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	case faultCut:
		cutOff(w, r, next)
	case faultLength:
		wrongLength(w, r, next)
	case faultExpired:
		a.expired(w, call)
	case faultSlow:
		slowly(w, r, next)
	case faultLie:
		got := recorded(r, next)
		_, _ = strings.NewReplacer("[[", "[[7", "]]", "7]]").WriteString(w, got.Body.String()) // the client may have gone
	default:
		panic("unknown fault " + fault)
	}
}

// cutOff lets the request take effect and breaks its answer off in the middle:
// in the body, or in the head where there is no body.
func cutOff(w http.ResponseWriter, r *http.Request, next http.Handler) {
	got := recorded(r, next)
	head := head(got, len(got.Body.Bytes()))
	sent := head[:len(head)/2]
	if n := got.Body.Len(); n > 0 {
		sent = head + got.Body.String()[:n/2]
	}
	raw(w, sent)
}

// wrongLength has a body end short of what there is, as if it were whole: that
// of the request, where one is sent to be stored, and else that of the answer.
func wrongLength(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Method == http.MethodPut {
		r.Body = io.NopCloser(io.LimitReader(r.Body, r.ContentLength-1))
		r.ContentLength--
		r.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
		next.ServeHTTP(w, r)
		return
	}
	got := recorded(r, next)
	if r.Method == http.MethodHead && got.Code == http.StatusOK {
		length, _ := strconv.Atoi(got.Header().Get("Content-Length"))
		raw(w, head(got, length-1))
		return
	}
	raw(w, head(got, got.Body.Len()/2)+got.Body.String()[:got.Body.Len()/2])
}

// slowly passes both bodies on piece by piece.
func slowly(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.ContentLength > 0 {
		r.Body = io.NopCloser(&slowReader{src: r.Body, piece: int(r.ContentLength/pieces) + 1})
	}
	got := recorded(r, next)
	for name, values := range got.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(got.Code)
	for body := got.Body.Bytes(); len(body) > 0; {
		n := min(len(body), got.Body.Len()/pieces+1)
		_, _ = w.Write(body[:n])
		_ = http.NewResponseController(w).Flush()
		body = body[n:]
		time.Sleep(lull)
	}
}

// slowReader has a lull before each piece.
type slowReader struct {
	src io.Reader
	// piece is the length of a piece, left what is left of this one.
	piece, left int
}

// Read reads on in the piece at hand.
func (s *slowReader) Read(p []byte) (int, error) {
	if s.left == 0 {
		time.Sleep(lull)
		s.left = s.piece
	}
	n, err := s.src.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

func recorded(r *http.Request, next http.Handler) *httptest.ResponseRecorder {
	got := httptest.NewRecorder()
	next.ServeHTTP(got, r)
	return got
}

// head is the head of an answer that announces a length.
func head(got *httptest.ResponseRecorder, length int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", got.Code, http.StatusText(got.Code))
	header := got.Header().Clone()
	header.Set("Content-Length", strconv.Itoa(length))
	_ = header.Write(&b) // to memory
	return b.String() + "\r\n"
}

// raw sends bytes in the place of an answer and closes the connection.
func raw(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, text) // the client may have gone
	_ = conn.Close()
}

// apiAnswers are those of D1's API. A token that has expired is refused; an
// export that has is not known any more.
func apiAnswers() answers {
	envelope := func(w http.ResponseWriter, status, code int, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"success":false,"errors":[{"code":%d,"message":%q}],"messages":[],"result":null}`, code, message)
	}
	return answers{
		refuse: func(w http.ResponseWriter, status int) {
			if status == http.StatusTooManyRequests {
				envelope(w, status, 971, "Please wait and consider throttling your request speed")
				return
			}
			envelope(w, status, 7500, "internal error, ordered by the test")
		},
		expired: func(w http.ResponseWriter, call string) {
			if doing, ok := map[string]string{callPoll: "export", callImportPoll: "import"}[call]; ok {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(w, `{"success":true,"errors":[],"messages":[],"result":{"success":false,"error":"Not currently %sing anything."}}`, doing)
				return
			}
			envelope(w, http.StatusUnauthorized, 10000, "Authentication error")
		},
	}
}

// storeAnswers are those of R2, and of the host of signed URLs, which is R2
// too. Credentials, and signed URLs, that have expired are refused; an upload
// that has is not there any more.
func storeAnswers() answers {
	document := func(w http.ResponseWriter, status int, code string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>ordered by the test</Message></Error>`, code)
	}
	return answers{
		refuse: func(w http.ResponseWriter, status int) {
			codes := map[int]string{429: "TooManyRequests", 500: "InternalError", 503: "SlowDown"}
			document(w, status, codes[status])
		},
		expired: func(w http.ResponseWriter, call string) {
			switch call {
			case callDownload, callUpload:
				document(w, http.StatusForbidden, "ExpiredRequest")
			case callParts, callComplete:
				document(w, http.StatusNotFound, "NoSuchUpload")
			default:
				document(w, http.StatusForbidden, "AccessDenied")
			}
		},
	}
}
