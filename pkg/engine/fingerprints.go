package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/fingerprint"
	"github.com/AutumnsGrove/patina/pkg/litedb"
)

// fingerprints are the tables that are brought back whose fingerprints were
// recorded with the backup and can be held against what is there.
func (s *Source) fingerprints() []backup.Table {
	back := s.Plan.Tables()
	var known []backup.Table
	for _, t := range s.Entry.Manifest().Tables {
		if fingerprint.Comparable(t.Fingerprint) && slices.Contains(back, backup.Table{Name: t.Name, Rows: t.Rows}) {
			known = append(known, t)
		}
	}
	return known
}

// rowsDiffer says of a table that it is not as it was recorded.
func rowsDiffer(t backup.Table) string {
	return fmt.Sprintf("the rows of %s have another fingerprint than in the backup", t.Name)
}

// fingerprintsDiffer are the tables of a loaded database whose rows are not those
// of the backup, in words.
func fingerprintsDiffer(ctx context.Context, db *litedb.DB, s *Source, result *LoadResult) ([]string, error) {
	var problems []string
	for _, t := range s.fingerprints() {
		got, err := db.Fingerprint(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		result.Fingerprints++
		if got != t.Fingerprint {
			problems = append(problems, rowsDiffer(t))
		}
	}
	return problems, nil
}

// takeFingerprints are the tables of a backup with the fingerprints of those that
// are in the database.
func takeFingerprints(ctx context.Context, db *litedb.DB, s *Source) ([]backup.Table, error) {
	loaded := s.Plan.Tables()
	tables := slices.Clone(s.Entry.Manifest().Tables)
	for i, t := range tables {
		if !slices.Contains(loaded, t) {
			continue // what a virtual table keeps is made anew, and not by the dump
		}
		taken, err := db.Fingerprint(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		tables[i].Fingerprint = taken
	}
	return tables, nil
}

// liveFingerprints is how the rows of a D1 database were held against those of a
// backup.
type liveFingerprints struct {
	compared    int
	differences []string
	// unread are the reasons why some could not be compared: D1 bounds the time
	// of a query, and a table may be too large for it.
	unread []error
}

// compareFingerprints holds the rows of a live database against those of a
// backup, as far as their fingerprints were recorded and they could be counted. The
// error is of a context that ended.
func (e *Engine) compareFingerprints(ctx context.Context, id string, live content, s *Source) (liveFingerprints, error) {
	var result liveFingerprints
	known := slices.DeleteFunc(s.fingerprints(), func(t backup.Table) bool {
		return !slices.Contains(live.tables, backup.Table{Name: t.Name, Rows: t.Rows})
	})
	for i, t := range known {
		e.observeLoad(s, s.written.bytes, s.written.bytes, fmt.Sprintf("comparing the rows of table %d of %d", i+1, len(known)))
		got, err := e.liveFingerprint(ctx, id, t.Name)
		switch {
		case ctx.Err() != nil:
			return result, context.Cause(ctx)
		case err != nil:
			result.unread = append(result.unread, fmt.Errorf("the rows of %s were counted, but their fingerprint could not be taken: %w", t.Name, err))
			continue
		case got != t.Fingerprint:
			result.differences = append(result.differences, rowsDiffer(t))
		}
		result.compared++
	}
	return result, nil
}

func (e *Engine) liveFingerprint(ctx context.Context, id, table string) (string, error) {
	named, err := e.texts(ctx, id, fingerprint.Columns(table))
	if err != nil {
		return "", err
	}
	columns := make([]string, len(named))
	for i, row := range named {
		columns[i] = row[0]
	}
	if len(columns) == 0 {
		return "", errors.New("it has no columns")
	}
	answer, err := e.texts(ctx, id, fingerprint.Query(table, columns))
	if err != nil {
		return "", err
	}
	if len(answer) != 1 || len(answer[0]) != len(columns) {
		return "", fmt.Errorf("%d rows for an answer", len(answer))
	}
	return fingerprint.Of(columns, answer[0]), nil
}

// texts are the rows of a query whose columns are all text.
func (e *Engine) texts(ctx context.Context, id, sql string) ([][]string, error) {
	result, err := e.opts.D1.Look(ctx, id, sql)
	if err != nil {
		return nil, err
	}
	rows := make([][]string, len(result.Rows))
	for i, row := range result.Rows {
		rows[i] = make([]string, len(row))
		for j, cell := range row {
			text, ok := cell.(string)
			if !ok {
				return nil, fmt.Errorf("%v for a text", cell)
			}
			rows[i][j] = text
		}
	}
	return rows, nil
}
