package manifest

import (
	"errors"
	"fmt"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// Index is the first file in an archive: what is known of the others before
// they are written. Where each lies stands in the archive's own manifest only.
type Index struct {
	Week backup.Week `json:"week"`
	Part int         `json:"part"`
	// Tool is the program and its version, such as "patina v1.2.0".
	Tool      string      `json:"tool"`
	CreatedAt time.Time   `json:"createdAt"`
	Files     []IndexFile `json:"files"`
	// Gaps are what a complete week would have and this one has not.
	Gaps []Gap `json:"gaps"`
}

// IndexFile is one dump in an archive.
type IndexFile struct {
	// Name is the dump's in the archive, and Manifest that of its manifest.
	Name     string          `json:"name"`
	Manifest string          `json:"manifest"`
	Database backup.Database `json:"database"`
	// StartedAt is when the backup was begun.
	StartedAt time.Time `json:"startedAt"`
	// Content is the file as it is unpacked: the plain dump, or the encrypted
	// bytes as they were stored.
	Content seal.Sum `json:"content"`
	// PlainBytes is the length of the plain dump.
	PlainBytes int64 `json:"plainBytes"`
	Encrypted  bool  `json:"encrypted,omitempty"`
}

func (Index) format() Format { return FormatIndex }

func (i Index) filled() Index {
	i.Files, i.Gaps = filledList(i.Files), filledList(i.Gaps)
	return i
}

func (i Index) check() error {
	if i.Week == (backup.Week{}) || i.Part < 1 {
		return errors.New("week or part is missing")
	}
	var errs []error
	for _, f := range i.Files {
		if f.Name == "" {
			errs = append(errs, errors.New("a file has no name"))
		}
		if err := checkSum("content", f.Content); err != nil {
			errs = append(errs, fmt.Errorf("file %q: %w", f.Name, err))
		}
	}
	return errors.Join(errs...)
}
