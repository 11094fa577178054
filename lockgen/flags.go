package main

import (
	"errors"

	"github.com/spf13/pflag"
)

// filePath is a flag with a path as value.
type filePath string

// String implements pflag.Value.
func (f *filePath) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *filePath) Type() string { return "string" }

// Set implements pflag.Value.
func (f *filePath) Set(value string) error {
	if value == "" {
		return errors.New("an empty path")
	}
	*f = filePath(value)
	return nil
}

// dryRunFlag adds the flag of all commands that write files.
func dryRunFlag(f *pflag.FlagSet, p *program) {
	f.BoolVar(&p.dryRun, "dry-run", false, "show the differences and write nothing")
}

// scriptsFlag adds the flag for consent, for use without a terminal.
func scriptsFlag(f *pflag.FlagSet, p *program) {
	f.BoolVar(&p.allowScripts, "allow-build-scripts", false, "let crates run code when they are compiled; written to [policy]")
}
