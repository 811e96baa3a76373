// Package workerdtest starts, for a test, Cloudflare's REST API for D1 over
// Cloudflare's own engine: .ci/workerd/server.mjs on workerd, with miniflare's
// own dump routine. Tests that use it skip under -short, and fail where `make
// test` did not install what it needs.
package workerdtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Server is a running server.
type Server struct {
	// BaseURL ends in /client/v4.
	BaseURL string `json:"baseUrl"`
	// FilesURL is the host of signed URLs.
	FilesURL  string `json:"filesUrl"`
	AccountID string `json:"accountId"`
	Token     string `json:"token"`
}

// startTime bounds the start of workerd on a busy machine.
const startTime = 2 * time.Minute

// Start starts a server with room for the given number of databases. It ends
// with the test.
func Start(t testing.TB, places int) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs node and workerd")
	}
	node, modules := Node(t)
	cmd := exec.Command(node, script(t)) //nolint:noctx // it ends when its standard input closes
	cmd.Env = append(os.Environ(), "PATINA_TEST_NODE_MODULES="+modules, fmt.Sprintf("WORKERD_PLACES=%d", places))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start node: %v", err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	return ready(t, stdout, &stderr)
}

// Node is the Node 22 that `make test` installed, and the folder of its
// modules.
func Node(t testing.TB) (program, modules string) {
	t.Helper()
	program, modules = os.Getenv("PATINA_TEST_NODE"), os.Getenv("PATINA_TEST_NODE_MODULES")
	if program == "" || modules == "" {
		t.Fatal("PATINA_TEST_NODE and PATINA_TEST_NODE_MODULES are not set: run the tests with `make test`")
	}
	return program, modules
}

// script is the server's source, found from this file's place.
func script(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("this file's place is not known")
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "..", ".ci", "workerd", "server.mjs")
}

func ready(t testing.TB, stdout io.Reader, stderr *bytes.Buffer) *Server {
	t.Helper()
	lines := make(chan []byte, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadBytes('\n')
		lines <- line
	}()
	select {
	case line := <-lines:
		var s Server
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatalf("the workerd server did not start: %q\n%s", line, stderr.String())
		}
		return &s
	case <-time.After(startTime):
		t.Fatalf("the workerd server did not start within %s\n%s", startTime, stderr.String())
	}
	return nil
}

// Create makes a database and runs the statements in it, one after the other.
// It returns the database's id.
func (s *Server) Create(t testing.TB, name string, statements ...string) string {
	t.Helper()
	var created struct {
		UUID string `json:"uuid"`
	}
	s.post(t, "", map[string]string{"name": name}, &created)
	for _, statement := range statements {
		s.post(t, "/"+created.UUID+"/query", map[string]string{"sql": statement}, nil)
	}
	return created.UUID
}

// post calls the API and fails the test for any answer but success.
func (s *Server) post(t testing.TB, path string, body, result any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		s.BaseURL+"/accounts/"+s.AccountID+"/d1/database"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer := struct {
		Success bool            `json:"success"`
		Errors  json.RawMessage `json:"errors"`
		Result  any             `json:"result"`
	}{Result: result}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatalf("POST %s: %s: %v", path, resp.Status, err)
	}
	if !answer.Success {
		t.Fatalf("POST %s with %.200s: %s: %s", path, text, resp.Status, answer.Errors)
	}
}
