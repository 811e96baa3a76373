package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// sandboxOptions are the flags of "patina sandbox".
type sandboxOptions struct {
	listen  string
	files   string
	account string
	token   string
	empty   bool
}

func newSandboxCmd(a *app) *cobra.Command {
	var opts sandboxOptions
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve an emulator of the D1 API on this machine",
		Long: `Serve an emulator of Cloudflare's D1 API over a real SQLite engine, filled with
the six databases of the demo, until interrupted. It exports, imports, queries,
creates, deletes and travels in time, as strict as D1 is known to be, and as lossy
in its dumps. wrangler works against it too. Its databases go when it ends.`,
		Example: `  patina sandbox --listen 127.0.0.1:8787
  CLOUDFLARE_API_BASE_URL=http://127.0.0.1:8787/client/v4 CLOUDFLARE_API_TOKEN=sandbox-token \
    CLOUDFLARE_ACCOUNT_ID=sandbox npx wrangler d1 list`,
		GroupID: groupTry,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runSandbox(cmd.Context(), a, opts) },
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.listen, "listen", "127.0.0.1:8787", "`ADDR` of the API")
	flags.StringVar(&opts.files, "listen-files", "127.0.0.1:0", "`ADDR` of the signed URLs")
	flags.StringVar(&opts.account, "account", "sandbox", "the account's `ID`")
	flags.StringVar(&opts.token, "token", "sandbox-token", "the token that opens it")
	flags.BoolVar(&opts.empty, "empty", false, "begin without the demo's databases")
	return cmd
}

func runSandbox(ctx context.Context, a *app, opts sandboxOptions) (err error) {
	dir, err := os.MkdirTemp("", "patina-sandbox-")
	if err != nil {
		return fmt.Errorf("make a folder for the sandbox: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder's rest is the system's
	server, err := sandbox.New(sandbox.Options{Dir: dir, AccountID: opts.account, Token: opts.token, Now: a.host.now})
	if err != nil {
		return fmt.Errorf("make the sandbox: %w", err)
	}
	defer func() { _ = server.Close() }()
	if !opts.empty {
		for _, db := range sandbox.Estate() {
			if _, err := server.Seed(ctx, db.Name, db.Statements...); err != nil {
				return fmt.Errorf("fill %s: %w", db.Name, err)
			}
		}
	}
	listening, err := server.Listen(ctx, opts.listen, opts.files)
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	defer func() { _ = listening.Close() }()
	if a.json() {
		err = writeJSON(a.host.out, map[string]string{
			"apiBaseUrl": listening.BaseURL, "filesUrl": listening.FilesURL, "accountId": opts.account,
		})
	} else {
		_, err = fmt.Fprintf(a.host.out, "CLOUDFLARE_API_BASE_URL=%s\nCLOUDFLARE_ACCOUNT_ID=%s\nCLOUDFLARE_API_TOKEN=%s\n",
			listening.BaseURL, opts.account, opts.token)
	}
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
