package main

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/mirror"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// bringing is the order in which bytes are looked for: mirrors, then the origin.
func (a *app) bringing() *mirror.Tiers {
	return &mirror.Tiers{
		Mirrors: a.mirrors, Dir: a.dir, Offline: a.opts.offline, Web: a.web,
		OCI:  a.registry,
		Warn: a.ui.Warn, Detail: a.ui.Detail,
		Report: func(t mirror.Attempt) {
			tier := install.FromHTTP
			if t.OCI {
				tier = install.FromOCI
			}
			a.counts.add(install.Event{Tier: tier, Bytes: t.Bytes, Duration: t.Duration, Err: t.Err})
		},
	}
}

// download brings one file from the first tier that has it.
func (a *app) download(ctx context.Context, e *lock.Entry, key string, in *store.Ingest) error {
	// The lock may be poisoned, or older than the rule.
	if err := a.policy.CheckFile(e.Locked.Source, e.Locked.Package, key, e.Locked.Files[key]); err != nil {
		return err
	}
	f := e.Locked.Files[key]
	_, transfer := a.net()
	transfer.Expect(f.Label(key), f.Size)
	return a.tiers.get(a.bringing).File(ctx, e, key, in)
}

// ready brings the ready folder of an entry from a mirror.
func (a *app) ready(ctx context.Context, e *lock.Entry, served, dir string) error {
	return a.tiers.get(a.bringing).Tree(ctx, a.store, e, served, dir)
}

// local reports whether a file is in a folder among the mirrors.
func (a *app) local(ctx context.Context, e *lock.Entry, key string) bool {
	return a.tiers.get(a.bringing).Local(ctx, e, key)
}

// web brings one file over HTTP: from its origin, or by the mirror m.
func (a *app) web(ctx context.Context, e *lock.Entry, key string, in *store.Ingest, m *manifest.Mirror) error {
	f := e.Locked.Files[key]
	client, _ := a.net()
	if e.Locked.Source == lock.HTTP {
		client = a.hosts
	}
	registry := ""
	if m != nil && m.Registry() {
		registry = m.To
	}
	if e.Locked.Source == lock.Go && registry == "" && a.registries.Go == "" {
		if m != nil { // Go asks its proxies, at addresses of its own
			return mirror.ErrNoFit
		}
		return a.downloadByGo(ctx, e, key, in)
	}
	options := remote.DownloadOptions{Size: f.Size}
	asked, base, credential := client, registry, func(string) remote.Credential { return options.Credential }
	switch e.Locked.Source {
	case lock.Cargo:
		crates, err := a.cratesOf(ctx, client, e, registry)
		if err != nil {
			return err
		}
		if m == nil || registry != "" { // else the mirror is another server
			client, options.Credential = crates.client, crates.Credential
		}
	case lock.NPM:
		npm, err := a.npm(ctx, e)
		if err != nil {
			return err
		}
		if base == "" {
			if base, err = npm.config.RegistryOf(ctx, f.Name, a.registries.NPM); err != nil {
				return err
			}
		}
		client, credential = npm.client, func(url string) remote.Credential { return npm.config.CredentialFor(url, base) }
		asked = client
	case lock.Pip:
		if registry != "" {
			break
		}
		pip, err := a.pip(ctx)
		if err != nil {
			return err
		}
		if asked, base = pip.client, pip.index; m == nil { // likewise
			client = asked
		}
	}
	addresses, err := a.addresses(ctx, asked, e, key, base)
	if err != nil {
		return err
	}
	if e.Locked.Source == lock.Go { // a proxy may pack a module anew; whoever reads it compares its hash
		options.Size = 0
	}
	return addresses(func(url string) error {
		if m != nil && registry == "" {
			var fits bool
			if url, fits = m.Rewrite(url); !fits {
				return mirror.ErrNoFit
			}
		}
		if in.Offset() > 0 {
			if err := in.Reset(); err != nil {
				return err
			}
		}
		options := options
		options.Credential = credential(url)
		return client.Download(ctx, url, in, options)
	})
}

// addresses finds out where a file is served; registry, if it is not "", is
// asked instead of the one that is configured; for npm and pip it is always given. The function that it returns
// tries the addresses in order until one serves the file.
func (a *app) addresses(ctx context.Context, client *remote.Client, e *lock.Entry, key, registry string) (func(try func(url string) error) error, error) {
	f := e.Locked.Files[key]
	switch e.Locked.Source {
	case lock.HTTP:
		return func(try func(string) error) error { return try(f.URL) }, nil
	case lock.Go:
		if registry == "" {
			registry = a.registries.Go
		}
		return func(try func(string) error) error { return try(remote.GoModule(registry, key)) }, nil
	case lock.Cargo:
		crates, err := a.cratesOf(ctx, client, e, registry)
		if err != nil {
			return nil, err
		}
		crate := cargo.Crate{Name: f.Name, Version: f.Version, SHA256: f.SHA256}
		return func(try func(string) error) error { return try(cargo.URL(crates.Template, crate)) }, nil
	case lock.NPM:
		return func(try func(string) error) error {
			err := try(remote.NPMTarball(registry, f.Name, f.Version))
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			// Registries are free to name tarballs as they like.
			url, lookup := client.NPMTarballURL(ctx, registry, f.Name, f.Version)
			if lookup != nil {
				return lookup
			}
			return try(url)
		}, nil
	case lock.Pip:
		url, err := client.PyPIFile(ctx, registry, wheelProject(key), key)
		if err != nil {
			return nil, err
		}
		return func(try func(string) error) error { return try(url) }, nil
	}
	return nil, fault.Errorf(fault.Usage, "lock it anew with this version of the programs: lockgen update", "%s: files of source %q cannot be fetched", e, e.Locked.Source)
}

// npmOrigin is how this run reaches registries of npm.
type npmOrigin struct {
	config *npm.Config
	client *remote.Client
}

// npm returns what the user's own npm is configured with where the manifest lies,
// and the client for that. Where this machine has no npm, the one of the entry's
// locked runtime is asked for the default registry.
func (a *app) npm(ctx context.Context, e *lock.Entry) (*npmOrigin, error) {
	return a.npmOrigin.get(func() (*npmOrigin, error) {
		config, err := npm.ReadConfig(ctx, a.dir, func(ctx context.Context) (*npm.Client, error) {
			npm, err := a.installer.NPM(ctx, e)
			if err != nil {
				hint := `install npm, or add to plugins.toml: [registries] npm = "https://…"`
				if fault.Of(err) != fault.Machine {
					hint = "" // the locked npm would do, so what it lacks is the cause
				}
				return nil, fault.Errorf(fault.Of(err), hint, "no npm to ask for the registry: %w", err)
			}
			return npm, nil
		})
		if err != nil {
			return nil, err
		}
		a.net()
		options, err := config.Options(a.netOptions(""))
		if err != nil {
			return nil, err
		}
		return &npmOrigin{config, remote.New(options)}, nil
	})
}

// pipOrigin is how this run reaches indexes of Python packages.
type pipOrigin struct {
	index  string
	client *remote.Client
}

// pip returns the package index, the manifest's or else what the user's own pip is
// configured with, and the client for it. The pip also says how the manifest's is
// reached; where there is none, it is reached like every other server.
func (a *app) pip(ctx context.Context) (*pipOrigin, error) {
	return a.pipOrigin.get(func() (*pipOrigin, error) {
		client, _ := a.net()
		pip, err := pip.Find(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && a.registries.Pip != "":
			a.ui.Detail("no pip to ask how %s is reached: %v", redact.URL(a.registries.Pip), err)
			return &pipOrigin{index: a.registries.Pip, client: client}, nil
		case err != nil:
			return nil, fault.Errorf(fault.Of(err), `install pip, or add to plugins.toml: [registries] pip = "https://…"`,
				"no pip to ask for the package index: %w", err)
		}
		config, err := pip.Config(ctx, a.dir, a.registries.Pip)
		if err != nil {
			return nil, err
		}
		if client, err = config.Client(a.netOptions("")); err != nil {
			return nil, err
		}
		return &pipOrigin{index: config.Index, client: client}, nil
	})
}

// crates is how a registry gives crates away.
type crates struct {
	*cargo.Downloads
	client *remote.Client
	err    error
}

// cratesOf asks, once, how a registry gives crates away: that of a mirror, the
// manifest's, or the one that the user's own cargo takes crates from.
func (a *app) cratesOf(ctx context.Context, client *remote.Client, e *lock.Entry, registry string) (*crates, error) {
	if registry == "" {
		registry = a.registries.Cargo
	}
	a.cratesMu.Lock()
	defer a.cratesMu.Unlock()
	known := a.crates[registry]
	if known == nil {
		known = &crates{}
		cargo, err := cargo.Find(ctx)
		if err != nil {
			err = fault.Errorf(fault.Of(err), "", "no cargo to ask for the registry of crates: %w", err)
		} else {
			known.Downloads, err = cargo.CrateDownloads(ctx, a.dir, registry, e.Locked.Package, e.Version)
		}
		if err == nil {
			known.client, err = client.By(known.Way)
		}
		known.err = err
		if a.crates == nil {
			a.crates = map[string]*crates{}
		}
		a.crates[registry] = known
	}
	return known, known.err
}

// wheelProject returns the normalised project name of a wheel's file name,
// which begins with it (PEP 427).
func wheelProject(filename string) string {
	name, _, _ := strings.Cut(filename, "-")
	return lock.NormalProject(name)
}
