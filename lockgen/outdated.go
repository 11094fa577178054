package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

var outdatedVerb = &cli.Verb[program]{
	Name: "outdated", Short: "tell which newer versions there are",
	Long: `One line for each entry of plugins.toml that is not at the newest version there
is: what is locked, the newest version that the entry and [policy] allow, the
newest of all, and why it is held back. Sources are asked, nothing is downloaded
or written. RUN is the command that takes what is newer; where there is none, it
is held back by [policy] or its publisher.`,
	Example: `lockgen outdated
lockgen outdated --json`,
	JSON: true, Run: runOutdated,
}

// runOutdated writes nothing but to the store, where npm may come from.
func runOutdated(ctx context.Context, p *program, _ []string) error {
	m, err := p.readManifest()
	if err != nil {
		return err
	}
	old, _, err := p.oldLock()
	if err != nil {
		return err
	}
	o, err := p.options(old)
	if err != nil {
		return err
	}
	ages, err := resolve.Outdated(ctx, m, o)
	if ages == nil && err != nil {
		return err
	}
	if err != nil {
		err = fault.Errorf(fault.Of(err), fault.Hint(err), "not every source could be asked: %w", err)
	}
	for i, a := range ages {
		ages[i].Run = command(a, len(m.Plugins[a.Name].Versions) > 1)
	}
	if p.ui.JSON {
		data := map[string]any{"entries": ages}
		if err == nil {
			return p.ui.Data(data)
		}
		data["error"] = ui.FailureOf(err)
		if err := p.ui.Data(data); err != nil {
			return err
		}
		return &toldError{err}
	}
	w := ui.NewTable()
	w.Line("NAME\tLOCKED\tALLOWED\tLATEST\tRUN\tWHY")
	behind := 0
	for _, a := range ages {
		if !a.Behind() {
			continue
		}
		behind++
		w.Line("%s\t%s\t%s\t%s\t%s\t%s", a.Name, plain.Row(orDash(a.Locked)), plain.Row(orDash(a.Allowed)), plain.Row(orDash(a.Latest)), plain.Row(orDash(a.Run)), plain.Row(why(a)))
	}
	if behind > 0 {
		p.ui.Result("%s", w.Fit(p.ui.Columns(), 2))
	} else {
		p.ui.Say("every plugin is at the newest version there is")
	}
	return err
}

// command is what takes a newer version, "" where nothing does. Several says that
// the manifest asks for other versions of the plugin as well.
func command(a resolve.Age, several bool) string {
	switch {
	case a.Error != "":
		return ""
	case a.Locked != a.Allowed:
		return "lockgen update " + a.Name
	case a.Latest == "" || a.Latest == a.Locked || len(a.Held) == 0 || a.Held[0].Why != "not in "+a.Asked:
		return ""
	case several:
		return "lockgen upgrade --latest '" + a.Name + "@" + a.Asked + "'"
	}
	return "lockgen upgrade --latest " + a.Name
}

// why says in one line what holds newer versions back, and who was not asked.
func why(a resolve.Age) string {
	var parts []string
	switch {
	case a.Error != "":
		parts = append(parts, strings.ReplaceAll(a.Error, "\n", " "))
	case len(a.Held) > 0:
		line := a.Held[0].Version + ": " + a.Held[0].Why
		if more := len(a.Held) - 1; more > 0 {
			line += fmt.Sprintf(" (and %d more)", more)
		}
		parts = append(parts, line)
	}
	for _, of := range a.Unasked {
		parts = append(parts, "could not ask "+of)
	}
	return strings.Join(parts, "; ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
