package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/secret"
	"github.com/AutumnsGrove/patina/pkg/store/s3store"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/r2fake"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/versity"
)

// death is a point at which a run may die: a row of the table in
// docs/publishing.md.
type death struct {
	// name is the row's.
	name string
	// at is the point (see point); empty for deaths that D1 sees.
	at string
	// request is what D1 is asked when it dies; see killing.
	request string
	// object says that the dump of alpha is left without a manifest, temporary
	// that a folder is left with a temporary file, and upload that an S3 store
	// may be left with an open upload.
	object, temporary, upload bool
	// s3 says that it can only happen on such a store.
	s3 bool
	// second says that it happens to a run that another one overtook.
	second bool
}

func deaths() []death {
	return []death{
		{name: "when D1 lists the databases", request: requestList},
		{name: "before the begin record", at: "before put jobs/*/*.begin.json"},
		{name: "in the begin record", at: "amid put jobs/*/*.begin.json 1", temporary: true},
		{name: "after the begin record", at: "after put jobs/*/*.begin.json"},
		{name: "when it tries what the store can do", at: "before put records/capability/_store/*", s3: true},
		{name: "when D1 exports", request: requestExport},
		{name: "when it asks how far the export is", request: requestPoll},
		{name: "before the dump is stored", at: "before put daily/*/alpha.*sql"},
		{name: "when the dump is downloaded", request: requestDownload},
		{name: "when the dump is stored", at: "amid put daily/*/alpha.*sql 5300000", temporary: true, upload: true},
		{name: "between dump and manifest", at: "after put daily/*/alpha.*sql", object: true},
		{name: "before its second dump is removed", at: "before delete daily/*/alpha.*sql", object: true, second: true},
		{name: "before the manifest", at: "before put daily/*/alpha.json", object: true},
		{name: "in the manifest", at: "amid put daily/*/alpha.json 1", object: true, temporary: true},
		{name: "after the manifest", at: "after put daily/*/alpha.json"},
		{name: "before the end record", at: "before put jobs/*/*.end.json"},
		{name: "in the end record", at: "amid put jobs/*/*.end.json 1", temporary: true},
		{name: "after the end record", at: "after put jobs/*/*.end.json"},
	}
}

// scene is where a run dies.
type scene struct {
	store     string
	noCatalog bool
	// elsewhere says that the next run is on another host, with a catalogue of
	// its own.
	elsewhere bool
}

// The kinds of stores. Those of r2fake keep R2's rules, and differ in whether
// the completion of an upload heeds a condition.
const (
	storeFolder   = "folder"
	storeVersity  = "versitygw"
	storeR2       = "r2fake"
	storeCareless = "r2fake without conditional Complete"
)

func (s scene) String() string {
	parts := []string{s.store, "with a catalogue", "alone"}
	if s.noCatalog {
		parts[1] = "without a catalogue"
	}
	if s.elsewhere {
		parts[2] = "with a second host"
	}
	return strings.Join(parts, ", ")
}

func isS3(store string) bool { return store != storeFolder }

// scenes are all of them.
func scenes() []scene {
	var all []scene
	for _, store := range []string{storeFolder, storeVersity, storeR2, storeCareless} {
		for _, noCatalog := range []bool{false, true} {
			for _, elsewhere := range []bool{false, true} {
				all = append(all, scene{store, noCatalog, elsewhere})
			}
		}
	}
	return all
}

// victim is an installation whose runs die.
type victim struct {
	*installation
	// uploads counts those that are open in an S3 store.
	uploads func() int
	d1      *sandbox.Server
	front   *killing
	scene   scene
}

// newVictim sets up a scene. The night began some hours ago by the real clock,
// which is that of the stores.
func newVictim(t *testing.T, s scene) *victim {
	t.Helper()
	server, err := sandbox.New(sandbox.Options{
		Dir: t.TempDir(), AccountID: scriptAccount, Token: scriptToken, Now: time.Now, PollTimeout: time.Second, RateLimit: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	v := &victim{d1: server, front: &killing{}, scene: s}
	files, api := httptest.NewServer(v.front.before(server.Files())), httptest.NewServer(v.front.before(server.API()))
	t.Cleanup(files.Close)
	t.Cleanup(api.Close)
	server.SetFilesURL(files.URL)
	dir := t.TempDir()
	config, env := v.openStore(t, dir)
	config += fmt.Sprintf("schedule: {nightly: '0 %d * * *'}\ndatabases: [alpha, beta]\n", time.Now().UTC().Add(-6*time.Hour).Hour())
	v.installation = install(t, config)
	v.state = dir
	v.setClock(time.Now().UTC().Format(time.RFC3339))
	v.network = env.network
	for name, value := range map[string]string{
		"CLOUDFLARE_API_BASE_URL": api.URL + "/client/v4", "CLOUDFLARE_ACCOUNT_ID": scriptAccount, "CLOUDFLARE_API_TOKEN": scriptToken,
		"PATINA_CATALOG_URL": "sqlite://" + dir + "/catalog.db",
	} {
		v.env[name] = value
	}
	if s.noCatalog {
		v.env["PATINA_CATALOG_URL"] = "postgres://127.0.0.1:1/nowhere"
	}
	if env.certificate != nil {
		path := filepath.Join(dir, "certificate.pem")
		if err := os.WriteFile(path, env.certificate, 0o600); err != nil {
			t.Fatal(err)
		}
		v.env["SSL_CERT_FILE"] = path
	}
	// Two parts of an upload.
	const rows = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 60) SELECT printf('%.*c', 95000, 'x') FROM n"
	for name, rows := range map[string]string{"alpha": rows, "beta": "INSERT INTO t VALUES('b')"} {
		if _, err := server.Seed(t.Context(), name, "CREATE TABLE t(v)", rows); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// reach is how other processes and this one reach a store.
type reach struct {
	network     http.RoundTripper
	certificate []byte
}

func (v *victim) openStore(t *testing.T, dir string) (string, reach) {
	t.Helper()
	const s3 = "store: {url: 's3://%s?endpoint=%s&region=%s', access_key_id: %s, secret_access_key: %s}\n"
	switch v.scene.store {
	case storeFolder:
		return "store: {url: 'file://" + dir + "/bucket'}\n", reach{}
	case storeVersity:
		server := versity.Start(t)
		v.uploads = func() int { return openUploads(t, server) }
		return fmt.Sprintf(s3, server.Bucket, server.Endpoint, server.Region, server.AccessKey, server.SecretKey), reach{}
	}
	server := r2fake.Start(t, r2fake.Options{CompleteIgnoresCondition: v.scene.store == storeCareless})
	v.uploads = server.OpenUploads
	return fmt.Sprintf(s3, r2fake.Bucket, server.Endpoint, r2fake.Region, r2fake.AccessKeyID, r2fake.SecretKey),
		reach{network: server.Transport, certificate: server.Certificate}
}

// openUploads counts the uploads that are open in a versitygw.
func openUploads(t *testing.T, server *versity.Server) int {
	t.Helper()
	opened, err := s3store.Open(s3store.Options{
		Endpoint: server.Endpoint, Region: server.Region, Bucket: server.Bucket, AccessKeyID: server.AccessKey, SecretAccessKey: secret.New(server.SecretKey),
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range opened.Uploads(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// What D1 is asked when a process dies.
const (
	requestList     = "list"
	requestExport   = "export"
	requestPoll     = "poll"
	requestDownload = "download"
)

// killing stands before D1, and kills the process that makes a request.
type killing struct {
	// order is what to kill at; nil lets all be.
	order atomic.Pointer[killOrder]
}

type killOrder struct {
	request string
	kill    func()
}

// before passes requests on to a handler of D1.
func (k *killing) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		order := k.order.Load()
		if order == nil || !order.meets(r) {
			next.ServeHTTP(w, r)
			return
		}
		if order.request == requestDownload {
			w = &halting{ResponseWriter: w, left: 1 << 20, halt: order.kill}
			next.ServeHTTP(w, r)
			return
		}
		order.kill()
	})
}

// meets says whether a request is the one. Only alpha's dump takes more than a
// little.
func (o *killOrder) meets(r *http.Request) bool {
	isExport := strings.HasSuffix(r.URL.Path, "/export")
	if o.request == requestExport || o.request == requestPoll {
		return isExport && isPoll(r) == (o.request == requestPoll)
	}
	if o.request == requestList {
		return strings.HasSuffix(r.URL.Path, "/d1/database")
	}
	return !strings.HasPrefix(r.URL.Path, "/client/")
}

// isPoll says whether a request asks for an export that was begun before.
func isPoll(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && bytes.Contains(body, []byte("current_bookmark"))
}

// halting halts an answer when some bytes of it were sent.
type halting struct {
	http.ResponseWriter
	left int
	halt func()
}

// Write sends what may be sent.
func (h *halting) Write(p []byte) (int, error) {
	if len(p) < h.left {
		h.left -= len(p)
		return h.ResponseWriter.Write(p)
	}
	n, err := h.ResponseWriter.Write(p[:h.left])
	h.left = 0
	if flusher, ok := h.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
	h.halt()
	return n, errors.Join(err, net.ErrClosed)
}

// status is how a run ends that has something to do.
func (v *victim) status() int {
	if v.scene.noCatalog {
		return 7
	}
	return 0
}

// die starts the night's run and has it killed at a point.
func (v *victim) die(d death) {
	v.t.Helper()
	switch {
	case d.second:
		v.dieOvertaken(d)
	case d.at != "":
		v.process(killed, processOptions{at: d.at, signal: syscall.SIGKILL}, "backup", "--trigger", "schedule")
	default:
		v.dieAsking(d.request)
	}
}

// dieAsking has the run killed when it asks something of D1.
func (v *victim) dieAsking(request string) {
	v.t.Helper()
	started := make(chan struct{})
	var p *program
	v.front.order.Store(&killOrder{request, func() {
		<-started
		_ = p.Process.Kill() // a second call finds it dead
	}})
	p = v.start(processOptions{}, "backup", "--trigger", "schedule")
	close(started)
	if got := p.wait(); got.status != killed {
		v.t.Fatalf("it ended with %d:\n%s", got.status, got.stderr)
	}
	v.front.order.Store(nil)
}

// dieOvertaken has the run stand still when its dump is stored, until another host
// has done the night, and then killed.
func (v *victim) dieOvertaken(d death) {
	v.t.Helper()
	p := v.start(processOptions{at: "after put daily/*/alpha.*sql", signal: syscall.SIGSTOP, killedAt: d.at}, "backup", "--trigger", "schedule")
	p.suspended()
	if got := v.next("backup", "--trigger", "schedule"); got.status != 0 && got.status != v.status() {
		v.t.Fatalf("the other host's run ended with %d:\n%s", got.status, got.stderr)
	}
	if err := p.Process.Signal(syscall.SIGCONT); err != nil {
		v.t.Fatal(err)
	}
	if got := p.wait(); got.status != killed {
		v.t.Fatalf("it ended with %d:\n%s", got.status, got.stderr)
	}
}

// next is the next run of the night, on the same host or on another.
func (v *victim) next(args ...string) outcome {
	v.t.Helper()
	return v.start(v.nextOptions(processOptions{}), args...).wait()
}

// nextOptions are those of a process on the next run's host.
func (v *victim) nextOptions(o processOptions) processOptions {
	if v.scene.elsewhere {
		o.host = "other-host"
		if !v.scene.noCatalog {
			o.env = map[string]string{"PATINA_CATALOG_URL": "sqlite://" + v.state + "/other.db"}
		}
	}
	return o
}

// wantAfterDeath wants what lies in the bucket to be whole: each listed backup
// is good and equals its database, what is not a backup is told as such, and what
// no listing shows is what the table says.
func (v *victim) wantAfterDeath(d death) {
	v.t.Helper()
	listed := v.wantEqualBackupsOf(v.d1)
	var strays []string
	for _, stray := range listed.Unfinished {
		strays = append(strays, stray.Key)
	}
	strays = slices.DeleteFunc(strays, func(key string) bool { return !strings.Contains(key, "/alpha.") })
	if d.object != (len(strays) == 1) || len(strays) > 1 {
		v.t.Errorf("unfinished of alpha: %v; an object is expected: %t", strays, d.object)
	}
	if isS3(v.scene.store) {
		// It is begun beside the reading of the body, so it may not be there yet.
		if n := v.uploads(); n > 1 || n == 1 && !d.upload {
			v.t.Errorf("%d uploads are open; one may be: %t", n, d.upload)
		}
		return
	}
	// Beta's may be among them, whatever becomes of alpha.
	left, err := os.ReadDir(filepath.Join(v.state, "bucket", ".patina-tmp"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.t.Fatal(err)
	}
	if d.temporary && len(left) == 0 {
		v.t.Error("there is no temporary file")
	}
}

// wantNightDone wants the next run to complete the night, and the one after it
// to find nothing to do.
func (v *victim) wantNightDone() {
	v.t.Helper()
	// It ends with 0 without a catalogue too, where nothing was left to do.
	got := v.next("backup", "--trigger", "schedule", "--if-due")
	if got.status != 0 && got.status != v.status() {
		v.t.Fatalf("the next run ends with %d:\n%s", got.status, got.stderr)
	}
	v.wantEqualBackups(v.d1, "alpha", "beta")
	v.wantToldAsDone()
	if got := v.next("backup", "--trigger", "schedule", "--if-due"); got.status != 0 || got.stdout+got.stderr != "" {
		v.t.Errorf("one more run ends with %d and says %q", got.status, got.stdout+got.stderr)
	}
}

// wantToldAsDone wants the catalogue, where there is one, to tell of the night, the
// dead run's rows included, as what it became.
func (v *victim) wantToldAsDone() {
	v.t.Helper()
	if v.scene.noCatalog {
		return
	}
	// A process that died is told as lost when it was not heard of for a while.
	later := v.at.Add(time.Since(v.begun) + 2*catalog.DeadAfter).Format(time.RFC3339)
	got := v.start(v.nextOptions(processOptions{now: later}), "status", "-o", "json").wait()
	told := decode[statusJSON](v.t, got.stdout)
	if got.status != 0 || told.CurrentStatus != string(catalog.JobSucceeded) || told.LastBackup == nil || told.LastBackup.Successful != 2 || told.LastBackup.Failed != 0 {
		v.t.Errorf("status ends with %d and tells %+v", got.status, told)
	}
}

// TestADeathAtEachPoint kills the night's run with SIGKILL at each point: all of
// them on a folder, and on S3 stores where the store takes part in what is left.
// "make kill" does all of it on all.
func TestADeathAtEachPoint(t *testing.T) {
	t.Parallel()
	if len(deaths()) == 0 {
		t.Fatal("there is no point")
	}
	for _, s := range scenes() {
		for _, d := range fewer(deaths(), 3) {
			if d.s3 && !isS3(s.store) || d.second && !s.elsewhere && !s.noCatalog || !everything() && !telling(s, d) {
				continue
			}
			t.Run(s.String()+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				v := newVictim(t, s)
				v.die(d)
				v.wantAfterDeath(d)
				v.wantNightDone()
			})
		}
	}
}

// everything says whether the whole product is asked for.
func everything() bool { return os.Getenv("PATINA_TEST_KILLS") != "" }

// telling says whether a death in a scene is one of those that every test run
// tries.
func telling(s scene, d death) bool {
	if s.store == storeFolder {
		return true
	}
	if testing.Short() {
		return false
	}
	// One scene of each store with all deaths that it takes part in.
	wanted := map[string]scene{
		storeVersity:  {store: storeVersity, elsewhere: true},
		storeR2:       {store: storeR2, noCatalog: true},
		storeCareless: {store: storeCareless, noCatalog: true, elsewhere: true},
	}
	return wanted[s.store] == s && (d.s3 || strings.Contains(d.at, "alpha"))
}

// TestRandomDeaths kills runs at random steps and times, several in a row, and
// then lets one finish. PATINA_TEST_KILLS is how many are killed in all, and
// PATINA_TEST_SEED makes them the same again.
func TestRandomDeaths(t *testing.T) {
	t.Parallel()
	kills, seed := number(t, "PATINA_TEST_KILLS", 12), number(t, "PATINA_TEST_SEED", 1)
	t.Logf("PATINA_TEST_KILLS=%d PATINA_TEST_SEED=%d", kills, seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	for n := 0; kills > 0; n++ {
		inARow := min(kills, 1+random.IntN(3))
		kills -= inARow
		s := scenes()[random.IntN(len(scenes()))]
		if testing.Short() || !everything() {
			s.store = storeFolder
		}
		source := rand.New(rand.NewPCG(uint64(seed), uint64(n+1)))
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, s)
			for range inARow {
				v.dieAtRandom(source)
				v.wantEqualBackupsOf(v.d1)
			}
			got := v.next("backup", "--trigger", "schedule")
			if got.status != 0 && got.status != v.status() {
				t.Fatalf("%s: the next run ends with %d:\n%s", s, got.status, got.stderr)
			}
			nights := map[string]int{}
			for _, b := range v.wantEqualBackupsOf(v.d1).Backups {
				if b.Trigger == "schedule" {
					nights[b.Database]++
				}
			}
			if nights["alpha"] != 1 || nights["beta"] != 1 {
				t.Errorf("%s: the night's backups are %v", s, nights)
			}
		})
	}
}

// dieAtRandom kills a run at a step or after a time, each drawn from what such a run
// takes. A run that ended before is no death: another one is tried, and sooner.
func (v *victim) dieAtRandom(random *rand.Rand) {
	v.t.Helper()
	kinds := [][]string{
		{"backup", "--trigger", "schedule"}, {"backup", "--trigger", "schedule", "--if-due"}, {"backup", "--lock-wait", "2m"},
	}
	args := kinds[random.IntN(len(kinds))]
	byStep := random.IntN(2) == 0
	for most := 64; most > 0; most /= 2 {
		within := 1 + random.IntN(most)
		v.t.Log(v.scene, args, "by step:", byStep, within)
		if v.diesWithin(within, byStep, args...) {
			return
		}
		args = kinds[2] // the night is done
	}
	v.t.Fatal("no run of many was killed")
}

// diesWithin starts a run, and says whether it was killed: at the step, or after as
// many times 5 ms.
func (v *victim) diesWithin(n int, byStep bool, args ...string) bool {
	v.t.Helper()
	if byStep {
		return v.start(processOptions{at: fmt.Sprintf("step %d", n), signal: syscall.SIGKILL}, args...).wait().status == killed
	}
	p := v.start(processOptions{}, args...)
	time.Sleep(time.Duration(n) * 5 * time.Millisecond)
	_ = p.Process.Kill() // it may have ended
	return p.wait().status == killed
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q", variable, text)
	}
	return n
}

// TestTheTableOfDeathsIsTheDocuments holds the names of the cases against the
// table of docs/publishing.md.
func TestTheTableOfDeathsIsTheDocuments(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/publishing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## What is left where it dies\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("the document has no such section")
	}
	var rows []string
	for line := range strings.Lines(section) {
		name, _, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if isRow && strings.HasPrefix(line, "| ") && name != "it dies" {
			rows = append(rows, name)
		}
	}
	var cases []string
	for _, d := range deaths() {
		cases = append(cases, d.name)
	}
	if !slices.Equal(rows, cases) {
		t.Errorf("the document has the rows\n%s\nand the test the cases\n%s", strings.Join(rows, "\n"), strings.Join(cases, "\n"))
	}
}
