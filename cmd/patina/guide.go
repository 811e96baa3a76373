package main

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/config"
	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// What a person puts in place of these words of the guide.
const (
	guideKey      = "KEYFILE"
	guideJob      = "JOB"
	guideBookmark = "BOOKMARK"
)

// How far Time Travel reaches back
// (https://developers.cloudflare.com/d1/reference/time-travel/).
const (
	travelPaid = 30 * 24 * time.Hour
	travelFree = 7 * 24 * time.Hour
)

// countsInOne is how many tables are counted by one statement: D1 takes no more
// than five terms in a compound SELECT.
const countsInOne = 5

// guideStep is one step of the way back.
type guideStep struct {
	Title    string         `json:"title"`
	Text     []string       `json:"text"`
	Commands []guideCommand `json:"commands"`
}

// guideCommand is a command line for a shell.
type guideCommand struct {
	// What is what it does.
	What string `json:"what"`
	Run  string `json:"run"`
	// Says is what it must print.
	Says string `json:"says,omitempty"`
}

// guide is what is known of the way back of one backup: its manifest, not its
// dump.
type guide struct {
	choice engine.Choice
	// sealed says that what the dump holds could not be read.
	sealed bool
	// config and identity are the flags that every command is to have.
	config, identity string
	store            config.StoreURL
	prefix           string
	// target is the D1 database to restore into, and replace says that it is
	// one with a content to lose.
	target  string
	replace bool
	// file is the SQL that loads.
	file string
	now  time.Time
}

// steps are the whole guide.
func (g guide) steps() []guideStep {
	steps := []guideStep{g.download(), g.byHand(), g.review(), g.withPatina(), g.withWrangler(), g.verify(), g.travel(), g.undo()}
	for i := range steps {
		steps[i].Text = append([]string{}, steps[i].Text...)
		steps[i].Commands = append([]guideCommand{}, steps[i].Commands...)
	}
	return steps
}

// name is that of the database.
func (g guide) name() string { return g.choice.Manifest().Database.Name }

// stem is what the names of the guide's files begin with.
func (g guide) stem() string {
	return g.name() + "-" + g.choice.Manifest().StartedAt.UTC().Format("20060102T150405Z")
}

func (g guide) dumpFile() string { return g.stem() + ".sql" }

// fresh is the database to load into where nothing may be lost.
func (g guide) fresh() string {
	if g.target == g.name() || g.replace {
		return g.name() + "-restored"
	}
	return g.target
}

// patina is a command line of this program.
func (g guide) patina(args ...string) string {
	words := []string{"patina"}
	if g.config != "" {
		words = append(words, "--config", g.config)
	}
	return shellLine(append(words, args...)...)
}

// ofBackup is a command line that means exactly this backup.
func (g guide) ofBackup(verb string, args ...string) string {
	m := g.choice.Manifest()
	words := []string{verb, g.choice.Name.Day.Format(time.DateOnly), m.Database.Name, "--job", m.JobID}
	return g.patina(slices.Concat(words, g.withKey(), args)...)
}

// withKey is the flag that opens an encrypted dump, where the configuration does
// not do it.
func (g guide) withKey() []string {
	switch {
	case !g.choice.Manifest().Encrypted():
		return nil
	case g.identity != "":
		return []string{"--identity", g.identity}
	case g.sealed:
		return []string{"--identity", guideKey}
	}
	return nil
}

// key is the file of the private key, for other programs.
func (g guide) key() string {
	if g.identity != "" {
		return g.identity
	}
	return guideKey
}

func (g guide) download() guideStep {
	m := g.choice.Manifest()
	step := guideStep{
		Title: "Download the dump",
		Text:  []string{fmt.Sprintf("The backup of %s (%s), taken %s by job %s.", m.Database.Name, m.Database.ID, moment(m.StartedAt), m.JobID)},
		Commands: []guideCommand{
			{What: "fetch it, held against its manifest to the last byte", Run: g.ofBackup("download", "-f", g.dumpFile()), Says: "SHA-256 verified"},
		},
	}
	if !g.choice.Good() {
		step.Text = append(step.Text, "It failed a check: "+g.choice.Failed+". Use another one, if there is one.")
	}
	if !m.Encrypted() {
		return step
	}
	step.Text = append(step.Text, "It is encrypted, and opened by the private key of any of these: "+strings.Join(m.Object.Recipients, ", ")+".")
	if g.sealed {
		step.Text = append(step.Text, "No identity at hand opens it: put the file of a private key in place of "+guideKey+".")
	}
	return step
}

// stored is where the backup lies, and the file that it is in.
func (g guide) stored() (key, file string, stored seal.Sum) {
	if g.choice.Daily {
		object := g.choice.Manifest().Object
		return object.Key, path.Base(object.Key), object.Stored
	}
	member := g.choice.Archived.Member
	return g.choice.Archived.Object.Key, member.Name, member.Content
}

func (g guide) byHand() guideStep {
	key, file, sum := g.stored()
	step := guideStep{Title: "Or download it without Patina"}
	step.Commands = append(step.Commands, g.fetch(path.Join(g.prefix, key), path.Base(key)))
	if g.choice.Daily {
		step.Text = append(step.Text, "It lies in "+g.store.String()+".")
	} else {
		step.Text = append(step.Text, "It lies in "+g.store.String()+", in the archive of its week.")
		step.Commands = append(step.Commands, guideCommand{What: "take it out of the archive", Run: shellLine("tar", "-xzf", path.Base(key), file)})
	}
	step.Commands = append(step.Commands, guideCommand{What: "hold the stored bytes against the manifest", Run: shellLine("sha256sum", file), Says: sum.SHA256})
	step.Commands = append(step.Commands, guideCommand{What: "make it the plain dump", Run: g.unpack(file)})
	if plain := g.choice.Manifest().Plain; !g.sealed && plain.SHA256 != sum.SHA256 {
		step.Commands = append(step.Commands, guideCommand{What: "hold the dump against the manifest", Run: shellLine("sha256sum", g.dumpFile()), Says: plain.SHA256})
	}
	return step
}

// fetch copies an object into the folder at hand.
func (g guide) fetch(key, file string) guideCommand {
	command := guideCommand{What: "fetch the object"}
	switch g.store.Kind {
	case config.StoreR2:
		words := []string{"npx", "wrangler", "r2", "object", "get", g.store.Bucket + "/" + key, "--remote", "--file", file}
		if g.store.Jurisdiction != "" {
			words = append(words, "--jurisdiction", g.store.Jurisdiction)
		}
		command.Run = shellLine(words...)
	case config.StoreS3:
		command.Run = shellLine("aws", "s3", "cp", "s3://"+g.store.Bucket+"/"+key, file, "--endpoint-url", g.store.Endpoint)
	default:
		command.Run = shellLine("cp", path.Join(g.store.Path, key), file)
	}
	return command
}

// unpack makes the stored file the plain dump.
func (g guide) unpack(file string) string {
	m := g.choice.Manifest()
	compression := m.Object.Compression
	if !g.choice.Daily && !m.Encrypted() {
		compression = seal.None // an archive holds it unpacked
	}
	var through []string
	if m.Encrypted() {
		through = append(through, shellLine("age", "-d", "-i", g.key(), file))
		file = ""
	}
	unpack := map[seal.Compression]string{seal.Gzip: "gzip", seal.Zstd: "zstd"}[compression]
	switch {
	case unpack != "" && file != "":
		through = append(through, shellLine(unpack, "-dc", file))
	case unpack != "":
		through = append(through, shellLine(unpack, "-dc"))
	case file != "":
		through = append(through, shellLine("cat", file))
	}
	return strings.Join(through, " | ") + " > " + shellWord(g.dumpFile())
}

func (g guide) review() guideStep {
	m := g.choice.Manifest()
	review := g.stem() + "-review.db"
	step := guideStep{
		Title: "Review it",
		Commands: []guideCommand{
			{What: "read the stored bytes of that day's backups again, and the SQL", Run: g.patina(slices.Concat([]string{"verify", g.choice.Name.Day.Format(time.DateOnly), m.Database.Name}, g.withKey())...)},
			{What: "write it as SQL in an order that loads", Run: g.ofBackup("restore", "--to", "sql:"+g.file)},
			{What: "load it into a database of this machine, and look around", Run: "sqlite3 -bail " + shellWord(review) + " < " + shellWord(g.file)},
			{What: "its tables", Run: shellLine("sqlite3", review, ".tables")},
		},
	}
	if g.sealed {
		step.Text = append(step.Text, "What it holds is told only to who can open it.")
		return step
	}
	step.Text = append(step.Text, fmt.Sprintf("It has %s, %s with %s, and %d statements, the longest of %d bytes.",
		size(m.Plain.Bytes), counted(len(m.Tables), "table"), counted(m.Rows(), "row"), m.Statements, m.LongestStatement))
	for _, f := range m.Findings {
		step.Text = append(step.Text, findingText(f))
	}
	return step
}

// findingText says what a dump may have lost.
func findingText(f backup.Finding) string {
	of := ""
	if f.Table != "" {
		of = " of " + f.Table
	}
	return fmt.Sprintf("A finding: %s, %s times%s.", f.Code, humanize.Comma(f.Count), of)
}

func (g guide) withPatina() guideStep {
	step := guideStep{
		Title: "Restore with Patina",
		Text:  []string{"It holds tables, rows and objects against the backup at the end, and takes the database back if it fails."},
	}
	if g.target != g.name() && !g.replace {
		to := "d1:" + g.target
		step.Commands = append(step.Commands,
			guideCommand{What: "say what would be done for " + g.target, Run: g.ofBackup("restore", "--to", to, "--dry-run")},
			guideCommand{What: "restore into " + g.target + ", which is made if it is not there, and must be empty", Run: g.ofBackup("restore", "--to", to), Says: "tables, rows and objects are those of the backup"})
		step.Text = append(step.Text, "Then name the new database in wrangler's configuration, and deploy.")
	}
	if over := g.inPlace(); over != "" {
		step.Commands = append(step.Commands, g.replacing(over)...)
		step.Text = append(step.Text, "Replacing "+over+" takes a backup of what it holds first, shows what will be lost, and asks for its name.")
		if g.pieces() {
			step.Text = append(step.Text, "This backup takes more than one import: between them "+over+" holds a part of it, and --allow-partial says that this is known. A new database is the better way.")
		}
	}
	return step
}

// inPlace is the database to be replaced; empty where that was not asked for.
func (g guide) inPlace() string {
	if g.target == g.name() || g.replace {
		return g.target
	}
	if g.target == g.fresh() && g.target == g.name()+"-restored" {
		return g.name()
	}
	return ""
}

// pieces says whether the backup is more than one import takes.
func (g guide) pieces() bool {
	m := g.choice.Manifest()
	return !g.sealed && !engine.OneImport(m.Plain.Bytes)
}

func (g guide) replacing(over string) []guideCommand {
	args := []string{"--to", "d1:" + over, "--replace"}
	if g.pieces() {
		args = append(args, "--allow-partial")
	}
	return []guideCommand{
		{What: "say what " + over + " would lose", Run: g.ofBackup("restore", append(slices.Clone(args), "--dry-run")...)},
		{What: "replace what is in " + over, Run: g.ofBackup("restore", args...), Says: "tables, rows and objects are those of the backup"},
	}
}

func (g guide) withWrangler() guideStep {
	db := g.choice.Manifest().Database
	create := []string{"npx", "wrangler", "d1", "create", g.fresh()}
	switch {
	case db.Jurisdiction != "":
		create = append(create, "--jurisdiction", db.Jurisdiction)
	case db.Region != "":
		create = append(create, "--location", strings.ToLower(db.Region))
	}
	return guideStep{
		Title: "Or restore with wrangler",
		Text: []string{
			"The dump may not load as it is (patina verify --importable tells): load the SQL that Patina writes of it.",
			"Wrangler does not take away what a database holds, so load into a new one, and then name it in wrangler's configuration.",
		},
		Commands: []guideCommand{
			{What: "write it as SQL in an order that loads, if that is not done", Run: g.ofBackup("restore", "--to", "sql:"+g.file, "--replace")},
			{What: "make the database", Run: shellLine(create...)},
			{What: "load it; " + g.fresh() + " answers nobody meanwhile", Run: shellLine("npx", "wrangler", "d1", "execute", g.fresh(), "--remote", "--file", g.file)},
		},
	}
}

func (g guide) verify() guideStep {
	step := guideStep{Title: "Verify"}
	if g.sealed {
		step.Text = []string{"Which tables and how many rows there must be is told only to who can open the backup: ask again on a host with the key."}
		step.Commands = []guideCommand{{What: "this guide with all that it can tell", Run: g.ofBackup("restore", "--guide")}}
		return step
	}
	into := g.fresh()
	if g.inPlace() == g.target {
		into = g.target
	}
	tables := g.tables()
	step.Text = []string{fmt.Sprintf("%s, %s in all. Patina's restore has compared them; after wrangler's, ask.", counted(len(tables), "table"), counted(rowsOfAll(tables), "row"))}
	if over := g.inPlace(); over != "" && over != into {
		step.Text = append(step.Text, "Where "+over+" was replaced, put its name in place of "+into+".")
	}
	for group := range slices.Chunk(tables, countsInOne) {
		step.Commands = append(step.Commands, guideCommand{
			What: "count the rows", Run: shellLine("npx", "wrangler", "d1", "execute", into, "--remote", "--command", countSQL(group)), Says: countsText(group),
		})
	}
	if objects := g.choice.Manifest().Objects; len(objects) > 0 {
		step.Commands = append(step.Commands, g.objects(into, objects))
	}
	return step
}

// tables are the ordinary tables that a restore brings back. Those in which D1,
// SQLite and virtual tables keep something for themselves are made anew.
func (g guide) tables() []backup.Table {
	shadow := map[string]bool{}
	for _, o := range g.choice.Manifest().Objects {
		if o.Type != dump.ObjectVirtual {
			continue
		}
		shadow[strings.ToLower(o.Name)] = true
		for _, suffix := range []string{"data", "idx", "content", "docsize", "config"} {
			shadow[strings.ToLower(o.Name)+"_"+suffix] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(g.choice.Manifest().Tables), func(t backup.Table) bool {
		name := strings.ToLower(t.Name)
		return shadow[name] || strings.HasPrefix(name, "sqlite_") || strings.HasPrefix(name, "_cf_")
	})
}

func rowsOfAll(tables []backup.Table) int64 {
	var n int64
	for _, t := range tables {
		n += t.Rows
	}
	return n
}

// countSQL counts the rows of a few tables.
func countSQL(tables []backup.Table) string {
	counts := make([]string, len(tables))
	for i, t := range tables {
		counts[i] = "SELECT '" + strings.ReplaceAll(t.Name, "'", "''") + "' AS name, count(*) AS n FROM " +
			`"` + strings.ReplaceAll(t.Name, `"`, `""`) + `"`
	}
	return strings.Join(counts, " UNION ALL ")
}

func countsText(tables []backup.Table) string {
	counts := make([]string, len(tables))
	for i, t := range tables {
		counts[i] = fmt.Sprintf("%s %d", t.Name, t.Rows)
	}
	return strings.Join(counts, ", ")
}

// objects asks for the indexes, views and triggers by name.
func (g guide) objects(into string, all []backup.Object) guideCommand {
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.Name
	}
	slices.Sort(names)
	return guideCommand{
		What: "the indexes, views, triggers and virtual tables",
		Run: shellLine("npx", "wrangler", "d1", "execute", into, "--remote", "--command",
			"SELECT name FROM sqlite_schema WHERE sql IS NOT NULL AND (type <> 'table' OR sql LIKE 'CREATE VIRTUAL%') ORDER BY name"),
		Says: strings.Join(names, ", "),
	}
}

func (g guide) travel() guideStep {
	m := g.choice.Manifest()
	step := guideStep{
		Title: "Or take " + g.name() + " back in time",
		Text: []string{
			fmt.Sprintf("D1's Time Travel takes %s (%s) back in place, with all its tables. Prefer it where the database is still there and what went wrong is recent: it is the quickest way, and needs no dump. It cannot bring back a database that was deleted, nor fill another one.", g.name(), m.Database.ID),
			g.reach(),
		},
	}
	if g.target != g.name() && g.target != g.name()+"-restored" {
		step.Text = append(step.Text, "It does nothing to "+g.target+".")
	}
	if m.Adopted != nil {
		step.Text = append(step.Text, "The dump is another program's: its moment is what its name or its object tells.")
	}
	if !g.now.Before(m.StartedAt.Add(travelPaid)) {
		return step
	}
	if m.Export.Bookmark != "" {
		step.Text = append(step.Text, "The dump is what the database was at the bookmark "+m.Export.Bookmark+"; by the clock, that is the start of the backup or shortly after.")
	}
	step.Commands = g.travels()
	return step
}

// reach says whether Time Travel still reaches the moment of the backup.
func (g guide) reach() string {
	at := g.choice.Manifest().StartedAt
	paid, free := at.Add(travelPaid), at.Add(travelFree)
	when := fmt.Sprintf("Time Travel reaches back 30 days on a paid plan and 7 on a free one; the moment of this backup, %s, is ", moment(at))
	switch {
	case !g.now.Before(paid):
		return when + "out of reach since " + moment(paid) + ": only the dump brings it back."
	case !g.now.Before(free):
		return when + "within reach until " + moment(paid) + " on a paid plan, and out of reach on a free one since " + moment(free) + "."
	}
	return when + "within reach until " + moment(paid) + " on a paid plan, and until " + moment(free) + " on a free one."
}

func (g guide) travels() []guideCommand {
	m := g.choice.Manifest()
	at := m.StartedAt.UTC().Format(time.RFC3339)
	wrangler := func(args ...string) string { return shellLine(append([]string{"npx", "wrangler", "d1"}, args...)...) }
	commands := []guideCommand{
		{What: "see that it is still the same database", Run: wrangler("info", g.name()), Says: m.Database.ID},
		{What: "the bookmark of the backup's moment", Run: wrangler("time-travel", "info", g.name(), "--timestamp", at)},
		{What: "say what would be lost", Run: g.patina("rewind", g.name(), "--at", at, "--dry-run")},
		{What: "take it back, with a backup first", Run: g.patina("rewind", g.name(), "--at", at)},
	}
	if m.Export.Bookmark != "" {
		commands = append(commands,
			guideCommand{What: "or to exactly what the dump is", Run: g.patina("rewind", g.name(), "--bookmark", m.Export.Bookmark)},
			guideCommand{What: "the same with wrangler, without a backup", Run: wrangler("time-travel", "restore", g.name(), "--bookmark", m.Export.Bookmark)})
	}
	return append(commands, guideCommand{What: "or by the clock with wrangler, without a backup", Run: wrangler("time-travel", "restore", g.name(), "--timestamp", at)})
}

func (g guide) undo() guideStep {
	return guideStep{
		Title: "Undo",
		Text: []string{
			"Patina's restore and rewind print the id of their job, to be put in place of " + guideJob + ". Wrangler's time-travel restore prints the bookmark of before, to be put in place of " + guideBookmark + ". What was written since is lost.",
		},
		Commands: []guideCommand{
			{What: "take a restore or rewind of Patina back", Run: g.patina("undo", guideJob)},
			{What: "the backups that were taken before", Run: g.patina("list", "--database", g.undone())},
			{What: "take wrangler's back", Run: shellLine("npx", "wrangler", "d1", "time-travel", "restore", g.name(), "--bookmark", guideBookmark)},
			{What: "remove the new database, once nothing uses it", Run: shellLine("npx", "wrangler", "d1", "delete", g.fresh())},
		},
	}
}

// undone is the database that is changed in place.
func (g guide) undone() string {
	if over := g.inPlace(); over != "" {
		return over
	}
	return g.name()
}

// shellLine is a command line for a shell.
func shellLine(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellWord(w)
	}
	return strings.Join(quoted, " ")
}

// shellWord is a word as a shell reads it.
func shellWord(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
