package main

import (
	"context"
	"os"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/clients"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/mirror"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/origin"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// app is one run of fetch.
type app struct {
	ui   *ui.UI
	env  func(string) string
	opts options

	dir        string              // folder of the manifest, where clients are asked for their settings
	registries manifest.Registries // of the manifest
	mirrors    []manifest.Mirror   // likewise, behind --from
	bundles    map[string][]string
	loginShell string          // the name of the user's shell
	policy     manifest.Policy // likewise; what may be downloaded

	timeouts  remote.Timeouts // of tests; zero for the usual ones
	store     *store.Store
	host      lock.Platform
	installer *install.Installer
	counts    counts

	clients  clients.Set // of this machine
	transfer *ui.Transfer
	origins  func() *origin.Origins // where files come from
	tiers    func() *mirror.Tiers
}

// open opens the cache and prepares the installer.
func (a *app) open() error {
	host, err := hostPlatform()
	if err != nil {
		return err
	}
	a.host = host
	if a.ui != nil {
		a.transfer = a.ui.Transfer(a.opts.offline)
	}
	a.origins, a.tiers = sync.OnceValue(a.newOrigins), sync.OnceValue(a.newTiers)
	if a.store, err = store.Open(a.opts.cacheDir); err != nil {
		return err
	}
	a.installer = &install.Installer{
		Store: a.store, Host: host, Download: a.download, Ready: a.ready, Local: a.local, Transfer: a.transfer,
		Observe: a.counts.add,
		Offline: a.opts.offline, NodeManager: a.opts.nodeManager, WheelManager: a.opts.wheelManager, NoManagers: a.opts.noManagers,
		Python: a.opts.python, Clients: &a.clients,
	}
	if a.ui != nil {
		a.installer.Detail = a.ui.Detail
	}
	return nil
}

func (a *app) newOrigins() *origin.Origins {
	return &origin.Origins{
		Dir: a.dir, Registries: a.registries, Mirrors: a.mirrors, Policy: &a.policy, Store: a.store, Clients: &a.clients, Detail: a.ui.Detail,
		Remote: remote.Options{
			Offline:    a.opts.offline,
			UserAgent:  "buck2-protobuf-fetch",
			Timeouts:   a.timeouts,
			Progress:   func(_ string, delta int64) { a.transfer.Add(delta) },
			Credential: remote.Netrc(os.Getenv),
		},
		NPM: a.npm, Go: a.installer.Go, Rust: a.installer.Rust,
	}
}

// npm returns the npm of the entry's locked runtime. It is asked for the default
// registry if this machine has no npm.
func (a *app) npm(ctx context.Context, e *lock.Entry) (*npm.Client, error) {
	npm, err := a.installer.NPM(ctx, e)
	if err != nil {
		hint := `install npm, or add to plugins.toml: [registries] npm = "https://…"`
		if fault.Of(err) != fault.Machine {
			hint = "" // the locked npm would do, so use the hint of its error
		}
		return nil, fault.Errorf(fault.Of(err), hint, "no npm to ask for the registry: %w", err)
	}
	return npm, nil
}

// told prints what was downloaded and done for an entry and for its runtime.
func (a *app) told(ctx context.Context, e *lock.Entry) {
	for ; e != nil; e = e.Runtime {
		a.transfer.Tell(ui.For(ctx, e.String()))
		if e.Toolchain != nil {
			a.transfer.Tell(ui.For(ctx, e.Toolchain.String()))
		}
	}
}

// close saves the counts of the run and ends the progress.
func (a *app) close() {
	if a.store != nil {
		a.counts.save(a.store, a.ui)
	}
	a.transfer.Done()
}
