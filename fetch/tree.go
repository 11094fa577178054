package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/pkgmgr"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// tree returns the folder in the cache that holds exactly the locked tree of
// an entry on a platform, making it where it is missing.
func (a *app) tree(ctx context.Context, e *lock.Entry, platform string) (dir string, cell lock.Cell, err error) {
	cell, served, err := e.Locked.Cell(platform)
	if err != nil {
		return "", cell, fmt.Errorf("%s: %w", e, err)
	}
	if cell.Tree == "" { // compiled where it is used
		return "", cell, fault.Errorf(fault.Usage, "take the plugin from another source",
			"%s for %s: this version of fetch does not compile plugins of source %q", e, platform, e.Locked.Source)
	}
	if a.opts.offline {
		if missing := a.absent(ctx, e, platform); len(missing) > 0 {
			return "", cell, fault.Errorf(fault.Upstream, "run the same command once without --offline",
				"%s for %s: offline, and not in the cache %s: %s", e, platform, a.store.Dir(), strings.Join(missing, ", "))
		}
	}
	dir, err = a.store.Tree(ctx, cell.Tree, func(ctx context.Context, dir string) error {
		return a.build(ctx, e, served, dir)
	})
	if err != nil {
		return "", cell, fmt.Errorf("%s for %s: %w", e, platform, err)
	}
	return dir, cell, nil
}

// absent names the files of an entry and its runtime that an installation would
// have to download: none where the tree is there already.
func (a *app) absent(ctx context.Context, e *lock.Entry, platform string) []string {
	var missing []string
	for ; e != nil; e = e.Runtime {
		cell, served, err := e.Locked.Cell(platform)
		if err != nil {
			continue // tree will say so
		}
		_, err = a.store.Tree(ctx, cell.Tree, func(context.Context, string) error { return fs.ErrNotExist })
		if err == nil {
			continue
		}
		for _, key := range e.Locked.FilesFor(served) {
			if f := e.Locked.Files[key]; a.given[key] == "" && !a.store.HasBlob(digest(f)) {
				missing = append(missing, label(key, f))
			}
		}
	}
	return missing
}

// build fills an empty folder with the tree of an entry. The caller compares
// the result with the lock.
func (a *app) build(ctx context.Context, e *lock.Entry, platform, dir string) error {
	if kind := e.Locked.Source; kind == lock.Go || kind == lock.Cargo {
		return fault.Errorf(fault.Usage, "take the plugin from another source", "%s: this version of fetch does not install plugins of source %q", e, kind)
	}
	if e.Locked.Source == lock.NPM {
		npm, err := a.nodeManager(ctx, e)
		if err != nil {
			return err
		}
		if npm != nil {
			return a.buildByNPM(ctx, npm, e, platform, dir)
		}
	}
	_, err := a.unpack(ctx, e, platform, dir)
	return err
}

// unpack reads every file of an entry strictly, several at a time, and writes
// what it holds below dir; with dir == "" it only reads. It returns the paths of
// the verified files in the cache, in the order of FilesFor.
func (a *app) unpack(ctx context.Context, e *lock.Entry, platform, dir string) ([]string, error) {
	keys := e.Locked.FilesFor(platform)
	if err := a.need(ctx, e, keys); err != nil {
		return nil, err
	}
	paths := make([]string, len(keys))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, key := range keys {
		g.Go(func() error {
			f, err := a.blob(ctx, e, key)
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			defer f.Close()
			paths[i] = f.Name()
			if _, err := unpackOne(ctx, f, dir, e.Locked, key, platform); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			return nil
		})
	}
	return paths, g.Wait()
}

// buildByNPM lets npm make the folder, offline, from the verified tarballs.
// They are read strictly first, so that npm meets nothing that we would refuse.
func (a *app) buildByNPM(ctx context.Context, npm *pkgmgr.NPM, e *lock.Entry, platform, dir string) error {
	paths, err := a.unpack(ctx, e, platform, "")
	if err != nil {
		return err
	}
	tarballs := make([]pkgmgr.Tarball, len(paths))
	for i, key := range e.Locked.FilesFor(platform) {
		f := e.Locked.Files[key]
		tarballs[i] = pkgmgr.Tarball{Path: key, Name: f.Name, Version: f.Version, File: paths[i], Integrity: f.Integrity}
	}
	a.ui.Detail("npm builds %s", e)
	return npm.Install(ctx, dir, tarballs)
}

// nodeManager returns the npm that builds the folder of an entry, or nil where
// our own unpacker shall: the locked npm, else this machine's.
func (a *app) nodeManager(ctx context.Context, e *lock.Entry) (*pkgmgr.NPM, error) {
	switch {
	case a.opts.noManagers || a.opts.nodeManager == "none":
		return nil, nil
	case a.opts.nodeManager != "" && a.opts.nodeManager != "npm":
		return nil, fault.Errorf(fault.Usage, "use npm or none", "node manager %q is not supported", a.opts.nodeManager)
	}
	npm, err := a.findNPM(ctx, e)
	if fault.Of(err) == fault.Machine {
		a.ui.Detail("%v; unpacking %s without a package manager", err, e)
		return nil, nil
	}
	return npm, err
}

// findNPM returns the npm of the entry's locked runtime where that serves this
// machine, else the machine's own.
func (a *app) findNPM(ctx context.Context, e *lock.Entry) (*pkgmgr.NPM, error) {
	return a.npm.get(func() (*pkgmgr.NPM, error) {
		if e.Runtime != nil {
			if _, _, err := e.Runtime.Locked.Cell(a.host.Name); err == nil {
				dir, _, err := a.tree(ctx, e.Runtime, a.host.Name)
				if err != nil {
					return nil, err
				}
				npm := pkgmgr.LockedNPM(dir, a.host.Name)
				if _, err := npm.Version(); err == nil {
					return npm, nil
				}
				a.ui.Detail("%s brings no npm", e.Runtime)
			}
		}
		return pkgmgr.FindNPM(ctx)
	})
}

// unpackOne reads one artifact as its source kind demands.
func unpackOne(ctx context.Context, f *os.File, dir string, v *lock.Version, key, platform string) ([]store.TreeFile, error) {
	var o store.Options
	switch v.Source {
	case lock.NPM:
		o = store.Options{Format: "tar.gz", StripTop: true, Prefix: key}
		addBins(&o, key)
	case lock.Pip:
		o = store.Options{Format: "zip"}
	default:
		o = store.Options{Format: v.Files[key].Archive, RawName: v.Platforms[platform].Binary}
		if o.Format == "" {
			o.Format = "raw"
		}
	}
	return store.Unpack(ctx, f, dir, o)
}

// addBins makes the files executable that the package.json of an npm package
// names in "bin", as npm does.
func addBins(o *store.Options, folder string) {
	var text bytes.Buffer
	o.Tap = func(name string) io.Writer {
		if name == folder+"/package.json" {
			return &text
		}
		return nil
	}
	bins := sync.OnceValue(func() map[string]bool {
		paths := make(map[string]bool)
		// A package.json that is not JSON names nothing; then the tree differs
		// from the lock, for lockgen refuses such a package.
		named, _ := pkgmgr.Bins(text.Bytes())
		for _, file := range named {
			paths[folder+"/"+file] = true
		}
		return paths
	})
	o.Exec = func(name string) bool { return bins()[name] }
}
