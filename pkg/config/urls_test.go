package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/AutumnsGrove/patina/pkg/config"
)

func TestParseStoreURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.StoreURL{
		"r2://grove-patina":                           {Kind: "r2", Bucket: "grove-patina", Region: "auto"},
		"r2://grove-patina/":                          {Kind: "r2", Bucket: "grove-patina", Region: "auto"},
		"r2://grove-patina?jurisdiction=eu":           {Kind: "r2", Bucket: "grove-patina", Region: "auto", Jurisdiction: "eu"},
		"s3://my.bucket?region=eu-central-1":          {Kind: "s3", Bucket: "my.bucket", Region: "eu-central-1", Endpoint: "https://s3.eu-central-1.amazonaws.com"},
		"s3://bucket?endpoint=https://s3.example.com": {Kind: "s3", Bucket: "bucket", Region: "us-east-1", Endpoint: "https://s3.example.com"},

		"s3://bucket?endpoint=https%3A%2F%2Fs3.example.com%3A9000%2F&region=auto": {Kind: "s3", Bucket: "bucket", Region: "auto", Endpoint: "https://s3.example.com:9000"},

		"s3://bucket?endpoint=http://127.0.0.1:9000":           {Kind: "s3", Bucket: "bucket", Region: "us-east-1", Endpoint: "http://127.0.0.1:9000"},
		"s3://bucket?endpoint=http://[::1]:9000":               {Kind: "s3", Bucket: "bucket", Region: "us-east-1", Endpoint: "http://[::1]:9000"},
		"s3://bucket?endpoint=http://minio:9000&insecure=true": {Kind: "s3", Bucket: "bucket", Region: "us-east-1", Endpoint: "http://minio:9000"},
		"file:///srv/my%20backups/":                            {Kind: "file", Path: "/srv/my backups"},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := config.ParseStoreURL(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(want)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got := got.String(); got != text {
				t.Errorf("as text: got %q, want %q", got, text)
			}
		})
	}
}

func TestParseStoreURLRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "unknown scheme",
		"grove-patina":                     "unknown scheme",
		"https://bucket":                   "unknown scheme",
		"r2://":                            "no bucket",
		"r2://grove-patina/nightly":        "store.prefix",
		"r2://Grove":                       "bad bucket",
		"r2://a..b":                        "bad bucket",
		"r2://my.bucket":                   "holds no dot",
		"r2://-ab":                         "bad bucket",
		"r2://grove-patina:443":            "bad bucket",
		"r2://grove-patina?jurisdiction=x": "unknown jurisdiction",
		"r2://grove-patina?jurisdicton=eu": "did you mean jurisdiction?",
		"r2://grove-patina?jurisdiction=eu&jurisdiction=us":    "given twice",
		"r2://grove-patina?endpoint=https://a":                 "unknown parameter",
		"s3://bucket":                                          "neither endpoint nor region",
		"s3://bucket?endpoint=http://minio:9000":               "this machine only",
		"s3://bucket?endpoint=http://minio&insecure=yes":       "bad insecure",
		"s3://bucket?endpoint=ftp://minio":                     "want https://",
		"s3://bucket?endpoint=minio:9000":                      "endpoint: ",
		"s3://bucket?endpoint=https://hunter2:pw@minio":        "user name",
		"s3://bucket?endpoint=https://minio/path":              "a path stands",
		"s3://bucket?endpoint=https://minio&region=a.b/c":      "bad region",
		"s3://bucket?region=%zz":                               "well formed",
		"s3://hunter2:hunter2@bucket?region=eu-west-1":         "store.access_key_id",
		"s3://hunter2:hunt/er2@bucket?region=eu-west-1":        "not a URL",
		"file://srv/backups":                                   "three slashes",
		"file:srv":                                             "three slashes",
		"file:///":                                             "root of the file system",
		"file:///srv/../":                                      "root of the file system",
		"file:///srv?create=true":                              "unknown parameter",
		"file:///srv/back#ups":                                 "%23",
		"file:///srv/a%00b":                                    "NUL",
		"s3://bucket?endpoint=https://minio%3Fhunter2=hunter2": "something stands after",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := config.ParseStoreURL(text)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want an error with %q", err, want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

func TestCatalogURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"postgres://patina:hunter2@db.example.com:5432/jobs?sslmode=verify-full": "postgres://db.example.com:5432/jobs",
		"postgresql://db.example.com/jobs?password=hunter2":                      "postgres://db.example.com/jobs",
		"postgres:///jobs?host=/run/postgresql&user=patina":                      "postgres:///run/postgresql/jobs",
		"postgres://a:hunter2@h1:1,h2:2/jobs":                                    "postgres://h1:1,h2:2/jobs",
		"sqlite:///var/lib/patina/jobs.db":                                       "sqlite:///var/lib/patina/jobs.db",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			c := h.load(t, "catalog: { url: \""+text+"\" }")
			location, err := c.Catalog.Location(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := location.String(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got := setting(t, c, "catalog.url").Value; got != want {
				t.Errorf("setting: got %s, want %s", got, want)
			}
			if location.Kind == config.CatalogPostgres && location.DSN.Reveal() != text {
				t.Errorf("got DSN %s, want %s", location.DSN.Reveal(), text)
			}
		})
	}
}

func TestCatalogURLRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"mysql://a:hunter2@h/db":              "unknown scheme",
		"hunter2":                             "unknown scheme",
		"postgres://a:hunter2/x@h/db":         "not a URL",
		"postgres://a:12/hunter2@h/db":        "more than a database",
		"postgres://a:12?hunter2@h/db":        "not well formed",
		"postgres://a:12/b?hunter2=x@h/db":    "not well formed",
		"postgres://a:12#hunter2@h/db":        "is missing",
		"postgres://a:12/b#hunter2@h/db":      "more than a database",
		"postgres://a:hunter2@h/":             "is missing",
		"postgres://a:hunter2@/db":            "is missing",
		"postgres:hunter2":                    "is missing",
		"sqlite://hunter2/db":                 "three slashes",
		"sqlite:hunter2":                      "three slashes",
		"sqlite:///folder/":                   "not a folder",
		"sqlite:///file?_pragma=key(hunter2)": "after the file",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(newHost(t).refuse(t, "catalog: { url: \""+text+"\" }"), "\n")
			if !strings.HasPrefix(got, "FILE:1: catalog.url: ") || !strings.Contains(got, want) {
				t.Errorf("got %q, want %q in it", got, want)
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("the error repeats a secret: %s", got)
			}
		})
	}
}

func TestDefaultCatalog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"systemd", map[string]string{"STATE_DIRECTORY": "/var/lib/patina:/var/lib/other", "XDG_STATE_HOME": "/x"}, "/var/lib/patina/catalog.sqlite"},
		{"XDG", map[string]string{"XDG_STATE_HOME": "/x y"}, "/x y/patina/catalog.sqlite"},
		{"relative XDG is ignored", map[string]string{"XDG_STATE_HOME": "x"}, "/home/.local/state/patina/catalog.sqlite"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.env = c.env
			req := h.request(h.write(t, "patina.yaml", ""))
			req.HomeDir = "/home"
			loaded, err := config.Load(req)
			if err != nil {
				t.Fatal(err)
			}
			location, err := loaded.Catalog.Location(t.Context())
			if err != nil || location.Path != c.want {
				t.Errorf("got %q, %v, want %q", location.Path, err, c.want)
			}
		})
	}
}

func TestNoHomeNoCatalog(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	req := h.request(h.write(t, "patina.yaml", ""))
	req.HomeDir = ""
	c, err := config.Load(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Catalog.Location(t.Context()); err == nil || !strings.Contains(err.Error(), "PATINA_CATALOG_URL") {
		t.Errorf("got %v, want an error with the variable to set", err)
	}
}
