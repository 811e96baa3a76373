package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/AutumnsGrove/patina/pkg/config"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// maxIdentity bounds the file of a private key; a longer one is some other file
// named by mistake.
const maxIdentity = 1 << 20

// identities reads the private keys of a file and of the configuration, once,
// and only when an encrypted dump needs them.
func (a *app) identities(cfg *config.Config, path string) func(context.Context) (seal.Identities, error) {
	var once sync.Once
	var all seal.Identities
	var err error
	return func(ctx context.Context) (seal.Identities, error) {
		once.Do(func() { all, err = a.readIdentities(ctx, cfg, path) })
		return all, err
	}
}

func (a *app) readIdentities(ctx context.Context, cfg *config.Config, path string) (seal.Identities, error) {
	if path == "" {
		return cfg.Backup.Identity(ctx, a.askPassphrase("the identity of the configuration"))
	}
	text, err := readSmallFile(path)
	if err != nil {
		return seal.Identities{}, fault.Wrap(fault.Usage, "", fmt.Errorf("--identity: %w", err))
	}
	named, err := seal.ParseIdentities(text, a.askPassphrase(path))
	if err != nil {
		return seal.Identities{}, fault.Wrap(fault.Usage, "", fmt.Errorf("--identity %s: %w", path, err))
	}
	configured, err := cfg.Backup.Identity(ctx, a.askPassphrase("the identity of the configuration"))
	if err != nil {
		// What was named on the command line may do alone.
		a.logger().Warn("the identity of the configuration is not used", "error", err)
		return named, nil
	}
	return named.With(configured), nil
}

func readSmallFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxIdentity+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxIdentity {
		return nil, fmt.Errorf("%s is no private key: it is over %d bytes", path, maxIdentity)
	}
	return text, nil
}

// askPassphrase asks a person at the terminal; it is nil where there is none.
func (a *app) askPassphrase(what string) seal.Passphrase {
	input, ok := a.host.in.(*os.File)
	if !ok || !term.IsTerminal(int(input.Fd())) {
		return nil
	}
	return func() ([]byte, error) {
		fmt.Fprintf(a.host.err, "passphrase of %s: ", what)
		phrase, err := term.ReadPassword(int(input.Fd()))
		fmt.Fprintln(a.host.err)
		if err != nil {
			return nil, errors.New("no passphrase was given")
		}
		return phrase, nil
	}
}
