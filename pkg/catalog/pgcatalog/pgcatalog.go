package pgcatalog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/secret"
)

const (
	// DefaultCallLimit bounds every call where Options do not say. A server that
	// hangs costs a run one call, and may cost it 5 s in all.
	DefaultCallLimit = 4800 * time.Millisecond
	// closeLimit is how long Close waits. pgx alone would wait for 15 seconds.
	closeLimit = time.Second
	// maxConns is enough for heartbeats beside a few databases at once.
	maxConns = 4
	// maxIdle is below the time after which hosted databases go to sleep, or
	// drop what is idle.
	maxIdle = 2 * time.Minute
)

// MigratePolicy says when Open may make or change tables.
type MigratePolicy string

// The policies. The empty one is MigrateIfOurs.
const (
	// MigrateIfOurs makes and changes tables if the schema patina exists or
	// the database holds nothing else.
	MigrateIfOurs MigratePolicy = "if_ours"
	// MigrateAlways makes the schema beside whatever the database holds.
	MigrateAlways MigratePolicy = "always"
	// MigrateNever makes and changes nothing.
	MigrateNever MigratePolicy = "never"
)

// Options say where a catalogue lies.
type Options struct {
	// URL is a connection string as libpq and pgx know them: a URL or
	// keywords. The environment's PG* variables fill in what it leaves out.
	URL secret.String
	// Version is Patina's own; the server shows it as application_name.
	Version string
	// Migrate says when Open may make or change tables.
	Migrate MigratePolicy
	// CallLimit bounds every call; 0 means DefaultCallLimit.
	CallLimit time.Duration
}

// Catalog is a catalogue in Postgres. It is made by Open.
type Catalog struct {
	pool  *pgxpool.Pool
	limit time.Duration
	// silent is set when a call was waited for in vain.
	silent atomic.Bool
	// where is host and database, for errors.
	where    string
	password string
}

var _ catalog.Catalog = (*Catalog)(nil)

// Open connects, and makes the tables or brings them up to date as far as the
// policy allows. An error wraps catalog.ErrUnavailable or catalog.ErrSchema.
func Open(ctx context.Context, opts Options) (*Catalog, error) {
	c, err := connect(ctx, opts)
	if err != nil {
		return nil, err
	}
	if err := c.prepare(ctx, opts.Migrate); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Now is the time by the server's clock.
func (c *Catalog) Now(ctx context.Context) (time.Time, error) {
	var now moment
	err := c.read(ctx, "read the clock", func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	})
	return time.Time(now), err
}

// Close closes all connections. It waits only shortly for a server that does
// not answer, and not at all for one that was waited for already.
func (c *Catalog) Close() error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.pool.Close()
	}()
	if c.silent.Load() {
		return nil // the pool gives its connections up by itself
	}
	timer := time.NewTimer(closeLimit)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C: // as above
	}
	return nil
}

// connect makes the pool. It does not talk to the server yet.
func connect(ctx context.Context, opts Options) (*Catalog, error) {
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open catalogue: %w: bad pool settings", catalog.ErrUnavailable)
	}
	conn := cfg.ConnConfig
	return &Catalog{
		pool: pool, limit: callLimit(opts), password: conn.Password,
		where: net.JoinHostPort(conn.Host, strconv.Itoa(int(conn.Port))) + "/" + conn.Database,
	}, nil
}

func callLimit(opts Options) time.Duration {
	if opts.CallLimit <= 0 {
		return DefaultCallLimit
	}
	return opts.CallLimit
}

// configure reads the connection string and sets what a run of some minutes
// needs in place of a server's defaults.
func configure(opts Options) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(opts.URL.Reveal())
	if err != nil || isAmbiguous(opts.URL.Reveal()) {
		// pgx tells the string, and where it is malformed nobody can say
		// which part of it is the password.
		return nil, fmt.Errorf("open catalogue: %w: the connection string cannot be read; "+
			"want postgres://user:password@host:port/database, with special characters percent-encoded",
			catalog.ErrUnavailable)
	}
	limit := callLimit(opts)
	cfg.MaxConns = min(cfg.MaxConns, maxConns)
	cfg.MinConns = 0
	cfg.MaxConnIdleTime = maxIdle
	cfg.PingTimeout = limit
	addresses := map[string]bool{cfg.ConnConfig.Host + ":" + strconv.Itoa(int(cfg.ConnConfig.Port)): true}
	for _, next := range cfg.ConnConfig.Fallbacks {
		addresses[next.Host+":"+strconv.Itoa(int(next.Port))] = true
	}
	// One dead address of several must leave time for the others.
	cfg.ConnConfig.ConnectTimeout = min(cfg.ConnConfig.ConnectTimeout, limit/time.Duration(len(addresses)))
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "patina/" + opts.Version
	}
	return cfg, nil
}

// isAmbiguous says whether a URL has an "@" behind its host. That happens where
// a password holds a bare / ? or #: what is read as host, port, user or
// database is then part of the password, and would be told in errors.
func isAmbiguous(connection string) bool {
	_, rest, isURL := strings.Cut(connection, "://")
	host := strings.IndexAny(rest, "/?#")
	return isURL && host >= 0 && strings.Contains(rest[host:], "@")
}
