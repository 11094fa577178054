package buckify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/bazelbuild/buildtools/build"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/protofile"
)

// findRoots gives each file its import path.
//
// Roots that people have configured win. Without them, imports decide: an import
// that matches a single file of the tree reveals that file's root; one that
// matches several means the file in the nearest folder around the importing file.
func (r *run) findRoots(context.Context) error {
	for _, t := range r.targets {
		r.fixedPaths(t)
	}
	evidence := map[*file]string{} // roots by file, where an import is about one file
	if r.Roots != nil {
		r.givenRoots()
	} else {
		r.foundRoots(evidence)
	}
	slices.Sort(r.roots)
	r.index = map[string][]*file{}
	for _, f := range r.files {
		if !f.fixed {
			root, ok := evidence[f]
			if !ok {
				root = r.rootOf(f)
			}
			f.root = root
			f.importPath = strings.TrimPrefix(strings.TrimPrefix(f.path, root), "/")
		}
		if strings.HasPrefix(f.importPath, "-") {
			r.problems.add(f.path, "rename it, or leave it alone: exclude in [buckify]", "its import path %s begins like a flag, and protoc takes it for one", f.importPath)
		}
		r.index[f.importPath] = append(r.index[f.importPath], f)
	}
	for _, t := range r.targets {
		for _, f := range t.files {
			if f.root != t.files[0].root && !f.fixed {
				r.problems.add(f.path, "give them targets of their own: granularity = \"file\" in [buckify], or say the roots",
					"its imports are counted from %q, those of %s from %q: one target cannot have both", display(f.root), t.files[0].path, display(t.files[0].root))
				break
			}
		}
	}
	return nil
}

// fixedPaths reads the import paths that a BUCK file sets.
func (r *run) fixedPaths(t *target) {
	if t.old == nil {
		return
	}
	attribute := func(name string) (string, bool) {
		x := t.old.Attr(name)
		s, ok := x.(*build.StringExpr)
		if x != nil && !ok {
			r.problems.add(t.folder.parsed.at(t.old), unread(t.folder.parsed.path), "the %s of %s is no string in quotes", name, t.name)
		}
		if !ok {
			return "", false
		}
		return s.Value, s.Value != ""
	}
	prefix, _ := attribute("import_prefix")
	strip, _ := attribute("strip_import_prefix")
	if prefix == "" && (strip == "" || strings.HasPrefix(strip, "/")) && !t.old.kept("strip_import_prefix") {
		return // a root
	}
	// The same rule as in prelude/proto_library.bzl.
	dir := ""
	switch strip = strings.TrimSuffix(strip, "/"); {
	case strings.HasPrefix(strip, "/"):
		dir = strip[1:]
	case strip != "":
		dir = t.folder.in(strip)
	}
	for _, f := range t.files {
		if f.target != t {
			continue
		}
		if !below(f.path, dir) {
			r.problems.add(t.folder.parsed.at(t.old), "", "%s is not below %q, which strip_import_prefix of %s takes away", f.path, dir, t.name)
			continue
		}
		f.importPath, f.root, f.fixed = path.Join(strings.Trim(prefix, "/"), strings.TrimPrefix(strings.TrimPrefix(f.path, dir), "/")), dir, true
	}
}

// rootOf returns the innermost root that contains a file. If the file's target is
// in a folder above, the search starts there.
func (r *run) rootOf(f *file) string {
	dir := f.folder.path
	if f.target != nil {
		dir = f.target.folder.path
	}
	return enclosing(r.roots, dir)
}

// enclosing returns the innermost of the roots that contains a folder, or "" for
// the root of the cell.
func enclosing(roots []string, dir string) string {
	for ; dir != ""; dir = parent(dir) {
		if slices.Contains(roots, dir) {
			return dir
		}
	}
	return ""
}

// givenRoots applies the roots that people have configured.
func (r *run) givenRoots() {
	for _, root := range r.Roots {
		if root == "." {
			continue
		}
		if !slices.ContainsFunc(r.files, func(f *file) bool { return below(f.path, root) }) {
			r.problems.add("[buckify] roots", "write folders from the root of the cell, or take the key out", "there is no .proto file below %q", root)
			continue
		}
		r.roots = append(r.roots, root)
		r.result.Roots = append(r.result.Roots, Root{root, "[buckify] roots"})
	}
	slices.SortFunc(r.result.Roots, func(a, b Root) int { return strings.Compare(a.Folder, b.Folder) })
}

// A fit is a file that an import may refer to, and the root that this would give
// the file.
type fit struct {
	of   *file
	root string
}

// A rootFinder infers roots that nobody has configured.
type rootFinder struct {
	*run
	byBase   map[string][]*file // by the last name of the path
	fits     map[string][]fit   // by import path
	evidence map[*file]string   // roots of files, from what says one
	firm     map[*file]bool     // whose root a BUCK file says
	why      map[string]string  // places that say so, by root
}

// foundRoots infers roots from imports. It records in evidence the root of each
// file that some import refers to, whatever else is in the file's folder.
func (r *run) foundRoots(evidence map[*file]string) {
	f := &rootFinder{r, map[string][]*file{}, map[string][]fit{}, evidence, map[*file]bool{}, map[string]string{}}
	f.collect()
	f.single()
	f.nearest()
	for _, dir := range slices.Sorted(maps.Keys(f.why)) {
		r.roots = append(r.roots, dir)
		r.result.Roots = append(r.result.Roots, Root{dir, f.why[dir]})
	}
}

// collect lists the files that each import may refer to.
func (r *rootFinder) collect() {
	fixed := map[string]bool{}
	for _, f := range r.files {
		if f.fixed {
			fixed[f.importPath] = true
			continue
		}
		r.byBase[path.Base(f.path)] = append(r.byBase[path.Base(f.path)], f)
		if f.target == nil || f.target.old == nil {
			continue
		}
		if strip := strings.Trim(f.target.old.AttrString("strip_import_prefix"), "/"); strip != "" && below(f.path, strip) {
			r.evidence[f], r.firm[f] = strip, true
			r.why[strip] = cmp.Or(r.why[strip], f.target.folder.parsed.at(f.target.old))
		}
	}
	for _, f := range r.files {
		for _, i := range f.Imports {
			if _, done := r.fits[i.Path]; done || protofile.WellKnown(i.Path) || fixed[i.Path] {
				continue
			}
			list := []fit{}
			for _, of := range r.byBase[path.Base(i.Path)] {
				if of.path == i.Path {
					list = append(list, fit{of, ""})
				} else if root, ok := strings.CutSuffix(of.path, "/"+i.Path); ok {
					list = append(list, fit{of, root})
				}
			}
			r.fits[i.Path] = list
		}
	}
}

// single uses the imports that can refer to one file only. If two of them imply
// different roots for it, the outer root wins, and the other import is reported
// later.
func (r *rootFinder) single() {
	places := map[*file]string{}
	for _, f := range r.files {
		for _, i := range f.Imports {
			list := r.fits[i.Path]
			if len(list) != 1 || r.firm[list[0].of] {
				continue
			}
			if root, ok := r.evidence[list[0].of]; !ok || len(list[0].root) < len(root) {
				r.evidence[list[0].of], places[list[0].of] = list[0].root, f.at(i.Line)
			}
		}
	}
	for _, f := range r.files {
		if root := r.evidence[f]; root != "" && !r.firm[f] {
			r.why[root] = cmp.Or(r.why[root], places[f])
		}
	}
}

// nearest uses the imports that can refer to several files. It picks the one in
// the nearest folder around the importing file, if that folder can be a root.
func (r *rootFinder) nearest() {
	verdict := map[string]bool{}
	possible := func(dir string) bool {
		ok, done := verdict[dir]
		if !done {
			ok = r.possible(dir)
			verdict[dir] = ok
		}
		return ok
	}
	for _, f := range r.files {
		for _, i := range f.Imports {
			list := r.fits[i.Path]
			if len(list) < 2 {
				continue
			}
			for dir := f.folder.path; dir != ""; dir = parent(dir) {
				if slices.ContainsFunc(list, func(c fit) bool { return c.root == dir }) && possible(dir) {
					r.why[dir] = cmp.Or(r.why[dir], f.at(i.Line))
					break
				}
			}
		}
	}
}

// possible reports whether a folder can be a root: none of its files may already
// have a root further up.
func (r *rootFinder) possible(dir string) bool {
	for f, root := range r.evidence {
		if below(f.path, dir) && !below(root, dir) {
			return false
		}
	}
	return true
}

// resolve finds what satisfies each import.
func (r *run) resolve(context.Context) error {
	patterns := slices.Sorted(maps.Keys(r.Resolve))
	label := func(importPath string) (string, bool) {
		if label, ok := r.Resolve[importPath]; ok {
			return label, true
		}
		for _, p := range patterns {
			if matches(p, importPath) {
				return r.Resolve[p], true
			}
		}
		return "", false
	}
	missed, order := map[string][]place{}, []string{} // by import path
	for _, t := range r.targets {
		t.labels = map[string]bool{}
		for _, f := range t.files {
			for _, i := range f.Imports {
				if of, ok := label(i.Path); ok {
					t.labels[of] = true
					continue
				}
				if protofile.WellKnown(i.Path) {
					continue
				}
				to, bad := r.pick(f, i)
				switch {
				case bad:
				case to != nil && to.target == t:
					if to == f {
						r.problems.add(f.at(i.Line), "take the import out", "it imports itself")
					}
				case to != nil:
					t.uses = append(t.uses, use{to.target, f, i.Line, to})
					t.labels[to.target.label(t.folder)] = true
				default:
					if r.Packages != nil {
						if of, name := r.Packages.Label(i.Path); of != "" {
							t.labels[r.Packages.from(t.folder, of)], r.packages[name] = true, true
							continue
						}
					}
					if missed[i.Path] == nil {
						order = append(order, i.Path)
					}
					missed[i.Path] = append(missed[i.Path], place{f, i})
				}
			}
		}
	}
	for _, importPath := range order {
		r.missing(missed[importPath])
	}
	for _, f := range r.files {
		if f.Package == "" {
			r.result.Unpackaged = append(r.result.Unpackaged, f.at(1))
		}
	}
	return nil
}

// pick returns the file of the cell that an import refers to, or nil if there is
// none. bad reports that the import is ambiguous.
func (r *run) pick(f *file, i protofile.Import) (to *file, bad bool) {
	found := r.index[i.Path]
	if len(found) == 1 {
		return found[0], false
	}
	// If several roots contain the path, the nearest one around the file wins.
	for dir := f.root; len(found) > 0; dir = enclosing(r.roots, parent(dir)) {
		var here []*file
		for _, c := range found {
			if c.root == dir && !c.fixed {
				here = append(here, c)
			}
		}
		if len(here) == 1 {
			return here[0], false
		}
		if dir == "" {
			var names []string
			for _, c := range found {
				names = append(names, c.path)
			}
			r.problems.add(f.at(i.Line), "list the roots in roots of [buckify], or choose a target in resolve of [buckify]", "imports %q, which is the import path of %s", i.Path, fault.List(names))
			return nil, true
		}
	}
	return nil, false
}

// A place is an import and the file that contains it.
type place struct {
	file *file
	protofile.Import
}

// missing reports an import that nothing satisfies, and names similar paths.
func (r *run) missing(places []place) {
	first := places[0]
	others := ""
	if n := len(places) - 1; n > 0 {
		others = fmt.Sprintf(" (%d more do)", n)
	}
	const resolve = "name the target that has it: resolve = { %q = \"//PACKAGE:NAME\" } in [buckify]"
	if len(r.problems.list) > shown { // nobody sees more
		r.problems.add(first.file.at(first.Line), "", "imports %q%s", first.Path, others)
		return
	}
	var near []string
	for _, other := range r.files {
		if path.Base(other.importPath) == path.Base(first.Path) || path.Dir(other.importPath) == path.Dir(first.Path) {
			near = append(near, other.importPath)
		}
		if strings.HasSuffix(other.path, "/"+first.Path) || strings.HasSuffix("/"+first.Path, "/"+other.path) || other.path == first.Path {
			r.problems.add(first.file.at(first.Line), "import it by its own import path; or list the folders that imports are relative to in roots of [buckify]; or "+fmt.Sprintf(resolve, first.Path),
				"imports %q%s, and the import path of %s is %q", first.Path, others, other.path, other.importPath)
			return
		}
	}
	if r.Packages != nil {
		if hint := r.Packages.Hint(first.Path); hint != "" {
			r.problems.add(first.file.at(first.Line), hint, "imports %q%s, which is not a file of the cell, and is in a proto package that is not locked", first.Path, others)
			return
		}
	}
	r.problems.add(first.file.at(first.Line), fault.DidYouMean(first.Path, near, "add the file, or "+fmt.Sprintf(resolve, first.Path)),
		"imports %q%s, which is neither a file of the cell nor a well-known type nor in a package", first.Path, others)
}
