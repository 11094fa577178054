// Package compat compares plugins that are locked together. Each of them can be locked
// and run, and still they may not work with one another: their generated code may not
// match, or their publishers may require different runtimes. There are two sources of
// such facts: the catalogue, and the metadata of packages, which are engines and
// peerDependencies of package.json (`npm help package.json`) and the closures of crates.
// What the publisher of the plugin itself says is a failure. What a dependency says, or
// what only the compiler of the generated code would notice, is a note.
package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// A Check compares what was just locked with the rest of a lock.
type Check struct {
	Lock     *lock.Lock
	Manifest string          // its name
	Moved    map[string]bool // names of what was just locked
	// PackageJSON returns the package.json of a locked file, nil if it is not known.
	PackageJSON func(ctx context.Context, key string, f lock.File) []byte

	Notes []string // what was noticed
}

// Plugin compares one version of a plugin, with the entry that it was locked for, with
// the others. If the context ends, the result is incomplete.
func (c *Check) Plugin(ctx context.Context, w *plan.Want, v *lock.Version) (errs []error) {
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	recipe, _ := catalog.Builtin().Lookup(w.Name)
	told := map[string]bool{}
	for _, f := range recipe.Fits {
		if c.Moved[w.Name] || c.Moved[f.Plugin] {
			err := c.beside(w, f)
			add(err)
			told[f.Plugin] = err != nil
		}
	}
	if c.Moved[w.Name] && recipe.Agrees != "" {
		c.agrees(w.Name, recipe.Agrees)
	}
	if !v.Kind().Engines {
		return errs
	}
	runtime, _, _ := strings.Cut(v.Runtime, "@")
	if c.Moved[w.Name] || c.Moved[runtime] {
		add(c.node(ctx, w, v))
	}
	peers := c.peers(v)
	for _, other := range slices.Sorted(maps.Keys(peers)) {
		if !told[other] && (c.Moved[w.Name] || c.Moved[other]) {
			add(c.peer(ctx, w, v, other, peers[other]))
		}
	}
	return errs
}

// beside checks w and another plugin with the facts of the catalogue.
func (c *Check) beside(w *plan.Want, f catalog.Fit) error {
	versions := c.Lock.Plugins[f.Plugin]
	if len(versions) == 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("%s needs the code that %s %s generates, but %s does not ask for that plugin", w, f.Plugin, f.Versions, c.Manifest))
		return nil
	}
	for version, v := range versions {
		if r, err := plan.ParseRange(v.Source, f.Versions); err != nil || r.Allows(version) {
			return err
		}
	}
	return fault.About(fault.AboutConflict, fault.Errorf(fault.Usage, f.Hint, "it works only with %s %s, but %s is locked", f.Plugin, f.Versions, list(versions)))
}

func list(versions map[string]*lock.Version) string {
	return strings.Join(slices.SortedFunc(maps.Keys(versions), lock.CompareVersions), " and ")
}

// agrees adds a note for plugins whose generated code needs another minor
// version of a crate than that of a given plugin, once per pair.
func (c *Check) agrees(plugin, crate string) {
	own := c.minors(plugin, crate)
	if len(own) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Lock.Plugins)) {
		r, _ := catalog.Builtin().Lookup(name)
		other := c.minors(name, crate)
		if r.Agrees != crate || len(other) == 0 || slices.ContainsFunc(own, func(m string) bool { return slices.Contains(other, m) }) {
			continue
		}
		pair := []string{plugin + " for " + fault.List(own), name + " for " + fault.List(other)}
		slices.Sort(pair)
		note := fmt.Sprintf("%s generate code for different versions of the crate %s, which cannot be compiled together", strings.Join(pair, " and "), crate)
		if !slices.Contains(c.Notes, note) {
			c.Notes = append(c.Notes, note)
		}
	}
}

// minors returns the MAJOR.MINOR of a crate in the closures of a plugin.
func (c *Check) minors(plugin, crate string) []string {
	var list []string
	for _, v := range c.Lock.Plugins[plugin] {
		for _, f := range v.Files {
			if part := strings.SplitN(f.Version, ".", 3); v.Kind().Compiled && f.Name == crate && len(part) == 3 {
				list = append(list, part[0]+"."+part[1])
			}
		}
	}
	return list
}

// described has the fields of a package.json about other packages.
type described struct {
	Engines struct {
		Node string `json:"node"`
	} `json:"engines"`
	Peers map[string]string `json:"peerDependencies"`
}

// describe reads the package.json of a locked file. What is not known, or has another
// form, as in very old packages, is empty.
func (c *Check) describe(ctx context.Context, key string, f lock.File) (d described) {
	_ = json.Unmarshal(c.PackageJSON(ctx, key, f), &d)
	return d
}

// node compares the locked node with the versions that the packages of a closure
// require.
func (c *Check) node(ctx context.Context, w *plan.Want, v *lock.Version) error {
	name, version, _ := strings.Cut(v.Runtime, "@")
	number := threeNumbers().FindString(version)
	if name != "node" || number == "" {
		return nil
	}
	var own error
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f := v.Files[key]
		d := c.describe(ctx, key, f)
		r, err := plan.ParseRange(v.Source, d.Engines.Node)
		if d.Engines.Node == "" || err != nil || r.Allows(number) {
			continue
		}
		if key != w.PackageDir() {
			c.Notes = append(c.Notes, fmt.Sprintf("%s: npm package %s@%s requires node %s, but node %s is locked", w, f.Name, f.Version, d.Engines.Node, version))
			continue
		}
		hint := "lock a node in that range: lockgen add node@VERSION"
		if r.Allows(plan.NodeHint) {
			hint = "run: lockgen add node@" + plan.NodeHint + ", or use an older version of " + w.Name
		}
		own = fault.About(fault.AboutConflict, fault.Errorf(fault.Usage, hint, "it requires node %s (engines in its package.json), but node %s is locked", d.Engines.Node, version))
	}
	return own
}

var threeNumbers = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+`) })

// peers returns the names of the plugins in the lock, except v itself, by their
// npm package.
func (c *Check) peers(v *lock.Version) map[string]string {
	packages := map[string]string{}
	for name, versions := range c.Lock.Plugins {
		for _, o := range versions {
			if o.Source == v.Source && o.Package != v.Package {
				packages[name] = o.Package
			}
		}
	}
	return packages
}

// peer compares the locked versions of another plugin with what the package of w
// requires.
func (c *Check) peer(ctx context.Context, w *plan.Want, v *lock.Version, name, pkg string) error {
	key := w.PackageDir()
	d := c.describe(ctx, key, v.Files[key])
	r, err := plan.ParseRange(v.Source, d.Peers[pkg])
	if d.Peers[pkg] == "" || err != nil {
		return nil
	}
	versions := c.Lock.Plugins[name]
	for version := range versions {
		if r.Allows(version) {
			return nil
		}
	}
	return fault.About(fault.AboutConflict, fault.Errorf(fault.Usage, fmt.Sprintf("run: lockgen add '%s@%s', or use another version of %s", name, r, w.Name),
		"it works only with %s %s (peerDependencies in its package.json), but %s is locked", name, r, list(versions)))
}
