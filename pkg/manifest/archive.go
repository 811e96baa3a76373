package manifest

import (
	"errors"
	"fmt"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// Archive is the manifest of a week's archive, or of a further part of it: that
// it exists makes the object an archive.
type Archive struct {
	Week backup.Week `json:"week"`
	// Part is 1 for the first. Further parts hold what came late, or all of the
	// parts that Replaces names.
	Part int `json:"part"`
	// Replaces are the parts of this week that readers ignore because this one
	// holds what they held.
	Replaces []int          `json:"replaces,omitempty"`
	JobID    string         `json:"jobId"`
	RunID    backup.RunID   `json:"runId"`
	Trigger  backup.Trigger `json:"trigger"`
	Reason   string         `json:"reason,omitempty"`
	Host     string         `json:"host"`
	// Tool is the program and its version, such as "patina v1.2.0".
	Tool      string        `json:"tool"`
	StartedAt time.Time     `json:"startedAt"`
	EndedAt   time.Time     `json:"endedAt"`
	Object    ArchiveObject `json:"object"`
	// Stream says that the archive is one gzip stream, as other programs write
	// it: a member is then found by unpacking all that lies before it.
	Stream bool `json:"stream,omitempty"`
	// Members are in the order of the file.
	Members []Member `json:"members"`
	// Gaps are what a complete week would have and this one has not.
	Gaps []Gap `json:"gaps"`
}

// ArchiveObject tells where the archive's bytes are and what they must be.
type ArchiveObject struct {
	Key       string   `json:"key"`
	Stored    seal.Sum `json:"stored"`
	ETag      string   `json:"etag"`
	PartBytes int64    `json:"partBytes"`
	Parts     int      `json:"parts"`
}

// Member is one backup in an archive, readable without the rest of it.
type Member struct {
	// Name is the file's in the archive, such as "2024-12-08/groveauth.sql".
	// It ends in ".age" where the file is encrypted.
	Name string `json:"name"`
	// Offset is the first byte, in the archive, of the gzip members that hold
	// the file's content and nothing else; Packed is the length and the hash
	// of those bytes. In a Stream, Offset counts unpacked bytes, and Packed is
	// zero.
	Offset int64    `json:"offset"`
	Packed seal.Sum `json:"packed,omitzero"`
	// Content is the file as it is unpacked: the plain dump, or the encrypted
	// bytes as they were stored.
	Content seal.Sum `json:"content"`
	// ManifestKey is that of the daily, which need not exist any more, and
	// Manifest is the length and the hash of what lay there; zero where nothing
	// ever did.
	ManifestKey string   `json:"manifestKey"`
	Manifest    seal.Sum `json:"manifest,omitzero"`
	// Backup is the daily's manifest.
	Backup Backup `json:"backup"`
}

// Gap is a day for which an archive holds no backup of a database.
type Gap struct {
	Day      string `json:"day"`
	Database string `json:"database"`
	// Why says in words what is known: that none was taken, that it failed,
	// that the database did not exist, that its stored bytes are damaged.
	Why string `json:"why"`
}

func (Archive) format() Format { return FormatArchive }

func (a Archive) filled() Archive {
	a.Members, a.Gaps = filledList(a.Members), filledList(a.Gaps)
	for i := range a.Members {
		a.Members[i].Backup = a.Members[i].Backup.filled()
	}
	return a
}

func (a Archive) check() error {
	var errs []error
	if a.Week == (backup.Week{}) || a.Part < 1 || a.JobID == "" || a.RunID == "" || a.Object.Key == "" {
		errs = append(errs, errors.New("week, part, jobId, runId or object.key is missing"))
	}
	if len(a.Members) == 0 {
		errs = append(errs, errors.New("it has no members"))
	}
	errs = append(errs, checkSum("object.stored", a.Object.Stored))
	end := int64(0)
	for _, m := range a.Members {
		if err := m.check(a.Stream); err != nil {
			errs = append(errs, fmt.Errorf("member %q: %w", m.Name, err))
		}
		if m.Offset < end {
			errs = append(errs, fmt.Errorf("member %q: it lies in the one before it", m.Name))
		}
		end = m.Offset + m.Packed.Bytes
	}
	if end > a.Object.Stored.Bytes && !a.Stream {
		errs = append(errs, errors.New("members lie beyond the end of the archive"))
	}
	return errors.Join(errs...)
}

func (m Member) check(stream bool) error {
	if m.Name == "" || m.ManifestKey == "" {
		return errors.New("name or manifestKey is missing")
	}
	if m.Content != m.file() {
		return errors.New("content is not that of the backup")
	}
	if stream {
		return errors.Join(checkSum("content", m.Content), m.Backup.check())
	}
	return errors.Join(
		checkSum("packed", m.Packed), checkSum("content", m.Content), checkSum("manifest", m.Manifest), m.Backup.check())
}

// file is what the backup says of the file: the plain dump, or the bytes that
// were stored where only its recipients can undo what was done to them.
func (m Member) file() seal.Sum {
	if m.Backup.Encrypted() {
		return m.Backup.Object.Stored
	}
	return m.Backup.Plain
}

// Expect is what reading the member's bytes in the archive must find, and what
// they must unpack to: the file. That of an encrypted backup is then read as
// Backup.Expect says.
func (m Member) Expect() seal.Expect {
	return seal.Expect{Compression: seal.Gzip, Stored: m.Packed, Plain: m.Content}
}
