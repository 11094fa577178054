package main

import (
	"errors"

	"github.com/spf13/pflag"
)

// filePath is a flag whose value is a path.
type filePath string

// String is pflag.Value's.
func (f *filePath) String() string { return string(*f) }

// Type is pflag.Value's.
func (f *filePath) Type() string { return "string" }

// Set is pflag.Value's.
func (f *filePath) Set(value string) error {
	if value == "" {
		return errors.New("an empty path")
	}
	*f = filePath(value)
	return nil
}

// dryRunFlag is the flag of every command that writes.
func dryRunFlag(f *pflag.FlagSet, p *program) {
	f.BoolVar(&p.dryRun, "dry-run", false, "show the differences and write nothing")
}

// scriptsFlag is the flag by which a person consents where nobody can be asked.
func scriptsFlag(f *pflag.FlagSet, p *program) {
	f.BoolVar(&p.allowScripts, "allow-build-scripts", false, "let crates run code when they are compiled; written to [policy]")
}
