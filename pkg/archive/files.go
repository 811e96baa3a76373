package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// IndexName is the first file of an archive.
const IndexName = "INDEX.json"

// tarBlock is what files in a tar are padded to.
const tarBlock = 512

// Dump is a daily backup on its way into an archive.
type Dump struct {
	// Key is that of its manifest; Manifest is what that says, and Document
	// its bytes.
	Key      string
	Manifest manifest.Backup
	Document []byte
}

// Name is the dump's in the archive, such as "2024-12-08/groveauth.sql", and
// "2024-12-08/groveauth.sql.gz.age" where it is encrypted.
func (d Dump) Name() (string, error) {
	_, ext, err := backup.ParseName(d.Key)
	if err != nil {
		return "", err
	}
	if ext != "json" {
		return "", fmt.Errorf("%q is not the key of a manifest", d.Key)
	}
	return strings.TrimSuffix(d.DocumentName(), "json") + d.extension(), nil
}

// DocumentName is the name of the dump's manifest in the archive.
func (d Dump) DocumentName() string { return strings.TrimPrefix(d.Key, backup.DailyPrefix) }

func (d Dump) extension() string {
	if !d.Manifest.Encrypted() {
		return "sql"
	}
	return "sql" + d.Manifest.Object.Compression.Extension() + seal.EncryptedExtension
}

// Content is the file as it is unpacked: the plain dump, or the stored bytes of
// an encrypted one.
func (d Dump) Content() seal.Sum {
	if d.Manifest.Encrypted() {
		return d.Manifest.Object.Stored
	}
	return d.Manifest.Plain
}

// carried says whether the stored bytes go into the archive as they are.
func (d Dump) carried() bool {
	return !d.Manifest.Encrypted() && d.Manifest.Object.Compression == seal.Gzip
}

// Describe is what the archive's index says of the dump.
func (d Dump) Describe() (manifest.IndexFile, error) {
	name, err := d.Name()
	return manifest.IndexFile{
		Name: name, Manifest: d.DocumentName(), Database: d.Manifest.Database, StartedAt: d.Manifest.StartedAt,
		Content: d.Content(), PlainBytes: d.Manifest.Plain.Bytes, Encrypted: d.Manifest.Encrypted(),
	}, err
}

// tarHeader is the header of a file, with all that belongs before its content.
func tarHeader(name string, bytesOf int64, at time.Time) ([]byte, error) {
	var head bytes.Buffer
	err := tar.NewWriter(&head).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: bytesOf, Mode: 0o600, ModTime: at.UTC().Truncate(time.Second),
	})
	if err != nil {
		return nil, fmt.Errorf("header of %s: %w", name, err)
	}
	return head.Bytes(), nil
}

// padding is what follows a file of that length.
func padding(length int64) []byte {
	return make([]byte, (tarBlock-length%tarBlock)%tarBlock)
}

// tarEnd is what a tar ends with.
func tarEnd() []byte { return make([]byte, 2*tarBlock) }
