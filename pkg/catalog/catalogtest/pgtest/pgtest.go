// Package pgtest gives tests real Postgres databases of their own.
//
// It works on the cluster whose admin database PATINA_TEST_POSTGRES names (a
// URL; `make test` starts one and sets it). Each database is fresh and is
// dropped when its test ends. One with a catalogue in it is copied from a
// template, which is migrated once per cluster, whichever process comes first.
// With -short it skips the test; without the cluster it fails it.
package pgtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/AutumnsGrove/patina/pkg/catalog/pgcatalog"
	"github.com/AutumnsGrove/patina/pkg/secret"
	migrations "github.com/AutumnsGrove/patina/sql"
)

// Variable names the admin database's URL in the environment.
const Variable = "PATINA_TEST_POSTGRES"

// templateLock is the number of the advisory lock under which the template is
// made.
const templateLock = 7_012_024

// New gives the URL of a fresh database with an empty catalogue in it. Its
// search_path is empty, so that a query that does not name its schema fails.
func New(t testing.TB) string {
	t.Helper()
	return create(t, template(t))
}

// Empty gives the URL of a fresh database with nothing in it.
func Empty(t testing.TB) string {
	t.Helper()
	return create(t, "template0")
}

// Exec runs statements on a database that New or Empty gave.
func Exec(t testing.TB, database string, statements ...string) {
	t.Helper()
	conn := connect(t, database)
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Query gives the one value of a query's one row.
func Query[T any](t testing.TB, database, query string) T {
	t.Helper()
	var value T
	if err := connect(t, database).QueryRow(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// Admin gives the URL of the cluster's admin database.
func Admin(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Postgres")
	}
	admin := os.Getenv(Variable) //nolint:forbidigo // this package is for tests only
	if admin == "" {
		t.Fatalf("%s is not set: `make test` starts a Postgres and sets it", Variable)
	}
	return admin
}

func connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatalf("connect to Postgres: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// create makes a database from a template and drops it when the test ends.
func create(t testing.TB, from string) string {
	t.Helper()
	admin := Admin(t)
	name := "patina_test_" + strings.ToLower(rand.Text())
	Exec(t, admin, "CREATE DATABASE "+name+" TEMPLATE "+from)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, admin)
		if err != nil {
			t.Errorf("connect to drop %s: %v", name, err)
			return
		}
		defer func() { _ = conn.Close(ctx) }()
		if _, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	return locate(t, admin, name)
}

// locate is the URL of another database of the cluster.
func locate(t testing.TB, admin, name string) string {
	t.Helper()
	at, err := url.Parse(admin)
	if err != nil {
		t.Fatalf("%s is no URL", Variable)
	}
	at.Path = "/" + name
	query := at.Query()
	query.Set("search_path", "")
	at.RawQuery = query.Encode()
	return at.String()
}

// template is the name of a database with an empty catalogue. It is made under
// another name and then renamed, so that what has the name is whole.
func template(t testing.TB) string {
	t.Helper()
	admin := Admin(t)
	name := "patina_template_" + digest(t)
	conn := connect(t, admin)
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, templateLock); err != nil {
		t.Fatalf("lock the template: %v", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }() // unlocks
	var made bool
	const query = `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`
	if err := conn.QueryRow(t.Context(), query, name).Scan(&made); err != nil {
		t.Fatalf("look for the template: %v", err)
	}
	if made {
		return name
	}
	Exec(t, admin, "DROP DATABASE IF EXISTS "+name+"_building WITH (FORCE)",
		"CREATE DATABASE "+name+"_building TEMPLATE template0")
	building := secret.New(locate(t, admin, name+"_building"))
	if _, err := pgcatalog.Migrate(t.Context(), pgcatalog.Options{URL: building}); err != nil {
		t.Fatalf("migrate the template: %v", err)
	}
	Exec(t, admin, "ALTER DATABASE "+name+"_building RENAME TO "+name)
	return name
}

// digest tells the templates of different migrations apart.
func digest(t testing.TB) string {
	t.Helper()
	folder, err := migrations.Postgres()
	if err != nil {
		t.Fatal(err)
	}
	list, err := migrations.List(folder)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	for _, m := range list {
		content, err := fs.ReadFile(folder, m.Name)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}
