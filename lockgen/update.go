package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/lockgen/change"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
	"github.com/birbparty/buck2-protobuf/lockgen/session"
)

var updateVerb = &cli.Verb[program]{
	Name: "update", Args: "[NAME[@VERSION]…]", Short: "make plugins.lock.toml match plugins.toml",
	Long: `Locks what the manifest asks for and the lock lacks, and drops what it does not
ask for. What is locked already is neither resolved nor downloaded again; with
nothing to do the file stays as it is, byte for byte, and nobody is asked. So a
range such as "^2.7" keeps the version that is locked for it as long as that
fits. With names, those plugins are resolved again, ranges take the newest
version that they and [policy] allow, and no other entry is touched; --all does
so with every plugin. NAME@VERSION takes that version: out of a range, or in the
place of the exact one in plugins.toml, where that asks for one alone. To have
both side by side there is lockgen add.

All or nothing: when any plugin cannot be locked for any of the platforms, all
of them are listed with the reason, and nothing is written. A version whose
bytes differ from those that were locked under it is an alarm, never an update.

What is new is tried before the lock is written, where it has a cell for this
machine: protoc generates code of a small file with it, without a network.`,
	Example: `lockgen update
lockgen update ts-proto
lockgen update ts-proto@2.7.2
lockgen update --all           take the newest versions allowed
lockgen update --verify        download everything again and compare`,
	JSON: true, Run: runUpdate,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.all, "all", false, "resolve every plugin again")
		f.BoolVar(&p.noSmoke, "no-smoke", false, "do not run what was locked")
		scriptsFlag(f, p)
		dryRunFlag(f, p)
		f.BoolVar(&p.verify, "verify", false, "resolve and download everything again and compare")
	},
}

func runUpdate(ctx context.Context, p *program, args []string) error {
	if p.all && len(args) > 0 {
		return fault.Errorf(fault.Usage, "run: lockgen update --all, or: lockgen update "+args[0], "--all and the names of plugins")
	}
	r, err := p.changing(false)
	if err != nil {
		return err
	}
	return r.Update(ctx, args)
}

// options are those of every command that asks sources; old is the lock there
// is, nil for none. The flags that a command does not have are zero.
func (p *program) options(old *lock.Lock) (resolve.Options, error) {
	s, err := store.Open(p.env(store.EnvDir))
	return resolve.Options{
		Settings: session.Settings{Offline: p.offline, Now: p.now, Env: p.env, Dir: filepath.Dir(p.manifest), Store: s, Clients: &p.clients, UI: p.ui, Timeouts: p.timeouts},
		Old:      old, All: p.all, Verify: p.verify, NoSmoke: p.noSmoke, MaxArtifact: p.maxArtifact,
	}, err
}

// changing is a change of the manifest and the lock. Without a manifest it is an
// error, unless create says that it may be new.
func (p *program) changing(create bool) (*change.Run, error) {
	if err := p.locateOrNew(create); err != nil {
		return nil, err
	}
	return &change.Run{UI: p.ui, Manifest: p.manifest, Lock: p.lock, DryRun: p.dryRun, AllowScripts: p.allowScripts, Options: p.options}, nil
}

// list is a list that JSON prints as [] when it is empty.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
