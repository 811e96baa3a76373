package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/fault"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// outputMarkdown is a form of output that only the guide has.
const outputMarkdown = "markdown"

// asksForGuide says whether the command line has --guide.
func asksForGuide(cmd *cobra.Command) bool {
	guide, err := cmd.Flags().GetBool("guide")
	return err == nil && guide
}

// runGuide prints the way back of one backup, and touches nothing.
func runGuide(ctx context.Context, a *app, opts restoreOptions, dateText, database string) error {
	date, err := engine.ParseDate(dateText)
	if err != nil {
		return err
	}
	g, err := a.newGuide(opts, database)
	if err != nil {
		return err
	}
	eng, closeEngine, err := a.engine(ctx, needs{store: true, identity: opts.identity})
	if err != nil {
		return err
	}
	defer func() { _ = closeEngine() }() // nothing was written through it
	if g.choice, err = eng.Choose(ctx, date, database, opts.jobID); err != nil {
		return err
	}
	if err := g.open(ctx, eng); err != nil {
		return err
	}
	if g.file == "" {
		g.file = g.stem() + "-restore.sql"
	}
	return a.printGuide(g)
}

// newGuide is what is known before the backup is looked for.
func (a *app) newGuide(opts restoreOptions, database string) (guide, error) {
	g := guide{
		config: a.global.config, identity: opts.identity,
		target: database + "-restored", replace: opts.request.Replace, now: a.host.now().UTC(),
	}
	if opts.to != "" {
		target, err := parseTarget(opts.to)
		if err != nil {
			return g, err
		}
		switch {
		case target.kind == targetD1:
			g.target = target.name
		case target.name != "-":
			g.file = target.name
		}
	}
	if opts.request.Replace && opts.to == "" {
		g.target = database
	}
	cfg, err := a.config()
	if err != nil {
		return g, err
	}
	g.prefix = cfg.Store.Prefix
	g.store, err = cfg.Store.Location()
	return g, err
}

// open reads what an encrypted manifest tells only to who holds a key. That no
// key is at hand is no error, but one that was named must fit.
func (g *guide) open(ctx context.Context, eng *engine.Engine) error {
	opened, err := eng.Open(ctx, g.choice.Entry)
	if err == nil {
		g.choice.Entry = opened
		return nil
	}
	closed := errors.Is(err, seal.ErrNoIdentity) || errors.Is(err, seal.ErrOtherIdentity)
	if !closed || g.identity != "" {
		return err
	}
	g.sealed = true
	return nil
}

func (a *app) printGuide(g guide) error {
	steps := g.steps()
	switch a.global.output {
	case "json":
		return writeJSON(a.host.out, struct {
			Backup entryJSON   `json:"backup"`
			Steps  []guideStep `json:"steps"`
		}{entryDocument(g.choice.Entry), steps})
	case outputMarkdown:
		return guideMarkdown(a.host.out, g.title(), steps)
	}
	return guideText(a.host.out, g.title(), steps)
}

func (g guide) title() string {
	m := g.choice.Manifest()
	return fmt.Sprintf("How to bring back %s of %s", m.Database.Name, moment(m.StartedAt))
}

// guideWidth is how wide the text of the guide is.
const guideWidth = 80

// guideText writes the guide for a terminal.
func guideText(w io.Writer, title string, steps []guideStep) error {
	var b strings.Builder
	b.WriteString(title + "\n")
	for i, step := range steps {
		fmt.Fprintf(&b, "\n%d. %s\n\n", i+1, step.Title)
		for j, text := range step.Text {
			if j > 0 {
				b.WriteString("\n")
			}
			b.WriteString(wrapped(text, "   "))
		}
		for j, c := range step.Commands {
			if j > 0 || len(step.Text) > 0 {
				b.WriteString("\n")
			}
			b.WriteString(wrapped("# "+c.What, "     "))
			b.WriteString("     " + c.Run + "\n")
			if c.Says != "" {
				b.WriteString(wrapped("# says: "+c.Says, "     "))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// guideMarkdown writes the guide as a document.
func guideMarkdown(w io.Writer, title string, steps []guideStep) error {
	var b strings.Builder
	b.WriteString("# " + title + "\n")
	for i, step := range steps {
		fmt.Fprintf(&b, "\n## %d. %s\n", i+1, step.Title)
		for _, text := range step.Text {
			b.WriteString("\n" + wrapped(text, ""))
		}
		for _, c := range step.Commands {
			fmt.Fprintf(&b, "\n%s\n```sh\n%s\n```\n", wrapped(capital(c.What)+":", ""), c.Run)
			if c.Says != "" {
				fmt.Fprintf(&b, "\nIt must say `%s`.\n", c.Says)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// wrapped is a text in lines that begin with indent. Those behind the first of a
// comment are comments too.
func wrapped(text, indent string) string {
	next := indent
	if strings.HasPrefix(text, "# ") {
		next += "#   "
	}
	var b strings.Builder
	line := indent
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
			line += word
		case len(line)+1+len(word) > guideWidth:
			b.WriteString(line + "\n")
			line = next + word
		default:
			line += " " + word
		}
	}
	b.WriteString(line + "\n")
	return b.String()
}

// checkOutput refuses an output that the command does not have.
func (a *app) checkOutput(cmd *cobra.Command) error {
	switch {
	case a.global.output == "table" || a.global.output == "json":
		return nil
	case a.global.output == outputMarkdown && asksForGuide(cmd):
		return nil
	case a.global.output == outputMarkdown:
		return fault.New(fault.Usage, "", "--output markdown is for patina restore --guide only: want table or json")
	}
	return fault.New(fault.Usage, "", "--output %q: want table or json", a.global.output)
}
