package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// CatalogKind is the kind of a job catalogue.
type CatalogKind string

// The kinds of catalogues.
const (
	CatalogPostgres CatalogKind = "postgres"
	CatalogSQLite   CatalogKind = "sqlite"
)

// CatalogURL is a checked catalog.url: postgres://... or sqlite:///FILE.
type CatalogURL struct {
	Kind CatalogKind
	// DSN is the connection string of Postgres.
	DSN secret.String
	// Path is the absolute file of SQLite, as the file system knows it: it
	// may hold "?", "#" and "%".
	Path string
	// shown is what may be printed.
	shown string
}

// String is the URL without user, password and parameters: of Postgres the
// host and the database only.
func (u CatalogURL) String() string { return u.shown }

// parseCatalogURL reads a catalogue URL. No error repeats any part of it.
func parseCatalogURL(text string) (CatalogURL, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return CatalogURL{}, errors.New("not a URL: want postgres://USER:PASSWORD@HOST/DATABASE (special characters of the password written as %40 and so on) or sqlite:///FILE")
	}
	switch parsed.Scheme {
	case "postgres", "postgresql":
		return parsePostgresURL(text, parsed)
	case "sqlite":
		return parseSQLiteURL(text, parsed)
	}
	return CatalogURL{}, errors.New("unknown scheme: want postgres:// or sqlite:///")
}

func parsePostgresURL(text string, parsed *url.URL) (CatalogURL, error) {
	// An "@" here is what follows the "?" of a password: then the rest of the
	// password would be taken for a port or a database, and printed.
	if _, err := url.ParseQuery(parsed.RawQuery); err != nil || strings.Contains(parsed.RawQuery, "@") {
		return CatalogURL{}, errors.New("the parameters after \"?\" are not well formed; a \"?\" of the password is written as %3F")
	}
	host := parsed.Host
	if host == "" {
		host = parsed.Query().Get("host") // a socket's folder cannot be written as a host
	}
	database := strings.TrimPrefix(parsed.Path, "/")
	switch {
	case parsed.Opaque != "" || host == "" || database == "":
		return CatalogURL{}, errors.New("host or database is missing: want postgres://USER:PASSWORD@HOST/DATABASE")
	case parsed.Fragment != "" || strings.ContainsAny(database, "/@:"):
		return CatalogURL{}, errors.New("more than a database stands after the host: a \"#\", \"/\" or \"@\" of the password is written as %23, %2F, %40")
	}
	return CatalogURL{
		Kind: CatalogPostgres, DSN: secret.New(text),
		shown: "postgres://" + host + "/" + database,
	}, nil
}

func parseSQLiteURL(text string, parsed *url.URL) (CatalogURL, error) {
	if parsed.Host != "" || parsed.User != nil || !filepath.IsAbs(parsed.Path) {
		return CatalogURL{}, errors.New("want an absolute file after three slashes: sqlite:///FILE")
	}
	if parsed.RawQuery != "" || parsed.Fragment != "" || strings.Contains(parsed.Path, "\x00") {
		return CatalogURL{}, errors.New("something stands after the file's name, from \"?\" or \"#\" on")
	}
	if strings.HasSuffix(parsed.Path, "/") {
		return CatalogURL{}, errors.New("want a file, not a folder")
	}
	return CatalogURL{Kind: CatalogSQLite, Path: filepath.Clean(parsed.Path), shown: text}, nil
}

// shownCatalog is what may be printed of a catalog.url as it was given.
func shownCatalog(text string) string {
	if place, err := secret.Parse(text); err != nil || place.Way() != secret.Literal {
		return place.String()
	}
	u, err := parseCatalogURL(text)
	if err != nil {
		return secret.Redacted
	}
	return u.String()
}

// stateFile is where the embedded catalogue lies by default: in systemd's
// state folder, else in that of the XDG rules. It is empty where the process
// has no home.
func stateFile(req LoadRequest) string {
	if folders, set := req.LookupEnv("STATE_DIRECTORY"); set && folders != "" {
		// systemd lists several folders with colons between.
		first, _, _ := strings.Cut(folders, ":")
		return filepath.Join(first, catalogFile)
	}
	if folder, set := req.LookupEnv("XDG_STATE_HOME"); set && filepath.IsAbs(folder) {
		return filepath.Join(folder, "patina", catalogFile)
	}
	if req.HomeDir == "" {
		return ""
	}
	return filepath.Join(req.HomeDir, ".local", "state", "patina", catalogFile)
}

const catalogFile = "catalog.sqlite"

// defaultCatalog is the catalog.url of the default; empty where there is no
// folder for it.
func defaultCatalog(req LoadRequest) string {
	file := stateFile(req)
	if !filepath.IsAbs(file) {
		return ""
	}
	return fmt.Sprint(&url.URL{Scheme: "sqlite", Path: file})
}
