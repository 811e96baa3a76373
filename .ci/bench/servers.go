package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

const (
	account   = "bench-account"
	token     = "bench-token"
	accessKey = "bench-access"
	secretKey = "bench-secret-key"
	bucket    = "bench"
	// smallDatabases, of smallBytes each, are exported side by side.
	smallDatabases = 200
	smallBytes     = 20 << 10
)

// bench is everything that runs while something is measured.
type bench struct {
	options
	ids    map[string]string
	api    string
	s3     string
	server *sandbox.Server
	root   string
	// sidecar is where the server keeps what it knows of objects.
	sidecar string
	// kept are the folders of the bucket that stay from run to run.
	kept []string
	undo []func() error
}

func newBench(ctx context.Context, o options) (b *bench, err error) {
	b = &bench{options: o, ids: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	dir, err := os.MkdirTemp(o.dir, "patina-bench-*")
	if err != nil {
		return b, err
	}
	b.dir = dir
	b.undo = append(b.undo, func() error { return os.RemoveAll(dir) })
	if err := b.startSandbox(ctx); err != nil {
		return b, err
	}
	return b, b.startStore(ctx)
}

func (b *bench) close() error {
	var errs []error
	for i := len(b.undo) - 1; i >= 0; i-- {
		errs = append(errs, b.undo[i]())
	}
	b.undo = nil
	return errors.Join(errs...)
}

// startSandbox starts D1 with the large databases, whose dumps are files.
func (b *bench) startSandbox(ctx context.Context) error {
	server, err := sandbox.New(sandbox.Options{
		Dir: filepath.Join(b.dir, "d1"), AccountID: account, Token: token, Now: time.Now, RateLimit: -1, ExportPolls: -1,
	})
	if err != nil {
		return err
	}
	listening, err := server.Listen(context.WithoutCancel(ctx), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.server, b.api = server, listening.BaseURL
	b.undo = append(b.undo, server.Close, listening.Close)
	return nil
}

// database makes a database whose dump is a file of that size.
func (b *bench) database(ctx context.Context, name string, bytes int64) error {
	if b.ids[name] != "" {
		return nil
	}
	path := filepath.Join(b.dir, fmt.Sprintf("dump-%d.sql", bytes))
	if _, err := os.Stat(path); err != nil {
		if err := writeDump(path, bytes); err != nil {
			return err
		}
	}
	id, err := b.server.Seed(ctx, name, "CREATE TABLE t(v)")
	if err != nil {
		return err
	}
	b.ids[name] = id
	return b.server.ServeFile(name, path)
}

// dumpURL has the database exported, and returns the signed URL of its dump.
func (b *bench) dumpURL(ctx context.Context, name string) (string, error) {
	url := fmt.Sprintf("%s/accounts/%s/d1/database/%s/export", b.api, account, b.ids[name])
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(`{"output_format":"polling"}`)))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	var answer struct {
		Result struct {
			Result struct {
				SignedURL string `json:"signed_url"`
			} `json:"result"`
		} `json:"result"`
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Result.Result.SignedURL == "" {
		return "", fmt.Errorf("export of %s: %s: %w", name, body, err)
	}
	return answer.Result.Result.SignedURL, nil
}

// startStore starts an S3 server over a folder.
func (b *bench) startStore(ctx context.Context) error {
	b.root = filepath.Join(b.dir, "s3", bucket)
	if err := os.MkdirAll(b.root, 0o700); err != nil {
		return err
	}
	b.sidecar = filepath.Join(b.dir, "sidecar")
	if err := os.MkdirAll(b.sidecar, 0o700); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	cmd := exec.Command(b.versitygw, "--access", accessKey, "--secret", secretKey, "--region", "auto",
		"--port", address, "--health", "/health", "--quiet",
		// With metadata in extended attributes, completing the upload of a
		// 4 GiB dump was seen to fail for want of space.
		"posix", "--sidecar", b.sidecar, filepath.Dir(b.root))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	b.s3 = "http://" + address
	b.undo = append(b.undo, func() error {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return nil
	})
	for range 300 {
		resp, err := http.Get(b.s3 + "/health")
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.New("versitygw did not start")
}

// empty removes all objects that are not kept, behind the server's back: it
// remembers nothing.
func (b *bench) empty() error {
	entries, err := os.ReadDir(b.root)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if slices.Contains(b.kept, entry.Name()) {
			continue
		}
		// What the server remembers of it goes too, or it refuses its name.
		for _, root := range []string{b.root, filepath.Join(b.sidecar, filepath.Base(b.root))} {
			if err := os.RemoveAll(filepath.Join(root, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
