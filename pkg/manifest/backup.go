package manifest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// Backup is the manifest of one dump: that it exists makes the dump a backup.
type Backup struct {
	Database backup.Database `json:"database"`
	JobID    string          `json:"jobId"`
	RunID    backup.RunID    `json:"runId"`
	Trigger  backup.Trigger  `json:"trigger"`
	Reason   string          `json:"reason,omitempty"`
	// Night is the tick of the schedule this backup is for; zero for others.
	Night time.Time `json:"night,omitzero"`
	Host  string    `json:"host"`
	// Tool is the program and its version, such as "patina v1.2.0".
	Tool      string    `json:"tool"`
	StartedAt time.Time `json:"startedAt"`
	EndedAt   time.Time `json:"endedAt"`

	Export Export `json:"export"`
	Object Object `json:"object"`
	// Plain is the dump as it is got back: unpacked. Of an encrypted dump only
	// its length is told, until Open.
	Plain seal.Sum `json:"plain"`
	// Source is what D1 sent; it differs from Plain where a dump was repaired.
	Source seal.Sum `json:"source"`

	// What follows is what the dump holds. The manifest of an encrypted dump
	// tells none of it, until Open.
	Tables  []backup.Table  `json:"tables,omitzero"`
	Objects []backup.Object `json:"objects,omitzero"`
	// Statements is how many the dump has; LongestStatement is in bytes.
	Statements       int64 `json:"statements,omitempty"`
	LongestStatement int64 `json:"longestStatement,omitempty"`

	Fidelity backup.Fidelity `json:"fidelity"`
	// Findings are told like what the dump holds.
	Findings []backup.Finding `json:"findings,omitzero"`
	Proof    Proof            `json:"proof"`
	// Adopted tells of a dump that another program wrote: nothing but the dump
	// itself vouches for what is said of it. Nil for Patina's own.
	Adopted *Adoption `json:"adopted,omitempty"`
	// Sealed is what could betray the content of an encrypted dump, encrypted
	// to the same recipients; nil for a dump that is not encrypted.
	Sealed []byte `json:"sealed,omitempty"`
}

// Adoption tells who gave a dump of another program its manifest.
type Adoption struct {
	At   time.Time `json:"at"`
	Host string    `json:"host"`
}

// Export tells how the dump was got out of D1.
type Export struct {
	// Method is "export" (D1's export API), or "adopted" where another program
	// got the dump. Why says what made it be chosen.
	Method string `json:"method"`
	Why    string `json:"why"`
	// Bookmark is the Time Travel point that the dump is pinned to.
	Bookmark string `json:"bookmark,omitempty"`
	// Attempts counts the tries that it took, this one included.
	Attempts int `json:"attempts"`
}

// Object tells where the stored bytes are and what they must be.
type Object struct {
	Key         string           `json:"key"`
	Stored      seal.Sum         `json:"stored"`
	ETag        string           `json:"etag"`
	PartBytes   int64            `json:"partBytes"`
	Parts       int              `json:"parts"`
	Compression seal.Compression `json:"compression"`
	// Recipients are the public keys that the object is encrypted to; empty
	// for one that is not.
	Recipients []string `json:"recipients,omitempty"`
}

// Proof tells what was checked of a backup by the time its manifest was
// written.
type Proof struct {
	// Level is "scan": complete as promised, every statement whole, what is
	// stored equal to what was sent.
	Level Level     `json:"level"`
	At    time.Time `json:"at"`
}

// Expect is what reading the object back must find.
func (b Backup) Expect() seal.Expect {
	return seal.Expect{
		Compression: b.Object.Compression, Encrypted: b.Encrypted(), Stored: b.Object.Stored, Plain: b.Plain,
	}
}

// Encrypted says whether the dump is encrypted.
func (b Backup) Encrypted() bool { return len(b.Object.Recipients) > 0 }

// Rows is the number of rows in all tables.
func (b Backup) Rows() int64 {
	var n int64
	for _, t := range b.Tables {
		n += t.Rows
	}
	return n
}

func (Backup) format() Format { return FormatBackup }

func (b Backup) filled() Backup {
	if !b.Encrypted() {
		b.Tables, b.Objects, b.Findings = filledList(b.Tables), filledList(b.Objects), filledList(b.Findings)
	}
	return b
}

func (b Backup) check() error {
	var errs []error
	missing := func(field, value string) {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", field))
		}
	}
	missing("database.name", b.Database.Name)
	missing("jobId", b.JobID)
	missing("runId", string(b.RunID))
	missing("object.key", b.Object.Key)
	if b.StartedAt.IsZero() || b.EndedAt.IsZero() {
		errs = append(errs, errors.New("startedAt or endedAt is missing"))
	}
	if _, err := seal.ParseCompression(string(b.Object.Compression)); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, checkSum("object.stored", b.Object.Stored))
	if b.Encrypted() {
		errs = append(errs, b.checkSealed())
	} else {
		errs = append(errs, checkSum("plain", b.Plain))
	}
	return errors.Join(errs...)
}

func checkSum(field string, s seal.Sum) error {
	if raw, err := hex.DecodeString(s.SHA256); err != nil || len(raw) != 32 || s.Bytes <= 0 {
		return fmt.Errorf("%s is not a length and a SHA-256", field)
	}
	return nil
}
