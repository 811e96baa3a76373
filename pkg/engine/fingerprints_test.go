package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

// meddler stands between the engine and D1. Each of its hooks may be nil.
type meddler struct {
	// answer replaces the answers to what is asked of the rows of the table c.
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
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if m.answer != nil && bytes.Contains(body, []byte("LIMIT -1")) && bytes.Contains(body, []byte(`FROM \"c\"`)) {
		resp.StatusCode, text = m.answer(text)
	}
	if m.imported != nil && bytes.Contains(text, []byte(`"final_bookmark"`)) {
		m.imported()
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	resp.Header.Del("Content-Length")
	return resp, nil
}

// fingerprinted is a bench on which alpha was backed up, and loaded.
func fingerprinted(t *testing.T) (*restoreBench, *meddler) {
	t.Helper()
	m := &meddler{}
	r := newRestoreBench(t, func(*sandbox.Options) {}, func(o *engine.Options) { o.Prove = backup.ProveAuto })
	r.e = r.host(func(o *engine.Options) {
		quick(o)
		o.D1 = r.client(m)
	})
	return r, m
}

func TestFingerprintsAreRecordedWithABackup(t *testing.T) {
	t.Parallel()
	r, _ := fingerprinted(t)
	m := r.source.Entry.Manifest()
	if len(m.Tables) != 2 {
		t.Fatalf("tables %v", m.Tables)
	}
	for _, table := range m.Tables {
		if table.Fingerprint == "" {
			t.Errorf("%s has none", table.Name)
		}
	}
	loaded, err := r.e.LoadSQLite(t.Context(), r.source, filepath.Join(t.TempDir(), "new.db"))
	if err != nil || loaded.Fingerprints != 2 {
		t.Errorf("%d were compared: %v", loaded.Fingerprints, err)
	}
	m.Tables[0].Fingerprint = "1:0000000000000000"
	r.source.Entry.Brief = manifest.NewBrief(m)
	if _, err = r.e.LoadSQLite(t.Context(), r.source, filepath.Join(t.TempDir(), "other.db")); fault.KindOf(err) != fault.Proof {
		t.Errorf("another fingerprint: %v", err)
	}
	m.Tables[0].Fingerprint = "2:0000000000000000"
	r.source.Entry.Brief = manifest.NewBrief(m)
	loaded, err = r.e.LoadSQLite(t.Context(), r.source, filepath.Join(t.TempDir(), "third.db"))
	if err != nil || loaded.Fingerprints != 1 {
		t.Errorf("one of a newer making: %d were compared: %v", loaded.Fingerprints, err)
	}
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
			r, between := fingerprinted(t)
			if tt.wrong {
				between.answer = func(text []byte) (int, []byte) {
					return http.StatusOK, bytes.ReplaceAll(text, []byte("1"), []byte("2"))
				}
			}
			result, err := r.restore(tt.req)
			if result.State != tt.state || result.Fingerprints != 2 {
				t.Errorf("%s, %d were compared: %v", result.State, result.Fingerprints, err)
			}
			if tt.wrong && (fault.KindOf(err) != fault.Proof || !strings.Contains(err.Error(), "the rows of c")) {
				t.Errorf("the error: %v", err)
			}
		})
	}
}

// Others may write as soon as the import is in: that is no reason to take it back.
func TestWritesOfOthersAreNoDifference(t *testing.T) {
	t.Parallel()
	r, between := fingerprinted(t)
	between.imported = func() { r.seed("old", "UPDATE c SET p=1 WHERE id=7") }
	result, err := r.e.Restore(t.Context(), engine.RestoreRequest{Source: r.source, Target: "old", Replace: true})
	if err != nil || result.State != engine.StateRestored {
		t.Fatalf("%s: %v", result.State, err)
	}
	if !strings.Contains(errors.Join(result.Warnings...).Error(), "others may have written to it") {
		t.Errorf("the warnings: %v", result.Warnings)
	}
}

func TestATableTooLargeForAFingerprintIsTold(t *testing.T) {
	t.Parallel()
	r, between := fingerprinted(t)
	between.answer = func([]byte) (int, []byte) {
		return http.StatusBadRequest, []byte(`{"success":false,"errors":[{"code":7500,"message":"D1 DB exceeded its CPU time limit and was reset."}],"messages":[],"result":null}`)
	}
	result, err := r.restore(engine.RestoreRequest{Target: "new"})
	if err != nil || result.Fingerprints != 1 || len(result.Warnings) != 1 {
		t.Errorf("%d were compared, warnings %v: %v", result.Fingerprints, result.Warnings, err)
	}
}
