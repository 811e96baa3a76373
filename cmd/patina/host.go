package main

import (
	"io"
	"net/http"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// host is everything outside the program that it may touch: streams,
// environment, clock. Tests run the program with a host of their own.
type host struct {
	in  io.Reader
	out io.Writer
	err io.Writer
	// inTerminal says whether a person can be asked; outTerminal and errTerminal
	// whether one watches.
	inTerminal, outTerminal, errTerminal bool
	lookupEnv                            func(string) (string, bool)
	environ                              func() []string
	home                                 string
	name                                 string
	pid                                  int
	// alive says whether a process of this machine runs; nil takes all for
	// running.
	alive    func(pid int) bool
	now      func() time.Time
	newRunID func() backup.RunID
	// wrapStore puts something between the engine and its store, such as a
	// test that kills the process at a named call; nil leaves the store as it
	// is.
	wrapStore func(store.Store) store.Store
	// pause is how long to wait before another try of a database, given how many
	// failed; nil leaves that to the engine.
	pause func(failed int) time.Duration
	// network carries all HTTP requests, such as a test's connections in
	// memory; nil means that each client has connections of its own.
	network http.RoundTripper
}
