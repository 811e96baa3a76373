package config

import (
	"slices"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/secret"
)

// shape is what a value of a key looks like in the file.
type shape string

const (
	scalar shape = "a single value"
	// entries is a list of names, or of mappings with name and priority.
	entries shape = "a list"
	// globs is a list of globs; texts is one of any other texts.
	globs shape = "a list of globs"
	texts shape = "a list of texts"
	// policies is a list of mappings with a name or a glob, and what is kept.
	policies shape = "a list of mappings with a name and what is kept"
	// assertions is a list of queries, or of mappings with a name or a glob and a
	// query.
	assertions shape = "a list of queries"
)

// item is what one of a list looks like.
func (s shape) item() string {
	switch s {
	case texts:
		return "a text"
	case policies:
		return "a mapping with a name and what is kept"
	case assertions:
		return "a query, or a mapping with a name and a query"
	}
	return "a name or a glob"
}

// definition is all there is to know about one key.
type definition struct {
	key string
	// fallback is the default as text; empty where there is none.
	fallback string
	// alias is another name in the environment: wrangler's.
	alias string
	shape shape
	// secret says that the value names or is a secret.
	secret bool
	// set parses a value into the configuration. Its errors never repeat a
	// secret.
	set func(*Config, *given) error
	// show is the value as it may be printed; nil where the text itself may.
	show func(*given) string
}

// env is the key's name in the environment.
func (d definition) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(d.key, ".", "_"))
}

const envPrefix = "PATINA_"

// definitions is the table of all keys, in the order of the example file.
func definitions() []definition {
	return slices.Concat(cloudflareKeys(), databaseKeys(), storeKeys(), catalogKeys(), backupKeys(), scheduleKeys(), retentionKeys(),
		[]definition{{key: checksKey, shape: assertions, set: setChecks}})
}

func cloudflareKeys() []definition {
	return []definition{
		{
			key: "cloudflare.account_id", alias: "CLOUDFLARE_ACCOUNT_ID", shape: scalar,
			set: value(parseAccountID, func(c *Config) *string { return &c.Cloudflare.AccountID }),
		},
		{
			key: "cloudflare.api_token", alias: "CLOUDFLARE_API_TOKEN", shape: scalar, secret: true, show: shownSecret,
			set: lazily(func(c *Config) *lazySecret { return &c.Cloudflare.token }),
		},
		{
			key: "cloudflare.api_base_url", alias: "CLOUDFLARE_API_BASE_URL", shape: scalar, fallback: defaultAPI,
			set: value(parseAPIBaseURL, func(c *Config) *string { return &c.Cloudflare.APIBaseURL }),
		},
	}
}

func databaseKeys() []definition {
	return []definition{
		{key: "databases", shape: entries, set: setDatabases},
		{key: "exclude", shape: globs, set: setExclude},
	}
}

func storeKeys() []definition {
	return []definition{
		{
			key: "store.url", shape: scalar,
			set: value(ParseStoreURL, func(c *Config) *StoreURL { return &c.Store.URL }),
		},
		{
			key: "store.access_key_id", shape: scalar,
			set: value(parseKeyID, func(c *Config) *string { return &c.Store.accessKeyID }),
		},
		{
			key: "store.secret_access_key", shape: scalar, secret: true, show: shownSecret,
			set: lazily(func(c *Config) *lazySecret { return &c.Store.secretAccessKey }),
		},
		{
			key: "store.session_token", shape: scalar, secret: true, show: shownSecret,
			set: lazily(func(c *Config) *lazySecret { return &c.Store.sessionToken }),
		},
		{
			key: "store.prefix", shape: scalar,
			set: value(parsePrefix, func(c *Config) *string { return &c.Store.Prefix }),
		},
	}
}

func catalogKeys() []definition {
	return []definition{
		{
			key: "catalog.url", shape: scalar, secret: true,
			set: setCatalog, show: func(g *given) string { return shownCatalog(g.text.Reveal()) },
		},
	}
}

func backupKeys() []definition {
	return []definition{
		{
			key: "backup.concurrency", shape: scalar, fallback: "3",
			set: value(number(1, 32), func(c *Config) *int { return &c.Backup.Concurrency }),
		},
		{
			key: "backup.export_timeout", shape: scalar, fallback: "30s",
			set: value(parseDuration, func(c *Config) *time.Duration { return &c.Backup.ExportTimeout }),
		},
		{
			key: "backup.deadline", shape: scalar, fallback: "2h",
			set: value(parseDuration, func(c *Config) *time.Duration { return &c.Backup.Deadline }),
		},
		{
			key: "backup.compression", shape: scalar, fallback: string(seal.None),
			set: value(seal.ParseCompression, func(c *Config) *seal.Compression { return &c.Backup.Compression }),
		},
		{
			key: "backup.verify", shape: scalar, fallback: string(backup.ProveAuto),
			set: value(backup.ParseProving, func(c *Config) *backup.Proving { return &c.Backup.Verify }),
		},
		{key: recipientsKey, shape: texts, set: setRecipients},
		{
			key: identityKey, shape: scalar, secret: true, show: shownSecret,
			set: lazily(func(c *Config) *lazySecret { return &c.Backup.identity }),
		},
	}
}

func scheduleKeys() []definition {
	return []definition{
		{
			key: "schedule.nightly", shape: scalar, fallback: "0 3 * * *",
			set: value(parseCron, func(c *Config) *string { return &c.Schedule.Nightly }),
		},
		{
			key: "schedule.weekly", shape: scalar, fallback: "0 4 * * 0",
			set: value(parseCron, func(c *Config) *string { return &c.Schedule.Weekly }),
		},
	}
}

// value is the setter of a scalar key: it parses the text into a field.
func value[T any](parse func(string) (T, error), field func(*Config) *T) func(*Config, *given) error {
	return func(c *Config, g *given) error {
		parsed, err := parse(g.text.Reveal())
		if err != nil {
			return err
		}
		*field(c) = parsed
		return nil
	}
}

// lazily is the setter of a secret: it keeps the place, and reads nothing.
func lazily(field func(*Config) *lazySecret) func(*Config, *given) error {
	return func(c *Config, g *given) error {
		place, err := placeOf(g)
		if err != nil {
			return err
		}
		*field(c) = lazySecret{place: place, at: g.at, resolver: c.resolver(g.at)}
		return nil
	}
}

func placeOf(g *given) (secret.Source, error) {
	if g.verbatim {
		return secret.LiteralSource(g.text.Reveal()), nil
	}
	return secret.Parse(g.text.Reveal())
}

func shownSecret(g *given) string {
	place, err := placeOf(g)
	if err != nil {
		return secret.Redacted
	}
	return place.String()
}
