package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// sandboxed is an installation over a sandbox of its own, a folder and SQLite.
func sandboxed(t *testing.T, names ...string) (*installation, *sandbox.Server) {
	t.Helper()
	server, err := sandbox.New(sandbox.Options{
		Dir: t.TempDir(), AccountID: scriptAccount, Token: scriptToken, Now: time.Now, PollTimeout: time.Second,
	})
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
	dir := t.TempDir()
	config := "store: {url: 'file://" + dir + "/bucket'}\ncatalog: {url: 'sqlite://" + dir + "/catalog.db'}\ndatabases:\n"
	for _, name := range names {
		if _, err := server.Seed(t.Context(), name, "CREATE TABLE t(v)", "INSERT INTO t VALUES(1)"); err != nil {
			t.Fatal(err)
		}
		config += "  - " + name + "\n"
	}
	i := install(t, config)
	i.state = dir
	i.env["CLOUDFLARE_API_BASE_URL"] = listening.BaseURL
	i.env["CLOUDFLARE_ACCOUNT_ID"] = scriptAccount
	i.env["CLOUDFLARE_API_TOKEN"] = scriptToken
	return i, server
}

// TestSignalsEndCleanly interrupts a backup whose download hangs: nothing is
// half-published, the run is marked, and the next one does the work.
func TestSignalsEndCleanly(t *testing.T) {
	t.Parallel()
	for signal, want := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		i, server := sandboxed(t, "alpha", "beta")
		server.AddFault(sandbox.Fault{Call: "download", Kind: sandbox.FaultFreeze, Bytes: 10, Times: 1000})
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			for countExports(server) == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel(&signalError{signal})
		}()
		got := i.patinaContext(ctx, want, "backup", "--trigger", "schedule")
		if !strings.Contains(got.stderr, "Databases: 0/2 successful") {
			t.Errorf("%s: it says\n%s", signal, got.stderr)
		}
		server.ClearFaults()
		status := decode[statusJSON](t, i.patina(0, "status", "-o", "json").stdout)
		if status.CurrentStatus != "interrupted" || status.Storage.DailyBackups != 0 || len(status.Unfinished) != 0 {
			t.Errorf("%s: status %s, storage %+v, unfinished %v", signal, status.CurrentStatus, status.Storage, status.Unfinished)
		}
		i.patina(0, "backup", "--trigger", "schedule")
		if listed := decode[listJSON](t, i.patina(0, "list", "-o", "json").stdout); len(listed.Backups) != 2 {
			t.Errorf("%s: %d backups after the next run, want 2", signal, len(listed.Backups))
		}
	}
}

// TestATerminalSeesProgressAndATable shows a person what cron is spared.
func TestATerminalSeesProgressAndATable(t *testing.T) {
	t.Parallel()
	i, server := sandboxed(t, "alpha")
	server.AddFault(sandbox.Fault{Call: "download", Kind: sandbox.FaultCut, Bytes: 10})
	i.terminal = true
	got := i.patina(0, "backup")
	if !strings.Contains(got.stdout, "DATABASE") || !strings.Contains(got.stdout, "alpha") {
		t.Errorf("stdout has no table:\n%s", got.stdout)
	}
	if !strings.Contains(got.stderr, "now: alpha") || !strings.Contains(got.stderr, "Databases: 1/1 successful") {
		t.Errorf("stderr has no progress or no summary:\n%q", got.stderr)
	}
	if got := i.patina(0, "backup", "--quiet"); got.stdout+got.stderr != "" {
		t.Errorf("--quiet prints %q", got.stdout+got.stderr)
	}
}

// TestTheTokenGivesTheBucketsCredentials derives R2's S3 credentials, where
// none are configured, from the one Cloudflare token.
func TestTheTokenGivesTheBucketsCredentials(t *testing.T) {
	t.Parallel()
	i, _ := sandboxed(t, "alpha")
	i.env["PATINA_STORE_URL"] = "r2://grove-patina"
	a := &app{host: i.host(nil, nil), global: globalOptions{config: i.config}}
	cfg, err := a.config()
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.deriveCredentials(t.Context(), cfg, a.logger())
	if err != nil {
		t.Fatal(err)
	}
	// printf %s TOKEN | sha256sum
	want := "0547c774b1e88119b5182e29727690456aea3df8b19ec711ca8ead4670aa813b"
	if got.AccessKeyID != sandbox.TokenID || got.SecretAccessKey.Reveal() != want {
		t.Errorf("credentials are %s and %s", got.AccessKeyID, got.SecretAccessKey.Reveal())
	}
}

// TestOnlyADeadProcessIsDead asks about this process, about init, which may not
// be signalled by all, and about one that has ended.
func TestOnlyADeadProcessIsDead(t *testing.T) {
	t.Parallel()
	ended := exec.CommandContext(t.Context(), "true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int]bool{os.Getpid(): true, 1: true, ended.Process.Pid: false} {
		if got := alive(pid); got != want {
			t.Errorf("alive(%d) = %t, want %t", pid, got, want)
		}
	}
}
