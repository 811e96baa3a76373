package manifest

import (
	"errors"
	"slices"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

// Level is how much was checked of a backup.
type Level string

// The levels of proofs, each of which proves more than those before it.
const (
	// LevelIdentity compares length and ETag of the object with those of the
	// manifest. It is what a run looks at right after it published.
	LevelIdentity Level = "identity"
	// LevelHash reads every stored byte again, and compares length and hash.
	LevelHash Level = "hash"
	// LevelScan also unpacks the dump, reads its statements, and compares
	// hash, tables, rows and objects.
	LevelScan Level = "scan"
	// LevelLoad also loads the dump into a SQLite engine, which finds it whole,
	// and holds rows, objects and the user's assertions against it.
	LevelLoad Level = "load"
	// LevelDrill restores the dump into a D1 database, which is thrown away, and
	// compares that.
	LevelDrill Level = "drill"
)

// levels are in the order of what they prove.
func levels() []Level { return []Level{LevelIdentity, LevelHash, LevelScan, LevelLoad, LevelDrill} }

// Covers says whether a proof of this level proves what one of another does. A
// level that this program does not know covers nothing but itself.
func (l Level) Covers(other Level) bool {
	return l == other || slices.Index(levels(), l) > slices.Index(levels(), other) && slices.Contains(levels(), other)
}

// ProofRecord is what was learned of a backup after its manifest was written.
type ProofRecord struct {
	// Manifest is the key of the backup's manifest.
	Manifest string       `json:"manifest"`
	RunID    backup.RunID `json:"runId"`
	At       time.Time    `json:"at"`
	// Level is what was checked.
	Level Level `json:"level"`
	// Archive is the key of the archive's manifest where the copy in an
	// archive was read; empty for the daily's own object.
	Archive string `json:"archive,omitempty"`
	// ETag is that of the object that was read, so that the proof does not
	// count for another one under its key.
	ETag string `json:"etag,omitempty"`
	// Passed is false for a backup that must not be counted as good.
	Passed bool `json:"passed"`
	// Detail says in words what was found.
	Detail string `json:"detail,omitempty"`
}

// OfStoredBytes says whether the proof is about what is stored under the
// object's key, as against what the dump holds.
func (p ProofRecord) OfStoredBytes() bool { return LevelHash.Covers(p.Level) }

func (ProofRecord) format() Format { return FormatProof }

func (p ProofRecord) check() error {
	if p.Manifest == "" || p.Level == "" {
		return errors.New("manifest or level is missing")
	}
	return nil
}
