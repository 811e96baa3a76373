package engine

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/retention"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// Options are what an Engine works with. Verbs that do not need a part leave
// it nil: `patina list` has no D1 client.
type Options struct {
	Store store.Store
	D1    *d1.Client
	// Catalog may be nil, and then CatalogErr says why: the work goes on
	// without it.
	Catalog    catalog.Catalog
	CatalogErr error

	// Select chooses, in order of priority, from all names in the account,
	// and returns the configured names and globs that match nothing.
	Select func(names []string) (picked, unmatched []string)
	// Excluded says whether a glob on the command line must pass over a name.
	Excluded func(name string) bool

	// Retention is how much is kept of a database. Prune needs it.
	Retention func(database string) retention.Policy

	// Prove is how much of a backup is proven when it is taken; empty means
	// backup.ProveScan.
	Prove backup.Proving
	// Checks are the assertions that must hold of a database once it is loaded:
	// SELECTs with one value; nil for none.
	Checks func(database string) []string

	// Nightly and Weekly are cron expressions in UTC.
	Nightly, Weekly string
	Concurrency     int
	// ExportTimeout bounds silence; Deadline bounds one database.
	ExportTimeout time.Duration
	Deadline      time.Duration
	// Packing is what is done to dumps before they are stored.
	Packing seal.Packing
	// Identities reads the private keys that open encrypted dumps; nil where
	// there are none. It is asked when a dump turns out to need them.
	Identities func(context.Context) (seal.Identities, error)

	// ArchiveManifest bounds the manifest of one archive, in bytes; 0 means half
	// of what can be read as one document. A week that takes more gets several
	// parts.
	ArchiveManifest int64

	// PieceBytes and PieceStatements bound what a restore imports into D1 at once;
	// 0 means 200 MiB and 50,000.
	PieceBytes      int64
	PieceStatements int

	// Pause is how long to wait before a try, given how many failed before;
	// nil means 2 s, and twice as long each time.
	Pause func(failed int) time.Duration

	Host    string
	Process int
	// Alive says whether a process of this host still runs; nil takes all for
	// alive. The leases of a dead one need not be waited for.
	Alive func(process int) bool
	// Tool is the program and version for manifests; Version the version
	// alone.
	Tool, Version string
	// Now is the local clock; NewRunID draws a run's id.
	Now      func() time.Time
	NewRunID func() backup.RunID
	Observer Observer
	Log      *slog.Logger
}

// Engine runs the verbs. It is used by one command at a time.
type Engine struct {
	opts Options
	// memory is nil where there is no catalogue.
	memory *memory
	// loading is held by the one proof that loads a dump.
	loading sync.Mutex
}

// New makes an Engine.
func New(opts Options) (*Engine, error) {
	if opts.Store == nil || opts.Now == nil || opts.Log == nil {
		return nil, errors.New("engine: store, clock and log are needed")
	}
	if opts.Observer == nil {
		opts.Observer = silent{}
	}
	if opts.Alive == nil {
		opts.Alive = func(int) bool { return true }
	}
	if opts.Pause == nil {
		opts.Pause = func(failed int) time.Duration { return time.Second << failed }
	}
	if opts.ArchiveManifest <= 0 {
		opts.ArchiveManifest = manifest.MaxBytes / 2
	}
	opts.PieceBytes = cmp.Or(opts.PieceBytes, maxPieceBytes)
	opts.PieceStatements = cmp.Or(opts.PieceStatements, maxPieceStatements)
	if opts.Concurrency < 1 {
		opts.Concurrency = 1
	}
	return &Engine{opts: opts, memory: newMemory(opts.Catalog)}, nil
}

// newRun is this process at work on a job.
func (e *Engine) newRun(job backup.Job, id backup.RunID, at time.Time) backup.Run {
	return backup.Run{
		ID: id, JobID: job.ID, Host: e.opts.Host, Process: e.opts.Process, Version: e.opts.Version, StartedAt: at,
	}
}

// now is the time that decides which night it is: the catalogue's, else the
// store's, else this host's.
func (e *Engine) now(ctx context.Context, log *journal) time.Time {
	if t, ok := log.now(ctx); ok {
		return t
	}
	if clock, ok := e.opts.Store.(store.Clock); ok {
		if t, err := clock.Now(ctx); err == nil {
			return t.UTC()
		}
	}
	return e.opts.Now().UTC()
}
