package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

const maxModule = 500 << 20 // bytes of a module zip, golang.org/x/mod/zip.MaxZipFile

// fetchPacked accepts the zip of a module with other bytes than those locked,
// since a proxy may compress the same files in another way. Its reader compares
// the hash of the files.
func (i *Installer) fetchPacked(ctx context.Context, key string, get func(context.Context, *store.Ingest) error) error {
	from := ""
	d, err := i.Store.AddUnknown(ctx, maxModule, false, get, func(sums store.Sums) error { from = sums.From; return nil })
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.packed == nil {
		i.packed = map[string]packed{}
	}
	i.packed[key] = packed{d, from}
	return nil
}

func (i *Installer) packedAnew(key string) (packed, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	p, ok := i.packed[key]
	return p, ok
}

// packed is a zip with other bytes than those locked.
type packed struct {
	store.Digest
	from string // " from URL", for messages
}

// buildByGo compiles the executable of an entry from verified modules, for any
// platform.
func (i *Installer) buildByGo(ctx context.Context, e *lock.Entry, platform, dir string) error {
	if i.NoManagers {
		return fault.About(fault.AboutManagers, fault.Errorf(fault.Machine, readyTree(e), "it is compiled by Go, and package managers are disabled"))
	}
	compiler, err := i.Go(ctx, e.Toolchain)
	if err != nil {
		return err
	}
	keys := e.Locked.FilesFor(platform)
	if err := i.need(ctx, e, keys); err != nil {
		return err
	}
	scratch, clean, err := i.Store.Scratch(ctx, "go")
	if err != nil {
		return err
	}
	defer clean()
	b := gotool.Build{
		Main:    gotool.Main{Module: e.Locked.Package, Version: e.Version, Dir: e.Locked.Main},
		Modules: make([]gotool.Module, len(keys)),
	}
	b.Platform, _ = lock.LookupPlatform(platform)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads)
	for n, key := range keys {
		g.Go(func() (err error) {
			b.Modules[n], err = i.module(gctx, e, key, filepath.Join(scratch, fmt.Sprintf("%d.mod", n)))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if b.Cache, err = i.Store.GoBuild(ctx); err != nil {
		return err
	}
	out := filepath.Join(scratch, "out")
	i.detail("go compiles %s for %s", e, platform)
	change, end := i.Transfer.Steps()
	defer end()
	what := fmt.Sprintf("compiling %s for %s", e, platform)
	change("%s", what)
	b.Compiled = func(packages int) { change("%s: %s", what, plain.Count(packages, "package")) }
	i.Transfer.Did(ui.For(ctx, e.String()), "compiled")
	start := time.Now()
	err = compiler.Build(ctx, b, out)
	i.observe(ctx, Event{Tier: FromManager, Bytes: bytesOf(e.Locked, platform), Duration: time.Since(start), Err: err})
	if err != nil {
		if errors.Is(err, proc.ErrCompile) {
			err = fault.Errorf(fault.Machine, readyTree(e), "%w", err)
		}
		return err
	}
	return placeProgram(ctx, out, dir, e.Locked.Platforms[platform].Binary)
}

// module returns one module of a closure from the locked files.
func (i *Installer) module(ctx context.Context, e *lock.Entry, key, modFile string) (gotool.Module, error) {
	f := e.Locked.Files[key]
	m := gotool.Module{Path: f.Name, Version: f.Version}
	blob, d, err := i.blob(ctx, e, key)
	if err != nil {
		return m, fmt.Errorf("%s: %w", key, err)
	}
	defer blob.Close()
	module, a := kind.Of(e.Locked.Source), kind.Artifact{Key: key, File: f}
	c, err := module.Scan(ctx, i.Store, d, blob, a)
	if err == nil {
		err = module.Check(a, c)
	}
	if err != nil {
		other, _ := i.packedAnew(key)
		return m, fmt.Errorf("%s%s: %w", key, other.from, err)
	}
	if !strings.HasSuffix(key, ".zip") {
		m.Mod, m.ModSum = blob.Name(), f.Integrity
		return m, nil
	}
	m.Zip, m.Sum, m.Mod, m.ModSum = blob.Name(), f.Integrity, modFile, f.GoMod
	text, _ := gotool.ModOf(m.Path, c.Heads["go.mod"])
	return m, os.WriteFile(modFile, text, 0o644)
}

// Go returns the locked Go, unpacked for this machine. If the lock has none for
// it, Go returns the Go of this machine if it has the same version, since it
// compiles to the same bytes.
func (i *Installer) Go(ctx context.Context, toolchain *lock.Entry) (*gotool.Client, error) {
	if _, served, err := toolchain.Locked.Cell(i.Host.Name); err == nil {
		dir, _, err := i.Tree(ctx, toolchain, i.Host.Name)
		if err != nil {
			return nil, err
		}
		return gotool.Locked(dir, served), nil
	}
	own, err := i.Clients.Go(ctx)
	found := "go is not on PATH"
	if err == nil {
		version, err := own.Version(ctx)
		if err != nil {
			return nil, err
		}
		if version == toolchain.Version {
			return own, nil
		}
		found = "go on PATH has version " + version
	} else if fault.Of(err) != fault.Machine {
		return nil, err
	}
	return nil, fault.About(fault.AboutManagers, fault.Errorf(fault.Machine, "install Go "+toolchain.Version+", or add "+i.Host.Name+" to platforms of plugins.toml",
		"compiling needs Go %s, which is not locked for this machine (%s), and %s", toolchain.Version, i.Host.Name, found))
}
