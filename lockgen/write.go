package main

import (
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/spf13/pflag"
)

// dryRunFlag is the flag of every command that writes.
func dryRunFlag(f *pflag.FlagSet, p *program) {
	f.BoolVar(&p.dryRun, "dry-run", false, "show the differences and write nothing")
}

// replace is [files.Replace]; with --dry-run it shows what that would write, and fails of
// what it can see.
func (p *program) replace(writes ...files.Write) error {
	if !p.dryRun {
		return files.Replace(writes...)
	}
	writes = slices.DeleteFunc(slices.Clone(writes), func(w files.Write) bool { return !w.Changes() })
	if err := files.Writable(writes...); err != nil {
		return err
	}
	for _, w := range writes {
		if !p.ui.JSON {
			p.ui.Result("%s", strings.TrimRight(files.Diff(w), "\n"))
		}
	}
	return nil
}
