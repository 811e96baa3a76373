package manifest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// sealedPart is what the manifest of an encrypted dump tells to those alone who
// can open the dump. It names the object, so that a part cannot be moved to
// another manifest unnoticed.
type sealedPart struct {
	Key          string `json:"key"`
	StoredSHA256 string `json:"storedSha256"`
	PlainSHA256  string `json:"plainSha256"`
	SourceSHA256 string `json:"sourceSha256"`

	Tables           []backup.Table   `json:"tables"`
	Objects          []backup.Object  `json:"objects"`
	Statements       int64            `json:"statements"`
	LongestStatement int64            `json:"longestStatement"`
	Findings         []backup.Finding `json:"findings"`
}

// Seal is the manifest as it may be published of a dump that was encrypted to
// the recipients: what could betray the content goes into its sealed part.
func (b Backup) Seal(to seal.Recipients) (Backup, error) {
	text, err := json.Marshal(sealedPart{
		Key: b.Object.Key, StoredSHA256: b.Object.Stored.SHA256,
		PlainSHA256: b.Plain.SHA256, SourceSHA256: b.Source.SHA256,
		Tables: filledList(b.Tables), Objects: filledList(b.Objects), Findings: filledList(b.Findings),
		Statements: b.Statements, LongestStatement: b.LongestStatement,
	})
	if err != nil {
		return Backup{}, fmt.Errorf("seal the manifest: %w", err)
	}
	if b.Sealed, err = to.Seal(text); err != nil {
		return Backup{}, fmt.Errorf("seal the manifest: %w", err)
	}
	b.Object.Recipients = to.Names()
	b.Plain.SHA256, b.Source.SHA256 = "", ""
	b.Tables, b.Objects, b.Findings, b.Statements, b.LongestStatement = nil, nil, nil, 0, 0
	return b, nil
}

// Open is the manifest with its sealed part in place; one of a dump that is not
// encrypted is returned as it is. The error wraps seal.ErrNoIdentity,
// seal.ErrOtherIdentity or seal.ErrDamaged.
func (b Backup) Open(by seal.Identities) (Backup, error) {
	if !b.Encrypted() {
		return b, nil
	}
	text, err := by.Open(b.Sealed)
	if err != nil {
		return Backup{}, err
	}
	var part sealedPart
	if err := json.Unmarshal(text, &part); err != nil {
		return Backup{}, fmt.Errorf("%w: the sealed part of the manifest: %s", seal.ErrDamaged, err.Error())
	}
	if part.Key != b.Object.Key || part.StoredSHA256 != b.Object.Stored.SHA256 {
		return Backup{}, fmt.Errorf("%w: the sealed part of the manifest is that of %s", seal.ErrDamaged, part.Key)
	}
	b.Plain.SHA256, b.Source.SHA256 = part.PlainSHA256, part.SourceSHA256
	b.Tables, b.Objects, b.Findings = part.Tables, part.Objects, part.Findings
	b.Statements, b.LongestStatement = part.Statements, part.LongestStatement
	return b, nil
}

// checkSealed returns an error for a manifest that lacks its sealed part, or
// tells openly what belongs into it.
func (b Backup) checkSealed() error {
	switch {
	case len(b.Sealed) == 0:
		return errors.New("object.recipients are named, but nothing is sealed to them")
	case b.Plain.Bytes <= 0:
		return errors.New("plain is not a length")
	case b.Plain.SHA256 != "" || b.Source.SHA256 != "" || b.Tables != nil || b.Objects != nil || b.Findings != nil:
		return errors.New("the manifest of an encrypted dump tells what the dump holds")
	}
	return nil
}
