package litecatalog

import (
	"context"
	"database/sql"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// Recall returns remembered documents: see catalog.Documents.
func (c *Catalog) Recall(ctx context.Context, first, last string) ([]catalog.Document, error) {
	const query = `SELECT key, etag, body FROM documents WHERE key >= ? AND key <= ? ORDER BY key`
	var documents []catalog.Document
	err := c.read(ctx, "recall documents", func(ctx context.Context, tx *sql.Tx) error {
		var err error
		documents, err = collect(ctx, tx, func(rows *sql.Rows) (catalog.Document, error) {
			var d catalog.Document
			err := rows.Scan(&d.Key, &d.ETag, &d.Body)
			return d, err
		}, query, first, last)
		return err
	})
	return documents, err
}

// Remember keeps documents: see catalog.Documents.
func (c *Catalog) Remember(ctx context.Context, documents []catalog.Document) error {
	const query = `INSERT INTO documents (key, etag, body) VALUES (?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET etag = excluded.etag, body = excluded.body`
	return c.write(ctx, "remember documents", func(ctx context.Context, tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		defer func() { _ = insert.Close() }() // it ends with the transaction
		for _, d := range documents {
			if _, err := insert.ExecContext(ctx, d.Key, d.ETag, filled(d.Body)); err != nil {
				return err
			}
		}
		return nil
	})
}

// filled is a body that SQLite does not take for NULL.
func filled(body []byte) []byte {
	if body == nil {
		return []byte{}
	}
	return body
}

// Forget drops remembered documents: see catalog.Documents.
func (c *Catalog) Forget(ctx context.Context, keys []string) error {
	return c.write(ctx, "forget documents", func(ctx context.Context, tx *sql.Tx) error {
		for _, key := range keys {
			if _, err := tx.ExecContext(ctx, `DELETE FROM documents WHERE key = ?`, key); err != nil {
				return err
			}
		}
		return nil
	})
}
