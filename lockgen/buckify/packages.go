package buckify

import (
	"maps"
	"slices"
	"strings"

	"github.com/bazelbuild/buildtools/build"
)

// Packages are the proto packages of a lock, of which proto_packages makes targets.
type Packages struct {
	// Label returns the label of the target that has an import path, and the name of
	// its package; "" where none has it. It is asked for what the cell itself does
	// not have.
	Label func(importPath string) (label, name string)
	// Hint says how a package that is not locked would serve an import, "" for none
	// that is known to.
	Hint func(importPath string) string
	// Folder is that of the BUCK file in which the targets are, from the root of the
	// cell; it is not edited where it is in Elsewhere, another cell. Lock is the
	// label by which it loads the lock.
	Folder    string
	Elsewhere bool
	Lock      string
}

// from is the label of a target of proto packages for the BUCK file of a folder.
func (p *Packages) from(f *folder, label string) string {
	if _, name, _ := strings.Cut(label, ":"); !p.Elsewhere && f.path == p.Folder {
		return ":" + name
	}
	return label
}

// protoPackages is the macro that makes the targets.
const protoPackages = "proto_packages"

// packagesFolder is the folder whose BUCK file has to declare the proto packages, nil
// where nothing imports one, or where it does so already.
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

// declarePackages adds the call of proto_packages, and the load of the lock.
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
