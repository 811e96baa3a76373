package pgcatalog

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// Recall returns remembered documents: see catalog.Documents.
func (c *Catalog) Recall(ctx context.Context, first, last string) ([]catalog.Document, error) {
	const query = `SELECT key, etag, body FROM patina.documents WHERE key >= $1 AND key <= $2 ORDER BY key`
	var documents []catalog.Document
	err := c.read(ctx, "recall documents", func(ctx context.Context, tx pgx.Tx) error {
		var err error
		documents, err = collect(ctx, tx, func(row pgx.CollectableRow) (catalog.Document, error) {
			var d catalog.Document
			err := row.Scan(&d.Key, &d.ETag, &d.Body)
			return d, err
		}, query, first, last)
		return err
	})
	return documents, err
}

// Remember keeps documents: see catalog.Documents. Written twice they are the
// same, so that it may be tried again.
func (c *Catalog) Remember(ctx context.Context, documents []catalog.Document) error {
	const query = `INSERT INTO patina.documents (key, etag, body)
		SELECT DISTINCT ON (key) key, etag, body FROM unnest($1::text[], $2::text[], $3::bytea[]) WITH ORDINALITY AS d (key, etag, body, place)
		ORDER BY key, place DESC
		ON CONFLICT (key) DO UPDATE SET etag = excluded.etag, body = excluded.body`
	keys, etags, bodies := make([]string, len(documents)), make([]string, len(documents)), make([][]byte, len(documents))
	for i, d := range documents {
		keys[i], etags[i], bodies[i] = d.Key, d.ETag, d.Body
		if d.Body == nil {
			bodies[i] = []byte{} // and not NULL
		}
	}
	return c.write(ctx, "remember documents", idempotent, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, query, keys, etags, bodies)
		return err
	})
}

// Forget drops remembered documents: see catalog.Documents.
func (c *Catalog) Forget(ctx context.Context, keys []string) error {
	return c.write(ctx, "forget documents", idempotent, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM patina.documents WHERE key = ANY ($1::text[])`, keys)
		return err
	})
}
