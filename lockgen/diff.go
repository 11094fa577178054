package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/diff"
	"github.com/birbparty/buck2-protobuf/lockgen/git"
)

var diffVerb = &cli.Verb[program]{
	Name: "diff", Args: "[REV|FILE]", Short: "show what changed in the lock",
	Long: `Compares the lock of a git revision, by default HEAD, or another file, with the
current lock, and describes the differences: versions, new, changed and dropped
packages of a closure, platforms, and trust. It highlights bytes that changed
under the same version. The exit status does not depend on differences.
--markdown prints a comment for a pull request.`,
	Example: `lockgen diff                   since the last commit
lockgen diff main
lockgen diff --markdown origin/main
lockgen diff ../other/plugins.lock.toml`,
	JSON: true, Run: runDiff,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.markdown, "markdown", false, "print Markdown")
	},
}

// runDiff describes the changes between an older lock and the current one.
// Differences are a result, not an error.
func runDiff(ctx context.Context, p *program, args []string) error {
	if len(args) > 1 {
		return fault.Errorf(fault.Usage, "run: lockgen help diff", "lockgen diff takes one revision or file; unexpected argument %q", args[1])
	}
	if p.markdown && p.ui.JSON {
		return fault.Errorf(fault.Usage, "leave one of them out", "--markdown and --json are two forms of one result")
	}
	if err := p.locateLock(); err != nil {
		return err
	}
	now, _, err := p.readLock()
	if err != nil {
		return err
	}
	from := "HEAD"
	if len(args) == 1 {
		from = args[0]
	}
	old, err := p.oldVersion(ctx, from)
	if err != nil {
		return err
	}
	changes := diff.Locks(old, now)
	if p.markdown {
		p.ui.Result("%s", strings.TrimSuffix(diff.Markdown(filepath.Base(p.lock), from, changes), "\n"))
		return nil
	}
	if p.ui.JSON {
		if changes == nil {
			changes = []diff.Change{}
		}
		return p.ui.Data(map[string]any{"from": from, "lock": p.lock, "changes": changes})
	}
	for _, c := range changes {
		p.ui.Result("%s", plain.Row(c.String()))
	}
	if len(changes) == 0 {
		p.ui.Say("%s pins the same as %s", p.lock, from)
	}
	return nil
}

// oldVersion reads the lock from a file, or from a revision of git.
func (p *program) oldVersion(ctx context.Context, from string) (*lock.Lock, error) {
	l, err := git.Lock(ctx, p.lock, from)
	if err == nil && l == nil {
		p.ui.Say("%s has no %s yet", from, filepath.Base(p.lock))
		return &lock.Lock{}, nil
	}
	return l, err
}
