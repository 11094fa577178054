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
	Long: `Locks what the manifest asks for and the lock lacks, and drops what the manifest
no longer asks for. What is locked already is neither resolved nor downloaded
again; if there is nothing to do, the file stays unchanged, byte for byte, and
no source is asked. So a range such as "^2.7" keeps its locked version as long
as that matches. With names, those plugins are resolved again: ranges get the
newest version that they and [policy] allow, and no other entry changes. --all
does so for every plugin. NAME@VERSION locks that version: within a range, or
instead of the exact version in plugins.toml, if that asks for only one. To lock
both side by side, use lockgen add.

All or nothing: if plugins cannot be locked for a platform, all of them are
listed with the reasons, and nothing is written. Different bytes under a locked
version are an error, never an update.

Before the lock is written, each new plugin with a cell for this machine is
tested: protoc generates code for a small file with it, without a network.`,
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

// options returns the options of every command that asks sources. old is the
// current lock or nil. Flags that a command does not have are zero.
func (p *program) options(old *lock.Lock) (resolve.Options, error) {
	s, err := store.Open(p.env(store.EnvDir))
	p.store = s
	return resolve.Options{
		Settings: session.Settings{Offline: p.offline, Now: p.now, Env: p.env, Dir: filepath.Dir(p.manifest), Store: s, Clients: &p.clients, UI: p.ui, Timeouts: p.timeouts},
		Old:      old, All: p.all, Verify: p.verify, NoSmoke: p.noSmoke, MaxArtifact: p.maxArtifact,
	}, err
}

// changing returns a change of the manifest and the lock. Without a manifest it
// is an error, unless create is set.
func (p *program) changing(create bool) (*change.Run, error) {
	if err := p.locateOrNew(create); err != nil {
		return nil, err
	}
	return &change.Run{UI: p.ui, Manifest: p.manifest, Lock: p.lock, DryRun: p.dryRun, AllowScripts: p.allowScripts, Options: p.options}, nil
}

// list returns a list that JSON prints as [] if it is empty.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
