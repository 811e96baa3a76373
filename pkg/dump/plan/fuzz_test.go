package plan_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
)

// Whatever is planned is written as a dump that plans and writes the same, in
// statements that D1 takes.
func FuzzPlan(f *testing.F) {
	for _, tt := range dumptest.Cases(f) {
		if text := dumptest.AsD1(f, dumptest.Build(f, tt.SQL)); len(text) < 5000 {
			f.Add([]byte(text))
		}
	}
	f.Add([]byte("BEGIN;CREATE TABLE t(a);INSERT INTO t VALUES(unistr('\\u000a'),x'00',ERROR);COMMIT;"))
	f.Add([]byte("PRAGMA writable_schema=ON;INSERT INTO sqlite_schema VALUES('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts5(a)');CREATE TABLE f_content(id, c0);INSERT INTO f_content VALUES(1,'x');"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := plan.Importable(bytes.NewReader(text))
		for _, o := range found {
			if o.Count < 1 || o.FirstOffset < 0 || o.FirstOffset > int64(len(text)) {
				t.Fatalf("%+v (%v) in %q", o, err, text)
			}
		}
		once, err := rewritten(t.Context(), text)
		if err != nil {
			return
		}
		twice, err := rewritten(t.Context(), once)
		if err != nil {
			t.Fatalf("%v in %q, written for %q", err, once, text)
		}
		if !bytes.Equal(once, twice) {
			t.Fatalf("%q\nbecomes %q\nand then %q", text, once, twice)
		}
	})
}

func rewritten(ctx context.Context, text []byte) ([]byte, error) {
	p, err := plan.Read(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return nil, err
	}
	var out []byte
	err = p.WriteSQL(ctx, func(sql []byte, _ int) error {
		out = append(out, sql...)
		return nil
	})
	return out, err
}
