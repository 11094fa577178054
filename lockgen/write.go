package main

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// dryRunFlag is the flag of every command that writes.
func dryRunFlag(f *pflag.FlagSet, p *program) {
	f.BoolVar(&p.dryRun, "dry-run", false, "show the differences and write nothing")
}

// replace is [replace]; with --dry-run it shows what that would write, and fails of
// what it can see.
func (p *program) replace(writes ...write) error {
	if !p.dryRun {
		return replace(writes...)
	}
	writes = slices.DeleteFunc(slices.Clone(writes), func(w write) bool { return !w.changes() })
	if err := writable(writes...); err != nil {
		return err
	}
	for _, w := range writes {
		if !p.ui.JSON {
			p.ui.Result("%s", strings.TrimRight(difference(w), "\n"))
		}
	}
	return nil
}
