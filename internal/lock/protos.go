package lock

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/crate"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// Proto packages are published .proto files that other .proto files import. In
// a lock they have their own table, [protos.NAME."VERSION"]. Among the plugins
// of a [Lock] they have names protos/NAME, which no plugin can have.

// ProtosPrefix is the prefix of the names of proto packages among plugins.
const ProtosPrefix = "protos/"

// anyPlatform is the platform of a proto package in the text of a lock. Its
// files are the same on every platform; in a [Version] each platform has the
// same cell.
const anyPlatform = "any"

// ProtosName returns the name of a proto package without [ProtosPrefix], or
// false for a plugin.
func ProtosName(name string) (string, bool) { return strings.CutPrefix(name, ProtosPrefix) }

// CheckEntryName is [CheckName] for the name of a plugin, a proto package or a
// runtime.
func CheckEntryName(name string) error {
	language, runtime, ok := RuntimeName(name)
	if ok && RuntimesKind(language) == "" {
		return fmt.Errorf("there are no runtimes of %q, only of %s", language, strings.Join(Languages(), ", "))
	}
	if ok {
		name = runtime
	}
	name, _ = ProtosName(name)
	return syntax.CheckName(name)
}

// A Folder is a folder of import paths in a proto package. Dependencies are
// recorded for folders, not for files.
type Folder struct {
	Files   []string `toml:"files" json:"files,omitempty"`     // names of its .proto files, sorted
	Imports []string `toml:"imports" json:"imports,omitempty"` // other folders from which these import files, sorted; without well-known types

	crate.Spec // only of a crate of a runtime of Rust, whose Imports are items of [crate.Use]
}

// IsProtos reports whether the version is of a proto package.
func (v *Version) IsProtos() bool { return len(v.Folders) > 0 && !v.IsRuntime() }

// Compiles reports whether the version is a program that is compiled where it is used,
// by the manager of its kind.
func (v *Version) Compiles() bool { return v.Kind().Compiled && !v.IsProtos() && !v.IsRuntime() }

// spread copies the single cell of a parsed proto package to every platform.
func (v *Version) spread() {
	cell, ok := v.Platforms[anyPlatform]
	if !ok || !v.IsProtos() || len(v.Platforms) != 1 {
		return
	}
	v.Platforms = EveryPlatform(cell)
}

// takeProtos moves the proto packages of a text to the plugins.
func (l *Lock) takeProtos() error {
	for name := range l.Plugins {
		if err := syntax.CheckName(name); err != nil {
			return err
		}
	}
	for name, versions := range l.Protos {
		for _, v := range versions {
			v.spread()
		}
		if l.Plugins == nil {
			l.Plugins = map[string]map[string]*Version{}
		}
		l.Plugins[ProtosPrefix+name] = versions
	}
	l.Protos = nil
	return nil
}

// EveryPlatform returns platforms that all have the same cell.
func EveryPlatform(cell Cell) map[string]Cell {
	cells := map[string]Cell{}
	for _, p := range Platforms {
		cells[p.Name] = cell
	}
	return cells
}

// cells returns the platforms as written in the text of a lock.
func (v *Version) cells() map[string]Cell {
	one := v.Platforms[Platforms[0].Name]
	if !v.IsProtos() || !maps.Equal(v.Platforms, EveryPlatform(one)) {
		return v.Platforms
	}
	return map[string]Cell{anyPlatform: one}
}

// validateProtos is [Version.Validate] for a proto package.
func (v *Version) validateProtos() error {
	for _, f := range v.fields() {
		if !f.empty() && !slices.Contains([]string{"deps", "only", "package", "root", "source", "trust"}, f.key) {
			return fmt.Errorf("a proto package must not have %s", f.key)
		}
	}
	if v.Root != "" {
		if err := syntax.CheckShown(v.Root); err != nil {
			return fmt.Errorf("root: %w", err)
		}
	}
	for _, pattern := range v.Only {
		if err := syntax.CheckOnly(pattern); err != nil {
			return fmt.Errorf("only: %w", err)
		}
	}
	if err := checkSorted("deps", v.Deps, syntax.CheckName); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(v.Folders)) {
		if err := v.Folders[name].validate(name); err != nil {
			return fmt.Errorf("folder %q: %w", name, err)
		}
	}
	if len(v.Files) != 1 {
		return fmt.Errorf("a proto package must have one file, not %d", len(v.Files))
	}
	for key, f := range v.Files {
		if len(f.Platforms) > 0 || len(f.Python) > 0 {
			return fmt.Errorf("file %q: a file of a proto package must be for every platform", key)
		}
		if err := v.validateFile(key, f); err != nil {
			return fmt.Errorf("file %q: %w", key, err)
		}
		if f.Archive == "" && !v.Kind().Ecosystem {
			return fmt.Errorf("file %q: a proto package must be an archive", key)
		}
	}
	for _, p := range Platforms {
		cell := v.Platforms[p.Name]
		if cell != v.Platforms[Platforms[0].Name] || cell != (Cell{Tree: cell.Tree}) {
			return errors.New("a proto package must have only the platform any, with a tree")
		}
		if err := syntax.CheckSHA256("tree", cell.Tree); err != nil {
			return err
		}
	}
	if len(v.Platforms) != len(Platforms) {
		return errors.New("a proto package must have only the platform any")
	}
	return nil
}

func (f Folder) validate(name string) error {
	if err := checkFolder(name); err != nil {
		return err
	}
	if len(f.Files) == 0 {
		return errors.New("it has no files")
	}
	if !f.Empty() {
		return errors.New("it is described as a crate")
	}
	if err := checkSorted("files", f.Files, checkProtoFile); err != nil {
		return err
	}
	if slices.Contains(f.Imports, name) {
		return errors.New("it imports itself")
	}
	return checkSorted("imports", f.Imports, checkFolder)
}

// checkSorted checks each item of a list, and that it is sorted without
// repetition.
func checkSorted(key string, list []string, check func(string) error) error {
	for i, s := range list {
		if err := check(s); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if i > 0 && s <= list[i-1] {
			return fmt.Errorf("%s is not sorted, or has an item twice", key)
		}
	}
	return nil
}

func checkProtoFile(s string) error {
	if path.Dir(s) != "." || path.Ext(s) != ".proto" {
		return fmt.Errorf("%q is not the name of a .proto file", s)
	}
	return syntax.CheckShown(s)
}

func checkFolder(s string) error {
	if s == "." {
		return nil
	}
	return syntax.CheckShown(s)
}

// checkProtos checks the rules between proto packages.
func (l *Lock) checkProtos() error {
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		_, protos := ProtosName(name)
		for version, v := range l.Plugins[name] {
			if v.IsProtos() != protos {
				return fmt.Errorf("%s %s: a proto package must have folders, and a plugin must not", name, version)
			}
			for _, dep := range v.Deps {
				if l.Plugins[ProtosPrefix+dep] == nil {
					return fmt.Errorf("%s %s: deps: proto package %q is not in the lock", name, version, dep)
				}
			}
			for _, folder := range slices.Sorted(maps.Keys(v.Folders)) {
				for _, imported := range v.Folders[folder].Imports {
					if protos && !l.serves(v, imported) {
						return fmt.Errorf("%s %s: folder %q imports the folder %q, which is not in it or its deps", name, version, folder, imported)
					}
				}
			}
		}
		if protos && len(l.Plugins[name]) > 1 {
			return fault.Errorf(fault.Lock, "keep one version in plugins.toml, and run: lockgen update", "%s has %d versions, but a file cannot be imported from two", name, len(l.Plugins[name]))
		}
	}
	return l.checkServers()
}

// checkServers checks that no file is in two proto packages, as a merge may have it.
func (l *Lock) checkServers() error {
	type side struct {
		name, folder string
		files, only  []string
	}
	folders := map[string][]side{} // by path, without case
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, v := range l.Plugins[name] {
			if !v.IsProtos() { // of Go, whose packages several runtimes share
				continue
			}
			for folder, f := range v.Folders {
				key := strings.ToLower(folder)
				folders[key] = append(folders[key], side{name, folder, f.Files, v.Only})
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(folders)) {
		if len(folders[key]) < 2 {
			continue // of one package, in which nothing is twice
		}
		first := map[string][2]string{} // package and path, by name without case
		for _, s := range folders[key] {
			for _, file := range s.files {
				other, found := first[strings.ToLower(file)]
				if !found || other[0] == s.name {
					first[strings.ToLower(file)] = [2]string{s.name, path.Join(s.folder, file)}
					continue
				}
				only := append(slices.Clone(s.only), "!"+path.Join(s.folder, file))
				hint := fmt.Sprintf(`leave it out of one of the two in plugins.toml: files = ["%s"] in [%s]; then run: lockgen update`, strings.Join(only, `", "`), strings.Replace(s.name, "/", ".", 1))
				return fault.Errorf(fault.Lock, hint, "%s of %s is %s of %s as well", path.Join(s.folder, file), s.name, other[1], other[0])
			}
		}
	}
	return nil
}

// serves reports whether a proto package or one of its deps has a folder.
func (l *Lock) serves(v *Version, folder string) bool {
	_, ok := v.Folders[folder]
	for _, dep := range v.Deps {
		for _, d := range l.Plugins[ProtosPrefix+dep] {
			if _, has := d.Folders[folder]; has {
				ok = true
			}
		}
	}
	return ok
}
