package manifest

import (
	"errors"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
)

// Pin keeps a backup, wherever it lies, from being removed.
type Pin struct {
	// Manifest is the key of the backup's manifest.
	Manifest string       `json:"manifest"`
	RunID    backup.RunID `json:"runId"`
	Host     string       `json:"host"`
	At       time.Time    `json:"at"`
	// Until is when the pin ends by itself; zero for one that does not.
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

// Holds says whether the pin holds at a time.
func (p Pin) Holds(now time.Time) bool { return p.Until.IsZero() || now.Before(p.Until) }

func (Pin) format() Format { return FormatPin }

func (p Pin) check() error { return checkKept(p.Manifest, p.At) }

// Unpin ends the pins that were set before it.
type Unpin struct {
	Manifest string       `json:"manifest"`
	RunID    backup.RunID `json:"runId"`
	Host     string       `json:"host"`
	At       time.Time    `json:"at"`
	Reason   string       `json:"reason,omitempty"`
}

func (Unpin) format() Format { return FormatUnpin }

func (u Unpin) check() error { return checkKept(u.Manifest, u.At) }

// Accept acknowledges what was found of a backup by then, so that it no longer keeps
// its database from being pruned. The backup is no better for it.
type Accept struct {
	Manifest string       `json:"manifest"`
	RunID    backup.RunID `json:"runId"`
	Host     string       `json:"host"`
	At       time.Time    `json:"at"`
	// Found is what was acknowledged, in words.
	Found  string `json:"found"`
	Reason string `json:"reason,omitempty"`
}

func (Accept) format() Format { return FormatAccept }

func (a Accept) check() error { return checkKept(a.Manifest, a.At) }

// Forget retires a database that is no more: of its backups only the newest good
// one and those that are pinned are kept. A backup that is taken of it later takes
// that back.
type Forget struct {
	Database string       `json:"database"`
	RunID    backup.RunID `json:"runId"`
	Host     string       `json:"host"`
	At       time.Time    `json:"at"`
	Reason   string       `json:"reason,omitempty"`
}

func (Forget) format() Format { return FormatForget }

func (f Forget) check() error { return checkKept(f.Database, f.At) }

func checkKept(of string, at time.Time) error {
	if of == "" || at.IsZero() {
		return errors.New("what it is about is missing, or at")
	}
	return nil
}
