package main

import (
	"context"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

var searchVerb = &cli.Verb[program]{
	Name: "search", Args: "[WORD…]", Short: "search the plugins and proto packages that are known by name",
	Long: `Prints the plugins and proto packages of the catalogue that match all words in
their name, language, packages or description. Plugins come before proto
packages, the best match first. Without words, it prints everything. It uses no
network.`,
	Example: `lockgen search grpc python
lockgen search connect
lockgen search google/api/annotations.proto`,
	JSON: true, Run: runSearch,
}

// A knownPlugin is a plugin or proto package of the catalogue.
type knownPlugin struct {
	Name     string   `json:"name"`
	About    string   `json:"about"`
	Language string   `json:"language,omitempty"` // of the Buck2 rule for it
	Runtime  string   `json:"runtime,omitempty"`  // the plugin that runs it
	Sources  []string `json:"sources"`            // in the order in which they are tried
	Serves   []string `json:"serves,omitempty"`   // for a proto package: patterns of import paths
}

func runSearch(_ context.Context, p *program, args []string) error {
	text := strings.Join(args, " ")
	c := catalog.Builtin()
	rows := []knownPlugin{}
	for _, m := range c.Search(text) {
		r, _ := c.Lookup(m.Name)
		row := knownPlugin{Name: m.Name, About: m.About, Language: r.Rule, Runtime: r.Runtime}
		for _, s := range r.Sources {
			row.Sources = append(row.Sources, s.Source.String())
		}
		rows = append(rows, row)
	}
	for _, m := range c.SearchProtos(text) {
		name, _ := lock.ProtosName(m.Name)
		known, _ := c.Protos(name)
		rows = append(rows, knownPlugin{Name: m.Name, About: m.About, Serves: known.Serves, Sources: []string{known.From}})
	}
	if p.ui.JSON {
		return p.ui.Data(map[string]any{"plugins": rows})
	}
	if len(args) == 1 {
		if err := c.Refused(text); err != nil {
			p.ui.Say("%v; %s", err, fault.Hint(err))
		}
	}
	if len(rows) == 0 {
		p.ui.Say("the catalogue has nothing that matches %s; add any other plugin by its place, for example lockgen add npm:NAME, or by an entry [plugins.NAME] with version, source and binary", text)
		return nil
	}
	w := ui.NewTable()
	for _, r := range rows {
		w.Line("%s\t%s", r.Name, r.About)
	}
	p.ui.Result("%s", w.Fit(p.ui.Columns(), 1))
	return nil
}
