package sandbox

import (
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
	// ReadToken, if set, may read but neither write nor export.
	ReadToken string
	// Now is the clock. Required.
	Now func() time.Time

	// RateLimit is how many requests a token has in each RateWindow; 0 means
	// Cloudflare's 1,200 in 5 minutes, and less than 0 no limit.
	RateLimit  int
	RateWindow time.Duration
	// PollTimeout is how long an export lives without being polled; 0 means
	// 30 s.
	PollTimeout time.Duration
	// ExportPolls is how often an export answers "active" before it is
	// complete: 0 means that the first poll finds it complete, and less than 0
	// that its start does.
	ExportPolls int
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
	serial    uint64
}

// New makes a server without databases. It listens nowhere: see Listen, or
// serve API and Files yourself.
func New(opts Options) (*Server, error) {
	if opts.Dir == "" || opts.AccountID == "" || opts.Token == "" || opts.Now == nil {
		return nil, errors.New("sandbox: folder, account, token and clock are required")
	}
	if opts.RateLimit == 0 {
		opts.RateLimit = 1200
	}
	if opts.RateWindow == 0 {
		opts.RateWindow = 5 * time.Minute
	}
	if opts.PollTimeout == 0 {
		opts.PollTimeout = 30 * time.Second
	}
	if opts.URLLifetime == 0 {
		opts.URLLifetime = time.Hour
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return &Server{
		opts:  opts,
		rates: newRates(opts.RateLimit, opts.RateWindow, opts.Now),
		dumps: map[string]*dumpFile{},
	}, nil
}

// Close closes the databases. Their files stay.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, d := range s.databases {
		errs = append(errs, d.close())
	}
	s.databases = nil
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
	d.lock.Lock()
	defer d.lock.Unlock()
	for _, statement := range statements {
		if _, err := d.free.ExecContext(ctx, statement); err != nil {
			return "", fmt.Errorf("sandbox: seed %s: %w", name, err)
		}
		d.writes++
	}
	return d.id, nil
}

// Drop removes a database from the account. Its file stays.
func (s *Server) Drop(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.databases, func(d *database) bool { return d.name == name })
	if i < 0 {
		return fmt.Errorf("sandbox: there is no database %s", name)
	}
	dropped := s.databases[i]
	s.databases = slices.Delete(s.databases, i, i+1)
	return dropped.close()
}

func (s *Server) findOrAdd(ctx context.Context, name string) (*database, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.databases, func(d *database) bool { return d.name == name }); i >= 0 {
		return s.databases[i], nil
	}
	return s.add(ctx, name, "")
}

// add makes a database. It is called with the lock held.
func (s *Server) add(ctx context.Context, name, jurisdiction string) (*database, error) {
	s.serial++
	d, err := openDatabase(ctx, s.opts.Dir, databaseID(s.serial), name)
	if err != nil {
		return nil, err
	}
	d.jurisdiction, d.createdAt = jurisdiction, s.opts.Now().UTC()
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
