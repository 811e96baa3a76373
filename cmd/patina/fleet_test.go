package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/catalog/catalogtest/pgtest"
	"github.com/AutumnsGrove/patina/pkg/catalog/pgcatalog"
	"github.com/AutumnsGrove/patina/pkg/manifest"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/secret"
	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/dirstore"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/versity"
)

// The names of the two hosts.
const (
	hostA = "host-a"
	hostB = "host-b"
)

// A fleet is two hosts with one D1 account, one store and one Postgres, at the
// present time: Postgres has no other.
type fleet struct {
	*installation
	d1 *sandbox.Server
	// ids are the databases' ids by name.
	ids   map[string]string
	store store.Store
	// postgres is the URL of the catalogue.
	postgres string
	doors    map[string]*door
}

// storeKind makes an empty store, and gives the configuration that leads to it.
type storeKind func(t *testing.T) (store.Store, string)

func folderStore(t *testing.T) (store.Store, string) {
	t.Helper()
	dir := t.TempDir() + "/bucket"
	opened, err := dirstore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return opened, "store: {url: 'file://" + dir + "'}\n"
}

func s3Store(t *testing.T) (store.Store, string) {
	t.Helper()
	s3 := versity.Start(t)
	opened := openBucket(t, s3)
	// What the server can do is on record: two hosts that try it at once, in an
	// empty bucket, meet a race of this server's, in which a folder that one
	// empties is gone for the other.
	now := time.Now().UTC()
	record, err := manifest.Encode(manifest.Capability{
		Host: "test-host", Tool: "test", At: now, SingleConditional: true, MultipartConditional: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Put(t.Context(), backup.CapabilityKey(now, "0000"), bytes.NewReader(record), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	return opened, fmt.Sprintf(
		"store: {url: 's3://%s?endpoint=%s&region=%s', access_key_id: %s, secret_access_key: %s, prefix: patina}\n",
		s3.Bucket, s3.Endpoint, s3.Region, s3.AccessKey, s3.SecretKey)
}

// newFleet sets up a fleet whose night began some hours ago, so that it is the
// same one whenever the test runs.
func newFleet(t *testing.T, kind storeKind, names ...string) *fleet {
	t.Helper()
	server, err := sandbox.New(sandbox.Options{
		Dir: t.TempDir(), AccountID: scriptAccount, Token: scriptToken, Now: time.Now,
		// An export takes some polls, is given up 3 s after the last one,
		// and one that failed blocks its database.
		ExportPolls: 2, PollTimeout: 3 * time.Second, BlockAfterFailure: true, RateLimit: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	files := httptest.NewServer(server.Files())
	t.Cleanup(files.Close)
	server.SetFilesURL(files.URL)

	f := &fleet{d1: server, ids: map[string]string{}, postgres: pgtest.New(t), doors: map[string]*door{}}
	opened, config := kind(t)
	f.store = opened
	config += "backup: {concurrency: 1, export_timeout: 10m}\n"
	config += fmt.Sprintf("schedule: {nightly: '0 %d * * *'}\n", time.Now().UTC().Add(-6*time.Hour).Hour())
	config += fmt.Sprintf("catalog: {url: %q}\ndatabases:\n", f.postgres)
	for _, name := range names {
		id, err := server.Seed(t.Context(), name, "CREATE TABLE t(v)", "INSERT INTO t VALUES('"+name+"')")
		if err != nil {
			t.Fatal(err)
		}
		f.ids[name] = id
		config += "  - " + name + "\n"
	}
	f.installation = install(t, config)
	f.setClock(time.Now().UTC().Format(time.RFC3339))
	for _, host := range []string{hostA, hostB} {
		f.doors[host] = openDoor(t, f, host)
	}
	for name, value := range map[string]string{
		"CLOUDFLARE_API_BASE_URL": f.doors[hostB].url,
		"CLOUDFLARE_ACCOUNT_ID":   scriptAccount,
		"CLOUDFLARE_API_TOKEN":    scriptToken,
	} {
		f.env[name] = value
	}
	return f
}

// A door is the API as one host sees it. It knows what the host exported, and
// can have it wait there.
type door struct {
	host string
	url  string

	mu sync.Mutex
	// started are the databases whose exports D1 began for this host.
	started []string
	// refused counts the exports that D1 refused because one was running.
	refused int
	// meet is called before an export's start or poll is passed on; nil lets
	// all pass. It is given a context that ends with the call.
	meet func(ctx context.Context, database string, start bool)
}

func openDoor(t *testing.T, f *fleet, host string) *door {
	t.Helper()
	d := &door{host: host}
	api := f.d1.API()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/export") {
			api.ServeHTTP(w, r)
			return
		}
		d.export(w, r, api, f.ids)
	}))
	t.Cleanup(server.Close)
	d.url = server.URL + "/client/v4"
	return d
}

// export passes a call to the export's route on, and keeps account of it.
func (d *door) export(w http.ResponseWriter, r *http.Request, api http.Handler, ids map[string]string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the process was killed
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var asked struct {
		Bookmark *string `json:"current_bookmark"`
	}
	_ = json.Unmarshal(body, &asked) // the sandbox refuses what is wrong
	database := ""
	for name, id := range ids {
		if strings.Contains(r.URL.Path, "/"+id+"/") {
			database = name
		}
	}
	d.mu.Lock()
	meet := d.meet
	d.mu.Unlock()
	if meet != nil {
		meet(r.Context(), database, asked.Bookmark == nil)
	}
	if r.Context().Err() != nil {
		return // nobody is there any more
	}
	answer := &overheard{ResponseWriter: w}
	api.ServeHTTP(answer, r)
	if asked.Bookmark != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if strings.Contains(answer.body.String(), "long-running export") {
		d.refused++
		return
	}
	d.started = append(d.started, database)
}

// overheard keeps what is written.
type overheard struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (r *overheard) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// exports are the databases whose exports D1 began for the host, by name.
func (d *door) exports() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(slices.Values(d.started))
}

func (d *door) refusals() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused
}

// stop makes the next call of a kind (the start of an export or a poll) wait,
// and returns what is closed when it arrived, and what lets it go on.
func (d *door) stop(start bool) (arrived <-chan struct{}, release func()) {
	here, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.mu.Lock()
	defer d.mu.Unlock()
	d.meet = func(ctx context.Context, _ string, isStart bool) {
		if isStart != start {
			return
		}
		once.Do(func() { close(here) })
		select {
		case <-open:
		case <-ctx.Done():
		}
	}
	return here, sync.OnceFunc(func() { close(open) })
}

// on starts a command on a host.
func (f *fleet) on(host string, o processOptions, args ...string) *program {
	f.t.Helper()
	o.host = host
	o.env = maps.Clone(o.env)
	if o.env == nil {
		o.env = map[string]string{}
	}
	o.env["CLOUDFLARE_API_BASE_URL"] = f.doors[host].url
	return f.start(o, args...)
}

// night is the command that cron runs.
func night() []string { return []string{"backup", "--trigger", "schedule", "--if-due"} }

// silently waits for a process that must end well and say nothing, as cron
// wants it.
func (p *program) silently() {
	p.t.Helper()
	p.ends(0)
	if p.stdout.Len()+p.stderr.Len() > 0 {
		p.t.Errorf("%v printed:\n%s%s", p.Args[3:], p.stdout.String(), p.stderr.String())
	}
}

// ends waits for a process that must end with a status.
func (p *program) ends(want int) outcome {
	p.t.Helper()
	got := p.wait()
	if got.status != want {
		p.t.Fatalf("%v ended with status %d, want %d\nstdout:\n%s\nstderr:\n%s", p.Args[3:], got.status, want, got.stdout, got.stderr)
	}
	return got
}

// suspended waits until the system says that the process is stopped.
func (p *program) suspended() {
	p.t.Helper()
	pid := strconv.Itoa(p.Process.Pid)
	eventually(p.t, "the process is stopped", func() bool {
		state, err := exec.CommandContext(p.t.Context(), "ps", "-o", "stat=", "-p", pid).Output()
		if err != nil || bytes.HasPrefix(state, []byte("Z")) {
			p.t.Fatalf("the process ended before it was stopped: %v\n%s", err, p.stderr.String())
		}
		return bytes.HasPrefix(state, []byte("T"))
	})
}

// resume lets a stopped process go on.
func (p *program) resume() {
	p.t.Helper()
	if err := p.Process.Signal(syscall.SIGCONT); err != nil {
		p.t.Fatal(err)
	}
}

// patience is how long a test waits for what must come, on a machine that may
// be very busy.
const patience = 2 * time.Minute

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain until %s", patience, what)
		}
	}
}

func within(t *testing.T, what string, reached <-chan struct{}) {
	t.Helper()
	select {
	case <-reached:
	case <-time.After(patience):
		t.Fatalf("waited %s in vain until %s", patience, what)
	}
}

// expire lets the time pass after which a host that is not heard of is given
// up: 90 s by Postgres' clock.
func (f *fleet) expire(host string) {
	f.t.Helper()
	leases := pgtest.Query[int](f.t, f.postgres, `WITH moved AS (
		UPDATE patina.leases SET expires_at = clock_timestamp() - interval '1 second'
		WHERE owner_host = '`+host+`' AND released_at IS NULL RETURNING 1) SELECT count(*) FROM moved`)
	runs := pgtest.Query[int](f.t, f.postgres, `WITH moved AS (
		UPDATE patina.runs SET heartbeat_at = clock_timestamp() - interval '91 seconds'
		WHERE host = '`+host+`' AND status = 'running' RETURNING 1) SELECT count(*) FROM moved`)
	if leases > 1 || runs != 1 {
		f.t.Fatalf("%s held %d leases in %d runs, want at most 1 in 1", host, leases, runs)
	}
}

// disconnect ends all connections to the catalogue, as a server or a router
// does that has not heard of a host for long.
func (f *fleet) disconnect() {
	f.t.Helper()
	pgtest.Query[int](f.t, f.postgres, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
}

// objects are all objects of the store with their content.
func (f *fleet) objects() map[string]string {
	f.t.Helper()
	all := map[string]string{}
	for info, err := range f.store.List(f.t.Context(), "") {
		if err != nil {
			f.t.Fatal(err)
		}
		body, _, err := f.store.Get(f.t.Context(), info.Key, store.GetOptions{})
		if err != nil {
			f.t.Fatal(err)
		}
		content, err := io.ReadAll(body)
		if closeErr := body.Close(); err != nil || closeErr != nil {
			f.t.Fatal(err, closeErr)
		}
		all[info.Key] = string(content)
	}
	return all
}

// manifests are the night's backups by database. There must not be two of one.
func (f *fleet) manifests() map[string]manifest.Backup {
	f.t.Helper()
	found := map[string]manifest.Backup{}
	for key, content := range f.objects() {
		if _, ext, err := backup.ParseName(key); err != nil || ext != "json" {
			continue
		}
		m, err := manifest.Decode[manifest.Backup]([]byte(content))
		if err != nil {
			f.t.Fatalf("%s: %v", key, err)
		}
		if m.Night.IsZero() {
			continue
		}
		if _, twice := found[m.Database.Name]; twice {
			f.t.Errorf("%s has two backups of one night", m.Database.Name)
		}
		found[m.Database.Name] = m
	}
	return found
}

// nightJob is what the catalogue tells of the one night.
func (f *fleet) nightJob() catalog.Job {
	f.t.Helper()
	opened, err := pgcatalog.Open(f.t.Context(), pgcatalog.Options{URL: secret.New(f.postgres), Migrate: pgcatalog.MigrateNever})
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	jobs, err := opened.Jobs(f.t.Context(), catalog.JobFilter{})
	if err != nil {
		f.t.Fatal(err)
	}
	jobs = slices.DeleteFunc(jobs, func(j catalog.Job) bool { return !j.IsNight() })
	if len(jobs) != 1 {
		f.t.Fatalf("the catalogue has %d nights, want 1: %+v", len(jobs), jobs)
	}
	return jobs[0]
}

// runsOf are the states of a host's runs in a job, oldest first.
func runsOf(job catalog.Job, host string) []catalog.RunStatus {
	var states []catalog.RunStatus
	for _, run := range job.Runs {
		if run.Host == host {
			states = append(states, run.Status)
		}
	}
	return states
}

// wantWhole holds what every finished night must be: one good backup of each
// database, which equals it, told by the catalogue as what the manifest says.
// by names the host that published each database; where it names none, any did.
func (f *fleet) wantWhole(unfinished int, by map[string]string) catalog.Job {
	f.t.Helper()
	listed := decode[listJSON](f.t, f.patina(0, "list", "-o", "json").stdout)
	if len(listed.Backups) != len(f.ids) || len(listed.Foreign) != 0 || len(listed.Unfinished) != unfinished {
		f.t.Errorf("%d backups, %d foreign, %d unfinished objects; want %d, 0, %d",
			len(listed.Backups), len(listed.Foreign), len(listed.Unfinished), len(f.ids), unfinished)
	}
	for _, b := range listed.Backups {
		var dump strings.Builder
		if err := f.d1.Dump(f.t.Context(), b.Database, &dump); err != nil {
			f.t.Fatal(err)
		}
		if got := f.patina(0, "download", b.Date, b.Database, "--file", "-").stdout; got != dump.String() {
			f.t.Errorf("%s came back as\n%s\nwant\n%s", b.Database, got, dump.String())
		}
	}
	job, published := f.nightJob(), f.manifests()
	if job.Status != catalog.JobSucceeded || job.EndedAt.IsZero() || len(job.Backups) != len(f.ids) {
		f.t.Errorf("the job is %s, ended %s, with %d rows", job.Status, job.EndedAt, len(job.Backups))
	}
	hosts := map[backup.RunID]string{}
	for _, run := range job.Runs {
		hosts[run.ID] = run.Host
	}
	for _, row := range job.Backups {
		m := published[row.Database]
		if row.Status != catalog.BackupDone || row.RunID != m.RunID || row.ManifestKey == "" || row.Error != "" || row.Attempts < 1 ||
			row.StartedAt.IsZero() || row.EndedAt.Before(row.StartedAt) || row.StoredBytes != m.Object.Stored.Bytes {
			f.t.Errorf("the catalogue says %+v of a backup by run %s", row, m.RunID)
		}
		if want, told := by[row.Database]; hosts[row.RunID] != m.Host || told && m.Host != want {
			f.t.Errorf("%s is by %s, in the catalogue by %s, want %s", row.Database, m.Host, hosts[row.RunID], want)
		}
	}
	f.wantDone()
	return job
}

// wantDone holds that the night is over for everybody: no lease lives, and one
// more call of any host writes nothing at all.
func (f *fleet) wantDone() {
	f.t.Helper()
	if n := pgtest.Query[int](f.t, f.postgres, `SELECT count(*) FROM patina.leases WHERE released_at IS NULL AND expires_at > clock_timestamp()`); n != 0 {
		f.t.Errorf("%d leases are still held", n)
	}
	before := f.objects()
	for host := range f.doors {
		f.on(host, processOptions{}, night()...).silently()
	}
	if after := f.objects(); !maps.Equal(before, after) {
		f.t.Errorf("a call after the night was done changed the store from %v to %v",
			slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
	}
}

// meetAtTheFirstExport has both hosts wait with their first exports until both
// ask for one.
func (f *fleet) meetAtTheFirstExport() {
	var waiting sync.WaitGroup
	waiting.Add(len(f.doors))
	both := make(chan struct{})
	go func() {
		waiting.Wait()
		close(both)
	}()
	for _, d := range f.doors {
		arrive := sync.OnceFunc(waiting.Done)
		d.meet = func(ctx context.Context, _ string, start bool) {
			if !start {
				return
			}
			arrive()
			select {
			case <-both:
			case <-ctx.Done():
			}
		}
	}
}

// killedAt starts the night on the first host and kills it at a point, while it
// holds the first database.
func (f *fleet) killedAt(at string) {
	f.t.Helper()
	if at != "" {
		f.on(hostA, processOptions{at: at, signal: syscall.SIGKILL}, night()...).ends(killed)
		return
	}
	polled, release := f.doors[hostA].stop(false)
	defer release()
	p := f.on(hostA, processOptions{}, night()...)
	within(f.t, "the export is polled", polled)
	if err := p.Process.Kill(); err != nil {
		f.t.Fatal(err)
	}
	p.ends(killed)
}

// suspendedAt starts the night on the first host and stops it at a point.
func (f *fleet) suspendedAt(at string) *program {
	f.t.Helper()
	if at != "" {
		p := f.on(hostA, processOptions{at: at, signal: syscall.SIGSTOP}, night()...)
		p.suspended()
		return p
	}
	polled, release := f.doors[hostA].stop(false)
	defer release()
	p := f.on(hostA, processOptions{}, night()...)
	within(f.t, "the export is polled", polled)
	if err := p.Process.Signal(syscall.SIGSTOP); err != nil {
		f.t.Fatal(err)
	}
	p.suspended()
	return p
}

// wantUnchanged holds the store against how the night was finished: but for
// the records of the host that woke and dumps that no manifest names, nothing
// came and nothing went.
func (f *fleet) wantUnchanged(finished map[string]string, published map[string]manifest.Backup) {
	f.t.Helper()
	named := map[string]bool{}
	for _, m := range published {
		named[m.Object.Key] = true
	}
	own := map[string]bool{}
	for _, run := range f.nightJob().Runs {
		if run.Host == hostA {
			own[string(run.ID)] = true
		}
	}
	now := f.objects()
	for key, content := range finished {
		isDump := strings.HasPrefix(key, "daily/") && !strings.HasSuffix(key, ".json")
		if got, there := now[key]; got != content && (there || !isDump || named[key]) {
			f.t.Errorf("%s was %q and is %q", key, content, got)
		}
	}
	for key := range now {
		isOwn := strings.HasPrefix(key, "jobs/") && own[strings.Split(key, ".")[1]]
		if _, there := finished[key]; !there && !isOwn {
			f.t.Errorf("%s was written after the night was finished", key)
		}
	}
}

// fences are how often each database's lease was taken.
func (f *fleet) fences() map[string]int {
	f.t.Helper()
	taken := map[string]int{}
	for name, id := range f.ids {
		taken[name] = pgtest.Query[int](f.t, f.postgres,
			`SELECT coalesce(max(fence), 0) FROM patina.leases WHERE name = '`+catalog.DatabaseLease(id)+`'`)
	}
	return taken
}

// waitsFor waits until a run whose job begins so is at work in the catalogue,
// and has had the time to find its database held.
func (f *fleet) waitsFor(job string) {
	f.t.Helper()
	eventually(f.t, "a run of a "+job+" job is at work", func() bool {
		return pgtest.Query[int](f.t, f.postgres,
			`SELECT count(*) FROM patina.backups WHERE job_id LIKE '`+job+`%' AND status = 'pending'`) > 0
	})
	time.Sleep(2 * time.Second) // waits twice for the lease; a slower one is let in at once
}
