package manifest

import (
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

// Brief is a manifest of which only that is at hand by which backups are sorted,
// chosen and counted. Of many of them few are looked at any closer.
type Brief struct {
	// Database is its name.
	Database  string
	JobID     string
	RunID     backup.RunID
	StartedAt time.Time
	// Object is the key of the stored bytes, of which there are StoredBytes.
	Object      string
	StoredBytes int64
	// Proof is the one of the manifest.
	Proof Proof

	// packed is the rest of it; empty where whole is the manifest.
	packed []byte
	whole  *Backup
}

// NewBrief is the brief of a manifest that was read.
func NewBrief(b Backup) *Brief {
	return &Brief{
		Database: b.Database.Name, JobID: b.JobID, RunID: b.RunID, StartedAt: b.StartedAt,
		Object: b.Object.Key, StoredBytes: b.Object.Stored.Bytes, Proof: b.Proof, whole: &b,
	}
}

// Whole is the manifest itself.
func (b *Brief) Whole() Backup {
	if b.whole != nil {
		return *b.whole
	}
	var m Backup
	m.Database.Name, m.JobID, m.RunID, m.StartedAt = b.Database, b.JobID, b.RunID, b.StartedAt
	m.Object.Key, m.Object.Stored.Bytes, m.Proof = b.Object, b.StoredBytes, b.Proof
	u := &unpacker{left: string(b.packed)}
	u.rest(&m)
	return m
}
