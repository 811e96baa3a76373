package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newInfoCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "info",
		Short: "Show what this installation backs up, when, and what it keeps",
		Example: `  patina info
  patina info -o json`,
		GroupID: groupSetup,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return runInfo(a) },
	}
}

type infoJSON struct {
	Name        string            `json:"name"`
	Version     string            `json:"version"`
	Description string            `json:"description"`
	Schedule    map[string]string `json:"schedule"`
	Retention   map[string]int    `json:"retention"`
	Databases   []infoDatabase    `json:"databases"`
	Store       string            `json:"store"`
}

type infoDatabase struct {
	Name     string `json:"name"`
	Priority string `json:"priority"`
}

func runInfo(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	doc := infoJSON{
		Name: "patina", Version: buildVersion(),
		Description: "Backs up Cloudflare D1 databases, keeps the right ones, and brings them back",
		Schedule:    map[string]string{"nightly": cfg.Schedule.Nightly, "weekly": cfg.Schedule.Weekly},
		Retention:   map[string]int{"daily": cfg.Retention.Daily, "weekly": cfg.Retention.Weekly},
		Databases:   []infoDatabase{},
		Store:       cfg.Store.URL.String(),
	}
	for _, d := range cfg.Databases.Entries {
		doc.Databases = append(doc.Databases, infoDatabase{d.Name, string(d.Priority)})
	}
	if a.json() {
		return writeJSON(a.host.out, doc)
	}
	return a.printInfo(doc)
}

func (a *app) printInfo(doc infoJSON) error {
	names := make([]string, len(doc.Databases))
	for i, d := range doc.Databases {
		names[i] = fmt.Sprintf("%s (%s)", d.Name, d.Priority)
	}
	_, err := fmt.Fprintf(a.host.out, `%s %s
%s

Store:      %s
Schedule:   nightly %q, weekly %q (UTC)
Retention:  %d days, %d weeks
Databases:  %s
`, doc.Name, doc.Version, doc.Description, doc.Store, doc.Schedule["nightly"], doc.Schedule["weekly"],
		doc.Retention["daily"], doc.Retention["weekly"], strings.Join(names, "\n            "))
	return err
}
