package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// demoOptions are the flags of "patina demo".
type demoOptions struct {
	keep bool
}

func newDemoCmd(a *app) *cobra.Command {
	var opts demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the main job on this machine: no account, no Postgres, no bucket",
		Long: `Make six databases in an emulator of D1, back them up into a folder, list them,
show the state, bring one back into a new database, and download and compare it.
Every command is printed before it runs, so that you learn it. Nothing outside a
temporary folder is touched.`,
		Example: `  patina demo
  patina demo --keep   leave the folder, to look into`,
		GroupID: groupTry,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), a, opts) },
	}
	cmd.Flags().BoolVar(&opts.keep, "keep", false, "leave the folder when done, and print its name")
	return cmd
}

// The demo's account and token: they open nothing but its own sandbox.
const (
	demoAccount = "demo-account"
	demoToken   = "demo-token"
)

func runDemo(ctx context.Context, a *app, opts demoOptions) (err error) {
	dir, err := os.MkdirTemp("", "patina-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer func() {
		if opts.keep {
			fmt.Fprintf(a.host.out, "\nLook into %s; remove it when you are done.\n", dir)
			return
		}
		if removeErr := os.RemoveAll(dir); err == nil {
			err = removeErr
		}
	}()
	d := demo{app: a, dir: dir}
	return d.run(ctx)
}

// demo is one demonstration in a folder of its own.
type demo struct {
	app *app
	dir string
}

func (d *demo) run(ctx context.Context) error {
	server, listening, err := d.startSandbox(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = listening.Close(); _ = server.Close() }() // temporary, all of it
	config, err := d.writeConfig(listening.BaseURL)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.app.host.out, "Six databases are in a sandbox that speaks D1's API at %s\nbackups go to %s\n",
		listening.BaseURL, filepath.Join(d.dir, "backups"))
	restored := filepath.Join(d.dir, "groveauth.sql")
	for _, args := range [][]string{
		{"backup"},
		{"list"},
		{"status"},
		{"restore", "latest", "groveauth", "--to", "d1:groveauth-restored"},
		{"diff", "latest", "live", "groveauth"},
		{"download", "latest", "groveauth", "--file", restored},
	} {
		if err := d.command(ctx, config, args); err != nil {
			return err
		}
	}
	return d.compare(ctx, server, restored)
}

func (d *demo) startSandbox(ctx context.Context) (*sandbox.Server, *sandbox.Listening, error) {
	server, err := sandbox.New(sandbox.Options{
		Dir: filepath.Join(d.dir, "d1"), AccountID: demoAccount, Token: demoToken, Now: d.app.host.now,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("make the sandbox: %w", err)
	}
	for _, db := range sandbox.Estate() {
		if _, err := server.Seed(ctx, db.Name, db.Statements...); err != nil {
			return nil, nil, fmt.Errorf("fill %s: %w", db.Name, err)
		}
	}
	listening, err := server.Listen(ctx, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("start the sandbox: %w", err)
	}
	return server, listening, nil
}

func (d *demo) writeConfig(baseURL string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "cloudflare:\n  account_id: %s\n  api_token: %s\n  api_base_url: %s\n", demoAccount, demoToken, baseURL)
	b.WriteString("databases:\n")
	for _, db := range sandbox.Estate() {
		fmt.Fprintf(&b, "  - name: %s\n", db.Name)
	}
	fmt.Fprintf(&b, "store:\n  url: %q\ncatalog:\n  url: %q\n",
		d.url("file", "backups"), d.url("sqlite", "catalog.db"))
	path := filepath.Join(d.dir, "patina.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return "", fmt.Errorf("write the demo's configuration: %w", err)
	}
	return path, nil
}

// url names a file of the demo's folder, whatever characters it has.
func (d *demo) url(scheme, name string) string {
	return (&url.URL{Scheme: scheme, Path: filepath.Join(d.dir, name)}).String()
}

// command prints a command as a reader would type it, and runs it.
func (d *demo) command(ctx context.Context, config string, args []string) error {
	fmt.Fprintf(d.app.host.out, "\n$ patina %s\n", strings.Join(args, " "))
	h := d.app.host
	// The demo shows what a terminal would, wherever it runs; its settings
	// are those it wrote, whatever the environment holds.
	h.outTerminal = true
	h.lookupEnv = func(string) (string, bool) { return "", false }
	h.environ = func() []string { return nil }
	if status := run(ctx, append([]string{"--config", config}, args...), h); status != 0 {
		return fault.New(fault.Failed, "", "patina %s ended with status %d", args[0], status)
	}
	return nil
}

// compare holds the downloaded dump against what D1 would export now.
func (d *demo) compare(ctx context.Context, server *sandbox.Server, restored string) error {
	got, err := os.ReadFile(restored)
	if err != nil {
		return fmt.Errorf("read the downloaded dump: %w", err)
	}
	var want bytes.Buffer
	if err := server.Dump(ctx, "groveauth", &want); err != nil {
		return fmt.Errorf("dump the original: %w", err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		return fault.New(fault.Proof, "", "the downloaded dump differs from the database")
	}
	_, err = fmt.Fprintf(d.app.host.out, "\nThe dump that came back equals the database, byte for byte: %s.\n", size(int64(len(got))))
	return err
}
