package lock

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// Proto packages are .proto files of others, which .proto files import. In a lock
// they have a table of their own, [protos.NAME."VERSION"]; among the plugins of a
// [Lock] they are called protos/NAME, which no plugin can be.

// ProtosPrefix begins the names of proto packages among plugins.
const ProtosPrefix = "protos/"

// anyPlatform is the cell of a proto package in the text of a lock: its files are
// the same on every platform, and so are all its cells in a [Version].
const anyPlatform = "any"

// ProtosName parts the name of an entry: the name of a proto package without
// [ProtosPrefix], or false for a plugin.
func ProtosName(name string) (string, bool) { return strings.CutPrefix(name, ProtosPrefix) }

// CheckEntryName is [CheckName] for a name that may be that of a proto package.
func CheckEntryName(name string) error {
	name, _ = ProtosName(name)
	return CheckName(name)
}

// A Folder is one folder of import paths in a proto package. Dependencies are recorded
// by folder, not by file.
type Folder struct {
	Files   []string `toml:"files" json:"files"`               // names of its .proto files, sorted
	Imports []string `toml:"imports" json:"imports,omitempty"` // other folders that these import files of, sorted; well-known types are of none
}

// IsProtos reports whether the version is one of a proto package.
func (v *Version) IsProtos() bool { return len(v.Folders) > 0 }

// PathInProtos is the import path of a file of the archive of a proto package, or ""
// for a file that is not in the package: one that is no .proto file, is not below
// root, or that only leaves out. See [CheckOnly].
func PathInProtos(root string, only []string, file string) string {
	if root != "" {
		below, ok := strings.CutPrefix(file, root+"/")
		if !ok {
			return ""
		}
		file = below
	}
	if path.Ext(file) != ".proto" {
		return ""
	}
	in := !slices.ContainsFunc(only, func(p string) bool { return p[0] != '!' }) // nothing is asked for, so all is
	for _, pattern := range only {
		if not, out := strings.CutPrefix(pattern, "!"); out {
			in = in && !MatchPath(not, file)
		} else {
			in = in || MatchPath(pattern, file)
		}
	}
	if !in {
		return ""
	}
	return file
}

// CheckOnly accepts a pattern of import paths: a path in which * stands for
// anything but a slash and the part ** for any folders; with ! before it, what it
// matches is left out of what the patterns before it take.
func CheckOnly(pattern string) error {
	bare := strings.TrimPrefix(pattern, "!")
	if err := CheckShown(strings.ReplaceAll(bare, "*", "x")); err != nil {
		return fmt.Errorf("pattern %q: %w", pattern, err)
	}
	for part := range strings.SplitSeq(bare, "/") {
		if strings.Contains(part, "**") && part != "**" || strings.ContainsAny(part, "[]") {
			return fmt.Errorf(`pattern %q: ** is a whole part, as in "acme/**", and there are no other patterns than * and **`, pattern)
		}
	}
	return nil
}

// MatchPath reports whether a pattern of [CheckOnly], without !, matches a path.
func MatchPath(pattern, name string) bool {
	return matchParts(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

func matchParts(pattern, name []string) bool {
	for ; len(pattern) > 0; pattern, name = pattern[1:], name[1:] {
		if pattern[0] == "**" {
			for i := range len(name) + 1 {
				if matchParts(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], name[0]); !ok || err != nil {
			return false
		}
	}
	return len(name) == 0
}

// spread gives a proto package the same cell on every platform, where it was read
// with one for all of them.
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
		if err := CheckName(name); err != nil {
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

// EveryPlatform has one cell for all platforms.
func EveryPlatform(cell Cell) map[string]Cell {
	cells := map[string]Cell{}
	for _, p := range Platforms {
		cells[p.Name] = cell
	}
	return cells
}

// cells are the platforms as the text of a lock has them.
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
			return fmt.Errorf("a proto package has no %s", f.key)
		}
	}
	if v.Root != "" {
		if err := CheckShown(v.Root); err != nil {
			return fmt.Errorf("root: %w", err)
		}
	}
	for _, pattern := range v.Only {
		if err := CheckOnly(pattern); err != nil {
			return fmt.Errorf("only: %w", err)
		}
	}
	if err := checkSorted("deps", v.Deps, CheckName); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(v.Folders)) {
		if err := v.Folders[name].validate(name); err != nil {
			return fmt.Errorf("folder %q: %w", name, err)
		}
	}
	if len(v.Files) != 1 {
		return fmt.Errorf("a proto package has one file, not %d", len(v.Files))
	}
	for key, f := range v.Files {
		if len(f.Platforms) > 0 || len(f.Python) > 0 {
			return fmt.Errorf("file %q: a file of a proto package is for every platform", key)
		}
		if err := v.validateFile(key, f); err != nil {
			return fmt.Errorf("file %q: %w", key, err)
		}
		if f.Archive == "" && !v.Kind().Ecosystem {
			return fmt.Errorf("file %q: a proto package is an archive", key)
		}
	}
	for _, p := range Platforms {
		cell := v.Platforms[p.Name]
		if cell != v.Platforms[Platforms[0].Name] || cell != (Cell{Tree: cell.Tree}) {
			return errors.New("a proto package has the one platform any, with a tree")
		}
		if err := CheckSHA256("tree", cell.Tree); err != nil {
			return err
		}
	}
	if len(v.Platforms) != len(Platforms) {
		return errors.New("a proto package has the one platform any")
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
	if err := checkSorted("files", f.Files, checkProtoFile); err != nil {
		return err
	}
	if slices.Contains(f.Imports, name) {
		return errors.New("it imports itself")
	}
	return checkSorted("imports", f.Imports, checkFolder)
}

// checkSorted accepts a list of what check accepts, sorted and without repetition.
func checkSorted(key string, list []string, check func(string) error) error {
	for i, s := range list {
		if err := check(s); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if i > 0 && s <= list[i-1] {
			return fmt.Errorf("%s are not sorted, or one is there twice", key)
		}
	}
	return nil
}

func checkProtoFile(s string) error {
	if path.Dir(s) != "." || path.Ext(s) != ".proto" {
		return fmt.Errorf("%q is not the name of a .proto file", s)
	}
	return CheckShown(s)
}

func checkFolder(s string) error {
	if s == "." {
		return nil
	}
	return CheckShown(s)
}

// checkProtos checks what proto packages have with one another.
func (l *Lock) checkProtos() error {
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		_, protos := ProtosName(name)
		for version, v := range l.Plugins[name] {
			if v.IsProtos() != protos {
				return fmt.Errorf("%s %s: folders are those of proto packages, and each of them has some", name, version)
			}
			for _, dep := range v.Deps {
				if l.Plugins[ProtosPrefix+dep] == nil {
					return fmt.Errorf("%s %s: deps: proto package %q is not in the lock", name, version, dep)
				}
			}
			for _, folder := range slices.Sorted(maps.Keys(v.Folders)) {
				for _, imported := range v.Folders[folder].Imports {
					if !l.serves(v, imported) {
						return fmt.Errorf("%s %s: folder %q imports the folder %q, which neither it nor any of its deps has", name, version, folder, imported)
					}
				}
			}
		}
		if protos && len(l.Plugins[name]) > 1 {
			return fault.Errorf(fault.Lock, "keep one version in plugins.toml, and run: lockgen update", "%s is there in %d versions, and one file cannot be imported from two", name, len(l.Plugins[name]))
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
