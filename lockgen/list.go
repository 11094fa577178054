package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

var listVerb = &cli.Verb[program]{
	Name: "list", Short: "list what is locked",
	Long: `One line for each version of each plugin. --json adds the state of each platform
and the trust in the digests.`,
	Example: `lockgen list`,
	JSON:    true, Run: runList,
}

// A locked is a line of lockgen list.
type locked struct {
	Name      string               `json:"name"`
	Version   string               `json:"version"`
	Source    string               `json:"source"`
	Package   string               `json:"package,omitempty"`
	Runtime   string               `json:"runtime,omitempty"`
	Trust     string               `json:"trust"`
	Files     int                  `json:"files"`
	Platforms map[string]lock.Cell `json:"-"`
	Cells     map[string]string    `json:"platforms"`
}

func runList(_ context.Context, p *program, _ []string) error {
	if err := p.locateLock(); err != nil {
		return err
	}
	l, _, err := p.readLock()
	if err != nil {
		return err
	}
	rows := []locked{}
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, version := range slices.SortedFunc(maps.Keys(l.Plugins[name]), lock.CompareVersions) {
			v := l.Plugins[name][version]
			row := locked{Name: name, Version: version, Source: v.Source, Package: v.Package, Runtime: v.Runtime, Trust: v.Trust, Files: len(v.Files), Cells: map[string]string{}}
			for platform, c := range v.Platforms {
				switch {
				case c.Locked():
					row.Cells[platform] = "locked"
				case c.Emulate != "":
					row.Cells[platform] = "emulates " + c.Emulate
				default:
					row.Cells[platform] = "unavailable: " + c.Unavailable
				}
			}
			rows = append(rows, row)
		}
	}
	if p.ui.JSON {
		return p.ui.Data(map[string]any{"plugins": rows})
	}
	w := ui.NewTable()
	w.Line("NAME\tVERSION\tSOURCE\tFILES\tPLATFORMS")
	for _, r := range rows {
		source := r.Source
		if r.Package != "" {
			source += ":" + r.Package
		}
		var have []string
		for _, platform := range lock.PlatformNames() {
			switch state := r.Cells[platform]; {
			case state == "locked":
				have = append(have, platform)
			case strings.HasPrefix(state, "emulates"):
				have = append(have, platform+"*")
			}
		}
		platforms := strings.Join(have, " ")
		if _, protos := lock.ProtosName(r.Name); protos {
			platforms = "any"
		} else if p.ui.Columns() > 0 {
			platforms = brief(have)
		}
		w.Line("%s\t%s\t%s\t%d\t%s", r.Name, r.Version, source, r.Files, platforms)
	}
	text := w.Fit(p.ui.Columns(), 1)
	if strings.Contains(text, "*") {
		text += "\n* by emulation"
	}
	p.ui.Result("%s", text)
	return nil
}

// brief shortens a list of platforms: if most are present, it names those that
// are missing.
func brief(have []string) string {
	var not []string
	all := "all"
	for _, platform := range lock.PlatformNames() {
		switch {
		case slices.Contains(have, platform+"*"):
			all = "all*"
		case !slices.Contains(have, platform):
			not = append(not, platform)
		}
	}
	missing := strings.Join(not, " ")
	for _, os := range []string{"linux", "macos", "windows"} {
		missing = strings.Replace(missing, os+"-aarch64 "+os+"-x86_64", os, 1)
	}
	switch {
	case len(not) == 0:
		return all
	case len(not) < len(have):
		return all + " but " + missing
	}
	return strings.Join(have, " ")
}
