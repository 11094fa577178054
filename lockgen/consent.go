package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// scriptsFlag is the flag by which a person consents where nobody can be asked.
func scriptsFlag(f *pflag.FlagSet, p *program) {
	f.BoolVar(&p.allowScripts, "allow-build-scripts", false, "let crates run code when they are compiled; written to [policy]")
}

// consent writes the plugins that need it into build-scripts of [policy], where a
// person lets their crates run code: by the flag, or by a yes on a terminal.
func (p *program) consent(ctx context.Context, text []byte, ask *resolve.ConsentError) ([]byte, error) {
	var names, lines []string
	for _, a := range ask.Asks {
		names = append(names, a.Plugin)
		lines = append(lines, fmt.Sprintf("compiling %s runs code of %s, here and wherever it is compiled:", a.Plugin, plain.Count(len(a.Crates), "crate")))
		for _, c := range a.Crates {
			lines = append(lines, "  "+c.String())
		}
	}
	if !p.allowScripts {
		yes, asked, err := p.ui.Confirm(ctx, strings.Join(lines, "\n")+"\nlet them, and write that into [policy]?")
		switch {
		case err != nil:
			return nil, err
		case !asked:
			return nil, ask
		case !yes:
			return nil, fault.Errorf(fault.Policy, "take another plugin, or one that is published in compiled form", "no consent to run code of %s; nothing was written", strings.Join(names, ", "))
		}
	}
	text, err := edit.Consent(p.manifest, text, names)
	if err == nil && p.allowScripts {
		p.ui.Say("%s", strings.Join(lines, "\n"))
	}
	if err == nil {
		p.ui.Say("build-scripts of [policy] names %s now", strings.Join(names, ", "))
	}
	return text, err
}
