package pgcatalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	migrations "github.com/AutumnsGrove/patina/sql"
)

// contents is what a database holds.
type contents struct {
	// schema says whether there is a schema named patina.
	schema bool
	// version is the number of the newest migration that was applied.
	version int64
	// foreign names something outside that schema; empty if there is nothing.
	foreign string
}

// look finds out what the database holds. A schema patina that is not ours, or
// too new, is an error.
func (c *Catalog) look(ctx context.Context) ([]migrations.Migration, contents, error) {
	folder, err := migrations.Postgres()
	if err != nil {
		return nil, contents{}, fmt.Errorf("open catalogue: %w", err)
	}
	known, err := migrations.List(folder)
	if err != nil {
		return nil, contents{}, fmt.Errorf("open catalogue: %w", err)
	}
	var found contents
	err = c.read(ctx, "open catalogue", func(ctx context.Context, tx pgx.Tx) error {
		found, err = c.lookIn(ctx, tx)
		return err
	})
	if err != nil {
		return nil, contents{}, err
	}
	if found.version > migrations.Newest(known) {
		return nil, contents{}, c.schemaError("",
			"is of a newer patina: its schema is number %d, and this patina knows up to %d",
			found.version, migrations.Newest(known))
	}
	return known, found, nil
}

// lookIn is look within a transaction, without judgement of the version.
func (c *Catalog) lookIn(ctx context.Context, tx pgx.Tx) (contents, error) {
	const (
		schemas = `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'patina'),
			EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'patina' AND tablename = 'migrations'),
			coalesce((SELECT min(relname::text) FROM pg_catalog.pg_class AS r
				WHERE r.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'patina')), '')`
		version = `SELECT coalesce(max(version_id), 0) FROM ` + versionTable + ` WHERE is_applied`
	)
	var found contents
	var versioned bool
	var inside string
	if err := tx.QueryRow(ctx, schemas).Scan(&found.schema, &versioned, &inside); err != nil {
		return contents{}, err
	}
	switch {
	case versioned:
		err := tx.QueryRow(ctx, version).Scan(&found.version)
		return found, err
	case inside != "":
		return contents{}, c.schemaError("", "has a schema patina that is something else's: it holds %s", inside)
	case found.schema:
		return found, nil
	}
	return found, tx.QueryRow(ctx, foreignQuery).Scan(&found.foreign)
}

// foreignQuery names one thing that somebody put into the database: a
// relation, function or type that belongs neither to the system nor to an
// extension. Hosted databases come with extensions; those do not count.
const foreignQuery = `
	WITH things (catalogue, oid, namespace, name) AS (
		SELECT 'pg_catalog.pg_class'::regclass, oid, relnamespace, relname::text FROM pg_catalog.pg_class
		UNION ALL
		SELECT 'pg_catalog.pg_proc'::regclass, oid, pronamespace, proname::text FROM pg_catalog.pg_proc
		UNION ALL
		SELECT 'pg_catalog.pg_type'::regclass, oid, typnamespace, typname::text FROM pg_catalog.pg_type
		WHERE typtype IN ('d', 'e', 'r')
	)
	SELECT coalesce(min(n.nspname || '.' || t.name), '')
	FROM things AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.namespace
	WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
		AND NOT EXISTS (
			SELECT FROM pg_catalog.pg_depend AS d
			WHERE d.classid = t.catalogue AND d.objid = t.oid AND d.deptype = 'e')
		AND NOT EXISTS (
			SELECT FROM pg_catalog.pg_depend AS d
			WHERE d.classid = 'pg_catalog.pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')`
