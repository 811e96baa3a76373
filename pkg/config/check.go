package config

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// Severity is how much a Problem matters.
type Severity string

// The severities: an error of `patina config check` is a warning of every other
// command; a warning is told by `config check` alone, and fails nothing.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Problem is something that is allowed and unwise. It never costs a backup.
type Problem struct {
	Severity Severity `json:"severity"`

	Key    string `json:"key"`
	Origin string `json:"origin"`
	Text   string `json:"text"`
	// Hint is a command to paste; may be empty.
	Hint string `json:"hint,omitempty"`
}

// Check looks for what is allowed and unwise: secrets that other users of this
// host can read, and settings that do not go together. It reads permissions
// and no secret.
func (c *Config) Check() []Problem {
	return append(c.exposed(), c.oddities()...)
}

// CheckComplete tries whether all that a backup needs is there: account,
// store, databases, and every secret, which are read and so may run commands.
// The error is of kind fault.Usage and has a line for each thing missing.
func (c *Config) CheckComplete(ctx context.Context) error {
	_, account := c.Cloudflare.Account()
	_, token := c.Cloudflare.Token(ctx)
	_, store := c.Store.Location()
	_, credentials := c.Store.Credentials(ctx)
	_, catalog := c.Catalog.Location(ctx)
	var databases error
	if len(c.Databases.Entries) == 0 {
		databases = notSet("databases")
	}
	_, identity := c.Backup.Identity(ctx, neverAsked)
	return errors.Join(account, token, databases, store, credentials, catalog, identity)
}

// neverAsked stands for a person at a check that needs no passphrase: the key is
// read, not used.
func neverAsked() ([]byte, error) { return nil, errors.New("no passphrase at hand") }

// exposed are the files with a secret in them that other users can read: the
// configuration itself where it holds a literal, and every file: of a secret.
func (c *Config) exposed() []Problem {
	var nits []Problem
	for _, d := range definitions() {
		g := c.merged[d.key]
		if !d.secret || g == nil || !holdsSecret(d, g) {
			continue
		}
		place, _ := placeOf(g) // parsed before, by Load
		path, what := place.Path(), "the secret's file"
		if place.Way() == secret.Literal && g.at.source == fromFile {
			path, what = g.at.name, "the configuration holds the secret itself, and"
		}
		if path == "" {
			continue
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(c.resolver(g.at).Dir, path)
		}
		if secret.Exposed(path) {
			nits = append(nits, Problem{
				Severity: SeverityError, Key: d.key, Origin: g.at.String(),
				Text: what + " can be read by other users of this host",
				Hint: "chmod 600 " + shellWord(path),
			})
		}
	}
	return nits
}

// holdsSecret says whether there is anything to hide: a URL of a catalogue
// without a password is none.
func holdsSecret(d definition, g *given) bool {
	if d.key != "catalog.url" {
		return true
	}
	place, err := placeOf(g)
	return err == nil && (place.Way() != secret.Literal || strings.Contains(g.text.Reveal(), "@") || strings.Contains(g.text.Reveal(), "password="))
}

// oddities are settings that do not go together.
func (c *Config) oddities() []Problem {
	var odd []Problem
	tell := func(severity Severity) func(key, text string) {
		return func(key, text string) {
			at := string(fromDefault)
			if g := c.merged[key]; g != nil {
				at = g.at.String()
			}
			odd = append(odd, Problem{Severity: severity, Key: key, Origin: at, Text: text})
		}
	}
	add := tell(SeverityError)
	c.keyCare(tell(SeverityWarning))
	c.Retention.costs(func(at origin, text string) {
		odd = append(odd, Problem{Severity: SeverityWarning, Key: overridesKey, Origin: at.String(), Text: text})
	})
	if c.Backup.Deadline < c.Backup.ExportTimeout {
		add("backup.deadline", fmt.Sprintf("%s is shorter than backup.export_timeout, %s, which then never ends anything", c.Backup.Deadline, c.Backup.ExportTimeout))
	}
	if c.Store.URL.Kind == StoreFile {
		if c.Store.accessKeyID != "" {
			add("store.access_key_id", "a folder needs no credentials: is store.url the one that was meant?")
		}
		if file := c.embeddedCatalog(); file != "" && within(c.Store.URL.Path, file) {
			add("catalog.url", "the catalogue lies in the folder of the store, where it is a foreign object and is lost together with the backups")
		}
	}
	return odd
}

// embeddedCatalog is the file of the embedded catalogue, where the URL at hand
// names one.
func (c *Config) embeddedCatalog() string {
	g := c.merged["catalog.url"]
	if g == nil {
		return ""
	}
	u, err := parseCatalogURL(g.text.Reveal())
	if err != nil {
		return ""
	}
	return u.Path
}

// within says whether a path lies below a folder, by their names.
func within(folder, path string) bool {
	rest, err := filepath.Rel(folder, path)
	return err == nil && rest != "." && rest != ".." && !strings.HasPrefix(rest, ".."+string(filepath.Separator))
}

// shellWord quotes a path for pasting, where it needs that.
func shellWord(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,=@%", r)
	}
	if strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
