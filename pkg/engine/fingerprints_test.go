package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// meddler stands between the engine and D1. Each of its hooks may be nil.
type meddler struct {
	network http.RoundTripper
	// answer replaces the answers to queries in which all of these words are.
	words  []string
	answer func(text []byte) (status int, instead []byte)
	// imported is called once an import is in.
	imported func()
}

func (m *meddler) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := m.network.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if m.answer != nil && !slices.ContainsFunc(m.words, func(word string) bool { return !bytes.Contains(body, []byte(word)) }) {
		resp.StatusCode, text = m.answer(text)
	}
	if m.imported != nil && bytes.Contains(text, []byte(`"final_bookmark"`)) {
		m.imported()
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	resp.Header.Del("Content-Length")
	return resp, nil
}

// fingerprinted works at a bench on which alpha was backed up, and loaded.
func fingerprinted(t *testing.T, work func(*restoreBench, *meddler)) {
	t.Helper()
	restoring(t, nil, func(o *engine.Options) { o.Prove = backup.ProveAuto }, func(r *restoreBench) {
		m := &meddler{network: r.network, words: []string{"LIMIT -1", `FROM \"c\"`}}
		r.e = r.host(func(o *engine.Options) { o.D1 = r.client(m) })
		work(r, m)
	})
}

func TestFingerprintsAreRecordedWithABackup(t *testing.T) {
	t.Parallel()
	fingerprinted(t, func(r *restoreBench, _ *meddler) {
		load := func() (engine.LoadResult, error) {
			return r.e.LoadSQLite(r.t.Context(), r.source, filepath.Join(r.t.TempDir(), "new.db"))
		}
		m := r.source.Entry.Manifest()
		if len(m.Tables) != 2 || m.Tables[0].Fingerprint == "" || m.Tables[1].Fingerprint == "" {
			r.t.Fatalf("tables %v", m.Tables)
		}
		if loaded, err := load(); err != nil || loaded.Fingerprints != 2 {
			r.t.Errorf("%d were compared: %v", loaded.Fingerprints, err)
		}
		m.Tables[0].Fingerprint = "1:0000000000000000"
		r.source.Entry.Brief = manifest.NewBrief(m)
		if _, err := load(); fault.KindOf(err) != fault.Proof {
			r.t.Errorf("another fingerprint: %v", err)
		}
		m.Tables[0].Fingerprint = "2:0000000000000000"
		r.source.Entry.Brief = manifest.NewBrief(m)
		if loaded, err := load(); err != nil || loaded.Fingerprints != 1 {
			r.t.Errorf("one of a newer making: %d were compared: %v", loaded.Fingerprints, err)
		}
	})
}

func TestRestoredRowsAreComparedByFingerprint(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		req   engine.RestoreRequest
		wrong bool
		state engine.RestoreState
	}{
		"a new database":                  {engine.RestoreRequest{Target: "new"}, false, engine.StateRestored},
		"one that is replaced":            {engine.RestoreRequest{Target: "old", Replace: true}, false, engine.StateRestored},
		"a new database that is wrong":    {engine.RestoreRequest{Target: "new"}, true, engine.StateReturned},
		"a replaced one that comes wrong": {engine.RestoreRequest{Target: "old", Replace: true}, true, engine.StateReturned},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fingerprinted(t, func(r *restoreBench, between *meddler) {
				if tt.wrong {
					between.answer = func(text []byte) (int, []byte) {
						return http.StatusOK, bytes.Replace(text, []byte(`[["`), []byte(`[["9`), 1)
					}
				}
				result, err := r.restore(tt.req)
				if result.State != tt.state || result.Fingerprints != 2 {
					r.t.Errorf("%s, %d were compared: %v", result.State, result.Fingerprints, err)
				}
				if tt.wrong && (fault.KindOf(err) != fault.Proof || !strings.Contains(err.Error(), "the rows of c")) {
					r.t.Errorf("the error: %v", err)
				}
			})
		})
	}
}

// Others may write as soon as the import is in: that is no reason to take it back.
func TestWritesOfOthersAreNoDifference(t *testing.T) {
	t.Parallel()
	for _, write := range []string{"UPDATE c SET p=1 WHERE id=7", "INSERT INTO c VALUES(1000,1)", "DELETE FROM c", "CREATE TABLE more(x)"} {
		t.Run(write, func(t *testing.T) {
			t.Parallel()
			fingerprinted(t, func(r *restoreBench, between *meddler) {
				between.imported = func() { r.seed("old", write) }
				result, err := r.e.Restore(r.t.Context(), engine.RestoreRequest{Source: r.source, Target: "old", Replace: true})
				if err != nil || result.State != engine.StateRestored || result.Compared {
					r.t.Fatalf("%s, compared: %v: %v", result.State, result.Compared, err)
				}
				if !strings.Contains(errors.Join(result.Warnings...).Error(), "others may have written to it") {
					r.t.Errorf("the warnings: %v", result.Warnings)
				}
			})
		})
	}
}

// tooLong is D1's answer to a query that takes too long.
func tooLong([]byte) (status int, instead []byte) {
	return http.StatusBadRequest, []byte(`{"success":false,"errors":[{"code":7500,"message":"D1 DB exceeded its CPU time limit and was reset."}],"messages":[],"result":null}`)
}

// What cannot be counted keeps nobody from restoring, and is no reason to take back
// what is in.
func TestATableThatCannotBeCountedIsTold(t *testing.T) {
	t.Parallel()
	for table, req := range map[string]engine.RestoreRequest{
		"c":     {Target: "new"},
		"extra": {Target: "old", Replace: true},
		"p":     {Target: "old", Replace: true},
	} {
		t.Run(table+" of "+req.Target, func(t *testing.T) {
			t.Parallel()
			fingerprinted(t, func(r *restoreBench, between *meddler) {
				between.words, between.answer = []string{"SELECT count(*)", `FROM \"` + table + `\"`}, tooLong
				result, err := r.restore(req)
				if err != nil || result.State != engine.StateRestored {
					r.t.Fatalf("%s: %v", result.State, err)
				}
				if asked := slices.Contains(result.Replaced.Tables, backup.Table{Name: table, Rows: backup.RowsUnknown}); asked != (req.Target == "old") {
					r.t.Errorf("what was replaced: %v", result.Replaced.Tables)
				}
				told := strings.Count(errors.Join(result.Warnings...).Error(), "the rows of "+table+" could not be counted")
				want := map[string]int{"c": 1, "extra": 1, "p": 2}[table] // before, after, and both
				if told != want || result.Compared != (table == "extra") {
					r.t.Errorf("compared: %v, warnings: %v", result.Compared, result.Warnings)
				}
			})
		})
	}
}

func TestATableTooLargeForAFingerprintIsTold(t *testing.T) {
	t.Parallel()
	fingerprinted(t, func(r *restoreBench, between *meddler) {
		between.answer = tooLong
		result, err := r.restore(engine.RestoreRequest{Target: "new"})
		if err != nil || result.Fingerprints != 1 || len(result.Warnings) != 1 {
			r.t.Errorf("%d were compared, warnings %v: %v", result.Fingerprints, result.Warnings, err)
		}
	})
}
