package main

import (
	"github.com/spf13/pflag"
)

// dryRunFlag adds the flag of all commands that write files.
func dryRunFlag(f *pflag.FlagSet, p *program) {
	f.BoolVar(&p.dryRun, "dry-run", false, "show the differences and write nothing")
}

// scriptsFlag adds the flag for consent, for use without a terminal.
func scriptsFlag(f *pflag.FlagSet, p *program) {
	f.BoolVar(&p.allowScripts, "allow-build-scripts", false, "let crates run code when they are compiled; written to [policy]")
}
