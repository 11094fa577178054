// Package closure reads the closures of plugins from a lock, for tree, why,
// explain, sbom and report.
//
// A lock has the files of a plugin and, for npm, their folders. It does not
// have the dependencies between packages, except those of runtimes of Go and
// Rust. So all packages are direct children of the plugin, except those in the
// node_modules of another package: npm puts a package there because that
// package, or one inside it, needs it.
package closure

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/crate"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// The kinds of a branch, in relation to its parent.
const (
	Plugin    = "plugin"
	Package   = "package"
	File      = "file"      // a file of http or oci, which have no packages
	Bundled   = "bundled"   // a package that the publisher of the parent put into its file
	GoMod     = "go.mod"    // a module whose go.mod is the only file that is read
	Runtime   = "runtime"   // the plugin that runs the parent
	Toolchain = "toolchain" // the plugin that compiles the parent
	Machine   = "machine"   // not in the lock: the Python that runs a plugin, or cargo
)

// A Branch is a plugin or a package in a closure, with its children.
type Branch struct {
	Kind      string    `json:"kind"`
	Name      string    `json:"name"`
	Version   string    `json:"version,omitempty"`
	From      string    `json:"from,omitempty"`      // for a plugin: KIND:PACKAGE
	Self      bool      `json:"self,omitempty"`      // the plugin's own package
	Runs      bool      `json:"runs_code,omitempty"` // a package with a build script, which runs when the package is compiled
	Files     []string  `json:"files,omitempty"`     // keys in the lock, sorted
	Size      int64     `json:"size,omitempty"`      // of the files, in bytes
	Platforms []string  `json:"platforms,omitempty"` // that have one of the files; empty for all
	Below     []*Branch `json:"below,omitempty"`

	above *Branch  // nil for a plugin
	users []string // the packages that need it, NAME@VERSION and sorted, if the lock says so
}

// Label returns NAME VERSION.
func (b *Branch) Label() string { return strings.TrimSuffix(b.Name+" "+b.Version, " ") }

// Of returns a locked version with its packages as children: first its own,
// then the others by name and version. The plugin that runs or compiles it
// comes last, without its closure.
func Of(name, version string, v *lock.Version) *Branch {
	top := &Branch{Kind: Plugin, Name: name, Version: version, From: Source(v)}
	at := map[string]*Branch{} // by folder for npm, otherwise by package
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f := v.Files[key]
		pkg, of := v.PackageOf(key)
		b := &Branch{Kind: Package, Name: pkg, Version: of, above: top}
		id := pkg + "@" + of
		switch {
		case pkg == "":
			b.Kind, b.Name, b.Version, id = File, key, "", key
		case v.Kind().Folders:
			id, b.above = key, cmp.Or(holderOf(key, at), top) // the keys are sorted, so it was added before
		case v.Kind().PartOf(key) != "":
			b.Kind = GoMod
		}
		if known := at[id]; known != nil {
			b = known
		} else {
			at[id] = b
			b.Self = b.Kind == Package && b.above == top && lock.KindOf(v.Source).Normal(pkg) == lock.KindOf(v.Source).Normal(v.Package)
			b.Runs = v.RunsCode(pkg + "-" + of)
			b.above.Below = append(b.above.Below, b)
			for _, label := range f.Bundled {
				name, version, _ := lock.CutPackage(label)
				b.Below = append(b.Below, &Branch{Kind: Bundled, Name: name, Version: version, above: b})
			}
		}
		if b.Kind == GoMod && v.Kind().PartOf(key) == "" {
			b.Kind = Package
		}
		b.Files = append(b.Files, key)
		b.Size += f.Size
		b.Platforms = append(b.Platforms, f.Platforms...)
		if len(f.Platforms) == 0 {
			b.Platforms = append(b.Platforms, lock.PlatformNames()...)
		}
	}
	own := 0
	for _, platform := range lock.PlatformNames() {
		if v.Platforms[platform].Locked() {
			own++
		}
	}
	users := usersOf(v)
	for id, b := range at {
		if b.users = users[id]; len(b.users) == 0 && len(users) > 0 {
			b.users = []string{name + "@" + version} // a part of it, such as prost-types of prost
		}
		slices.Sort(b.Platforms)
		if b.Platforms = slices.Compact(b.Platforms); len(b.Platforms) >= own {
			b.Platforms = nil
		}
		b.sort()
	}
	top.sort()
	top.addRunners(v)
	return top
}

// holderOf returns the innermost package whose node_modules a folder of npm is in,
// or nil for one at the top.
func holderOf(folder string, at map[string]*Branch) *Branch {
	for {
		i := strings.LastIndex(folder, "/node_modules/")
		if i < 0 {
			return nil
		}
		if folder = folder[:i]; at[folder] != nil {
			return at[folder]
		}
	}
}

// addRunners adds what runs and what compiles a plugin.
func (b *Branch) addRunners(v *lock.Version) {
	add := func(kind, name, version string) {
		b.Below = append(b.Below, &Branch{Kind: kind, Name: name, Version: version, above: b})
	}
	for _, other := range [][2]string{{Runtime, v.Runtime}, {Toolchain, v.Toolchain}} {
		if name, version, _ := strings.Cut(other[1], "@"); name != "" {
			add(other[0], name, version)
		}
	}
	if len(v.Python) > 0 && v.Runtime == "" {
		add(Machine, "CPython", strings.Join(v.Python, ", "))
	}
	if v.Compiles() && v.Toolchain == "" {
		add(Machine, "cargo", "")
	}
}

// usersOf says which packages of a runtime need each of them, as far as its folders say
// it. Both are NAME@VERSION.
func usersOf(v *lock.Version) map[string][]string {
	users := map[string][]string{}
	if !v.IsRuntime() {
		return users
	}
	holder := func(folder string, spec *crate.Spec) string {
		key := folder + ".crate"
		if spec.Empty() {
			key = v.ModuleOf(folder)
		}
		name, version := v.PackageOf(key)
		return name + "@" + version
	}
	for _, at := range slices.Sorted(maps.Keys(v.Folders)) {
		f := v.Folders[at]
		user := holder(at, &f.Spec)
		for _, item := range slices.Concat(f.Imports, f.ScriptImports) {
			if u, err := crate.ParseUse(item); err == nil && !f.Empty() {
				item = u.Crate
			}
			if used := holder(item, &f.Spec); used != user && !slices.Contains(users[used], user) {
				users[used] = append(users[used], user)
			}
		}
	}
	for _, list := range users {
		slices.Sort(list)
	}
	return users
}

// All returns all closures of a lock, sorted by name and version.
func All(l *lock.Lock) (all []*Branch) {
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, version := range slices.SortedFunc(maps.Keys(l.Plugins[name]), lock.CompareVersions) {
			all = append(all, Of(name, version, l.Plugins[name][version]))
		}
	}
	return all
}

// Source returns KIND:PACKAGE of a locked version.
func Source(v *lock.Version) string { return strings.TrimSuffix(v.Source+":"+v.Package, ":") }

// sort sorts the children of b.
func (b *Branch) sort() {
	slices.SortFunc(b.Below, func(x, y *Branch) int {
		switch {
		case x.Self != y.Self && x.Self:
			return -1
		case x.Self != y.Self:
			return 1
		case x.Name != y.Name:
			return strings.Compare(x.Name, y.Name)
		}
		return lock.CompareVersions(x.Version, y.Version)
	})
}

// Sum counts the packages and files of b and its descendants, and their bytes.
// It does not count what runs or compiles the plugin. A package of npm counts
// once for each of its folders.
func (b *Branch) Sum() (packages, files int, size int64) {
	if b.Kind == Package {
		packages = 1
	}
	files, size = len(b.Files), b.Size
	for _, c := range b.Below {
		if c.Kind != Runtime && c.Kind != Toolchain {
			p, f, s := c.Sum()
			packages, files, size = packages+p, files+f, size+s
		}
	}
	return packages, files, size
}

// Note describes a branch.
func (b *Branch) Note() string {
	var notes []string
	if b.Self {
		notes = append(notes, "its own package")
	}
	switch b.Kind {
	case Plugin:
		packages, files, size := b.Sum()
		notes = append(notes, b.From)
		if packages > 0 {
			notes = append(notes, plain.Count(packages, "package"))
		}
		notes = append(notes, plain.Count(files, "file"), plain.Bytes(size))
	case GoMod:
		notes = append(notes, "only its go.mod is read")
	case Bundled:
		return "in its file"
	case Runtime:
		return "runs it"
	case Toolchain:
		return "compiles it"
	case Machine:
		if b.Name == "cargo" {
			return "compiles it; from the machine, not in the lock"
		}
		return "runs it; from the machine, not in the lock"
	default:
		what := plain.Bytes(b.Size)
		if len(b.Files) > 1 {
			what = fmt.Sprintf("%d files, %s", len(b.Files), what)
		}
		notes = append(notes, what)
	}
	if b.Runs {
		notes = append(notes, "runs code when it is compiled")
	}
	if len(b.Platforms) > 0 {
		notes = append(notes, "for "+strings.Join(b.Platforms, ", "))
	}
	return strings.Join(notes, "; ")
}

// Walk calls f for b, and then for its descendants.
func (b *Branch) Walk(f func(*Branch)) {
	f(b)
	for _, c := range b.Below {
		c.Walk(f)
	}
}

// A Found is one place in the lock where a package occurs.
type Found struct {
	Plugin        string   `json:"plugin"`
	PluginVersion string   `json:"plugin_version"`
	Kind          string   `json:"kind"`
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Path          string   `json:"path,omitempty"` // for npm the folder; otherwise the file, if it is one
	Files         []string `json:"files,omitempty"`
	Through       []string `json:"through"` // the packages from the plugin down to it, NAME@VERSION
	Why           string   `json:"why"`
}

// Find returns the places in the closure of a plugin that match a word. The
// word is a package, NAME or NAME@VERSION, in any spelling that its ecosystem
// accepts; a folder or file of the lock; or the plugin that runs or compiles
// this one.
func Find(top *Branch, source, word string) (all []Found) {
	top.Walk(func(b *Branch) {
		if b.Kind == Plugin || b.Kind == Machine || !b.named(source, word) {
			return
		}
		f := Found{Plugin: top.Name, PluginVersion: top.Version, Kind: b.Kind, Name: b.Name, Version: b.Version, Files: b.Files, Through: []string{}}
		if len(b.Files) == 1 {
			f.Path = b.Files[0]
		}
		for up := b.above; up != nil && up.Kind == Package; up = up.above {
			f.Through = append(f.Through, up.Name+"@"+up.Version)
		}
		slices.Reverse(f.Through)
		f.Why = b.why(top, source)
		all = append(all, f)
	})
	return all
}

// why returns the reason why b is in the closure of a plugin, as far as the
// lock knows it.
func (b *Branch) why(top *Branch, source string) string {
	switch {
	case b.Kind == Runtime:
		return "runs the plugin"
	case b.Kind == Toolchain:
		return "compiles the plugin"
	case b.Kind == Bundled:
		return "in the file of " + b.above.Name + "@" + b.above.Version + ", whose publisher put it there"
	case b.Self:
		return "the plugin itself"
	case b.Kind == GoMod:
		return "in its closure, but only its go.mod is read"
	case len(b.users) > 0:
		return "needed by " + strings.Join(b.users, ", ")
	case b.Kind == File:
		return "a file of " + top.From
	case b.above.Kind == Package:
		return "inside " + b.above.Name + "@" + b.above.Version + ", because that package or one inside it needs this version instead of the one further up"
	case lock.KindOf(source).Folders && !strings.Contains(b.Files[0], "/node_modules/"):
		return "at the top, so the plugin or any of its packages may need it"
	}
	return "in its closure; the lock does not record which package needs it"
}

// named reports whether a word matches b.
func (b *Branch) named(source, word string) bool {
	if slices.Contains(b.Files, word) {
		return true
	}
	if b.Kind == Runtime || b.Kind == Toolchain {
		return word == b.Name || word == b.Name+"@"+b.Version
	}
	name, version, _ := lock.CutPackage(word)
	kind := lock.KindOf(source)
	version = strings.TrimPrefix(version, kind.V)
	return kind.Normal(name) == kind.Normal(b.Name) && (version == "" || version == b.Version)
}

// Line describes a place, for one plugin.
func (f Found) Line() string {
	if f.Path != "" {
		return f.Path + ": " + f.Why
	}
	return f.Name + ": " + f.Why
}

// Way returns the plugin and the packages down to the place.
func (f Found) Way() string {
	return strings.Join(append([]string{f.Plugin + " " + f.PluginVersion}, f.Through...), " > ")
}

// Evidence explains the kinds of trust.
var Evidence = map[string]string{
	"first-use":        "only the first download: upstream publishes no digest",
	"registry":         "the digests in the registry's index, compared with every download",
	"checksum-file":    "a checksum file of the publisher",
	"transparency-log": "a public log of checksums",
	"provenance":       "a signed statement of the build",
}
