package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/litedb"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// cheapLoad is how large a dump may be that is loaded as a matter of course.
const cheapLoad = loadInMemory

// spool keeps the plain dump as it goes by, so that it can be loaded: in a file
// that nobody else can open, of no more than its limit. It never fails, because
// that would cost the backup: it gives up.
type spool struct {
	limit, n int64
	file     *os.File
	// whole says that all that was written is there.
	whole bool
}

func (r *backupRun) newSpool() *spool {
	switch r.e.opts.Prove {
	case backup.ProveAuto:
		return &spool{limit: cheapLoad, whole: true}
	case backup.ProveLoad:
		return &spool{limit: math.MaxInt64, whole: true}
	}
	return &spool{}
}

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	if !s.whole {
		return len(p), nil
	}
	if s.file == nil {
		var err error
		if s.file, err = tempFile(""); err != nil {
			s.whole = false
			return len(p), nil
		}
	}
	s.n += int64(len(p))
	if s.n > s.limit {
		s.close()
		return len(p), nil
	}
	if _, err := s.file.Write(p); err != nil {
		s.close()
	}
	return len(p), nil
}

// close frees the file.
func (s *spool) close() {
	s.whole = false
	if s.file == nil {
		return
	}
	_ = closeTemp(s.file) // what it held is of no more use
	s.file = nil
}

// prove loads a dump that was kept, and says in the manifest that it did, and by
// which fingerprints its rows are known again. It returns why the dump is not to be relied on; what keeps it from being loaded
// costs the proof and not the backup.
func (r *backupRun) prove(ctx context.Context, t *task, m *manifest.Backup, keep *spool) error {
	if !keep.whole || keep.file == nil {
		return nil
	}
	source := &Source{Entry: Entry{Name: backup.Name{Day: r.job.Day, Database: t.database.Name}, Brief: manifest.NewBrief(*m)}, file: keep.file}
	err := r.e.load(ctx, source, func(db *litedb.DB) {
		tables, err := takeFingerprints(ctx, db, source)
		if err != nil {
			r.e.opts.Log.Info("no fingerprints were taken", "database", t.database.Name, "error", err)
			return
		}
		m.Tables = tables
	})
	switch {
	case err == nil:
		m.Proof.Level = manifest.LevelLoad
		return nil
	case fault.KindOf(err) == fault.Proof, errors.Is(err, litedb.ErrDenied):
		return err
	}
	r.e.opts.Log.Info("the dump was not loaded", "database", t.database.Name, "error", err)
	return nil
}

// recordSuspect marks a published backup as one not to be relied on.
func (r *backupRun) recordSuspect(ctx context.Context, t *task, name backup.Name, m manifest.Backup) error {
	if t.suspect == nil {
		return nil
	}
	now := r.now()
	err := record(ctx, r.e, backup.ProofKey(name, now, r.run.ID), manifest.ProofRecord{
		Manifest: name.Manifest(), RunID: r.run.ID, At: now, Level: manifest.LevelLoad, ETag: m.Object.ETag, Detail: t.suspect.Error(),
	})
	if err != nil {
		return fmt.Errorf("record that %s is suspect: %w", name, err)
	}
	return nil
}
