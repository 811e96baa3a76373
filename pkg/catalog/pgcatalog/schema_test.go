package pgcatalog_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/catalogtest"
	"github.com/AutumnsGrove/patina/pkg/catalog/catalogtest/pgtest"
	"github.com/AutumnsGrove/patina/pkg/catalog/pgcatalog"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/secret"
)

// things counts what a database holds outside of the system's schemas.
const things = `SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
	WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'`

func options(database string, policy pgcatalog.MigratePolicy) pgcatalog.Options {
	return pgcatalog.Options{URL: secret.New(database), Version: "1.2.3", Migrate: policy}
}

// first is the name of the first migration.
const first = "00001_jobs.sql"

// all are the names of all migrations.
func all() []string { return []string{first, "00002_documents.sql"} }

func TestFirstUseAtOnce(t *testing.T) {
	t.Parallel()
	database := pgtest.Empty(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			c, err := pgcatalog.Open(t.Context(), options(database, ""))
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			if _, err := c.Jobs(t.Context(), catalog.JobFilter{}); err != nil {
				t.Errorf("Jobs: %v", err)
			}
			_ = c.Close()
		})
	}
	all.Wait()
	const applied = `SELECT count(*) FROM patina.migrations WHERE version_id = 1`
	if n := pgtest.Query[int](t, database, applied); n != 1 {
		t.Errorf("the first migration was applied %d times, want once", n)
	}
	const outside = things + ` AND n.nspname <> 'patina'`
	if n := pgtest.Query[int](t, database, outside); n != 0 {
		t.Errorf("%d things were made outside of schema patina, want none", n)
	}
}

func TestMigrateAndPending(t *testing.T) {
	t.Parallel()
	database := pgtest.Empty(t)
	opts := options(database, pgcatalog.MigrateNever)
	for _, want := range [][]string{all(), nil} {
		pending, err := pgcatalog.Pending(t.Context(), opts)
		if err != nil || !slices.Equal(pending, want) {
			t.Fatalf("Pending = %v, %v; want %v", pending, err, want)
		}
		if want != nil {
			if n := pgtest.Query[int](t, database, things); n != 0 {
				t.Fatalf("Pending made %d things", n)
			}
			_, err := pgcatalog.Open(t.Context(), opts)
			wantSchemaError(t, err, "patina catalog migrate", "number 0", "needs 2")
		}
		applied, err := pgcatalog.Migrate(t.Context(), opts)
		if err != nil || !slices.Equal(applied, want) {
			t.Fatalf("Migrate = %v, %v; want %v", applied, err, want)
		}
	}
	c, err := pgcatalog.Open(t.Context(), opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	_ = c.Close()
}

// wantSchemaError fails the test unless the error is ErrSchema with a hint
// (which may be empty) and says some words.
func wantSchemaError(t *testing.T, err error, hint string, words ...string) {
	t.Helper()
	if !errors.Is(err, catalog.ErrSchema) {
		t.Fatalf("got %v, want ErrSchema", err)
	}
	var hints []string
	if hint != "" {
		hints = []string{hint}
	}
	if diff := cmp.Diff(hints, fault.Hints(err)); diff != "" {
		t.Errorf("hints (-want +got):\n%s", diff)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestForeignDatabase(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"a table":             `CREATE TABLE public.users (id int)`,
		"a table elsewhere":   `CREATE SCHEMA app; CREATE TABLE app.users (id int)`,
		"a view":              `CREATE VIEW public.users AS SELECT 1`,
		"a function":          `CREATE FUNCTION public.users() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
		"a type":              `CREATE TYPE public.users AS ENUM ('a')`,
		"a table like a name": `CREATE SCHEMA pgx; CREATE TABLE pgx.users (id int)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.Empty(t)
			pgtest.Exec(t, database, statement)
			before := pgtest.Query[int](t, database, things)
			_, err := pgcatalog.Open(t.Context(), options(database, ""))
			wantSchemaError(t, err, "patina catalog migrate", ".users")
			if n := pgtest.Query[int](t, database, things); n != before {
				t.Errorf("Open made %d things", n-before)
			}
			const schemas = `SELECT count(*) FROM pg_namespace WHERE nspname = 'patina'`
			if n := pgtest.Query[int](t, database, schemas); n != 0 {
				t.Error("Open made the schema")
			}
			c, err := pgcatalog.Open(t.Context(), options(database, pgcatalog.MigrateAlways))
			if err != nil {
				t.Fatalf("Open, told to migrate: %v", err)
			}
			_ = c.Close()
			open(t, database)
		})
	}
}

func TestOursBesideOthers(t *testing.T) {
	t.Parallel()
	database := pgtest.Empty(t)
	pgtest.Exec(t, database, `CREATE TABLE public.users (id int)`, `CREATE SCHEMA patina`)
	open(t, database) // the administrator made the schema for us

	// plpgsql, which every database has, is an extension and does not count;
	// an empty schema is nothing.
	hosted := pgtest.Empty(t)
	pgtest.Exec(t, hosted, `CREATE SCHEMA app`)
	open(t, hosted)
}

func TestNotOurs(t *testing.T) {
	t.Parallel()
	database := pgtest.Empty(t)
	pgtest.Exec(t, database, `CREATE SCHEMA patina`, `CREATE TABLE patina.rust (id int)`)
	for _, policy := range []pgcatalog.MigratePolicy{pgcatalog.MigrateIfOurs, pgcatalog.MigrateAlways} {
		_, err := pgcatalog.Open(t.Context(), options(database, policy))
		wantSchemaError(t, err, "", "rust")
	}
	_, err := pgcatalog.Migrate(t.Context(), options(database, ""))
	wantSchemaError(t, err, "", "rust")
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	pgtest.Exec(t, database, `INSERT INTO patina.migrations (version_id, is_applied) VALUES (77, true)`)
	for _, policy := range []pgcatalog.MigratePolicy{pgcatalog.MigrateIfOurs, pgcatalog.MigrateAlways, pgcatalog.MigrateNever} {
		_, err := pgcatalog.Open(t.Context(), options(database, policy))
		wantSchemaError(t, err, "", "77", "up to 2")
	}
	_, err := pgcatalog.Migrate(t.Context(), options(database, ""))
	wantSchemaError(t, err, "", "77", "up to 2")
	_, err = pgcatalog.Pending(t.Context(), options(database, ""))
	wantSchemaError(t, err, "", "77", "up to 2")
}

func TestSchemaVanishes(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	c := open(t, database)
	pgtest.Exec(t, database, `DROP SCHEMA patina CASCADE`)
	_, err := c.Jobs(t.Context(), catalog.JobFilter{})
	wantSchemaError(t, err, "patina catalog migrate")
}

// TestSettings runs the suite under settings that servers and poolers have.
func TestSettings(t *testing.T) {
	t.Parallel()
	pgtest.Admin(t) // skips or fails here, not in a case
	for name, settings := range map[string]map[string]string{
		"exec": {"default_query_exec_mode": "exec"},
		"simple protocol and strange defaults": {
			"default_query_exec_mode": "simple_protocol",
			"TimeZone":                "Pacific/Chatham",
			"DateStyle":               "DMY",
			"IntervalStyle":           "sql_standard",

			"default_transaction_isolation": "serializable",
			"default_transaction_read_only": "on",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databases := &shelf{t: t}
			catalogtest.Run(t, func(t *testing.T) catalogtest.Bench {
				database := databases.take(t)
				b, told := bench(database), database
				for key, value := range settings {
					told = with(t, told, key, value)
				}
				b.Open = func(t testing.TB) catalog.Catalog { return open(t, told) }
				return b
			})
		})
	}
}
