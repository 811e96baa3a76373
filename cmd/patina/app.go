package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/lmittmann/tint"
	"github.com/spf13/pflag"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/litecatalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/pgcatalog"
	"github.com/AutumnsGrove/patina/pkg/config"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/dirstore"
	"github.com/AutumnsGrove/patina/pkg/store/s3store"
)

// app is one run of the program: the host it runs on, the global flags, and
// what is opened when a command needs it. Help, completion scripts and version
// open nothing.
type app struct {
	host   host
	global globalOptions
	// settings are the flags that stand for configuration keys.
	settings []settingFlag
	loaded   *config.Config
	client   *d1.Client
}

// settingFlag is a flag that overrides a configuration key.
type settingFlag struct {
	flag *pflag.Flag
	key  string
}

// json says whether results are to be one JSON document.
func (a *app) json() bool { return a.global.output == "json" }

// bindSetting adds a flag that overrides a configuration key.
func (a *app) bindSetting(flags *pflag.FlagSet, name, key, usage string) {
	flags.String(name, "", usage+" (configuration: "+key+")")
	a.settings = append(a.settings, settingFlag{flags.Lookup(name), key})
}

// config is the checked configuration, read once.
func (a *app) config() (*config.Config, error) {
	if a.loaded != nil {
		return a.loaded, nil
	}
	flags := map[string]string{}
	for _, s := range a.settings {
		if s.flag.Changed {
			flags[s.key] = s.flag.Value.String()
		}
	}
	loaded, err := config.Load(config.LoadRequest{
		Path: a.global.config, Flags: flags,
		LookupEnv: a.host.lookupEnv, Environ: a.host.environ, HomeDir: a.host.home,
	})
	if err != nil {
		return nil, err
	}
	a.loaded = loaded
	return loaded, nil
}

// logger writes to stderr: with --verbose what is done, to a person what may
// matter, and to nobody else more than errors, for cron mails every line.
func (a *app) logger() *slog.Logger {
	level := slog.LevelError
	switch {
	case a.global.verbose:
		level = slog.LevelInfo
	case a.loud():
		level = slog.LevelWarn
	}
	if a.global.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(a.host.err, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(tint.NewTextHandler(a.host.err, &tint.Options{Level: level, NoColor: a.noColor()}))
}

// noColor says whether text must be plain (https://no-color.org).
func (a *app) noColor() bool {
	noColor, _ := a.host.lookupEnv("NO_COLOR")
	term, _ := a.host.lookupEnv("TERM")
	return a.global.noColor || noColor != "" || term == "dumb" || !a.host.errTerminal
}

// needs says what a command works with.
type needs struct {
	store, d1, catalog bool
	// memory says that what a catalogue remembers is of use, if there is one: none
	// is made for it.
	memory   bool
	observer engine.Observer
	// identity is the file of a private key, beside that of the configuration.
	identity string
}

// engine opens what is needed and wires it together. The caller calls the
// second result when done.
func (a *app) engine(ctx context.Context, n needs) (*engine.Engine, func() error, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, nil, err
	}
	log := a.logger()
	for _, p := range cfg.Check() {
		if p.Severity != config.SeverityError {
			continue
		}
		log.Warn("configuration", "key", p.Key, "origin", p.Origin, "problem", p.Text)
	}
	opts := a.engineOptions(cfg, log)
	opts.Observer = n.observer
	opts.Identities = a.identities(cfg, n.identity)
	if n.d1 {
		if opts.D1, err = a.openD1(ctx, cfg, log); err != nil {
			return nil, nil, err
		}
	}
	if opts.Store, err = a.openStore(ctx, cfg, log); err != nil {
		return nil, nil, err
	}
	if a.host.wrapStore != nil {
		opts.Store = a.host.wrapStore(opts.Store)
	}
	done := func() error { return nil }
	if n.catalog || n.memory && hasCatalog(ctx, cfg) {
		opts.Catalog, opts.CatalogErr = a.openCatalog(ctx, cfg)
		if opts.Catalog != nil {
			done = opts.Catalog.Close
		}
	}
	eng, err := engine.New(opts)
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return eng, done, nil
}

// withEngine opens what is needed, uses it while a person sees how far it is, and
// closes it. That it could not be closed is an error like any other.
func withEngine[R any](ctx context.Context, a *app, n needs, use func(*engine.Engine) (R, error)) (R, error) {
	result, closeErr, err := useEngine(ctx, a, n, use)
	return result, cmp.Or(err, closeErr)
}

// useEngine is withEngine for those who only warn that it could not be closed,
// which is the second result.
func useEngine[R any](ctx context.Context, a *app, n needs, use func(*engine.Engine) (R, error)) (result R, closeErr, err error) {
	progress := a.newProgress()
	n.observer = progress
	eng, closeEngine, err := a.engine(ctx, n)
	if err != nil {
		return result, nil, err
	}
	result, err = use(eng)
	progress.stop()
	return result, closeEngine(), err
}

func (a *app) engineOptions(cfg *config.Config, log *slog.Logger) engine.Options {
	return engine.Options{
		Select:    cfg.Databases.SelectNames,
		Excluded:  cfg.Databases.Excluded,
		Retention: cfg.Retention.Of,
		Checks:    cfg.Checks.Of,
		Prove:     cfg.Backup.Verify,
		Nightly:   cfg.Schedule.Nightly, Weekly: cfg.Schedule.Weekly,
		Concurrency:   cfg.Backup.Concurrency,
		ExportTimeout: cfg.Backup.ExportTimeout, Deadline: cfg.Backup.Deadline,
		Packing: seal.Packing{Compression: cfg.Backup.Compression, Recipients: cfg.Backup.Recipients},
		Host:    a.host.name, Process: a.host.pid, Alive: a.host.alive,
		Tool: "patina " + buildVersion(), Version: buildVersion(),
		Now: a.host.now, NewRunID: a.host.newRunID, Log: log, Pause: a.host.pause,
	}
}

// openD1 makes the one D1 client of the process: the request budget is its own.
func (a *app) openD1(ctx context.Context, cfg *config.Config, log *slog.Logger) (*d1.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	account, err := cfg.Cloudflare.Account()
	if err != nil {
		return nil, err
	}
	token, err := cfg.Cloudflare.Token(ctx)
	if err != nil {
		return nil, err
	}
	client, err := d1.New(d1.Options{
		BaseURL: cfg.Cloudflare.APIBaseURL, AccountID: account, Token: token,
		UserAgent: a.userAgent(), Now: a.host.now, Log: log, Deadline: cfg.Backup.Deadline,
		Transport: a.host.network, DownloadTransport: a.host.network,
	})
	if err != nil {
		return nil, fault.Wrap(fault.Usage, "patina config check", err)
	}
	a.client = client
	return client, nil
}

func (a *app) userAgent() string { return "patina/" + buildVersion() }

// openStore is the one place that knows the kinds of stores.
func (a *app) openStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (store.Store, error) {
	at, err := cfg.Store.Location()
	if err != nil {
		return nil, err
	}
	switch at.Kind {
	case config.StoreFile:
		dir := filepath.Join(at.Path, filepath.FromSlash(cfg.Store.Prefix))
		opened, err := dirstore.Open(dir)
		if err != nil {
			return nil, fmt.Errorf("open the store: %w", err)
		}
		return opened, nil
	case config.StoreR2, config.StoreS3:
		return a.openS3(ctx, cfg, at, log)
	default:
		return nil, fault.New(fault.Usage, "patina config check", "store.url: unknown kind %q", at.Kind)
	}
}

func (a *app) openS3(ctx context.Context, cfg *config.Config, at config.StoreURL, log *slog.Logger) (store.Store, error) {
	opts := s3store.Options{
		Endpoint: at.Endpoint, Region: at.Region, Bucket: at.Bucket, Prefix: cfg.Store.Prefix,
		UserAgent: a.userAgent(), Now: a.host.now, Log: log, Transport: a.host.network,
	}
	if at.Kind == config.StoreR2 && opts.Endpoint == "" {
		account, err := cfg.Cloudflare.Account()
		if err != nil {
			return nil, err
		}
		opts.Endpoint = s3store.R2Endpoint(account, at.Jurisdiction)
	}
	credentials, err := cfg.Store.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	if credentials.IsZero() {
		if credentials, err = a.deriveCredentials(ctx, cfg, log); err != nil {
			return nil, err
		}
	}
	opts.AccessKeyID, opts.SecretAccessKey = credentials.AccessKeyID, credentials.SecretAccessKey
	opts.SessionToken = credentials.Session
	opened, err := s3store.Open(opts)
	if err != nil {
		return nil, fault.Wrap(fault.Usage, "patina config check", fmt.Errorf("open the store: %w", err))
	}
	return opened, nil
}

// deriveCredentials makes the S3 credentials that belong to the Cloudflare
// token (https://developers.cloudflare.com/r2/api/tokens/).
func (a *app) deriveCredentials(ctx context.Context, cfg *config.Config, log *slog.Logger) (config.Credentials, error) {
	client, err := a.openD1(ctx, cfg, log)
	if err != nil {
		return config.Credentials{}, err
	}
	token, err := cfg.Cloudflare.Token(ctx)
	if err != nil {
		return config.Credentials{}, err
	}
	id, err := client.TokenID(ctx)
	if err != nil {
		return config.Credentials{}, fmt.Errorf("derive R2's credentials from the Cloudflare token: %w", err)
	}
	return config.Credentials{AccessKeyID: id, SecretAccessKey: s3store.DeriveSecret(token)}, nil
}

// hasCatalog says whether there is a catalogue already, as far as can be told
// without opening one.
func hasCatalog(ctx context.Context, cfg *config.Config) bool {
	at, err := cfg.Catalog.Location(ctx)
	if err != nil || at.Kind != config.CatalogSQLite {
		return err == nil
	}
	_, err = os.Stat(at.Path)
	return err == nil
}

// openCatalog is the one place that knows the kinds of catalogues. Its error
// is one that a backup can live with.
func (a *app) openCatalog(ctx context.Context, cfg *config.Config) (catalog.Catalog, error) {
	at, err := cfg.Catalog.Location(ctx)
	if err != nil {
		return nil, err
	}
	switch at.Kind {
	case config.CatalogPostgres:
		return catalogOrError(pgcatalog.Open(ctx, pgcatalog.Options{URL: at.DSN}))
	case config.CatalogSQLite:
		return catalogOrError(litecatalog.Open(ctx, litecatalog.Options{Path: at.Path, Now: a.host.now}))
	default:
		return nil, fault.New(fault.Usage, "patina config check", "catalog.url: unknown kind %q", at.Kind)
	}
}

// migrateCatalog brings the catalogue's tables up to date, or only tells what
// that would take. It returns the names of the migrations.
func (a *app) migrateCatalog(ctx context.Context, dryRun bool) ([]string, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	at, err := cfg.Catalog.Location(ctx)
	if err != nil {
		return nil, err
	}
	postgres := pgcatalog.Options{URL: at.DSN}
	sqlite := litecatalog.Options{Path: at.Path, Now: a.host.now}
	switch {
	case at.Kind == config.CatalogPostgres && dryRun:
		return pgcatalog.Pending(ctx, postgres)
	case at.Kind == config.CatalogPostgres:
		return pgcatalog.Migrate(ctx, postgres)
	case dryRun:
		return litecatalog.Pending(ctx, sqlite)
	default:
		return litecatalog.Migrate(ctx, sqlite)
	}
}

// catalogOrError keeps a nil pointer from becoming a catalogue that is not nil.
func catalogOrError[C catalog.Catalog](c C, err error) (catalog.Catalog, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// knownDatabases are the names that the configuration and the bucket know, for
// completion: what can be had without asking D1.
func (a *app) knownDatabases(ctx context.Context) []string {
	cfg, err := a.config()
	if err != nil {
		return nil
	}
	names := configuredNames(cfg)
	eng, done, err := a.engine(ctx, needs{})
	if err != nil {
		return names
	}
	defer func() { _ = done() }()
	return eng.DatabaseNames(ctx, names)
}

// configuredNames are the databases of the configuration that are named, not
// matched by a glob.
func configuredNames(cfg *config.Config) []string {
	var names []string
	for _, entry := range cfg.Databases.Entries {
		if !entry.IsGlob() {
			names = append(names, entry.Name)
		}
	}
	return names
}
