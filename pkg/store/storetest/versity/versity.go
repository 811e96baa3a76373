// Package versity starts versitygw, an S3 server by other people, for tests.
//
// It is the second opinion on what an S3 server answers: r2fake knows R2's
// rules, but was written beside the code that it tests. versitygw checks
// signatures and keeps conditions, also when a multipart upload is completed;
// it takes unequal parts and speaks plain HTTP.
//
// The binary is named by the environment variable PATINA_TEST_VERSITYGW.
package versity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Variable is the environment variable that holds the path of the binary.
const Variable = "PATINA_TEST_VERSITYGW"

const (
	accessKey = "patina-test"
	secretKey = "patina-test-secret-key"
	bucket    = "patina-test"
	region    = "auto"
	health    = "/health"

	// maxPorts is how many free ports are tried: another process may take one
	// between its choice and its use.
	maxPorts     = 10
	startTimeout = 30 * time.Second
)

// Server is a versitygw at work, with one empty bucket.
type Server struct {
	// Endpoint is a URL with the scheme http.
	Endpoint  string
	AccessKey string
	SecretKey string
	Region    string
	Bucket    string
}

// Start starts a versitygw over a folder of the test's. It ends with the test.
// Under -short the test is skipped; else it fails without the binary. Further
// arguments are options of versitygw's command posix.
func Start(t testing.TB, posixArgs ...string) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("versitygw is not run in short mode")
	}
	binary := os.Getenv(Variable) //nolint:forbidigo // a test needs to be told where the binary is
	if binary == "" {
		t.Fatalf("%s is not set: it names the versitygw binary (make test sets it)", Variable)
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := os.MkdirAll(filepath.Join(root, bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	var errs []error
	for range maxPorts {
		address, err := startOnce(t, binary, root, posixArgs)
		if err == nil {
			return &Server{Endpoint: "http://" + address, AccessKey: accessKey, SecretKey: secretKey, Region: region, Bucket: bucket}
		}
		errs = append(errs, err)
	}
	t.Fatalf("versitygw did not start on %d ports: %v", maxPorts, errors.Join(errs...))
	return nil
}

// startOnce starts the server on a port that was free a moment ago.
func startOnce(t testing.TB, binary, root string, posixArgs []string) (string, error) {
	t.Helper()
	address, err := freeAddress(t)
	if err != nil {
		return "", err
	}
	args := []string{
		"--access", accessKey, "--secret", secretKey, "--region", region,
		"--port", address, "--health", health, "--quiet", "posix",
	}
	cmd := exec.Command(binary, append(append(args, posixArgs...), root)...) //nolint:noctx // it ends by Kill in Cleanup
	var output lockedBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	// Variables of the machine would be options of the server.
	cmd.Env = []string{"HOME=" + root, "PATH=/usr/bin:/bin"}
	dieWithParent(cmd)
	exited, err := run(cmd)
	if err != nil {
		return "", err
	}
	stop := func() {
		_ = cmd.Process.Kill() // or it has ended
		<-exited
	}
	if err := waitReady(t, address, exited); err != nil {
		stop()
		return "", fmt.Errorf("%s: %w\n%s", address, err, output.String())
	}
	t.Cleanup(stop)
	return address, nil
}

// run starts a process and returns what is closed when it has ended.
func run(cmd *exec.Cmd) (<-chan struct{}, error) {
	started, exited := make(chan error), make(chan struct{})
	go func() {
		// To Linux, the parent of dieWithParent is the thread.
		runtime.LockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed
		}
	}()
	return exited, <-started
}

func freeAddress(t testing.TB) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// waitReady asks for the server's health until it answers.
func waitReady(t testing.TB, address string, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+health, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK && !isClosed(exited) {
				return nil
			}
		}
		select {
		case <-exited:
			return errors.New("versitygw ended")
		case <-ctx.Done():
			return fmt.Errorf("versitygw is not ready: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// lockedBuffer may be read while the process writes to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
