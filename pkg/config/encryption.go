package config

import (
	"context"
	"fmt"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/secret"
)

const (
	recipientsKey = "backup.encryption.recipients"
	identityKey   = "backup.encryption.identity"
)

// setRecipients reads the public keys. Each is tried alone first, so that the
// error has the line of the one that is wrong.
func setRecipients(c *Config, g *given) error {
	keys := make([]string, len(g.items))
	var wrong problems
	for i, it := range g.items {
		keys[i] = it.pattern
		if _, err := seal.ParseRecipients(keys[i : i+1]); err != nil {
			wrong = append(wrong, problem{at: it.at, key: recipientsKey, text: err.Error()})
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	recipients, err := seal.ParseRecipients(keys)
	if err != nil {
		return err
	}
	c.Backup.Recipients = recipients
	return nil
}

// Identity reads the private keys that open encrypted dumps; zero where none
// are set. One that cannot be read, or is none, is an error of kind
// fault.Usage.
func (b Backup) Identity(ctx context.Context, ask seal.Passphrase) (seal.Identities, error) {
	if b.identity.place.IsZero() {
		return seal.Identities{}, nil
	}
	text, err := b.identity.resolveText(ctx, identityKey)
	if err != nil {
		return seal.Identities{}, err
	}
	identities, err := seal.ParseIdentities([]byte(text.Reveal()), ask)
	if err != nil {
		if b.identity.place.Way() == secret.Literal && strings.ContainsAny(text.Reveal(), "/\\") {
			err = fmt.Errorf("%w (a file is named as file:PATH)", err)
		}
		return seal.Identities{}, fault.Wrap(fault.Usage, checkHint,
			fmt.Errorf("%s: %s: %s: %w", b.identity.at, identityKey, b.identity.place, err))
	}
	return identities, nil
}

// keyCare is what is unwise about keys: to depend on one, and to keep what opens
// all backups where they are taken.
func (c *Config) keyCare(add func(key, text string)) {
	if c.Backup.Recipients.IsZero() {
		return
	}
	if len(c.Backup.Recipients.Names()) == 1 {
		add(recipientsKey, "there is a single recipient: if its private key is lost, every backup is; name a second one whose key is kept elsewhere")
	}
	if !c.Backup.identity.place.IsZero() && !c.Cloudflare.token.place.IsZero() {
		add(identityKey, "the host that takes backups can open all of them, and so can whoever gets into it: keep the identity elsewhere, and give it to download with --identity")
	}
}
