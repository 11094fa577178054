// Package protos checks proto packages before they are locked: every import of
// a package must be in exactly one package, or be part of protoc. It finds out
// which packages each of them needs. It uses no network.
package protos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/protofile"
	"github.com/birbparty/buck2-protobuf/lockgen/graph"
)

// Limits for one package. All of googleapis has 7,300 files, the largest has 1
// MB.
const (
	MaxFiles = 20_000
	MaxSize  = 8 << 20 // bytes of one file
)

// A Package describes a proto package.
type Package struct {
	Name  string
	Files map[string][]protofile.Import // what each file imports, by its import path
	Asked []string                      // packages that it may import, sorted; nil allows any
	Only  []string                      // patterns of its files, as in its entry; nil for all
}

// Read reads the imports of the files of a package. An error names the file
// that is not valid, and the line, like protoc. only are the patterns of its
// entry.
func Read(ctx context.Context, name string, dir fs.FS, only []string) (*Package, error) {
	p := &Package{Name: name, Files: map[string][]protofile.Import{}, Only: only}
	buf := make([]byte, protofile.Chunk)
	err := fs.WalkDir(dir, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := dir.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		said, err := protofile.Scan(f, buf)
		var syntax *protofile.SyntaxError
		if errors.As(err, &syntax) {
			hint := "use another version, or exclude the file from the package: " + without(only, []string{file}, nil)
			if syntax.Hint != "" {
				hint += "; its publisher has to " + syntax.Hint
			}
			return fault.Errorf(fault.Integrity, hint, "%s:%d:%d: %w", file, syntax.Line, syntax.Col, err)
		}
		p.Files[file] = said.Imports
		return err
	})
	return p, err
}

// Limits refuses packages that are too large. sizes are those of the files, by
// import path; only are the patterns of its entry.
func Limits(sizes map[string]int64, only []string) error {
	if len(sizes) > MaxFiles {
		return fault.Errorf(fault.Integrity, `use a part of it: files = ["acme/**"]`, "it has %d .proto files, more than the limit of %d", len(sizes), MaxFiles)
	}
	var known []string
	for _, file := range slices.Sorted(maps.Keys(sizes)) {
		if bad := protofile.BadImport(file); bad != "" {
			return fault.Errorf(fault.Integrity, "leave it out: "+without(only, []string{file}, nil), "%q %s, so nothing can import it", file, bad)
		}
		if sizes[file] > MaxSize {
			return fault.Errorf(fault.Integrity, "leave it out: "+without(only, []string{file}, nil), "%s has %d bytes, more than the limit of %d", file, sizes[file], MaxSize)
		}
		if protofile.WellKnown(file) {
			known = append(known, file)
		}
	}
	switch len(known) {
	case 0:
		return nil
	case 1:
		return fault.Errorf(fault.Usage, "leave it out, for protoc has it: "+without(only, known, maps.Keys(sizes)), "%s is a well-known type: the one of protoc must be the only one", known[0])
	}
	return fault.Errorf(fault.Usage, "leave them out, for protoc has them: "+without(only, known, maps.Keys(sizes)), "%s%s are well-known types: those of protoc must be the only ones", known[0], others(known))
}

// without is the line of a package's entry that has these patterns and excludes
// some of its files. A folder of which no file is left is one pattern.
func without(only, out []string, all iter.Seq[string]) string {
	left := map[string]int{} // files in each folder
	if all != nil {
		for file := range all {
			left[path.Dir(file)]++
		}
	}
	size := maps.Clone(left)
	for _, file := range out {
		left[path.Dir(file)]--
	}
	var patterns []string
	for _, pattern := range only {
		patterns = append(patterns, fmt.Sprintf("%q", pattern))
	}
	for _, file := range out {
		pattern := "!" + file
		if folder := path.Dir(file); size[folder] > 1 && left[folder] == 0 {
			pattern = "!" + path.Join(folder, "*")
		}
		if quoted := fmt.Sprintf("%q", pattern); !slices.Contains(patterns, quoted) {
			patterns = append(patterns, quoted)
		}
	}
	return "files = [" + strings.Join(patterns, ", ") + "]"
}

// others counts the files of a list after the first, in words.
func others(files []string) string {
	if len(files) < 2 {
		return ""
	}
	return fmt.Sprintf(" and %d more", len(files)-1)
}

// Folders returns the folders of import paths, sorted, "." for none.
func Folders(files []string) []string {
	folders := map[string]bool{}
	for _, file := range files {
		folders[path.Dir(file)] = true
	}
	return slices.Sorted(maps.Keys(folders))
}

// Layout describes the files of a package, as in the lock.
func (p *Package) Layout() map[string]lock.Folder {
	folders := map[string]lock.Folder{}
	for _, file := range slices.Sorted(maps.Keys(p.Files)) {
		name := path.Dir(file)
		f := folders[name]
		f.Files = append(f.Files, path.Base(file))
		for _, i := range p.Files[file] {
			if of := path.Dir(i.Path); of != name && !protofile.WellKnown(i.Path) && !slices.Contains(f.Imports, of) {
				f.Imports = append(f.Imports, of)
			}
		}
		folders[name] = f
	}
	for _, f := range folders {
		slices.Sort(f.Imports)
	}
	return folders
}

// most limits the problems that are reported for one package.
const most = 5

// Check checks packages against each other. deps lists, for each package, those
// that it imports, sorted. errs has the error of class [fault.Usage] for each
// faulty package, by name. known returns the package of the catalogue with an
// import, or "".
func Check(packages []*Package, known func(importPath string) string) (deps map[string][]string, errs map[string]error) {
	c := &check{known: known, servers: map[string]string{}, packages: slices.SortedFunc(slices.Values(packages), func(a, b *Package) int { return strings.Compare(a.Name, b.Name) })}
	deps, errs = map[string][]string{}, map[string]error{}
	for _, p := range c.packages {
		if err := c.serve(p); err != nil {
			errs[p.Name] = err
		}
	}
	for _, p := range c.packages {
		found, err := c.imports(p)
		deps[p.Name] = found
		if errs[p.Name] == nil && err != nil {
			errs[p.Name] = err
		}
	}
	if len(errs) > 0 {
		return deps, errs
	}
	if name, err := c.cycles(deps); err != nil {
		errs[name] = err
	}
	return deps, errs
}

type check struct {
	packages []*Package // by name
	known    func(string) string
	servers  map[string]string // the package with each import path
}

// serve adds the files of a package. Each import path may occur in one package
// only.
func (c *check) serve(p *Package) error {
	folded := map[string]string{}
	for file, server := range c.servers {
		if server != p.Name {
			folded[strings.ToLower(file)] = file
		}
	}
	var twice []string
	for _, file := range slices.Sorted(maps.Keys(p.Files)) {
		if _, ok := folded[strings.ToLower(file)]; ok {
			twice = append(twice, file)
			continue
		}
		c.servers[file] = p.Name
	}
	if len(twice) == 0 {
		return nil
	}
	first, other := twice[0], folded[strings.ToLower(twice[0])]
	hint := fmt.Sprintf("leave what is in both out of one of the two: %s in [protos.%s]; or remove one of the packages", without(p.Only, twice, maps.Keys(p.Files)), p.Name)
	if other != first {
		return fault.Errorf(fault.Usage, hint, "%s and %s of %s are one file where case is ignored%s", first, other, c.servers[other], others(twice))
	}
	return fault.Errorf(fault.Usage, hint, "%s is also in %s%s", first, c.servers[other], others(twice))
}

// imports finds the packages that a package imports.
func (c *check) imports(p *Package) ([]string, error) {
	found := map[string]bool{}
	var problems, hints, unserved []string
	more := 0
	for _, file := range slices.Sorted(maps.Keys(p.Files)) {
		for _, i := range p.Files[file] {
			server := c.servers[i.Path]
			switch {
			case server == p.Name, protofile.WellKnown(i.Path):
				continue
			case server != "" && (p.Asked == nil || slices.Contains(p.Asked, server)):
				found[server] = true
				continue
			}
			if len(problems) == most {
				more++ // there may be thousands
				continue
			}
			problem, hint := c.missing(p, i.Path, server)
			problems = append(problems, fmt.Sprintf("%s:%d: imports %q, %s", file, i.Line, i.Path, problem))
			switch {
			case hint == "":
				if !slices.Contains(unserved, file) {
					unserved = append(unserved, file)
				}
			case !slices.Contains(hints, hint):
				hints = append(hints, hint)
			}
		}
	}
	list := slices.Sorted(maps.Keys(found))
	if p.Asked != nil { // requested packages count, even if nothing imports them
		list = p.Asked
	}
	if len(problems) == 0 {
		return list, nil
	}
	text := strings.Join(problems, "; ")
	if more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	if len(unserved) > 0 {
		hints = append(hints, fmt.Sprintf("add the package that has what is imported to [protos], or leave out what imports it: %s in [protos.%s]", without(p.Only, unserved, nil), p.Name))
	}
	return list, fault.Errorf(fault.Usage, strings.Join(hints, "; "), "%s", text)
}

// missing explains why an import cannot be resolved, and how to fix it. The
// hint is "" if no package is known to have it.
func (c *check) missing(p *Package, importPath, server string) (problem, hint string) {
	if server != "" {
		return "which is of " + server + ", and deps does not name that", fmt.Sprintf("add %q to deps of [protos.%s], or take deps out", server, p.Name)
	}
	var near string
	for _, file := range slices.Sorted(maps.Keys(p.Files)) {
		if rest, ok := strings.CutSuffix(importPath, "/"+file); ok {
			return "which is outside of root", fmt.Sprintf("count imports from the folder above %s: shorten root of [protos.%s]", rest, p.Name)
		}
		if rest, ok := strings.CutSuffix(file, "/"+importPath); ok {
			return "which is " + file + " in the package", fmt.Sprintf("count imports from the folder %s: add it to root of [protos.%s]", rest, p.Name)
		}
		switch {
		case strings.HasPrefix(file, importPath+"/"):
			near = "which is a folder"
		case fold(file) == fold(importPath):
			near = fmt.Sprintf("which is not the same as %+q, which it has", file)
		}
	}
	if name := c.known(importPath); name != "" && name != p.Name {
		return "which is in " + name, "run: lockgen add protos/" + name
	}
	if near != "" {
		return near, ""
	}
	return "which is not in any package of [protos]", ""
}

// fold returns a path without common mistakes: case, spaces at its ends, and
// the composition of characters.
func fold(name string) string { return norm.NFC.String(strings.ToLower(strings.TrimSpace(name))) }

// cycles finds a package that needs itself, or a file that imports itself,
// through others.
func (c *check) cycles(deps map[string][]string) (name string, err error) {
	for _, p := range c.packages {
		of := func(file string) (paths []string) {
			for _, i := range p.Files[file] {
				paths = append(paths, i.Path)
			}
			return paths
		}
		if cycle := graph.Cycle(slices.Sorted(maps.Keys(p.Files)), of); cycle != nil {
			return p.Name, fault.Errorf(fault.Usage, "use another version, or exclude one of them: "+without(p.Only, cycle[:1], nil), "its files import each other in a cycle: %s", strings.Join(cycle, " -> "))
		}
	}
	if cycle := graph.Cycle(slices.Sorted(maps.Keys(deps)), func(name string) []string { return deps[name] }); cycle != nil {
		return cycle[0], fault.Errorf(fault.Usage, "merge them into one package, or exclude the files that close the cycle", "the proto packages form a cycle: %s", strings.Join(cycle, " -> "))
	}
	return "", nil
}
