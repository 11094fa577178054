package buckify

import (
	"maps"
	"slices"
	"strings"

	"github.com/bazelbuild/buildtools/build"
)

// Packages are the locked proto packages, which proto_packages turns into
// targets.
type Packages struct {
	// Label returns the label of the target that provides an import path, and the
	// name of its package, or "" if none does. It is only asked for imports that
	// the cell itself does not satisfy.
	Label func(importPath string) (label, name string)
	// Hint says which package could satisfy an import if it were locked, or
	// returns "" if none is known.
	Hint func(importPath string) string
	// Folder is the folder of the BUCK file that declares the targets, relative
	// to the root of the cell. It is not edited if it is in another cell,
	// Elsewhere. Lock is the label by which it loads the lock.
	Folder    string
	Elsewhere bool
	Lock      string
}

// from returns the label of a proto package's target as the BUCK file of a folder
// writes it.
func (p *Packages) from(f *folder, label string) string {
	if _, name, _ := strings.Cut(label, ":"); !p.Elsewhere && f.path == p.Folder {
		return ":" + name
	}
	return label
}

// protoPackages is the macro that declares the targets.
const protoPackages = "proto_packages"

// packagesFolder returns the folder whose BUCK file has to declare the proto
// packages. It is nil if nothing imports one, or if the file declares them
// already.
func (r *run) packagesFolder() *folder {
	if r.Packages == nil || r.Packages.Elsewhere || len(r.packages) == 0 {
		return nil
	}
	f := r.folders[r.Packages.Folder]
	if f == nil {
		for dir := r.Packages.Folder; dir != ""; dir = parent(dir) {
			if r.left(dir) { // nobody can say what is there
				return nil
			}
		}
		f = &folder{path: r.Packages.Folder}
	}
	if strings.Contains(string(f.data), protoPackages) {
		return nil
	}
	return f
}

// declarePackages adds the call to proto_packages, and the load of the lock.
func (e *editor) declarePackages() {
	for _, name := range slices.Sorted(maps.Keys(e.packages)) {
		if other := e.build.named(name); other != nil {
			e.problems.add(e.build.at(other), `rename it, or say where the targets of proto packages are to be: packages = "//PACKAGE" in [buckify]`, "%s has the name that the target of the proto package is to have", name)
		}
	}
	local := "lock"
	if e.build.bound[local] != "" {
		local = "plugins_lock"
	}
	e.data[e.Packages.Lock] = local
	call := e.call(protoPackages, map[string]build.Expr{"lock": &build.Ident{Name: local}})
	call.ForceMultiLine = false
	e.fresh = append(e.fresh, format(call))
}
