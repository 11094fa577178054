package cargo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/crate"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

// A Library is a crate that programs are compiled with.
type Library struct {
	Crate
	Called        string // what code calls it
	Root, Edition string // the file with its root, below the crate's folder, and its edition of Rust
	Macro         bool   // it is a procedural macro, which rustc runs
	Script        string // the file of its build script, "" for none
	Rust          string // the oldest Rust that compiles it, "" if it does not say
	By            string // who made it, see [Closure]
	Features      []string
	Deps          []crate.Use // of the library
	ScriptDeps    []crate.Use // of the build script
	Platforms     []string    // of those asked for, sorted
}

// together is the name of the crate that depends on all libraries of a program.
const together = "buck2-protobuf-runtimes"

// Together returns a crate that depends on exact versions of crates, with features by
// the name of the crate.
func Together(crates []Crate, features map[string][]string) *Source {
	root := &Source{Crate: Crate{Name: together, Version: "0.0.0"}, Files: []string{"lib.rs"}}
	var b bytes.Buffer
	fmt.Fprintf(&b, "[package]\nname = %q\nversion = %q\nedition = \"2021\"\n\n[lib]\npath = \"lib.rs\"\n\n[dependencies]\n", root.Name, root.Version)
	for _, c := range crates {
		list, _ := json.Marshal(append([]string{}, features[c.Name]...)) // strings can be marshalled
		fmt.Fprintf(&b, "%s = { version = %q, features = %s }\n", c.Name, "="+c.Version, list)
	}
	root.Manifest = b.Bytes()
	return root
}

// Libraries has cargo determine what the crate of [Together] needs on platforms, with
// the same features on each, by NAME-VERSION. Root and crates are those of
// [Index.Lock]. Like [Client.Closures] it works offline, and runs no code.
//
// A crate that links a native library is an error of class [fault.Usage], and one that
// needs a newer Rust than that of this machine one of class [fault.Machine].
func (c *Client) Libraries(ctx context.Context, root *Source, crates []*Source, platforms []lock.Platform) (map[string]*Library, error) {
	f, known, err := c.stubs(root, crates)
	if err != nil {
		return nil, err
	}
	defer f.remove()
	all := map[string]*Library{}
	for _, p := range platforms {
		out, err := c.runMetadata(ctx, f, root, nil, p, "--locked")
		if err != nil {
			return nil, err
		}
		file, err := decodeMetadata(out)
		if err != nil {
			return nil, err
		}
		if err := file.collect(root, known, p, all); err != nil {
			return nil, err
		}
	}
	if err := c.newEnough(all); err != nil {
		return nil, err
	}
	for _, l := range all {
		slices.Sort(l.Platforms)
		for _, uses := range []*[]crate.Use{&l.Deps, &l.ScriptDeps} {
			for i := range *uses {
				u := &(*uses)[i]
				if slices.Sort(u.Platforms); slices.Equal(u.Platforms, l.Platforms) {
					u.Platforms = nil
				}
			}
			slices.SortFunc(*uses, func(a, b crate.Use) int { return strings.Compare(a.String(), b.String()) })
		}
	}
	return all, nil
}

// newEnough refuses crates that the Rust of this machine is too old for.
func (c *Client) newEnough(all map[string]*Library) error {
	here, _, _ := strings.Cut(c.version, "-") // a nightly counts as its release
	var newest *Library
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if l := all[name]; newest == nil || lock.CompareVersions(l.Rust, newest.Rust) > 0 {
			newest = l
		}
	}
	if newest == nil || lock.CompareVersions(newest.Rust, here) <= 0 { // one that does not say it is older than any
		return nil
	}
	return fault.Errorf(fault.Machine, "install Rust "+redact.Line(newest.Rust)+" or later: rustup update", "crate %s needs Rust %s or later, and the one here is %s", newest, redact.Line(newest.Rust), here)
}

// collect adds what a platform needs to libraries.
func (m *metadata) collect(root *Source, known map[string]Crate, p lock.Platform, all map[string]*Library) error {
	return m.walk(root, known, func(at *metadataPackage, c Crate) error {
		if at.ID == m.Resolve.Root {
			return nil
		}
		l := all[c.String()]
		if l == nil {
			var err error
			if l, err = at.library(c); err != nil {
				return err
			}
			l.Features = slices.Sorted(slices.Values(m.nodes[at.ID].Features))
			all[c.String()] = l
		}
		l.Platforms = append(l.Platforms, p.Name)
		for _, d := range m.nodes[at.ID].Deps {
			dep := m.packages[d.Pkg]
			for _, k := range d.Kinds {
				u := crate.Use{Crate: dep.Name + "-" + dep.Version}
				if d.Name != dep.called() {
					u.Name = d.Name
				}
				switch k.Kind {
				case "":
					l.Deps = add(l.Deps, u, p)
				case "build":
					l.ScriptDeps = add(l.ScriptDeps, u, p)
				}
			}
		}
		return nil
	})
}

// add notes that a crate uses another one on a platform.
func add(uses []crate.Use, u crate.Use, p lock.Platform) []crate.Use {
	i := slices.IndexFunc(uses, func(o crate.Use) bool { return o.Crate == u.Crate && o.Name == u.Name })
	if i < 0 {
		i = len(uses)
		uses = append(uses, u)
	}
	if !slices.Contains(uses[i].Platforms, p.Name) {
		uses[i].Platforms = append(uses[i].Platforms, p.Name)
	}
	return uses
}

// notOurs is the hint for what cannot be a runtime.
const notOurs = "take another version, or take it out of [runtimes] and write runtime = […] in BUCK files"

// CheckRoots refuses crates of [Together] that are no libraries, as cargo leaves them out,
// and of which another one needs a version that is another crate, where single says that
// a program must not have two.
func CheckRoots(all map[string]*Library, roots []Crate, single func(name string) bool) error {
	for _, c := range roots {
		if all[c.String()] == nil {
			return fault.Errorf(fault.Usage, notOurs, "crate %s has no library that a program could use", c)
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if o := all[name]; o.Name == c.Name && o.Version != c.Version && single(c.Name) {
				return fault.Errorf(fault.Usage, fmt.Sprintf("lock plugins whose code is for %s of one series, or take one of the runtimes out of [runtimes] and write runtime = […] in BUCK files", c.Name),
					"the others of [runtimes] need %s %s, and it has %s: what is compiled with one is nothing to the other", c.Name, o.Version, c.Version)
			}
		}
	}
	return nil
}

// library is what a package has as a library.
func (p *metadataPackage) library(c Crate) (*Library, error) {
	if p.Links != "" {
		return nil, fault.Errorf(fault.Usage, notOurs, "crate %s links the native library %s, which is not in the lock", c, redact.Line(p.Links))
	}
	l := &Library{Crate: c, Rust: p.Rust, By: maker(p.Authors, p.Repository)}
	for _, t := range p.Targets {
		_, file, _ := strings.Cut(filepath.ToSlash(t.Path), "/locked/"+c.String()+"/")
		switch {
		case slices.Contains(t.Kind, "custom-build"):
			l.Script = file
		case isLibrary(t.Kind):
			l.Root, l.Edition, l.Macro = file, t.Edition, slices.Contains(t.Kind, "proc-macro")
		}
	}
	l.Called = p.called()
	return l, nil
}

// isLibrary reports whether a target of these kinds is what code of other packages uses.
func isLibrary(kinds []string) bool {
	return slices.ContainsFunc(kinds, func(kind string) bool { return kind == "lib" || kind == "rlib" || kind == "proc-macro" })
}

// called is what code calls the library of a package.
func (p *metadataPackage) called() string {
	for _, t := range p.Targets {
		if isLibrary(t.Kind) {
			return strings.ReplaceAll(t.Name, "-", "_")
		}
	}
	return ""
}

// On are the platforms on which crates are needed for some roots, by NAME-VERSION.
func On(all map[string]*Library, roots []string, platforms []lock.Platform) map[string][]string {
	on := map[string][]string{}
	for _, p := range platforms {
		seen := map[string]bool{}
		for queue := slices.Clone(roots); len(queue) > 0; queue = queue[1:] {
			l := all[queue[0]]
			if l == nil || seen[queue[0]] || !slices.Contains(l.Platforms, p.Name) {
				continue
			}
			seen[queue[0]] = true
			for _, u := range slices.Concat(l.Deps, l.ScriptDeps) {
				if len(u.Platforms) == 0 || slices.Contains(u.Platforms, p.Name) {
					queue = append(queue, u.Crate)
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(seen)) {
			on[name] = append(on[name], p.Name)
		}
	}
	return on
}

// Settle replaces crates of [Index.Lock] that are too young by the newest older ones
// that can stand for them, as far as there are any: cargo itself takes the newest.
func (x *Index) Settle(ctx context.Context, root *Source, crates []Crate, young func(c Crate) bool) ([]Crate, *Source, error) {
	source, err := x.c.Source(ctx)
	if err != nil {
		return nil, nil, err
	}
	stays := map[string]bool{}
	for {
		i := slices.IndexFunc(crates, func(c Crate) bool { return !stays[c.String()] && young(c) })
		if i < 0 {
			return crates, root, nil
		}
		c := crates[i]
		stays[c.String()] = true
		versions, err := x.entries(c.Name)
		if err != nil {
			return nil, nil, err
		}
		older := slices.DeleteFunc(slices.Collect(maps.Values(versions)), func(o Crate) bool {
			return o.Yanked || young(o) || crate.Series(o.Version) != crate.Series(c.Version) || lock.CompareVersions(o.Version, c.Version) >= 0
		})
		slices.SortFunc(older, func(a, b Crate) int { return lock.CompareVersions(b.Version, a.Version) })
		for _, o := range older[:min(len(older), 3)] { // one much older does not fit either
			err := x.run(ctx, c.String(), "root", "update", "--package", c.Name+"@"+c.Version, "--precise", o.Version)
			if err != nil && !proc.Exited(err) {
				return nil, nil, err
			}
			if err == nil {
				break
			}
		}
		lockfile, err := os.ReadFile(x.path("root", "Cargo.lock"))
		if err != nil {
			return nil, nil, err
		}
		settled := *root
		settled.Lockfile, root = lockfile, &settled
		if crates, err = x.crates(source, root, lockfile, true); err != nil {
			return nil, nil, err
		}
	}
}
