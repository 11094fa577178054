package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

var protosVerb = &cli.Verb[app]{
	Name: "protos", Args: "[NAME…]", Short: "copy locked proto packages to a folder, for editors and protoc",
	Long: `Without names, it installs every package of [protos]; with names, those packages
and their imports. A name may also be that of a module, as in the deps of a
buf.yaml. The well-known types come from the locked protoc. A folder that this
command has created is replaced, unless it was changed since.`,
	Example: `fetch protos
fetch protos googleapis --out third_party/protos
fetch protos buf.build/googleapis/googleapis
protoc -I. -Iprotos --descriptor_set_out=api.binpb api.proto`,
	JSON: true, Uses: installs, Run: runProtos,
	Flags: func(f *pflag.FlagSet, a *app) {
		f.StringVar(&a.opts.out, "out", "protos", "the `DIR` to create")
		f.BoolVar(&a.opts.dryRun, "dry-run", false, "only print what the folder would have")
	},
}

// protosStamp is a file of a folder that [runProtos] made: the digest of the rest.
const protosStamp = ".fetch-protos"

// runProtos puts proto packages and the well-known types into a folder, at their
// import paths.
func runProtos(ctx context.Context, a *app, args []string) error {
	l, platform, _, err := a.prepare()
	if err != nil {
		return err
	}
	names, err := a.protosOf(l, args)
	if err != nil {
		return err
	}
	if err := replaceable(ctx, a.opts.out); err != nil {
		return err
	}
	if a.opts.dryRun {
		return a.wouldMake(l, names, platform)
	}
	made, err := a.makeProtos(ctx, l, names, platform)
	if err != nil {
		return err
	}
	if a.ui.JSON {
		return a.ui.Data(made)
	}
	return a.ui.Exact("the path of the folder", a.opts.out)
}

// protoPackages returns the names of the locked proto packages, sorted.
func protoPackages(l *lock.Lock) (names []string) {
	for name := range l.Plugins {
		if name, ok := lock.ProtosName(name); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// protosOf are the proto packages of some names, with those that they import, all
// for none.
func (a *app) protosOf(l *lock.Lock, args []string) ([]string, error) {
	known := protoPackages(l)
	if len(known) == 0 {
		return nil, fault.Errorf(fault.Usage, "lock one: lockgen add protos/googleapis", "no proto package is locked")
	}
	if len(args) == 0 {
		return known, nil
	}
	all := map[string]bool{}
	for more := args; len(more) > 0; {
		name := strings.TrimPrefix(more[0], lock.ProtosPrefix)
		more = more[1:]
		if catalog.IsModule(name) {
			module := name
			ref, label, _ := strings.Cut(module, ":")
			if label != "" {
				a.ui.Say("%s is not a version of its publisher: using the locked one of %s", label, ref)
			}
			var wellKnown bool
			if name, wellKnown = catalog.Builtin().Module(ref); wellKnown {
				continue // they come with protoc
			}
			if name == "" {
				return nil, fault.Errorf(fault.Usage, "say where its files are, in [protos] of plugins.toml, and give the name that it has there", "no proto package is known that has the files of %s", module)
			}
		}
		if bare, _, versioned := strings.Cut(name, "@"); versioned && slices.Contains(known, bare) {
			if _, _, _, err := l.Find(lock.ProtosPrefix + name); err != nil {
				return nil, err
			}
			name = bare
		}
		if !slices.Contains(known, name) {
			return nil, fault.Errorf(fault.Usage, fault.DidYouMean(name, known, "locked are "+strings.Join(known, ", ")+"; run: lockgen add protos/"+name), "proto package %q is not locked", name)
		}
		if all[name] {
			continue
		}
		all[name] = true
		for _, v := range l.Plugins[lock.ProtosPrefix+name] {
			more = append(slices.Clone(more), v.Deps...)
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// madeProtos is what a folder has that [runProtos] made.
type madeProtos struct {
	Path     string        `json:"path"`
	Packages []madePackage `json:"packages"` // sorted by name
	Protoc   string        `json:"protoc"`   // version of the one whose well-known types are in it, "" for none
	DryRun   bool          `json:"dry_run,omitempty"`
}

type madePackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// wouldMake prints what makeProtos would make. It downloads nothing.
func (a *app) wouldMake(l *lock.Lock, names []string, platform string) error {
	made := &madeProtos{Path: a.opts.out, DryRun: true}
	var with []string
	for _, name := range names {
		_, version, v, err := l.Find(lock.ProtosPrefix + name)
		if err == nil {
			_, _, err = v.Cell(platform)
		}
		if err != nil {
			return err
		}
		made.Packages = append(made.Packages, madePackage{name, version})
		with = append(with, name+" "+version)
	}
	if e := a.protoc(l, platform); e != nil {
		made.Protoc = e.Version
		with = append(with, "the well-known types of "+e.String())
	}
	if a.ui.JSON {
		return a.ui.Data(made)
	}
	verb := "create"
	if _, err := os.Stat(filepath.Join(a.opts.out, protosStamp)); err == nil {
		verb = "replace"
	}
	a.ui.Say("would %s %s with %s; nothing was written", verb, a.opts.out, strings.Join(with, ", "))
	return nil
}

// makeProtos makes the folder, complete or not at all.
func (a *app) makeProtos(ctx context.Context, l *lock.Lock, names []string, platform string) (*madeProtos, error) {
	out := a.opts.out
	made := &madeProtos{Path: out}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), ".fetch-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	staged := filepath.Join(tmp, "tree")
	for _, name := range names {
		plugin, version, _, err := l.Find(lock.ProtosPrefix + name)
		if err != nil {
			return nil, err
		}
		if err := a.stage(ctx, l.Entry(plugin, version), platform, "", staged); err != nil {
			return nil, err
		}
		made.Packages = append(made.Packages, madePackage{name, version})
	}
	if made.Protoc, err = a.wellKnown(ctx, l, staged, platform); err != nil {
		return nil, err
	}
	tree, err := folderTree(ctx, staged)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(staged, protosStamp), []byte(tree+"\n"), 0o644); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(out); err != nil {
		return nil, err
	}
	return made, os.Rename(staged, out)
}

// stage adds a folder of the tree of an entry, "" for all of it, to what is staged.
// The bytes are compared with the lock while they are copied, whatever the cache
// remembers of them, as those of fetch install are.
func (a *app) stage(ctx context.Context, e *lock.Entry, platform, folder, staged string) error {
	copied := filepath.Join(filepath.Dir(staged), "copy")
	if _, err := a.installer.Copy(ctx, e, platform, copied); err != nil {
		return err
	}
	a.told(ctx, e)
	if err := os.CopyFS(staged, os.DirFS(filepath.Join(copied, filepath.FromSlash(folder)))); err != nil {
		return err
	}
	return os.RemoveAll(copied)
}

// wellKnown adds the well-known types of the newest locked protoc, and returns its
// version, "" where there are none.
func (a *app) wellKnown(ctx context.Context, l *lock.Lock, dir, platform string) (string, error) {
	e := a.protoc(l, platform)
	if e == nil {
		return "", nil
	}
	return e.Version, a.stage(ctx, e, platform, e.Locked.Include, dir)
}

// protoc returns the newest locked protoc if it has the well-known types; otherwise it
// says why there are none.
func (a *app) protoc(l *lock.Lock, platform string) *lock.Entry {
	name, version, v, err := l.Find("protoc")
	if err == nil {
		_, _, err = v.Cell(platform)
	}
	if err != nil {
		a.ui.Say("without the well-known types, which come with protoc: %v", err)
		return nil
	}
	e := l.Entry(name, version)
	if e.Locked.Include == "" {
		a.ui.Say("without the well-known types: %s has no include in the lock", e)
		return nil
	}
	return e
}

// replaceable accepts a folder that is missing or empty, or that runProtos made and
// nobody changed.
func replaceable(ctx context.Context, out string) error {
	stamp, err := os.ReadFile(filepath.Join(out, protosStamp))
	if err != nil {
		return vacant(out)
	}
	if tree, err := folderTree(ctx, out); err != nil || tree != strings.TrimSpace(string(stamp)) {
		return fault.Errorf(fault.Machine, "give another folder with --out, or remove this one yourself", "something in %s was changed since fetch protos made it; nothing in it was touched", out)
	}
	return nil
}

// folderTree is the digest of a folder without its stamp.
func folderTree(ctx context.Context, dir string) (string, error) {
	files, err := archive.HashDir(ctx, dir, nil)
	if err != nil {
		return "", err
	}
	for i := range files {
		files[i].Exec = false // which not every file system keeps
	}
	return archive.TreeHash(slices.DeleteFunc(files, func(f archive.File) bool { return f.Path == protosStamp }))
}
