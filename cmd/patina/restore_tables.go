package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
	"github.com/AutumnsGrove/patina/pkg/engine"
)

// tablesHelp is the part of the help of restore that is about --table.
const tablesHelp = `

With --table only the tables that are named come back, with their rows, counters,
indexes and triggers, and what they depend on is told: views are not among them.
In a D1 database the other tables stay as they are. A table that is there is
replaced with --replace; where foreign keys of others would lose rows by that
(ON DELETE), its rows are exchanged in place, or it is refused. "patina undo" takes
back all tables of the database, not those alone.`

// bindTables adds --table.
func (o *restoreOptions) bindTables(a *app, cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&o.tables, "table", nil, "bring back `TABLE` only; may be repeated, or list several with commas")
	_ = cmd.RegisterFlagCompletionFunc("table", a.completeTables)
}

// completeTables offers the tables of the backup that is named.
func (a *app) completeTables(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp
	if len(args) != 2 {
		return nil, directive
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	names, err := a.tablesOf(ctx, args[0], args[1])
	if err != nil {
		return nil, directive
	}
	before := typed[:strings.LastIndex(typed, ",")+1]
	var offered []string
	for _, name := range names {
		if !slices.ContainsFunc(strings.Split(before, ","), func(other string) bool { return dump.SameName(other, name) }) {
			offered = append(offered, before+name)
		}
	}
	return offered, directive
}

// tablesOf are the tables of a backup, as its manifest names them.
func (a *app) tablesOf(ctx context.Context, dateText, database string) ([]string, error) {
	date, err := engine.ParseDate(dateText)
	if err != nil {
		return nil, err
	}
	eng, closeEngine, err := a.engine(ctx, needs{store: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = closeEngine() }() // nothing was written through it
	choice, err := eng.Choose(ctx, date, database, "")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range choice.Manifest().Tables {
		names = append(names, t.Name)
	}
	return names, nil
}

// undoesAll is said wherever chosen tables are restored into a database that
// holds others.
const undoesAll = "undo takes back all tables of the database, not just those that are restored"

// dependencyText says in words what chosen tables depend on.
func dependencyText(d plan.Dependency) string {
	switch d.Kind {
	case plan.DependsOnParent:
		return fmt.Sprintf("foreign keys of %s point at %s, which is not restored", d.Table, d.Name)
	case plan.DependsOnTrigger:
		return fmt.Sprintf("a trigger of %s names the %s %s, which is not restored", d.Table, d.Type, d.Name)
	case plan.NeededByChild:
		text := fmt.Sprintf("foreign keys of %s, which is not restored, point at %s", d.Name, d.Table)
		if d.Action != "" {
			text += " (ON DELETE " + d.Action + ")"
		}
		return text
	}
	return fmt.Sprintf("the %s %s, which is not restored, names %s", d.Type, d.Name, d.Table)
}

// sayTables says which tables come back, and what they depend on.
func (a *app) sayTables(r restored) {
	if len(r.tables) == 0 {
		return
	}
	a.say("only these tables: " + strings.Join(r.tables, ", "))
	for _, d := range r.dependencies {
		a.say("depends: " + dependencyText(d))
	}
	for _, o := range r.d1.Lost {
		a.say("the " + o.Type + " " + o.Name + " " + map[bool]string{true: "would go", false: "went"}[r.dryRun] + ": the backup does not have it")
	}
	for _, index := range r.d1.Reindexed {
		a.say("the full-text index " + index + " over them " + map[bool]string{true: "would be", false: "was"}[r.dryRun] + " filled anew")
	}
	for _, index := range r.d1.Stale {
		a.say("the index " + index.Name + " over them " + map[bool]string{true: "would be", false: "is"}[r.dryRun] + " stale: " + index.Why)
	}
}

// dependencyJSON is a dependency with its words.
type dependencyJSON struct {
	plan.Dependency
	Text string `json:"text"`
}

func dependencyDocuments(dependencies []plan.Dependency) []dependencyJSON {
	documents := []dependencyJSON{}
	for _, d := range dependencies {
		documents = append(documents, dependencyJSON{d, dependencyText(d)})
	}
	return documents
}

// chooseTables leaves just the tables that are asked for.
func (r *restored) chooseTables(source *engine.Source, tables []string) error {
	if len(tables) == 0 {
		return nil
	}
	if err := source.Only(tables); err != nil {
		return err
	}
	r.tables, r.dependencies = slices.Clone(source.Plan.Chosen()), source.Dependencies
	return nil
}
