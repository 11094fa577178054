// Package protos checks proto packages against one another before they are locked:
// that whatever one imports, one of them or protoc has, and only one. It finds out
// which packages each of them needs. It asks nobody.
package protos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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

// What one package may have. All of googleapis has 7,300 files, the largest of 1 MB.
const (
	MaxFiles = 20_000
	MaxSize  = 8 << 20 // bytes of one file
)

// A Package is what is known of a proto package.
type Package struct {
	Name  string
	Files map[string][]protofile.Import // what each file imports, by its import path
	Asked []string                      // packages that it may import, sorted; nil for any
}

// Read reads the imports of the files of a package. An error says which file is none,
// as protoc would, with its line.
func Read(ctx context.Context, name string, dir fs.FS) (*Package, error) {
	p := &Package{Name: name, Files: map[string][]protofile.Import{}}
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
			hint := fmt.Sprintf(`take another version, or leave the file out of the package: files = ["!%s"]`, file)
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

// Limits refuses packages that are no packages any more. Sizes are those of the
// files, by import path.
func Limits(sizes map[string]int64) error {
	if len(sizes) > MaxFiles {
		return fault.Errorf(fault.Integrity, `take a part of it: files = ["acme/**"]`, "it has %d .proto files, more than the limit of %d", len(sizes), MaxFiles)
	}
	for _, file := range slices.Sorted(maps.Keys(sizes)) {
		if bad := protofile.BadImport(file); bad != "" {
			return fault.Errorf(fault.Integrity, fmt.Sprintf(`leave it out: files = ["!%s"]`, file), "%q %s, so nothing can import it", file, bad)
		}
		if sizes[file] > MaxSize {
			return fault.Errorf(fault.Integrity, fmt.Sprintf(`leave it out: files = ["!%s"]`, file), "%s has %d bytes, more than the limit of %d", file, sizes[file], MaxSize)
		}
		if protofile.WellKnown(file) {
			return fault.Errorf(fault.Usage, fmt.Sprintf(`leave it out, for protoc has it: files = ["!%s"]`, file), "%s is a well-known type: the one of protoc must be the only one", file)
		}
	}
	return nil
}

// Folders are the folders of some import paths, sorted, "." for none.
func Folders(files []string) []string {
	folders := map[string]bool{}
	for _, file := range files {
		folders[path.Dir(file)] = true
	}
	return slices.Sorted(maps.Keys(folders))
}

// Layout is what a lock holds of the files of a package.
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

// most is how many problems of one package are told.
const most = 5

// Check holds packages against each other. Deps are, for each package, those that it
// imports, sorted; errs is what is wrong with a package, by name, of class
// [fault.Usage]. Known names the package of the catalogue that serves an import, "" for
// none.
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
	if name, err := c.circles(deps); err != nil {
		errs[name] = err
	}
	return deps, errs
}

type check struct {
	packages []*Package // by name
	known    func(string) string
	servers  map[string]string // the package of each import path
}

// serve takes in the files of a package: each import path is that of one.
func (c *check) serve(p *Package) error {
	folded := map[string]string{}
	for file, server := range c.servers {
		if server != p.Name {
			folded[strings.ToLower(file)] = file
		}
	}
	for _, file := range slices.Sorted(maps.Keys(p.Files)) {
		other, ok := folded[strings.ToLower(file)]
		if !ok {
			c.servers[file] = p.Name
			continue
		}
		hint := fmt.Sprintf(`leave it out of one of the two: files = ["!%s"] in [protos.%s]; or remove one of the packages`, file, p.Name)
		if other != file {
			return fault.Errorf(fault.Usage, hint, "%s and %s of %s are one file where case is ignored", file, other, c.servers[other])
		}
		return fault.Errorf(fault.Usage, hint, "%s is in %s as well", file, c.servers[other])
	}
	return nil
}

// imports finds the packages that a package imports.
func (c *check) imports(p *Package) ([]string, error) {
	found := map[string]bool{}
	var problems, hints, without []string
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
				more++ // of which there may be thousands
				continue
			}
			problem, hint := c.missing(p, i.Path, server)
			problems = append(problems, fmt.Sprintf("%s:%d: imports %q, %s", file, i.Line, i.Path, problem))
			switch {
			case hint == "":
				if quoted := fmt.Sprintf("%q", "!"+file); !slices.Contains(without, quoted) {
					without = append(without, quoted)
				}
			case !slices.Contains(hints, hint):
				hints = append(hints, hint)
			}
		}
	}
	list := slices.Sorted(maps.Keys(found))
	if p.Asked != nil { // what it asks for it has, imported or not
		list = p.Asked
	}
	if len(problems) == 0 {
		return list, nil
	}
	text := strings.Join(problems, "; ")
	if more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	if len(without) > 0 {
		hints = append(hints, fmt.Sprintf("add the package that has what is imported to [protos], or leave out what imports it: files = [%s] in [protos.%s]", strings.Join(without, ", "), p.Name))
	}
	return list, fault.Errorf(fault.Usage, strings.Join(hints, "; "), "%s", text)
}

// missing says why an import is not served, and how it would be: hint is "" where
// nobody knows who has it.
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
		return "which " + name + " has", "run: lockgen add protos/" + name
	}
	if near != "" {
		return near, ""
	}
	return "which no package of [protos] has", ""
}

// fold is a path without what one easily gets wrong: case, white space at its ends,
// and how its letters are composed.
func fold(name string) string { return norm.NFC.String(strings.ToLower(strings.TrimSpace(name))) }

// circles finds a package that needs itself, or a file that imports itself, through
// others.
func (c *check) circles(deps map[string][]string) (name string, err error) {
	for _, p := range c.packages {
		of := func(file string) (paths []string) {
			for _, i := range p.Files[file] {
				paths = append(paths, i.Path)
			}
			return paths
		}
		if circle := graph.Cycle(slices.Sorted(maps.Keys(p.Files)), of); circle != nil {
			return p.Name, fault.Errorf(fault.Usage, fmt.Sprintf(`take another version, or leave one of them out: files = ["!%s"]`, circle[0]), "its files import each other in a circle: %s", strings.Join(circle, " -> "))
		}
	}
	if circle := graph.Cycle(slices.Sorted(maps.Keys(deps)), func(name string) []string { return deps[name] }); circle != nil {
		return circle[0], fault.Errorf(fault.Usage, "make one package of them, or leave the files out that close the circle", "proto packages need each other in a circle: %s", strings.Join(circle, " -> "))
	}
	return "", nil
}
