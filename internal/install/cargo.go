package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// compiled returns the folder of an entry without a tree in the lock: what the
// locked cargo, or that of this machine, compiles from the locked crates, once for
// each rustc.
func (i *Installer) compiled(ctx context.Context, e *lock.Entry, platform, served string) (string, error) {
	compiler, identity, err := i.cargo(ctx, e, served)
	if err != nil {
		return "", err
	}
	made := map[string]any{
		"identity": identity, "crate": e.Locked.Package + "-" + e.Version, "args": e.Locked.Args, "binary": e.Locked.Platforms[served].Binary, "files": map[string]string{},
	}
	for _, key := range e.Locked.FilesFor(served) {
		made["files"].(map[string]string)[Proof(e, key).Identity] = digest(e.Locked.Files[key]).String()
	}
	key, err := json.Marshal(made)
	if err != nil {
		return "", err
	}
	start := time.Now()
	if dir, err := i.Store.Compiled(ctx, string(key), nil); err == nil {
		i.observe(ctx, Event{Tier: FromCache, Bytes: bytesOf(e.Locked, served), Duration: time.Since(start)})
		return dir, nil
	}
	if i.Offline {
		if missing := i.absent(ctx, e, platform); len(missing) > 0 {
			return "", fault.Errorf(fault.Upstream, "run the same command once without --offline",
				"offline, and not in the cache %s: %s", i.Store.Dir(), strings.Join(missing, ", "))
		}
	}
	return i.Store.Compiled(ctx, string(key), func(ctx context.Context, dir string) error {
		return i.compile(ctx, compiler, e, served, dir)
	})
}

// A cargoOf returns a cargo to compile with, and installs it if needed.
type cargoOf func(context.Context) (*cargo.Client, error)

// cargo returns the cargo to compile an entry for a platform with, and the identity
// of its compiler: the locked one, or that of this machine.
func (i *Installer) cargo(ctx context.Context, e *lock.Entry, platform string) (cargoOf, string, error) {
	if i.NoManagers {
		return nil, "", fault.Errorf(fault.Machine, readyTree(e), "it is compiled by cargo, and package managers are disabled")
	}
	if rust := e.Toolchain; rust != nil {
		if cell, on, err := rust.Locked.Cell(i.Host.Name); err == nil {
			if on != platform {
				return nil, "", cargo.NoCross(on, platform)
			}
			return func(ctx context.Context) (*cargo.Client, error) { return i.Rust(ctx, rust) }, cargo.LockedIdentity(e.Locked.Toolchain, cell.Tree), nil
		}
	}
	c, err := i.ownCargo(ctx, e)
	if err != nil {
		return nil, "", err
	}
	p, _ := lock.LookupPlatform(platform)
	identity, err := c.Identity(ctx, p)
	return func(context.Context) (*cargo.Client, error) { return c, nil }, identity, err
}

// ownCargo returns the cargo of this machine: of any version, or that of the locked
// Rust, which the lock does not have for this machine.
func (i *Installer) ownCargo(ctx context.Context, e *lock.Entry) (*cargo.Client, error) {
	c, err := i.Clients.Cargo(ctx)
	found, rust := "cargo is not on PATH", e.Toolchain
	switch {
	case rust == nil && err != nil, fault.Of(err) != fault.Machine && err != nil:
		return nil, fault.Errorf(fault.Of(err), readyTree(e), "it is compiled by cargo: %w", err)
	case rust == nil || err == nil && c.Version() == rust.Version:
		return c, nil
	case err == nil:
		found = "cargo on PATH has version " + c.Version()
	}
	return nil, fault.About(fault.AboutManagers, fault.Errorf(fault.Machine, "install Rust "+rust.Version+", or add "+i.Host.Name+" to platforms of plugins.toml",
		"compiling needs Rust %s, which is not locked for this machine (%s), and %s", rust.Version, i.Host.Name, found))
}

// Rust returns the locked cargo, unpacked for this machine.
func (i *Installer) Rust(ctx context.Context, rust *lock.Entry) (*cargo.Client, error) {
	dir, cell, err := i.Tree(ctx, rust, i.Host.Name)
	if err != nil {
		return nil, err
	}
	return cargo.Locked(filepath.Join(dir, filepath.FromSlash(cell.Binary)), rust.Name, rust.Version), nil
}

// buildByCargo compiles an entry whose tree is in the lock: it was compiled
// elsewhere, and machines that cannot compile the same get it from a mirror.
func (i *Installer) buildByCargo(ctx context.Context, e *lock.Entry, platform, dir string) error {
	compiler, identity, err := i.cargo(ctx, e, platform)
	if err != nil {
		return err
	}
	if err := i.compile(ctx, compiler, e, platform, dir); err != nil {
		return err
	}
	files, err := archive.HashDir(ctx, dir, nil)
	if err != nil {
		return err
	}
	got, err := archive.TreeHash(files)
	if err != nil {
		return err
	}
	if want := e.Locked.Platforms[platform].Tree; got != want {
		release, _, _ := strings.Cut(identity, "\n")
		return fault.Errorf(fault.Machine, "use the mirror with the compiled plugin: [[mirror]] in plugins.toml",
			"%s, with the linker of this machine, compiles the locked crates to tree %s; the lock has %s, from another one", release, got, want)
	}
	return nil
}

// compile fills an empty folder with the executable of an entry.
func (i *Installer) compile(ctx context.Context, compiler cargoOf, e *lock.Entry, platform, dir string) error {
	client, err := compiler(ctx)
	if err != nil {
		return err
	}
	keys := e.Locked.FilesFor(platform)
	if err := i.need(ctx, e, keys); err != nil {
		return err
	}
	p, _ := lock.LookupPlatform(platform)
	binary := e.Locked.Platforms[platform].Binary
	b := cargo.Build{Args: e.Locked.Args, Bin: strings.TrimSuffix(path.Base(binary), p.Exe()), Scripts: e.Locked.BuildScripts, Platform: p, Shared: i.Crates}
	for _, key := range keys {
		f := e.Locked.Files[key]
		blob, _, err := i.blob(ctx, e, key)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		defer blob.Close() // an open file is not cleared
		crate := cargo.File{Crate: cargo.Crate{Name: f.Name, Version: f.Version, SHA256: f.SHA256}, File: blob.Name()}
		if f.Name == e.Locked.Package && f.Version == e.Version {
			b.Root = crate
		} else {
			b.Crates = append(b.Crates, crate)
		}
	}
	if b.Root.File == "" {
		return fault.Errorf(fault.Lock, "lock the plugin again: lockgen update "+e.Name, "crate %s %s is not among its files", e.Locked.Package, e.Version)
	}
	scratch, clean, err := i.Store.Scratch(ctx, "cargo")
	if err != nil {
		return err
	}
	defer clean()
	out := filepath.Join(scratch, "out")
	i.detail("cargo compiles %s from %d crates", e, len(keys))
	change, end := i.Transfer.Steps()
	defer end()
	what := fmt.Sprintf("compiling %s for %s", e, platform)
	change("%s: reading %s", what, plain.Count(len(keys), "crate"))
	b.Compiles = func(n, of int, crate string) { change("%s: crate %d of %d, %s", what, n, of, crate) }
	i.Transfer.Did(ui.For(ctx, e.String()), "compiled")
	start := time.Now()
	err = client.Build(ctx, b, out)
	i.observe(ctx, Event{Tier: FromManager, Bytes: bytesOf(e.Locked, platform), Duration: time.Since(start), Err: err})
	if err != nil {
		if errors.Is(err, proc.ErrCompile) {
			err = fault.Errorf(fault.Machine, readyTree(e), "%w", err)
		}
		return err
	}
	return placeProgram(ctx, out, dir, binary)
}

// placeProgram puts a compiled program into a folder and makes it executable,
// on any file system.
func placeProgram(ctx context.Context, program, dir, binary string) error {
	f, err := os.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = archive.Unpack(ctx, f, dir, archive.Options{Format: "raw", RawName: binary})
	return err
}

// readyTree is the hint if a compiler cannot be run.
func readyTree(e *lock.Entry) string {
	return "use a mirror with the compiled plugin, made on a machine that can compile it with: lockgen mirror --trees; or enable and install the compiler of source " + e.Locked.Source
}
