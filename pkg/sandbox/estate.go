package sandbox

import (
	"fmt"
	"strings"
	"time"
)

// Database is a database to seed: its name, and the statements that fill it.
type Database struct {
	Name       string
	Statements []string
}

// Estate is the six databases of the Grove estate that the demo backs up. They
// are the same in every run, and hold nothing that D1's export would lose.
func Estate() []Database {
	return []Database{
		{"groveauth", groveauth()},
		{"scout-db", scout()},
		{"grove-engine-db", groveEngine()},
		{"autumnsgrove-posts", posts()},
		{"autumnsgrove-git-stats", gitStats()},
		{"grove-domain-jobs", domainJobs()},
	}
}

func groveauth() []string {
	g := newGrower(1)
	users := g.rows("users", 420, func(n int) []any {
		name := g.name()
		return []any{n, strings.ToLower(name) + fmt.Sprint(n) + "@example.org", name, g.moment(), g.pick("admin", "editor", "reader", "reader")}
	})
	sessions := g.rows("sessions", 900, func(int) []any {
		return []any{g.hex(32), 1 + g.below(420), g.moment(), "198.51.100." + fmt.Sprint(g.below(250)), g.pick("Firefox", "Safari", "Chrome") + " on " + g.pick("Linux", "macOS", "Windows")}
	})
	clients := g.rows("oauth_clients", 24, func(n int) []any {
		return []any{fmt.Sprintf("client-%02d", n), g.title(2), "https://" + g.word() + ".example.org/callback", g.hex(64)}
	})
	return concat([]string{
		`CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, created_at TEXT NOT NULL, role TEXT NOT NULL DEFAULT 'reader')`,
		`CREATE TABLE sessions (token TEXT PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE, created_at TEXT NOT NULL, address TEXT, agent TEXT)`,
		`CREATE TABLE oauth_clients (id TEXT PRIMARY KEY, name TEXT NOT NULL, redirect_uri TEXT NOT NULL, secret_hash TEXT NOT NULL) WITHOUT ROWID`,
		`CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER, what TEXT NOT NULL)`,
	}, users, sessions, clients, []string{
		`CREATE INDEX sessions_by_user ON sessions(user_id, created_at)`,
		`CREATE TRIGGER users_role_changed AFTER UPDATE OF role ON users BEGIN INSERT INTO audit(user_id, what) VALUES (new.id, 'role: ' || old.role || ' to ' || new.role); END`,
		`UPDATE users SET role = 'editor' WHERE id IN (3, 5, 8, 13)`,
		`CREATE VIEW active_users AS SELECT u.id, u.name, count(*) AS sessions FROM users u JOIN sessions s ON s.user_id = u.id GROUP BY u.id`,
	})
}

func scout() []string {
	g := newGrower(2)
	searches := g.rows("searches", 380, func(n int) []any {
		return []any{n, g.title(3), g.pick("open", "done", "done", "failed"), g.moment(), fmt.Sprintf(`{"budget":%d,"size":"%s"}`, 20+g.below(400), g.pick("s", "m", "l"))}
	})
	results := g.rows("results", 1500, func(int) []any {
		return []any{1 + g.below(380), "https://shop.example.net/" + g.word() + "/" + g.hex(8), g.title(5), float64(g.below(20000)) / 100, g.below(100)}
	})
	return concat([]string{
		`CREATE TABLE searches (id INTEGER PRIMARY KEY, query TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('open','done','failed')), created_at TEXT NOT NULL, options TEXT)`,
		`CREATE TABLE results (search_id INTEGER NOT NULL REFERENCES searches(id), url TEXT NOT NULL, title TEXT, price REAL, score INTEGER)`,
	}, searches, results, []string{
		`CREATE INDEX results_by_search ON results(search_id, score DESC)`,
	})
}

func groveEngine() []string {
	g := newGrower(3)
	sites := g.rows("sites", 120, func(n int) []any {
		return []any{n, g.word() + fmt.Sprint(n), g.title(2), g.moment(), g.pick("free", "seedling", "sapling", "oak")}
	})
	settings := g.rows("settings", 720, func(n int) []any {
		return []any{1 + (n-1)/6, []string{"theme", "font", "accent", "layout", "language", "footer"}[(n-1)%6], g.word()}
	})
	return concat([]string{
		`CREATE TABLE sites (id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE, title TEXT NOT NULL, created_at TEXT NOT NULL, plan TEXT NOT NULL)`,
		`CREATE TABLE settings (site_id INTEGER NOT NULL REFERENCES sites(id), key TEXT NOT NULL, value TEXT, PRIMARY KEY (site_id, key)) WITHOUT ROWID`,
	}, sites, settings)
}

func posts() []string {
	g := newGrower(4)
	written := g.rows("posts", 260, func(n int) []any {
		return []any{n, g.title(6), g.word() + "-" + fmt.Sprint(n), g.prose(120), g.moment(), g.below(2)}
	})
	tags := g.rows("tags", 40, func(n int) []any { return []any{n, g.word() + fmt.Sprint(n)} })
	tagged := g.rows("post_tags", 640, func(n int) []any { return []any{1 + n%260, 1 + (n*7+n/260)%40} })
	return concat([]string{
		`CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT NOT NULL, slug TEXT NOT NULL UNIQUE, body TEXT NOT NULL, published_at TEXT, draft INTEGER NOT NULL DEFAULT 0)`,
		`CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)`,
		`CREATE TABLE post_tags (post_id INTEGER NOT NULL REFERENCES posts(id), tag_id INTEGER NOT NULL REFERENCES tags(id), PRIMARY KEY (post_id, tag_id))`,
	}, written, tags, tagged, []string{
		`CREATE VIEW published AS SELECT id, title, slug, published_at FROM posts WHERE draft = 0`,
	})
}

func gitStats() []string {
	g := newGrower(5)
	repos := g.rows("repositories", 32, func(n int) []any {
		return []any{n, "AutumnsGrove/" + g.word() + fmt.Sprint(n), g.pick("Go", "Svelte", "Python")}
	})
	commits := g.rows("commits", 640, func(int) []any {
		return []any{g.hex(40), 1 + g.below(32), g.title(5), g.moment(), g.below(400), g.below(200)}
	})
	return concat([]string{
		`CREATE TABLE repositories (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, language TEXT)`,
		`CREATE TABLE commits (hash TEXT PRIMARY KEY, repository_id INTEGER NOT NULL REFERENCES repositories(id), subject TEXT, committed_at TEXT NOT NULL, added INTEGER NOT NULL, removed INTEGER NOT NULL)`,
	}, repos, commits, []string{`CREATE INDEX commits_by_time ON commits(committed_at)`})
}

func domainJobs() []string {
	g := newGrower(6)
	jobs := g.rows("jobs", 520, func(n int) []any {
		return []any{n, g.word() + "." + g.pick("com", "net", "org", "garden"), g.pick("queued", "checked", "checked", "taken"), g.moment(), g.below(6)}
	})
	return concat([]string{
		`CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, domain TEXT NOT NULL, status TEXT NOT NULL, checked_at TEXT, attempts INTEGER NOT NULL DEFAULT 0)`,
	}, jobs, []string{`CREATE INDEX jobs_queued ON jobs(id) WHERE status = 'queued'`})
}

func concat(parts ...[]string) []string {
	var all []string
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// grower makes plausible rows from a seed, the same ones every time.
type grower struct {
	state uint64
}

func newGrower(seed uint64) *grower { return &grower{seed * 0x2545f4914f6cdd1d} }

// next is splitmix64 (https://prng.di.unimi.it/splitmix64.c, public domain).
func (g *grower) next() uint64 {
	g.state += 0x9e3779b97f4a7c15
	z := g.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (g *grower) below(n int) int { return int(g.next() % uint64(n)) }

func (g *grower) pick(from ...string) string { return from[g.below(len(from))] }

func (g *grower) hex(digits int) string {
	var b strings.Builder
	for b.Len() < digits {
		fmt.Fprintf(&b, "%016x", g.next())
	}
	return b.String()[:digits]
}

func (g *grower) word() string {
	return g.pick("acorn", "alder", "amber", "ash", "bark", "birch", "bracken", "brook", "cedar", "clover", "dew", "elm", "ember",
		"fern", "frost", "glade", "grove", "hazel", "heath", "hollow", "ivy", "juniper", "lantern", "larch", "leaf", "linden",
		"maple", "meadow", "mist", "moss", "oak", "otter", "patina", "pine", "quill", "reed", "river", "rowan", "sage", "sorrel",
		"spruce", "thicket", "thistle", "willow", "wren", "yarrow")
}

func (g *grower) name() string {
	return g.pick("Ada", "Barbara", "Donald", "Edsger", "Frances", "Grace", "Hedy", "Ida", "Joan", "Katherine", "Margaret", "Radia")
}

func (g *grower) words(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = g.word()
	}
	return strings.Join(all, " ")
}

func (g *grower) title(n int) string {
	text := g.words(n)
	return strings.ToUpper(text[:1]) + text[1:]
}

// prose has quotes and line feeds, as people write them.
func (g *grower) prose(n int) string {
	return g.title(n/3) + ".\n\n" + g.title(n/3) + ": it's " + g.words(n/3-2) + ".\n"
}

func (g *grower) moment() string {
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	return begin.Add(time.Duration(g.below(340*24*60*60)) * time.Second).Format(time.RFC3339)
}

// rowsPerInsert keeps statements far below D1's 100,000 bytes.
const rowsPerInsert = 40

// rows makes INSERTs of n rows, numbered from 1.
func (g *grower) rows(table string, n int, row func(n int) []any) []string {
	var statements, values []string
	for i := 1; i <= n; i++ {
		values = append(values, "("+sqlValues(row(i))+")")
		if len(values) == rowsPerInsert || i == n {
			statements = append(statements, "INSERT INTO "+table+" VALUES "+strings.Join(values, ","))
			values = nil
		}
	}
	return statements
}

func sqlValues(row []any) string {
	texts := make([]string, len(row))
	for i, v := range row {
		texts[i] = fmt.Sprint(v)
		if s, ok := v.(string); ok {
			texts[i] = quoteText(s)
		}
	}
	return strings.Join(texts, ",")
}
