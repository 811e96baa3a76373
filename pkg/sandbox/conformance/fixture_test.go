package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// api is a D1 REST API, the sandbox's or workerd's.
type api struct {
	baseURL, account, token string
}

const (
	sandboxAccount = "0123456789abcdef0123456789abcdef"
	sandboxToken   = "sandbox-conformance-token"
)

// startSandbox starts a sandbox that ends with the test.
func startSandbox(t *testing.T, change func(*sandbox.Options)) (*sandbox.Server, api) {
	t.Helper()
	opts := sandbox.Options{
		Dir: t.TempDir(), AccountID: sandboxAccount, Token: sandboxToken, Now: time.Now, RateLimit: -1,
	}
	if change != nil {
		change(&opts)
	}
	server, err := sandbox.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	listening, err := server.Listen(context.WithoutCancel(t.Context()), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = listening.Close()
		_ = server.Close()
	})
	return server, api{listening.BaseURL, sandboxAccount, sandboxToken}
}

// call sends a request below the account's databases and returns status and
// body.
func (a api) call(t *testing.T, method, path string, body any) (int, []byte) {
	t.Helper()
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, a.baseURL+"/accounts/"+a.account+"/d1/database"+path, text)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (int, []byte) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text
}

// bookmark is a database's current one.
func (a api) bookmark(t *testing.T, id string) string {
	t.Helper()
	var answer struct {
		Result struct{ Bookmark string }
	}
	_, text := a.call(t, http.MethodGet, "/"+id+"/time_travel/bookmark", nil)
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return answer.Result.Bookmark
}

type exportAnswer struct {
	Result struct {
		Success  bool   `json:"success"`
		Status   string `json:"status"`
		Error    string `json:"error"`
		Bookmark string `json:"at_bookmark"`
		Result   struct {
			URL string `json:"signed_url"`
		} `json:"result"`
	} `json:"result"`
}

// export follows an export to its end: the dump, or D1's reason for none.
func (a api) export(t *testing.T, id string, options map[string]any) (dump []byte, refused string) {
	t.Helper()
	body := map[string]any{"output_format": "polling", "dump_options": options}
	for range 100 {
		_, text := a.call(t, http.MethodPost, "/"+id+"/export", body)
		var answer exportAnswer
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		switch {
		case !answer.Result.Success:
			return nil, answer.Result.Error
		case answer.Result.Status == "complete":
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, answer.Result.Result.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, dump = do(t, req)
			return dump, ""
		}
		body["current_bookmark"] = answer.Result.Bookmark
	}
	t.Fatal("the export did not end")
	return nil, ""
}

// fidelityCase is a small database that must survive a backup and a restore.
type fidelityCase struct {
	Name string   `json:"name"`
	SQL  []string `json:"sql"`
}

func fidelityCases(t *testing.T) []fidelityCase {
	t.Helper()
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []fidelityCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 27 {
		t.Fatalf("only %d cases", len(cases))
	}
	return cases
}
