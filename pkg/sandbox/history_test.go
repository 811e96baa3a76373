package sandbox_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/sandbox"
)

type travel struct{ Bookmark, Previous, Message string }

// restore travels to a bookmark or a time.
func (b *bench) restore(id, to string) (int, travel) {
	b.t.Helper()
	w := b.call("POST", "/"+id+"/time_travel/restore?"+to, "")
	told := decode[struct {
		Bookmark string
		Previous string `json:"previous_bookmark"`
		Message  string
	}](b.t, decode[answer](b.t, w.Body.Bytes()).Result)
	return w.Code, travel(told)
}

func (b *bench) write(id string, n int) {
	b.t.Helper()
	if w := b.call("POST", "/"+id+"/query", fmt.Sprintf(`{"sql":"INSERT INTO t VALUES(%d)"}`, n)); w.Code != 200 {
		b.t.Fatal(w.Body.String())
	}
}

func TestARestoreGoesBackAndCanBeUndone(t *testing.T) {
	t.Parallel()
	for _, mode := range []sandbox.BookmarkMode{sandbox.BookmarkOnWrite, sandbox.BookmarkOnRead} {
		b := newBench(t, func(o *sandbox.Options) { o.BookmarkMoves = mode })
		id := b.seed("app", "CREATE TABLE t(v)", "INSERT INTO t VALUES(1)")
		first, firstDump := b.bookmark(id), b.dump("app")
		b.write(id, 2)
		b.write(id, 3)
		last, lastDump := b.bookmark(id), b.dump("app")
		status, told := b.restore(id, "bookmark="+first)
		if status != 200 || told.Bookmark != first || told.Previous < last || told.Message == "" {
			t.Fatalf("%s: %d %+v", mode, status, told)
		}
		if got := b.dump("app"); got != firstDump {
			t.Errorf("%s: restored %s", mode, got)
		}
		after := b.bookmark(id)
		if after <= told.Previous {
			t.Errorf("%s: the bookmark went from %s to %s", mode, told.Previous, after)
		}
		if w := b.call("POST", "/"+id+"/query", `{"sql":"SELECT count(*) AS n FROM t"}`); !strings.Contains(w.Body.String(), `"n":1`) {
			t.Errorf("%s: a query says %s", mode, w.Body.String())
		}
		b.write(id, 4)
		if status, _ = b.restore(id, "bookmark="+told.Previous); status != 200 || b.dump("app") != lastDump {
			t.Errorf("%s: undone: %d %s", mode, status, b.dump("app"))
		}
		if status, _ = b.restore(id, "bookmark="+after); status != 200 || b.dump("app") != firstDump {
			t.Errorf("%s: older bookmarks stay usable: %d %s", mode, status, b.dump("app"))
		}
		current := b.bookmark(id)
		if status, _ = b.restore(id, "bookmark="+current); status != 200 || b.bookmark(id) <= current {
			t.Errorf("%s: a restore of the current state: %d, from %s to %s", mode, status, current, b.bookmark(id))
		}
	}
}

func TestTravelByTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.seed("app", "CREATE TABLE t(v)")
	begin := b.now
	dumps := map[time.Duration]string{}
	for hour := time.Duration(1); hour <= 3; hour++ {
		b.now = begin.Add(hour * time.Hour)
		b.write(id, int(hour))
		dumps[hour] = b.dump("app")
	}
	b.now = begin.Add(10 * time.Hour)
	at := func(after time.Duration) string { return "timestamp=" + begin.Add(after).Format(time.RFC3339) }
	look := func(after time.Duration) string {
		w := b.call("GET", "/"+id+"/time_travel/bookmark?"+at(after), "")
		return decode[travel](t, decode[answer](t, w.Body.Bytes()).Result).Bookmark
	}
	if look(90*time.Minute) != look(119*time.Minute) || look(time.Hour) == look(2*time.Hour) || look(5*time.Hour) != b.bookmark(id) {
		t.Errorf("bookmarks by time: %s %s %s %s", look(90*time.Minute), look(119*time.Minute), look(time.Hour), look(2*time.Hour))
	}
	if status, told := b.restore(id, at(90*time.Minute)); status != 200 || b.dump("app") != dumps[1] || told.Bookmark == "" {
		t.Errorf("%d %+v %s", status, told, b.dump("app"))
	}
	if status, _ := b.restore(id, at(150*time.Minute)); status != 200 || b.dump("app") != dumps[2] {
		t.Errorf("%d %s", status, b.dump("app"))
	}
	for name, to := range map[string]string{
		"the future": at(11 * time.Hour), "before it was made": at(-time.Hour), "no time": "timestamp=yesterday",
	} {
		if status, _ := b.restore(id, to); status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
}

func TestHowFarBackOneCanTravel(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *sandbox.Options) { o.History, o.Retention = 2, 24*time.Hour })
	id, other := b.seed("app", "CREATE TABLE t(v)"), b.seed("other", "CREATE TABLE t(v)")
	var marks []string
	for n := range 4 {
		marks = append(marks, b.bookmark(id))
		b.write(id, n)
	}
	for n, want := range []int{400, 400, 200} {
		if status, _ := b.restore(id, "bookmark="+marks[n]); status != want {
			t.Errorf("state %d: %d, want %d", n, status, want)
		}
	}
	if status, _ := b.restore(other, "bookmark="+b.bookmark(id)); status != 400 {
		t.Errorf("a bookmark of another database: %d", status)
	}
	mark := b.bookmark(id)
	b.write(id, 9)
	b.now = b.now.Add(25 * time.Hour)
	if status, _ := b.restore(id, "bookmark="+mark); status != 400 {
		t.Errorf("after its time: %d", status)
	}
}

func TestRestoresAreCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.seed("app", "CREATE TABLE t(v)")
	for n := range 10 {
		if status, _ := b.restore(id, "bookmark="+b.bookmark(id)); status != 200 {
			t.Fatalf("restore %d: %d", n, status)
		}
	}
	if status, _ := b.restore(id, "bookmark="+b.bookmark(id)); status != 429 {
		t.Errorf("one too many: %d", status)
	}
	b.now = b.now.Add(10 * time.Minute)
	if status, _ := b.restore(id, "bookmark="+b.bookmark(id)); status != 200 {
		t.Errorf("ten minutes later: %d", status)
	}
}

func TestOnlyWhatIsWrittenMovesTheBookmark(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, func(o *sandbox.Options) { o.Dir = dir })
	id := b.seed("app", "CREATE TABLE t(v)")
	mark := b.bookmark(id)
	for _, sql := range []string{
		"INSERT INTO t VALUES(1); INSERT INTO nosuch VALUES(1)", "SELECT * FROM t", "PRAGMA table_info(t)", "WITH x AS (SELECT 1) SELECT * FROM x",
	} {
		b.call("POST", "/"+id+"/query", fmt.Sprintf(`{"sql":%q}`, sql))
		if got := b.bookmark(id); got != mark {
			t.Errorf("%s moves the bookmark", sql)
		}
	}
	b.write(id, 1)
	if w := b.call("DELETE", "/"+id, ""); w.Code != 200 {
		t.Fatal(w.Body.String())
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("a deleted database leaves %v, %v", left, err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}
