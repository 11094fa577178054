package main

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
)

var upgradeVerb = &cli.Verb[program]{
	Name: "upgrade", Args: "[NAME[@VERSION]…]", Short: "move plugins.toml and the lock to newer versions",
	Long: `Exact versions in plugins.toml move to the newest one that [policy] allows and
that is compatible: below the next major version, or for 0.x below the next
minor one. Ranges stay, and take the newest version in them. With --latest exact
versions move to the newest of all, and ranges move with it where it is not in
them. Nothing moves to an older version. Without names it is every plugin.

A plugin of which plugins.toml asks for several versions stays, unless one of
them is named: NAME@VERSION, as plugins.toml has it.`,
	Example: `lockgen upgrade
lockgen upgrade ts-proto
lockgen upgrade ts-proto@2.7.2 --latest`,
	JSON: true, Run: runUpgrade,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.latest, "latest", false, "across major versions, and out of ranges")
		f.BoolVar(&p.noSmoke, "no-smoke", false, "do not run what was locked")
		scriptsFlag(f, p)
		dryRunFlag(f, p)
	},
}

func runUpgrade(ctx context.Context, p *program, args []string) error {
	r, err := p.changing(false)
	if err != nil {
		return err
	}
	return r.Upgrade(ctx, args, p.latest)
}
