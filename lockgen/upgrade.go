package main

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
)

var upgradeVerb = &cli.Verb[program]{
	Name: "upgrade", Args: "[NAME[@VERSION]…]", Short: "move plugins.toml and the lock to newer versions",
	Long: `Changes exact versions in plugins.toml to the newest compatible one that
[policy] allows: below the next major version, or for 0.x below the next minor
version. Ranges stay, and get the newest version within them. With --latest,
exact versions change to the newest of all, and so do ranges that do not include
it. No version becomes older. Without names, it upgrades every plugin.

A plugin with several versions in plugins.toml stays unchanged, unless one of
them is named: NAME@VERSION, as in plugins.toml.`,
	Example: `lockgen upgrade
lockgen upgrade ts-proto
lockgen upgrade ts-proto@2.7.2 --latest`,
	JSON: true, Run: runUpgrade,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.latest, "latest", false, "also across major versions, and beyond ranges")
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
