package litecatalog

import (
	"context"
	"database/sql"
	"slices"

	"github.com/AutumnsGrove/patina/pkg/catalog"
)

// Recall returns remembered documents: see catalog.Documents.
func (c *Catalog) Recall(ctx context.Context, first, last string) ([]catalog.Document, error) {
	const query = `SELECT key, etag, body FROM documents WHERE key >= ? AND key <= ? ORDER BY key`
	var documents []catalog.Document
	err := c.read(ctx, "recall documents", func(ctx context.Context, tx *sql.Tx) error {
		var err error
		var kept bodies
		var body sql.RawBytes
		documents, err = collect(ctx, tx, func(rows *sql.Rows) (catalog.Document, error) {
			var d catalog.Document
			err := rows.Scan(&d.Key, &d.ETag, &body)
			d.Body = kept.keep(body)
			return d, err
		}, query, first, last)
		return err
	})
	return documents, err
}

// bodies keeps small bodies side by side: to allocate each costs as much as to read
// it.
type bodies struct{ room []byte }

// bodiesAtOnce is how much is allocated for bodies that are kept.
const bodiesAtOnce = 64 << 10

func (b *bodies) keep(body []byte) []byte {
	if len(body) > cap(b.room)-len(b.room) {
		b.room = make([]byte, 0, max(bodiesAtOnce, len(body)))
	}
	begin := len(b.room)
	b.room = append(b.room, body...)
	return slices.Clip(b.room[begin:])
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
