package config

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/secret"
)

// checkHint is the command that tells what a configuration lacks.
const checkHint = "patina config check"

// lazySecret is a secret that is not read yet.
type lazySecret struct {
	place    secret.Source
	at       origin
	resolver secret.Resolver
}

// resolve reads the secret; the zero String where none was given. The error
// names key and place, and is of kind fault.Usage unless the context ended.
func (l lazySecret) resolve(ctx context.Context, key string) (secret.String, error) {
	return l.resolveBy(ctx, key, l.resolver.Resolve)
}

// resolveText is resolve for a secret of several lines.
func (l lazySecret) resolveText(ctx context.Context, key string) (secret.String, error) {
	return l.resolveBy(ctx, key, l.resolver.ResolveText)
}

func (l lazySecret) resolveBy(ctx context.Context, key string, read func(context.Context, secret.Source) (secret.String, error)) (secret.String, error) {
	got, err := read(ctx, l.place)
	switch {
	case err == nil:
		return got, nil
	case ctx.Err() != nil:
		return secret.String{}, fmt.Errorf("%s: %s: %w", l.at, key, ctx.Err())
	}
	return secret.String{}, fault.Wrap(fault.Usage, checkHint, fmt.Errorf("%s: %s: %w", l.at, key, err))
}

// resolver reads secrets for a value of the given place: a relative file is
// looked for beside the configuration that names it.
func (c *Config) resolver(at origin) secret.Resolver {
	folder := c.workDir
	if at.source == fromFile {
		folder = filepath.Dir(at.name)
	}
	return secret.Resolver{LookupEnv: c.lookupEnv, Dir: folder}
}

// notSet is the error of a key that a command cannot do without.
func notSet(key string) error {
	for _, d := range definitions() {
		if d.key != key {
			continue
		}
		names := d.env()
		if d.alias != "" {
			names += " or " + d.alias
		}
		return fault.New(fault.Usage, checkHint, "%s is not set: set it in the configuration file, or %s in the environment", key, names)
	}
	return fault.New(fault.Usage, checkHint, "%s is not set", key)
}

// Cloudflare is how to reach D1.
type Cloudflare struct {
	// AccountID may be empty; see Account.
	AccountID string
	// APIBaseURL has no slash at its end.
	APIBaseURL string
	token      lazySecret
}

// Account returns the account's id, or an error of kind fault.Usage where none
// is set.
func (c Cloudflare) Account() (string, error) {
	if c.AccountID == "" {
		return "", notSet("cloudflare.account_id")
	}
	return c.AccountID, nil
}

// Token reads the API token. A token that is not set or cannot be read is an
// error of kind fault.Usage.
func (c Cloudflare) Token(ctx context.Context) (secret.String, error) {
	const key = "cloudflare.api_token"
	if c.token.place.IsZero() {
		return secret.String{}, notSet(key)
	}
	return c.token.resolve(ctx, key)
}

// Store is where backups lie.
type Store struct {
	// URL is zero where no store is set; see Location.
	URL StoreURL
	// Prefix is a folder within the store, without slashes at its ends; may
	// be empty.
	Prefix string

	accessKeyID                   string
	secretAccessKey, sessionToken lazySecret
}

// Location returns the store's URL, or an error of kind fault.Usage where none
// is set.
func (s Store) Location() (StoreURL, error) {
	if s.URL.IsZero() {
		return StoreURL{}, notSet("store.url")
	}
	return s.URL, nil
}

// Credentials are those of an S3 API. Session is empty but for temporary ones.
type Credentials struct {
	AccessKeyID              string
	SecretAccessKey, Session secret.String
}

// IsZero says whether there are no credentials.
func (c Credentials) IsZero() bool { return c.AccessKeyID == "" }

// Credentials reads the store's credentials. They are zero for a folder, and
// for R2 where none are set: then they derive from the Cloudflare token
// (https://developers.cloudflare.com/r2/api/tokens/). Any other S3 store
// without credentials, and one that cannot be read, is an error of kind
// fault.Usage.
func (s Store) Credentials(ctx context.Context) (Credentials, error) {
	if s.URL.Kind == StoreFile {
		return Credentials{}, nil
	}
	if s.accessKeyID == "" {
		if s.URL.Kind == StoreS3 {
			return Credentials{}, notSet("store.access_key_id")
		}
		return Credentials{}, nil
	}
	key, err := s.secretAccessKey.resolve(ctx, "store.secret_access_key")
	if err != nil {
		return Credentials{}, err
	}
	session, err := s.sessionToken.resolve(ctx, "store.session_token")
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{AccessKeyID: s.accessKeyID, SecretAccessKey: key, Session: session}, nil
}

// Catalog is where jobs are written down.
type Catalog struct {
	url lazySecret
}

// Location reads and checks the catalogue's URL. One that cannot be read, is
// not well formed, or is missing because the process has no home, is an error
// of kind fault.Usage.
func (c Catalog) Location(ctx context.Context) (CatalogURL, error) {
	const key = "catalog.url"
	if c.url.place.IsZero() {
		return CatalogURL{}, notSet(key)
	}
	text, err := c.url.resolve(ctx, key)
	if err != nil {
		return CatalogURL{}, err
	}
	u, err := parseCatalogURL(text.Reveal())
	if err != nil {
		return CatalogURL{}, fault.Wrap(fault.Usage, checkHint, fmt.Errorf("%s: %s: %s: %w", c.url.at, key, c.url.place, err))
	}
	return u, nil
}

// setCatalog keeps the place of the URL, and checks the URL itself where it is
// at hand.
func setCatalog(c *Config, g *given) error {
	if err := lazily(func(c *Config) *lazySecret { return &c.Catalog.url })(c, g); err != nil {
		return err
	}
	if c.Catalog.url.place.Way() != secret.Literal {
		return nil
	}
	_, err := parseCatalogURL(g.text.Reveal())
	return err
}
