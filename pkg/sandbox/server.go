package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// BookmarkMode says when a database's current bookmark moves. What production
// does is not documented, so both are offered.
type BookmarkMode string

const (
	// BookmarkOnWrite moves with every write: the default.
	BookmarkOnWrite BookmarkMode = "write"
	// BookmarkOnRead moves with every look as well, as workerd's own does.
	BookmarkOnRead BookmarkMode = "read"
)

// Options configure a server.
type Options struct {
	// Dir is where the databases' files lie; it is made if missing. Required.
	Dir string
	// AccountID is the one account there is. Token may do everything in it.
	// Required.
	AccountID, Token string
	// ReadToken, if set, may read but neither write, export, import nor restore.
	ReadToken string
	// Now is the clock. Required.
	Now func() time.Time

	// RateLimit is how many requests a token has in each RateWindow; 0 means
	// Cloudflare's 1,200 in 5 minutes, and less than 0 no limit.
	RateLimit  int
	RateWindow time.Duration
	// MaxDatabases is how many databases the account may have; 0 means 50,000.
	MaxDatabases int
	// PollTimeout is how long an export or import lives without being polled; 0
	// means 30 s.
	PollTimeout time.Duration
	// ExportPolls is how often an export answers "active" before it is
	// complete: 0 means that the first poll finds it complete, and less than 0
	// that its start does.
	ExportPolls int
	// ImportPolls is the same for an import.
	ImportPolls int
	// ImportPart is how many statements an import runs at its start and at each
	// poll; 0 means all that there are.
	ImportPart int
	// ImportLimit is how many statements an import bears: the next one resets
	// the engine, with ImportLimitError (a text of D1's if empty), and the
	// database is as before. 0 means any number.
	ImportLimit      int
	ImportLimitError string
	// ImportFailure is how the failure of an import is told.
	ImportFailure FailureForm
	// Abandoned is what becomes of an import that nobody polls.
	Abandoned AbandonedImport
	// History is how many states of a database are kept for a time-travel
	// restore beside the current one; 0 means 32, and less than 0 none. A
	// large state that no bookmark was told of is not kept.
	History int
	// Retention is how far back in time one can travel; 0 means 30 days.
	Retention time.Duration
	// RestoreLimit is how many restores a database may have in 10 minutes; 0
	// means 10, and less than 0 no limit.
	RestoreLimit int
	// URLLifetime is how long signed URLs live; 0 means an hour.
	URLLifetime time.Duration
	// BookmarkMoves says when bookmarks move; empty means BookmarkOnWrite.
	BookmarkMoves BookmarkMode
	// BlockAfterFailure leaves a database whose export failed refusing
	// everything until PollTimeout has passed, as was seen in 2025.
	BlockAfterFailure bool
	// Format chooses among the forms that D1's dumps have had.
	Format Format
}

// Server is the emulator. Its handlers may be called from many goroutines.
type Server struct {
	opts  Options
	rates *rates

	mu        sync.Mutex
	databases []*database
	filesURL  string
	faults    []*Fault
	journal   []Call
	dumps     map[string]*dumpFile
	uploads   map[string]*upload
	serial    uint64
}

// New makes a server without databases. It listens nowhere: see Listen, or
// serve API and Files yourself.
func New(opts Options) (*Server, error) {
	if opts.Dir == "" || opts.AccountID == "" || opts.Token == "" || opts.Now == nil {
		return nil, errors.New("sandbox: folder, account, token and clock are required")
	}
	opts.setDefaults()
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return &Server{
		opts:    opts,
		rates:   newRates(opts.RateLimit, opts.RateWindow, opts.Now),
		dumps:   map[string]*dumpFile{},
		uploads: map[string]*upload{},
	}, nil
}

// setDefaults puts Cloudflare's values in the place of zeros.
func (o *Options) setDefaults() {
	o.RateLimit = cmp.Or(o.RateLimit, 1200)
	o.RateWindow = cmp.Or(o.RateWindow, 5*time.Minute)
	o.MaxDatabases = cmp.Or(o.MaxDatabases, 50_000)
	o.PollTimeout = cmp.Or(o.PollTimeout, 30*time.Second)
	o.History = cmp.Or(o.History, 32)
	o.Retention = cmp.Or(o.Retention, 30*24*time.Hour)
	o.RestoreLimit = cmp.Or(o.RestoreLimit, 10)
	o.URLLifetime = cmp.Or(o.URLLifetime, time.Hour)
}

// Close closes the databases. Their files stay.
func (s *Server) Close() error {
	s.mu.Lock()
	databases := s.databases
	s.databases = nil
	s.mu.Unlock()
	// A call may hold a database's lock and want the server's.
	var errs []error
	for _, d := range databases {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

// SetFilesURL says where Files is served: what signed URLs begin with.
func (s *Server) SetFilesURL(base string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filesURL = strings.TrimSuffix(base, "/")
}

// Seed runs statements in a database, without D1's limits, and makes it if it
// is missing. It returns the database's id.
func (s *Server) Seed(ctx context.Context, name string, statements ...string) (string, error) {
	d, err := s.findOrAdd(ctx, name)
	if err != nil {
		return "", err
	}
	if err := s.seed(ctx, d, statements); err != nil {
		return "", fmt.Errorf("sandbox: seed %s: %w", name, err)
	}
	return d.id, nil
}

func (s *Server) seed(ctx context.Context, d *database, statements []string) error {
	d.lock.Lock()
	defer d.lock.Unlock()
	now := s.opts.Now()
	if err := s.untouched(d, now); err != nil {
		return err
	}
	if err := d.keep(s.opts.History); err != nil {
		return err
	}
	writes := uint64(0)
	defer func() { s.advance(d, writes, now) }()
	for _, statement := range statements {
		if _, err := d.free.ExecContext(ctx, statement); err != nil {
			return err
		}
		writes++
	}
	return nil
}

// untouched refuses to look into a database that an import has half changed.
func (s *Server) untouched(d *database, now time.Time) error {
	if err := s.settle(d, now); err != nil {
		return err
	}
	if d.task != nil && d.task.load != nil {
		return errors.New("an import is running")
	}
	return nil
}

// Drop removes a database from the account. Its file stays.
func (s *Server) Drop(name string) error {
	d := s.find(name, true)
	if d == nil || !s.take(d) {
		return fmt.Errorf("sandbox: there is no database %s", name)
	}
	return d.close()
}

// take takes a database out of the account, with what was uploaded for it, and
// says whether it was in there.
func (s *Server) take(d *database) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.databases, d)
	if i < 0 {
		return false
	}
	s.databases = slices.Delete(s.databases, i, i+1)
	s.forgetUploads(d)
	return true
}

func (s *Server) findOrAdd(ctx context.Context, name string) (*database, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.databases, func(d *database) bool { return d.name == name }); i >= 0 {
		return s.databases[i], nil
	}
	return s.add(ctx, createBody{Name: name})
}

// add makes a database. It is called with the lock held.
func (s *Server) add(ctx context.Context, wanted createBody) (*database, error) {
	s.serial++
	d, err := openDatabase(ctx, s.opts.Dir, databaseID(s.serial), wanted.Name)
	if err != nil {
		return nil, err
	}
	d.jurisdiction, d.region = wanted.Jurisdiction, wanted.Hint
	d.createdAt = s.opts.Now().UTC()
	d.since = d.createdAt
	s.databases = append(s.databases, d)
	return d, nil
}

// databaseID is a UUID that depends on the order of creation only, so that
// runs can be compared.
func databaseID(n uint64) string {
	mixed := n * 0x9e3779b97f4a7c15
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x",
		uint32(mixed>>32), uint16(mixed>>16), mixed&0xfff, (mixed>>4)&0xfff, n)
}

// Listening is a server that listens on two ports of this machine.
type Listening struct {
	// BaseURL is the API's, and ends in /client/v4.
	BaseURL string
	// FilesURL is what signed URLs begin with.
	FilesURL string
	servers  []*http.Server
}

// Listen serves API and signed URLs on two addresses, such as "127.0.0.1:0",
// until Close or until ctx ends.
func (s *Server) Listen(ctx context.Context, apiAddr, filesAddr string) (*Listening, error) {
	var listen net.ListenConfig
	api, err := listen.Listen(ctx, "tcp", apiAddr)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	files, err := listen.Listen(ctx, "tcp", filesAddr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: %w", err), api.Close())
	}
	l := &Listening{
		BaseURL:  "http://" + api.Addr().String() + "/client/v4",
		FilesURL: "http://" + files.Addr().String(),
	}
	s.SetFilesURL(l.FilesURL)
	for listener, handler := range map[net.Listener]http.Handler{api: s.API(), files: s.Files()} {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		l.servers = append(l.servers, server)
		go func() { _ = server.Serve(listener) }() // ends with Close
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	return l, nil
}

// Close stops listening and cuts what is under way.
func (l *Listening) Close() error {
	var errs []error
	for _, server := range l.servers {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}

// Call is one request as it came in.
type Call struct {
	// Name is the call's: see Fault.Call. Calls that no route takes have the
	// name "unknown".
	Name string
	// Database is the name of the database, if the call is about one.
	Database string
	// Authorized says whether an Authorization header was sent.
	Authorized bool
}

// Journal is every request so far, in order.
func (s *Server) Journal() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.journal)
}

func (s *Server) note(c Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal = append(s.journal, c)
}
