package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
)

var getVerb = &cli.Verb[app]{
	Name: "get", Args: "NAME[@VERSION]", Short: "install a plugin if needed, print the path of its executable",
	Long: `Without a version, it takes the only locked version, or the newest one. An
installed plugin is found without reading the lock. With --json, the output also
has the folder of the plugin, the folder of its .proto files, and its version.`,
	Example: `fetch get ts-proto
protoc --plugin=protoc-gen-ts_proto="$(fetch get ts-proto@2.7.2)" \
  --ts_proto_out=. api.proto`,
	JSON: true, Uses: installs, Run: get,
}

// get installs a plugin if needed and prints the path of its executable.
func get(ctx context.Context, a *app, args []string) error {
	if len(args) != 1 {
		return fault.Errorf(fault.Usage, "", "get takes one plugin, got %d arguments", len(args))
	}
	p, err := a.locate(ctx, args[0])
	if err != nil {
		return err
	}
	if a.ui.JSON {
		return a.ui.Data(p)
	}
	return a.ui.Exact("the path of "+args[0], p.Path)
}

// locate installs the plugin of spec if needed. If it was located before, and the
// files look unchanged to stat, it does not read the lock again.
func (a *app) locate(ctx context.Context, spec string) (*install.Program, error) {
	if err := a.open(); err != nil {
		return nil, err
	}
	platform := a.opts.platform
	if platform == "" {
		platform = a.host.Name
	}
	lockPath, err := a.findLock()
	if err != nil {
		return nil, err
	}
	w := a.warm(lockPath, spec, platform)
	start := time.Now()
	if m := w.load(); m != nil {
		took := time.Since(start)
		for _, bytes := range m.Folders {
			a.counts.add(install.Event{Tier: install.FromCache, Bytes: bytes, Duration: took / time.Duration(len(m.Folders))})
		}
		return m.Place, nil
	}
	before, unidentified := w.identify(lockPath)
	l, err := a.readLock(lockPath)
	if err != nil {
		return nil, err
	}
	if unidentified != nil {
		return nil, unidentified
	}
	if err := a.readManifest(lockPath); err != nil {
		return nil, err
	}
	name, version, _, err := a.find(l, spec)
	if err != nil {
		return nil, err
	}
	e := l.Entry(name, version)
	p, depends, err := a.installer.Program(ctx, e, platform)
	if err != nil {
		return nil, err
	}
	a.told(ctx, e)
	w.save(before, p, install.Folders(e, platform), depends)
	return p, nil
}

// find is [lock.Lock.Find], and knows bundles.
func (a *app) find(l *lock.Lock, spec string) (name, version string, v *lock.Version, err error) {
	name, version, v, err = l.Find(spec)
	if _, ok := a.bundles[spec]; ok && err != nil {
		err = fault.Errorf(fault.Usage, "run: fetch bundle "+spec+"; or, for PATH: fetch env --bundle "+spec, "%s is a bundle, not a plugin", spec)
	}
	return name, version, v, err
}

// hostPlatform is [lock.Host] with an error for unsupported machines.
func hostPlatform() (lock.Platform, error) {
	p, ok := lock.Host()
	if !ok {
		return p, fault.Errorf(fault.Machine, "known platforms are "+strings.Join(lock.PlatformNames(), ", "),
			"this machine is %s/%s, for which no plugin is locked", runtime.GOOS, runtime.GOARCH)
	}
	return p, nil
}

// findLock returns the absolute path of the lock: --lock, or the nearest one in the
// working directory or above it.
func (a *app) findLock() (string, error) {
	name := a.opts.lock
	if name == "" {
		var err error
		if name, err = lock.Find("."); err != nil {
			return "", err
		}
	}
	return filepath.Abs(name)
}

// readLock reads the lock. It accepts a lock whose line ends git changed to CRLF,
// and prints a message about it.
func (a *app) readLock(name string) (*lock.Lock, error) {
	l, data, err := lock.Read(name)
	if err == nil && lock.CRLF(data, l) {
		a.ui.Say("%s: its lines end in CRLF, as git writes them if core.autocrlf is on; to see how to fix that, run: lockgen check", name)
	}
	return l, err
}

// readManifest reads from the manifest how to download plugins, and the bundles.
// Versions come from the lock alone. A manifest is required only if --manifest names
// it.
func (a *app) readManifest(lockPath string) error {
	name := a.opts.manifest
	if name == "" {
		name = filepath.Join(filepath.Dir(lockPath), manifest.FileName)
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			a.dir = filepath.Dir(lockPath)
			return a.readFrom()
		}
	}
	m, _, err := manifest.Read(name)
	if err != nil {
		return err
	}
	a.dir, a.registries, a.mirrors, a.bundles, a.policy = filepath.Dir(name), m.Registries, m.Mirrors, m.Bundles, m.Policy
	if a.opts.nodeManager == "" {
		a.installer.NodeManager = m.NodeManager
	}
	return a.readFrom()
}

// readFrom puts the place of --from before all mirrors. A folder is relative to
// the working directory.
func (a *app) readFrom() error {
	if a.opts.from == "" {
		return nil
	}
	place, err := manifest.ParsePlace(a.opts.from)
	if err != nil {
		return err
	}
	if place.Dir != "" {
		if place.Dir, err = filepath.Abs(place.Dir); err != nil {
			return err
		}
		if err := oci.Layout(place.Dir).Check(); err != nil {
			return err
		}
	}
	a.mirrors = slices.Insert(slices.Clone(a.mirrors), 0, manifest.Mirror{From: manifest.Everything, To: place.String()})
	return nil
}
