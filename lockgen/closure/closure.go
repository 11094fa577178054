// Package closure is what a lock knows of the closures of its plugins, for tree,
// why, explain, sbom and report.
//
// A lock holds which files a plugin is made of and, for npm, in which folders they
// lie. It does not hold which package asks for which. So a plugin has its packages
// below it, and only a package in the node_modules of another is below that one:
// npm puts it there for that one, or for what is inside it.
package closure

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// What a branch is to the one above it.
const (
	Plugin    = "plugin"
	Package   = "package"
	File      = "file"      // of http and oci, which have no packages
	GoMod     = "go.mod"    // a module of which only the go.mod is read
	Runtime   = "runtime"   // the plugin that runs the one above
	Toolchain = "toolchain" // the plugin that compiles the one above
	Machine   = "machine"   // not in the lock: the interpreter of a plugin of Python, or cargo
)

// A Branch is a plugin or a package of a closure, with what is below it.
type Branch struct {
	Kind      string    `json:"kind"`
	Name      string    `json:"name"`
	Version   string    `json:"version,omitempty"`
	From      string    `json:"from,omitempty"`      // of a plugin: KIND:PACKAGE
	Self      bool      `json:"self,omitempty"`      // the plugin's own package
	Runs      bool      `json:"runs_code,omitempty"` // a package with a build script, which runs when it is compiled
	Files     []string  `json:"files,omitempty"`     // keys of the lock, sorted
	Size      int64     `json:"size,omitempty"`      // of those together, in bytes
	Platforms []string  `json:"platforms,omitempty"` // that have one of the files; empty for all
	Below     []*Branch `json:"below,omitempty"`

	above *Branch // nil for a plugin
}

// Label is NAME VERSION.
func (b *Branch) Label() string { return strings.TrimSuffix(b.Name+" "+b.Version, " ") }

// Of returns a locked version with its packages below it: its own first,
// then by name and version. What runs or compiles it is the last, without its
// own closure.
func Of(name, version string, v *lock.Version) *Branch {
	top := &Branch{Kind: Plugin, Name: name, Version: version, From: Source(v)}
	at := map[string]*Branch{} // npm: by folder; else by package
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f := v.Files[key]
		pkg, of := v.PackageOf(key)
		b := &Branch{Kind: Package, Name: pkg, Version: of, above: top}
		id := pkg + "@" + of
		switch {
		case pkg == "":
			b.Kind, b.Name, b.Version, id = File, key, "", key
		case v.Kind().Folders:
			id = key
			for above, nested := key, true; nested && b.above == top; {
				i := strings.LastIndex(above, "/node_modules/")
				if nested = i >= 0; nested {
					if above = above[:i]; at[above] != nil { // sorted, so it was there before
						b.above = at[above]
					}
				}
			}
		case v.Kind().PartOf(key) != "":
			b.Kind = GoMod
		}
		if known := at[id]; known != nil {
			b = known
		} else {
			at[id] = b
			b.Self = b.Kind == Package && b.above == top && lock.KindOf(v.Source).Normal(pkg) == lock.KindOf(v.Source).Normal(v.Package)
			b.Runs = slices.Contains(v.BuildScripts, pkg+"-"+of)
			b.above.Below = append(b.above.Below, b)
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
	for _, b := range at {
		slices.Sort(b.Platforms)
		if b.Platforms = slices.Compact(b.Platforms); len(b.Platforms) >= own {
			b.Platforms = nil
		}
		b.sort()
	}
	top.sort()
	needs := func(kind, spec string) {
		if spec != "" {
			name, version, _ := strings.Cut(spec, "@")
			top.Below = append(top.Below, &Branch{Kind: kind, Name: name, Version: version, above: top})
		}
	}
	needs(Runtime, v.Runtime)
	needs(Toolchain, v.Toolchain)
	if len(v.Python) > 0 && v.Runtime == "" {
		top.Below = append(top.Below, &Branch{Kind: Machine, Name: "CPython", Version: strings.Join(v.Python, ", "), above: top})
	}
	if v.Kind().Compiled {
		top.Below = append(top.Below, &Branch{Kind: Machine, Name: "cargo", above: top})
	}
	return top
}

// All returns the closures of a whole lock, by name and version.
func All(l *lock.Lock) (all []*Branch) {
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, version := range slices.SortedFunc(maps.Keys(l.Plugins[name]), lock.CompareVersions) {
			all = append(all, Of(name, version, l.Plugins[name][version]))
		}
	}
	return all
}

// Source is KIND:PACKAGE of a locked version.
func Source(v *lock.Version) string { return strings.TrimSuffix(v.Source+":"+v.Package, ":") }

// sort puts what is below b in order.
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

// Sum counts the packages and files of b and of what is below it, and the bytes
// of these, but not what runs or compiles it. A package of npm counts in each of
// its folders.
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

// Note says in words what a branch is and has.
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
	case Runtime:
		return "runs it"
	case Toolchain:
		return "compiles it"
	case Machine:
		if b.Name == "cargo" {
			return "compiles it; of the machine, not in the lock"
		}
		return "runs it; of the machine, not in the lock"
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

// Walk calls f for b and all below it, from above.
func (b *Branch) Walk(f func(*Branch)) {
	f(b)
	for _, c := range b.Below {
		c.Walk(f)
	}
}

// A Found is one place of a package in the lock.
type Found struct {
	Plugin        string   `json:"plugin"`
	PluginVersion string   `json:"plugin_version"`
	Kind          string   `json:"kind"`
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Path          string   `json:"path,omitempty"` // npm: its folder; else its file, where it is one
	Files         []string `json:"files,omitempty"`
	Through       []string `json:"through"` // the packages between the plugin and it, from above, NAME@VERSION
	Why           string   `json:"why"`
}

// Find returns the places in the closure of a plugin of what a word names: a
// package, NAME or NAME@VERSION, as its ecosystem writes it or not; a folder or
// file of the lock; or a plugin that runs or compiles this one.
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

// why says why b is in the closure of a plugin, as far as the lock knows.
func (b *Branch) why(top *Branch, source string) string {
	switch {
	case b.Kind == Runtime:
		return "runs the plugin"
	case b.Kind == Toolchain:
		return "compiles the plugin"
	case b.Self:
		return "the plugin itself"
	case b.Kind == GoMod:
		return "in its closure, of which only the go.mod is read"
	case b.Kind == File:
		return "a file of " + top.From
	case b.above.Kind == Package:
		return "inside " + b.above.Name + "@" + b.above.Version + ", which needs this version and not the one further up, or holds a package that does"
	case lock.KindOf(source).Folders && !strings.Contains(b.Files[0], "/node_modules/"):
		return "at the top, so needed by the plugin or by any of its packages"
	}
	return "in its closure; which package asks for it is not in the lock"
}

// named reports whether a word means b.
func (b *Branch) named(source, word string) bool {
	if slices.Contains(b.Files, word) {
		return true
	}
	if b.Kind == Runtime || b.Kind == Toolchain {
		return word == b.Name || word == b.Name+"@"+b.Version
	}
	name, version := word, ""
	if i := strings.LastIndex(word, "@"); i > 0 { // npm's scopes begin with one
		name, version = word[:i], word[i+1:]
	}
	kind := lock.KindOf(source)
	version = strings.TrimPrefix(version, kind.V)
	return kind.Normal(name) == kind.Normal(b.Name) && (version == "" || version == b.Version)
}

// Line is a place in words, for one plugin.
func (f Found) Line() string {
	if f.Path != "" {
		return f.Path + ": " + f.Why
	}
	return f.Name + ": " + f.Why
}

// Way is the plugin and the packages between it and the place.
func (f Found) Way() string {
	return strings.Join(append([]string{f.Plugin + " " + f.PluginVersion}, f.Through...), " > ")
}

// Evidence says what a kind of trust means.
var Evidence = map[string]string{
	"first-use":        "nothing but the first download: upstream publishes no digest",
	"registry":         "the digests that the registry's index gives, compared with every download",
	"checksum-file":    "a checksum file of the publisher",
	"transparency-log": "a public log of checksums",
	"provenance":       "a signed statement of the build",
}
