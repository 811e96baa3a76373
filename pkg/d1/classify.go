package d1

import (
	"net/http"
	"strings"
)

// symptom is all that a judgement rests on.
type symptom struct {
	op     string
	status int
	code   int
	// text is what the API said, in full.
	text string
	// challenged: the answer carries "cf-mitigated: challenge".
	challenged bool
	// page: the answer is no JSON, so it is not the API that speaks.
	page bool
	// inner: the failure was told inside an answer of HTTP success.
	inner bool
}

// verdict is the judgement of one symptom.
type verdict struct {
	class Class
	// untouched: it is known that the request was refused before it ran.
	untouched bool
	// busy: the database refused because an export or import is running.
	busy bool
	// gone: the export or import that was asked about is not there.
	gone bool
	hint string
}

// The remedies.
const (
	hintToken     = "check the API token and the account id: the token needs Account > D1 > Edit on this account"
	hintExport    = "give the API token Account > D1 > Edit: exports with D1 Read have been reported to fail"
	hintDatabase  = "the account has no such database: it was deleted, or it belongs to another account"
	hintRoute     = "check the account id and the database id: the API found no such path"
	hintVirtual   = "D1 does not export databases with virtual tables such as FTS5"
	hintChallenge = "Cloudflare challenges this host's address: run from another one, or give support the cf-ray"
)

// rule is one row of the table: the first row whose conditions all hold
// decides. A zero condition holds always.
type rule struct {
	code int
	// text must occur in the message, in any case of letters.
	text string
	// from and to bound the status.
	from, to int
	// page and challenged must be set in the symptom, if set here.
	page, challenged bool
	// inner must be set in the symptom, if set here.
	inner   bool
	verdict verdict
}

// rules returns the table. Texts stand before codes, since code 7500 covers
// everything from a typing error to a lost connection, and codes before
// statuses. The retryable texts are those of Cloudflare's page on debugging D1.
func rules() []rule {
	retry := verdict{class: ClassRetry}
	wait := verdict{class: ClassWait, untouched: true}
	giveUp := verdict{class: ClassGiveUp}
	return []rule{
		{challenged: true, verdict: verdict{class: ClassRetry, hint: hintChallenge}},

		{text: "long-running export", verdict: verdict{class: ClassWait, untouched: true, busy: true}},
		{text: "long-running import", verdict: verdict{class: ClassWait, untouched: true, busy: true}},
		{text: "not currently importing anything", verdict: verdict{class: ClassRetry, gone: true}},
		{text: "reset before execute completed", verdict: retry},
		{text: "not currently exporting anything", verdict: verdict{class: ClassRetry, gone: true}},
		{text: "cannot export databases with virtual tables", verdict: verdict{class: ClassGiveUp, hint: hintVirtual}},
		{text: "d1 db is overloaded", verdict: wait},
		{text: "its code was updated", verdict: retry},
		{text: "internal error in d1 db storage", verdict: retry},
		{text: "internal error while starting up d1 db storage", verdict: retry},
		{text: "network connection lost", verdict: retry},
		{text: "due to transient issue", verdict: retry},
		{text: "exceeded its memory limit", verdict: retry},
		{text: "exceeded its cpu time limit", verdict: retry},
		{text: "storage operation exceeded timeout", verdict: retry},
		{text: "caused object to be reset", verdict: retry},
		{text: "reset before export completed", verdict: retry},

		{code: 10000, verdict: verdict{class: ClassUnauthorized, hint: hintToken}},
		{code: 7403, verdict: verdict{class: ClassUnauthorized, hint: hintToken}},
		{code: 7404, verdict: verdict{class: ClassGiveUp, hint: hintDatabase}},
		{code: 7003, verdict: verdict{class: ClassGiveUp, hint: hintRoute}},
		{code: 7400, verdict: giveUp},
		{code: 7406, verdict: giveUp},
		{code: 7502, verdict: giveUp},
		// An object that was reset may have run the statement.
		{code: 7429, verdict: verdict{class: ClassWait}},
		{code: 971, verdict: wait},
		{code: 7500, from: 500, to: 599, verdict: retry},
		{code: 7500, verdict: giveUp},

		{inner: true, verdict: giveUp},
		{page: true, from: 200, to: 299, verdict: retry},
		{from: 401, to: 401, verdict: verdict{class: ClassUnauthorized, hint: hintToken}},
		{from: 403, to: 403, verdict: verdict{class: ClassUnauthorized, hint: hintToken}},
		{from: 408, to: 409, verdict: retry},
		{from: 429, to: 429, verdict: wait},
		{from: 501, to: 501, verdict: giveUp},
		{from: 500, to: 599, verdict: retry},
		{verdict: giveUp},
	}
}

// classify judges a failure. It is the only place that does.
func classify(s symptom) verdict {
	text := strings.ToLower(s.text)
	for _, r := range rules() {
		if !r.holds(s, text) {
			continue
		}
		v := r.verdict
		if v.class == ClassUnauthorized && s.op == opExport {
			v.hint = hintExport
		}
		return v
	}
	return verdict{class: ClassGiveUp}
}

func (r rule) holds(s symptom, lowerText string) bool {
	switch {
	case r.code != 0 && r.code != s.code,
		r.text != "" && !strings.Contains(lowerText, r.text),
		r.from != 0 && (s.status < r.from || s.status > r.to),
		r.page && !s.page,
		r.challenged && !s.challenged,
		r.inner && !s.inner:
		return false
	}
	return true
}

// concernsAll says whether a refusal is Cloudflare's limit on the whole token.
// D1 uses the same status for one overloaded database, with a code of its own.
func concernsAll(s symptom) bool {
	overload := s.code == 7429 || strings.Contains(strings.ToLower(s.text), "d1 db ")
	return s.code == 971 || s.status == http.StatusTooManyRequests && !overload
}
