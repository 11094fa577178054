package resolve

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/protofile"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/protos"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// consists asks a source what a plugin or a proto package consists of.
func (u *update) consists(ctx context.Context, s source.Source, w *plan.Want) (*source.Resolution, error) {
	if w.Proto != nil {
		return source.Protos(ctx, s, w)
	}
	return s.Resolve(ctx, w, u.native(w))
}

// protosTree makes the files of a proto package, and their tree, from its archive.
func (u *update) protosTree(a *attempt, errs map[string]error) ([]archive.File, lock.Cell, error) {
	artifact := a.res.Artifacts[0]
	if err := errs[artifact.Identity]; err != nil {
		return nil, lock.Cell{}, err
	}
	all, root := u.files.Content(artifact).Files, a.w.ProtosRoot()
	files := kind.Protos(root, a.w.Proto.Only, all)
	if len(files) == 0 {
		return nil, lock.Cell{}, noProtos(root, a.w.Proto.Only, all)
	}
	sizes := map[string]int64{}
	for _, f := range files {
		if err := syntax.CheckShown(f.Path); err != nil {
			return nil, lock.Cell{}, fault.Errorf(fault.Integrity, "use another version, or leave the file out with files of its entry", "%w", err)
		}
		sizes[f.Path] = f.Size
	}
	if err := protos.Limits(sizes, a.w.Proto.Only); err != nil {
		return nil, lock.Cell{}, err
	}
	tree, err := archive.TreeHash(files)
	return files, lock.Cell{Tree: tree}, err
}

// noProtos says why a proto package has no files.
func noProtos(root string, only []string, all []archive.File) error {
	var protoFiles []string
	below := false
	for _, f := range all {
		below = below || root == "" || strings.HasPrefix(f.Path, root+"/")
		if filepath.Ext(f.Path) == ".proto" {
			protoFiles = append(protoFiles, f.Path)
		}
	}
	there := protos.Folders(protoFiles)
	switch {
	case len(there) == 0:
		return fault.Errorf(fault.Usage, "use another source: this one is for programs", "there is no .proto file in it")
	case !below:
		return fault.Errorf(fault.Usage, "correct root of its entry: .proto files are in "+fault.List(there), "there is no folder %s in it", root)
	case len(only) > 0 && len(kind.Protos(root, nil, all)) > 0:
		return fault.Errorf(fault.Usage, "correct files of its entry; its folders are "+fault.List(protos.Folders(paths(kind.Protos(root, nil, all)))), "files = %s takes none of its .proto files", lock.PrintList(only))
	}
	return fault.Errorf(fault.Usage, "correct root of its entry: .proto files are in "+fault.List(there), "there is no .proto file below %s", root)
}

func paths(files []archive.File) (list []string) {
	for _, f := range files {
		list = append(list, f.Path)
	}
	return list
}

// lockProtos is [update.lockVersion] for a proto package. What it imports is found when
// all packages are there.
func (u *update) lockProtos(a *attempt, errs map[string]error) (*lock.Version, error) {
	files, cell, err := u.protosTree(a, errs)
	if err != nil {
		return nil, err
	}
	artifact := a.res.Artifacts[0]
	f, d := artifact.File, u.files.Content(artifact).Digest
	f.SHA256, f.Size = d.SHA256, d.Size
	p := &protos.Package{Files: map[string][]protofile.Import{}}
	for _, f := range files {
		p.Files[f.Path] = nil
	}
	v := &lock.Version{
		Source: a.w.From.Kind, Package: a.w.PackageName(), Trust: weaker("", artifact.Trust),
		Root: a.w.ProtosRoot(), Only: a.w.Proto.Only, Folders: p.Layout(),
		Files: map[string]lock.File{artifact.Key: f}, Platforms: lock.EveryPlatform(cell),
	}
	if err := v.Validate(); err != nil {
		return nil, fault.Errorf(fault.Internal, "", "made a lock that is not valid: %w", err)
	}
	if err := v.CheckRelease(a.w.Version); err != nil {
		return nil, fault.Errorf(fault.Usage, "write {version} in its source where the version stands, or the version that stands there in its entry", "%w", err)
	}
	return v, u.Rules().KeepsTrust(a.w, v)
}

// imports checks all proto packages against one another, with the imports of their
// files, and gives those that were locked just now the packages that they import.
// protoc, where one is locked, reads every file.
func (u *update) imports(ctx context.Context, all, pending []*plan.Want) ([]failure, error) {
	if !slices.ContainsFunc(pending, func(w *plan.Want) bool { return w.Proto != nil }) {
		return nil, nil
	}
	host, ok := lock.Host()
	if !ok {
		host = lock.Platforms[0]
	}
	i := &install.Installer{Store: u.Store, Host: host, Offline: u.Offline, Download: u.Download, Clients: u.Clients, NodeManager: "none"}
	var packages []*protos.Package
	var failures []failure
	wants, dirs := map[string]*plan.Want{}, map[string]string{}
	for _, root := range all {
		v := u.locked(root)
		if root.Proto == nil || v == nil {
			continue
		}
		w := root.LockedAs(u.Manifest, v)
		name, _ := lock.ProtosName(w.Name)
		dir, _, err := i.Tree(ctx, u.Entry(w.Name, w.Version), host.Name)
		var p *protos.Package
		if err == nil {
			p, err = protos.Read(ctx, name, os.DirFS(dir), w.Proto.Only)
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			failures = append(failures, failure{w: w, err: err})
			continue
		}
		p.Asked = w.Proto.Deps
		wants[name], dirs[name], packages = w, dir, append(packages, p)
	}
	if len(failures) > 0 {
		return failures, nil
	}
	deps, errs := protos.Check(packages, catalog.Builtin().Serving)
	for _, p := range packages {
		if err := errs[p.Name]; err != nil {
			failures = append(failures, failure{w: wants[p.Name], err: err})
		}
	}
	if len(failures) > 0 {
		return failures, nil
	}
	for _, p := range packages {
		w := wants[p.Name]
		v := *u.locked(w)
		v.Deps, v.Folders = deps[p.Name], p.Layout()
		u.put(w.Name, w.Version, &v)
	}
	if u.options.NoSmoke || !ok {
		return nil, nil
	}
	return u.parse(ctx, i, packages, wants, dirs)
}

// parse lets the locked protoc read every file of the packages. The error is an
// interruption.
func (u *update) parse(ctx context.Context, i *install.Installer, packages []*protos.Package, wants map[string]*plan.Want, dirs map[string]string) (failures []failure, err error) {
	runner := u.runner(i)
	protoc := u.protoc(ctx, runner)
	if protoc == nil {
		u.out.Notes = append(u.out.Notes, "no protoc is locked that runs here, so none has read the files of [protos]; run: lockgen add protoc")
		return nil, ctx.Err()
	}
	for _, p := range packages {
		folders := []string{dirs[p.Name]} // its own before those of others
		for _, name := range slices.Sorted(maps.Keys(dirs)) {
			if name != p.Name {
				folders = append(folders, dirs[name])
			}
		}
		err := runner.Parse(ctx, protoc, folders, slices.Sorted(maps.Keys(p.Files)))
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && !proc.Exited(err):
			return nil, err
		case err != nil:
			failures = append(failures, failure{w: wants[p.Name], err: fault.Errorf(fault.Integrity,
				"use another version of it or of protoc, or leave the file out with files of its entry; to lock it unread, run the same command with --no-smoke", "protoc %s does not read it: %s", protoc.Version, refusal(err, dirs[p.Name]))})
		}
	}
	return failures, nil
}

// refusal is what protoc says of files in a folder, with their import paths and each
// line once.
func refusal(err error, dir string) string {
	text := strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")
	return strings.Join(slices.Compact(strings.Split(text, "; ")), "; ")
}

// orphans refuses a lock in which a proto package imports one that is gone.
func (u *update) orphans(all []*plan.Want) error {
	var failures []failure
	for _, w := range all {
		v := u.out.Lock.Plugins[w.Name][w.Version]
		if w.Proto == nil || v == nil {
			continue
		}
		for _, dep := range v.Deps {
			if u.out.Lock.Plugins[lock.ProtosPrefix+dep] == nil {
				failures = append(failures, failure{w: w, err: fault.Errorf(fault.Usage, "run: lockgen add protos/"+dep, "it imports files of %s, which is not in [protos]", dep)})
			}
		}
	}
	if len(failures) > 0 {
		return u.fail(len(all), failures)
	}
	return nil
}
